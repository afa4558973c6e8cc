//! Materialized views that their owners may not fill.
//!
//! `REFRESH` reads with the rights of the owner of the materialized view, and a view in it with those of the
//! owner of the view, unless it was made with `security_invoker`. A superuser on the source is often none on
//! the target. Nothing is filled to find that out, for that may take hours and runs the user's functions:
//! the server says what each owner lacks, once all is made.

use dbhaul_catalog::{EntryKind, quote_literal};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use super::predict::{Predicted, wanted};
use crate::{Cause, ImportPlan};

/// A right that an owner lacks.
#[derive(Debug, Deserialize)]
struct Lack {
    schema: String,
    name: String,
    role: String,
    /// The table or function, quoted, as `GRANT` names it.
    object: String,
    privilege: String,
}

/// Refuses the filling of materialized views whose owners lack a right, in the open transaction in which all
/// has been made.
pub(super) async fn predict(
    plan: &ImportPlan,
    session: &Session,
    predicted: &mut Predicted,
) -> Result<(), Error> {
    let filled: Vec<_> = wanted(plan).filter(|entry| entry.kind == EntryKind::MaterializedViewData).collect();
    if filled.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = filled
        .iter()
        .filter_map(|entry| {
            let name = dbhaul_catalog::QualifiedName::new(entry.schema.as_deref()?, &entry.name);
            Some(quote_literal(&name.sql()))
        })
        .collect();
    let lacks: Vec<Lack> = session.query_json(&lacks_sql(&names)).await?;
    for entry in filled {
        let is_its =
            |lack: &&Lack| lack.name == entry.name && Some(lack.schema.as_str()) == entry.schema.as_deref();
        if let Some(Lack { role, object, privilege, .. }) = lacks.iter().find(is_its) {
            let (role, privilege, object) = (role.clone(), privilege.clone(), object.clone());
            predicted.refuse(entry.id, Cause::OwnerMayNotRead { role, privilege, object });
        }
    }
    Ok(())
}

/// What the queries of materialized views read and call, each with the role whose rights count, and which of
/// that this role may not.
fn lacks_sql(names: &[String]) -> String {
    format!(
        "WITH RECURSIVE filled AS ( \
           SELECT c.oid, c.relowner FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS w(name) \
           JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name) AND c.relkind = 'm'), \
         read(start, view, role) AS ( \
           SELECT oid, oid, relowner FROM filled \
           UNION SELECT r.start, v.oid, \
             CASE WHEN coalesce(v.reloptions::pg_catalog.text, '') ~ 'security_invoker=(true|on|1|yes)' \
               THEN r.role ELSE v.relowner END \
           FROM read r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.view AND w.ev_type = '1' \
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
             AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
           JOIN pg_catalog.pg_class v ON v.oid = d.refobjid AND v.relkind = 'v' AND v.oid <> r.view), \
         used AS ( \
           SELECT DISTINCT r.start, r.role, d.refclassid, d.refobjid, r.view \
           FROM read r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.view AND w.ev_type = '1' \
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
             AND d.objid = w.oid AND d.deptype = 'n'), \
         lacked AS ( \
           SELECT u.start, u.role, pg_catalog.format('%I.%I', n.nspname, c.relname) AS object, 'SELECT' AS privilege \
           FROM used u JOIN pg_catalog.pg_class c ON c.oid = u.refobjid \
             AND u.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
             AND c.oid <> u.view \
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
           WHERE NOT pg_catalog.has_table_privilege(u.role, c.oid, 'SELECT') \
             AND NOT pg_catalog.has_any_column_privilege(u.role, c.oid, 'SELECT') \
           UNION ALL \
           SELECT u.start, u.role, 'FUNCTION ' || p.oid::pg_catalog.regprocedure::pg_catalog.text, 'EXECUTE' \
           FROM used u JOIN pg_catalog.pg_proc p ON p.oid = u.refobjid \
             AND u.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
           WHERE NOT pg_catalog.has_function_privilege(u.role, p.oid, 'EXECUTE')) \
         SELECT n.nspname AS schema, c.relname AS name, \
           pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(l.role)) AS role, l.object, l.privilege \
         FROM lacked l JOIN pg_catalog.pg_class c ON c.oid = l.start \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2, 4",
        names.join(", ")
    )
}
