//! The guard of completeness: what is in the database and not in the catalog.

use std::collections::HashSet;
use std::fmt::Write;

use dbhaul_catalog::{Class, ObjectId, Uncovered, UncoveredPlace};
use serde::Deserialize;

use crate::Error;
use crate::depends::{Dependencies, address};
use crate::header::FIRST_USER_OID;
use crate::reader::Reader;

#[derive(Deserialize)]
struct CatalogRow {
    name: String,
}

#[derive(Deserialize)]
struct PresenceRow {
    is_there: bool,
}

#[derive(Deserialize)]
struct Row {
    class: u32,
    oid: u32,
}

#[derive(Deserialize)]
struct NameRow {
    description: Option<String>,
    schema: Option<String>,
}

/// How many uncovered objects are named; one is enough to fail a dump.
const MAX_NAMED: usize = 1_000;

/// Names every object of the user's that is neither in the model, nor a part
/// that an object of the model brings along, nor an extension's.
///
/// It looks at every catalog with an `oid` column that the server has, so a kind
/// that a newer major brings is found although nothing here knows it.
pub(crate) async fn uncovered(
    reader: &Reader<'_>,
    dependencies: &Dependencies,
) -> Result<Vec<Uncovered>, Error> {
    let catalogs: Vec<CatalogRow> = reader.query("system catalogs", &catalogs(true)).await?;
    let arms: Vec<String> = catalogs.iter().map(|catalog| arm(&catalog.name)).collect();
    let rows: Vec<Row> = reader.query("objects to be covered", &arms.join("\nUNION ALL\n")).await?;
    let missing: HashSet<ObjectId> = rows
        .iter()
        .map(|row| address(row.class, row.oid))
        .filter(|id| !is_covered(*id, dependencies))
        .collect();
    let unplaced = |description| Uncovered { description, place: None };
    let mut uncovered: Vec<Uncovered> = unknown_rows(reader).await?.into_iter().map(unplaced).collect();
    if !missing.is_empty() {
        uncovered.extend(describe(reader, missing, dependencies).await?);
    }
    Ok(uncovered)
}

/// Catalogs whose rows have no OIDs. They say more about objects that other
/// catalogs hold, or hold what is gathered and not made.
const PART_CATALOGS: [&str; 17] = [
    "pg_aggregate",
    "pg_attribute",
    "pg_depend",
    "pg_description",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_init_privs",
    "pg_largeobject",
    "pg_partitioned_table",
    "pg_range",
    "pg_seclabel",
    "pg_sequence",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_subscription_rel",
    "pg_ts_config_map",
];

/// Names the catalogs that a newer major has, whose rows cannot be told apart by
/// OID, and that are not empty.
async fn unknown_rows(reader: &Reader<'_>) -> Result<Vec<String>, Error> {
    let catalogs: Vec<CatalogRow> = reader.query("system catalogs", &catalogs(false)).await?;
    let mut names = Vec::new();
    for name in unknown(catalogs) {
        let sql = format!("SELECT EXISTS (SELECT FROM pg_catalog.{name}) AS is_there");
        let rows: Vec<PresenceRow> = reader.query("an unknown system catalog", &sql).await?;
        if rows.iter().any(|row| row.is_there) {
            names.push(format!("rows of system catalog {name}, which this version of dbhaul does not know"));
        }
    }
    Ok(names)
}

fn unknown(catalogs: Vec<CatalogRow>) -> Vec<String> {
    let names = catalogs.into_iter().map(|catalog| catalog.name);
    names.filter(|name| !PART_CATALOGS.contains(&name.as_str())).collect()
}

/// Catalogs of this database that this role may read, and whose rows have OIDs,
/// or have none. `pg_enum` rows are part of their type.
fn catalogs(have_oids: bool) -> String {
    let exists = if have_oids { "EXISTS" } else { "NOT EXISTS" };
    format!(
        "SELECT c.relname AS name
         FROM pg_catalog.pg_class c
         WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind = 'r'
               AND c.oid < {FIRST_USER_OID} AND NOT c.relisshared AND c.relname <> 'pg_enum'
               AND {exists} (SELECT FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attname = 'oid' AND a.attnum > 0)
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
         ORDER BY c.relname"
    )
}

