//! What somebody has made a member of an extension on the source (`ALTER EXTENSION ... ADD`): the extension does not
//! make it again, so that neither it nor its rows arrive.
//!
//! No catalog says whether an extension's script or a user has added a member. But the trial creates the extension on
//! the target: what has no such member there, in the same version, was a user's.

use std::collections::BTreeSet;

use dbhaul_catalog::{in_one_line, quote_identifier, quote_literal};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use crate::options::ExtensionMembers;

/// Of a list so many are named.
const SHOWN: usize = 10;

#[derive(Debug, Deserialize)]
struct Row {
    extension: String,
    version: String,
    class: Option<u32>,
    schema: Option<String>,
    name: Option<String>,
}

/// What these extensions lack in the open transaction, in words; nothing of extensions that are not there.
pub(super) async fn lacking(
    expected: &[&ExtensionMembers],
    major: u32,
    session: &Session,
) -> Result<Vec<(String, String)>, Error> {
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = expected.iter().map(|it| quote_literal(&it.extension)).collect();
    let rows: Vec<Row> = session.query_json(&query(&names)).await?;
    let told = |of: &&ExtensionMembers| {
        let there = rows.iter().filter(|row| row.extension == of.extension);
        let version = there.clone().next().map(|row| row.version.as_str())?;
        let there: BTreeSet<(u32, &str, &str)> = there
            .filter_map(|row| Some((row.class?, row.schema.as_deref()?, row.name.as_deref()?)))
            .collect();
        // scripts look at the server's major too; what holds rows is missed whoever made it
        let is_certain = |holds_state: bool| match &of.version {
            Some(expected) => holds_state || version == expected && major == of.major,
            None => true,
        };
        let lacking = of.members.iter().filter(|member| {
            let key = (member.class.0, member.schema.as_str(), member.name.as_str());
            is_certain(member.holds_state) && !there.contains(&key)
        });
        let lacking: Vec<&str> = lacking.map(|member| member.described.as_str()).collect();
        (!lacking.is_empty()).then(|| (of.extension.clone(), text(&of.extension, &lacking)))
    };
    Ok(expected.iter().filter_map(told).collect())
}

fn text(extension: &str, lacking: &[&str]) -> String {
    let mut names: Vec<String> = lacking.iter().take(SHOWN).map(|name| in_one_line(name)).collect();
    let more = lacking.len().saturating_sub(SHOWN);
    names.extend((more > 0).then(|| format!("and {more} more")));
    let extension = in_one_line(&quote_identifier(extension));
    format!(
        "members of extension {extension} that it does not create on the target, because somebody has added them or \
         another version made them: {}; they are not copied, nor are their rows, and the run ends with 4; ALTER \
         EXTENSION {extension} DROP them on the source, and they are copied as other objects are",
        names.join(", ")
    )
}

fn query(names: &[String]) -> String {
    format!(
        "SELECT e.extname AS extension, e.extversion AS version, o.class::pg_catalog.int8 AS class, n.nspname AS schema, \
           o.name \
         FROM pg_catalog.pg_extension e \
         LEFT JOIN (pg_catalog.pg_depend d \
           JOIN (SELECT 1259::pg_catalog.oid AS class, oid, relnamespace AS space, relname::pg_catalog.text AS name \
               FROM pg_catalog.pg_class \
             UNION ALL SELECT 1255, oid, pronamespace, proname::pg_catalog.text FROM pg_catalog.pg_proc \
             UNION ALL SELECT 1247, oid, typnamespace, typname::pg_catalog.text FROM pg_catalog.pg_type) o \
             ON o.class = d.classid AND o.oid = d.objid \
           JOIN pg_catalog.pg_namespace n ON n.oid = o.space) \
           ON d.refclassid = 3079 AND d.refobjid = e.oid AND d.deptype = 'e' \
         WHERE e.extname IN ({})",
        names.join(", ")
    )
}
