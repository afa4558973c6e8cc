//! Reads user mappings.

use dbhaul_catalog::kinds::{Body, UserMapping};
use dbhaul_catalog::{Class, Secret};
use serde::Deserialize;

use super::foreign_data_wrapper::sorted_options;
use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    user: Option<String>,
    server: String,
    readable: bool,
    options: Option<Vec<String>>,
}

/// Everybody may see that a mapping exists. The condition under which the view
/// shows its options is repeated, to tell hidden ones from none
/// (PostgreSQL src/backend/catalog/system_views.sql, pg_user_mappings).
const QUERY: &str = "
    SELECT m.umid::int8 AS oid,
           'USER MAPPING ' || CASE WHEN m.umuser = 0 THEN 'public' ELSE m.usename::text END
               || ' SERVER ' || m.srvname::text AS name,
           CASE WHEN m.umuser <> 0 THEN m.usename END AS user, m.srvname AS server,
           m.umoptions AS options,
           (m.umuser <> 0 AND m.usename = CURRENT_USER
                AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE')
                     OR pg_catalog.has_server_privilege(s.oid, 'USAGE')))
           OR (m.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE'))
           OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER) AS readable
    FROM pg_catalog.pg_user_mappings m
    JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid";

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    for row in reader.query::<Row>("user mappings", QUERY).await? {
        if !row.readable {
            tracing::warn!(mapping = row.header.name, "the options of a user mapping may not be read");
        }
        let options = row.readable.then(|| {
            let hide = |(name, value): (String, String)| (name, Secret::new(value));
            sorted_options(row.options).into_iter().map(hide).collect()
        });
        let body = Body::from(UserMapping { user: row.user, server: row.server, options });
        reader.push(row.header.object("user mappings", Class::PG_USER_MAPPING, body)?);
    }
    Ok(())
}