/// Selects the candidates of one catalog: what the user made, without what
/// temporary and TOAST relations bring and what the server makes for itself.
fn arm(name: &str) -> String {
    let user_schema = |column: &str| {
        format!(
            "AND x.{column} NOT IN (SELECT oid FROM pg_catalog.pg_namespace
                 WHERE nspname = 'information_schema' OR nspname ~ '^pg_(toast|temp)')"
        )
    };
    let user_relation = |column: &str| {
        format!(
            "AND x.{column} NOT IN (SELECT c.oid FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'information_schema' OR n.nspname ~ '^pg_(toast|temp)')"
        )
    };
    let filter = match name {
        "pg_class" => user_schema("relnamespace"),
        "pg_type" => user_schema("typnamespace"),
        "pg_proc" => user_schema("pronamespace"),
        "pg_namespace" => {
            "AND x.nspname !~ '^pg_(toast|temp)' AND x.nspname <> 'information_schema'".to_owned()
        }
        // Not-null, domain and trigger constraints and clones for partitions
        // come with their column, domain, trigger and original.
        "pg_constraint" => format!(
            "{} AND x.contype NOT IN ('n', 't') AND x.contypid = 0 AND x.conparentid = 0",
            user_schema("connamespace")
        ),
        "pg_trigger" => {
            format!("{} AND NOT x.tgisinternal AND x.tgparentid = 0", user_relation("tgrelid"))
        }
        "pg_attrdef" => user_relation("adrelid"),
        "pg_rewrite" => format!("{} AND x.ev_type <> '1'", user_relation("ev_class")),
        "pg_policy" => user_relation("polrelid"),
        "pg_statistic_ext" => user_schema("stxnamespace"),
        _ => String::new(),
    };
    format!(
        "SELECT 'pg_catalog.{name}'::pg_catalog.regclass::pg_catalog.oid::int8 AS class, x.oid::int8 AS oid
         FROM pg_catalog.{name} x WHERE x.oid >= {FIRST_USER_OID} {filter}"
    )
}

fn is_covered(id: ObjectId, dependencies: &Dependencies) -> bool {
    if dependencies.has(id) || is_member(id, dependencies) {
        return true;
    }
    match id.class {
        // Row types, arrays, multiranges; composite types' relations; a range
        // type's constructors and its cast to the multirange.
        Class::PG_TYPE | Class::PG_CLASS | Class::PG_PROC | Class::PG_CAST => {
            belongs(id, &['i'], dependencies)
        }
        // A clone for a partition; what an index or constraint of an extension's table is.
        Class::PG_CONSTRAINT => belongs(id, &['P', 'i'], dependencies),
        Class::PG_AMOP | Class::PG_AMPROC => belongs(id, &['i', 'a'], dependencies),
        Class::PG_PUBLICATION_REL | Class::PG_PUBLICATION_NAMESPACE => {
            dependencies.wholes(id, &['a']).any(|whole| {
                whole.class == Class::PG_PUBLICATION
                    && (dependencies.has(whole) || is_member(whole, dependencies))
            })
        }
        _ => false,
    }
}

fn is_member(id: ObjectId, dependencies: &Dependencies) -> bool {
    dependencies.extension_of(id).is_some()
}

/// Whether something in the model brings it along.
fn belongs(id: ObjectId, deptypes: &'static [char], dependencies: &Dependencies) -> bool {
    let mut open = vec![id];
    let mut seen = HashSet::from([id]);
    while let Some(part) = open.pop() {
        for whole in dependencies.wholes(part, deptypes) {
            if dependencies.has(whole) || is_member(whole, dependencies) {
                return true;
            }
            if seen.insert(whole) {
                open.push(whole);
            }
        }
    }
    false
}

async fn describe(
    reader: &Reader<'_>,
    missing: HashSet<ObjectId>,
    dependencies: &Dependencies,
) -> Result<Vec<Uncovered>, Error> {
    let mut missing: Vec<ObjectId> = missing.into_iter().collect();
    missing.sort_unstable();
    let mut values = String::new();
    for id in missing.iter().take(MAX_NAMED) {
        let separator = if values.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(values, "{separator}({}::oid, {}::oid)", id.class.0, id.oid);
    }
    let sql = format!(
        "SELECT pg_catalog.pg_describe_object(v.class, v.oid, 0) AS description,
                (pg_catalog.pg_identify_object(v.class, v.oid, 0)).schema AS schema
         FROM (VALUES {values}) v(class, oid)"
    );
    let rows: Vec<NameRow> = reader.query("uncovered objects", &sql).await?;
    let uncovered = |(row, id): (NameRow, &ObjectId)| {
        let description = row.description;
        let parts = dependencies.wholes(*id, &['a', 'i', 'P']);
        let part_of = parts.filter_map(|whole| dependencies.lift(whole)).collect();
        Uncovered {
            description: description
                .unwrap_or_else(|| format!("object {} of catalog {}", id.oid, id.class.0)),
            place: Some(UncoveredPlace { schema: row.schema, part_of }),
        }
    };
    let mut found: Vec<Uncovered> = rows.into_iter().zip(&missing).map(uncovered).collect();
    found.sort_by(|one, two| one.description.cmp(&two.description));
    found.dedup();
    if missing.len() > MAX_NAMED {
        let description = format!("and {} more", missing.len() - MAX_NAMED);
        found.push(Uncovered { description, place: None });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{CatalogRow, unknown};

    #[test]
    fn a_catalog_of_a_later_major() {
        let row = |name: &str| CatalogRow { name: name.to_owned() };
        let found = unknown(vec![row("pg_aggregate"), row("pg_later"), row("pg_ts_config_map")]);
        assert_eq!(found, ["pg_later"]);
    }
}
