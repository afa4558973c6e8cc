//! The guard of completeness: what is in the database and not in the catalog.

mod columns;

use std::collections::HashSet;
use std::fmt::Write;

use dbhaul_catalog::{Class, ObjectId, Uncovered, UncoveredPlace, quote_identifier, quote_literal};
use futures::future::try_join_all;
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::depends::{Dependencies, address};
use crate::header::FIRST_USER_OID;
use crate::reader::Reader;

/// A system catalog, with those of its columns that the role may read.
#[derive(Deserialize)]
struct CatalogRow {
    name: String,
    has_oids: bool,
    is_shared: bool,
    /// Whether the role may read all of it.
    is_readable: bool,
    columns: Vec<String>,
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

/// A value in a column that no reader knows.
#[derive(Deserialize)]
struct ValueRow {
    #[serde(flatten)]
    row: Row,
    catalog: String,
    column: String,
    value: String,
}

#[derive(Deserialize)]
struct NameRow {
    description: Option<String>,
    schema: Option<String>,
}

/// How many uncovered objects are named; one is enough to fail a dump.
const MAX_NAMED: usize = 1_000;

/// What there is of the user's in the catalogs of the server, whether or not a reader knows it.
///
/// Every catalog with an `oid` column that the server has is looked at, so a kind
/// that a newer major brings is found although nothing here knows it. So is a property: a column of a catalog
/// that is not among those known must hold nothing but its default for the user's objects.
pub(crate) struct Existing {
    objects: Vec<Row>,
    /// Values of columns that no reader knows.
    values: Vec<ValueRow>,
    /// Catalogs that no reader knows, and that are not empty.
    catalogs: Vec<String>,
}

impl Existing {
    pub(crate) async fn read(reader: &Reader<'_>) -> Result<Self, Error> {
        let catalogs: Vec<CatalogRow> = reader.query("system catalogs", CATALOGS).await?;
        let with_objects = catalogs.iter().filter(|catalog| catalog.holds_objects());
        let arms: Vec<String> = with_objects.map(|catalog| arm(&catalog.name)).collect();
        let objects_sql = arms.join("\nUNION ALL\n");
        let (objects, values, catalogs) = try_join!(
            reader.query("objects to be covered", &objects_sql),
            unknown_values(reader, &catalogs),
            unknown_rows(reader, &catalogs),
        )?;
        Ok(Existing { objects, values, catalogs })
    }

    /// Names every object of the user's that is neither in the model, nor a part
    /// that an object of the model brings along, nor an extension's.
    pub(crate) async fn uncovered(
        self,
        reader: &Reader<'_>,
        dependencies: &Dependencies,
    ) -> Result<Vec<Uncovered>, Error> {
        let objects = self.objects.iter().map(|row| address(row.class, row.oid));
        let mut missing: HashSet<Missing> = objects
            .filter(|id| !is_covered(*id, dependencies))
            .map(|id| Missing { id, value: None })
            .collect();
        let values = self.values.into_iter().map(Missing::from);
        missing.extend(values.filter(|missing| !is_of_extension(missing.id, dependencies)));
        let unplaced = |name| Uncovered {
            description: format!("rows of system catalog {name}, which this version of dbhaul does not know"),
            place: None,
        };
        let mut uncovered: Vec<Uncovered> = self.catalogs.into_iter().map(unplaced).collect();
        if !missing.is_empty() {
            uncovered.extend(describe(reader, missing, dependencies).await?);
        }
        Ok(uncovered)
    }
}

/// An object that the model does not cover, or something of it.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Missing {
    id: ObjectId,
    /// The value that is not covered, and its column; `None` where it is the whole object.
    value: Option<String>,
}

impl From<ValueRow> for Missing {
    fn from(ValueRow { row, catalog, column, value }: ValueRow) -> Self {
        let value = Some(format!("value {value:?} in column {catalog}.{column}"));
        Missing { id: address(row.class, row.oid), value }
    }
}

/// Catalogs whose rows have no OIDs, or are parts although they do (`pg_enum`). They say more about objects
/// that other catalogs hold, or hold what is gathered and not made. Each with the catalog of the object that a
/// row is about, as SQL, and the column with its OID.
const PARTS: [(&str, &str, &str); 18] = [
    ("pg_aggregate", "pg_proc", "aggfnoid"),
    ("pg_attribute", "pg_class", "attrelid"),
    ("pg_depend", "", "objid"),
    ("pg_description", "", "objoid"),
    ("pg_enum", "pg_type", "enumtypid"),
    ("pg_foreign_table", "pg_class", "ftrelid"),
    ("pg_index", "pg_class", "indexrelid"),
    ("pg_inherits", "pg_class", "inhrelid"),
    ("pg_init_privs", "", "objoid"),
    ("pg_largeobject", "pg_largeobject", "loid"),
    ("pg_partitioned_table", "pg_class", "partrelid"),
    ("pg_range", "pg_type", "rngtypid"),
    ("pg_seclabel", "", "objoid"),
    ("pg_sequence", "pg_class", "seqrelid"),
    ("pg_statistic", "pg_class", "starelid"),
    ("pg_statistic_ext_data", "pg_statistic_ext", "stxoid"),
    ("pg_subscription_rel", "pg_subscription", "srsubid"),
    ("pg_ts_config_map", "pg_ts_config", "mapcfg"),
];

/// Catalogs of this database that this role may read some of, with the two shared ones that describe what a
/// database has.
const CATALOGS: &str = "
    SELECT c.relname AS name, c.relisshared AS is_shared,
           pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_readable,
           pg_catalog.bool_or(a.attname OPERATOR(pg_catalog.=) 'oid') AS has_oids,
           pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.oid < 16384
          AND (NOT c.relisshared OR c.relname IN ('pg_database', 'pg_subscription'))
          AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
    GROUP BY c.oid, c.relname, c.relisshared
    ORDER BY c.relname";

impl CatalogRow {
    fn part(&self) -> Option<(&'static str, &'static str)> {
        let part = PARTS.iter().find(|(name, ..)| *name == self.name);
        part.map(|(_, class, key)| (*class, *key))
    }

    /// Whether each of its rows is an object, or a part that is told from others by its OID.
    fn holds_objects(&self) -> bool {
        self.has_oids && !self.is_shared && self.is_readable && self.part().is_none()
    }

    /// The class and OID of the object that a row `alias` is about, as SQL; `None` for a catalog that is not
    /// known, whose rows are found as such.
    fn address(&self, alias: &str) -> Option<(String, String)> {
        let regclass = |name: &str| format!("'pg_catalog.{name}'::pg_catalog.regclass");
        let (class, key) = match self.part() {
            Some(("", "objid")) => (format!("{alias}.classid"), "objid"),
            Some(("", key)) => (format!("{alias}.classoid"), key),
            Some((class, key)) => (regclass(class), key),
            None if self.has_oids => (regclass(&self.name), "oid"),
            None => return None,
        };
        Some((class, format!("{alias}.{key}::pg_catalog.oid")))
    }

    /// Columns that no reader of this major knows.
    fn unknown_columns(&self, major: u32) -> impl Iterator<Item = &str> {
        let is_described = columns::is_described(&self.name);
        let names = self.columns.iter().map(String::as_str);
        names.filter(move |column| is_described && !columns::is_known(&self.name, column, major))
    }

    /// Selects the values of an unknown column for users' objects that are not its default: not what means
    /// nothing in every type, nor what all of the server's own objects have.
    fn values(&self, column: &str) -> Option<String> {
        let (name, quoted) = (&self.name, quote_identifier(column));
        let (class, oid) = self.address("x")?;
        let (_, built_in) = self.address("y")?;
        let key = self.part().map_or("oid", |(_, key)| key);
        self.columns.iter().find(|column| *column == key)?;
        let of_this_database = match name.as_str() {
            "pg_database" => "AND x.datname = pg_catalog.current_database()",
            "pg_subscription" => {
                "AND x.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d
                                  WHERE d.datname = pg_catalog.current_database())"
            }
            _ => "",
        };
        Some(format!(
            "(SELECT DISTINCT {class}::pg_catalog.oid::int8 AS class, {oid}::int8 AS oid,
                {} AS catalog, {} AS \"column\", pg_catalog.left(x.{quoted}::text, {SHOWN_CHARACTERS}) AS value
              FROM pg_catalog.{name} x
              WHERE {oid} >= {FIRST_USER_OID} {of_this_database}
                AND COALESCE(x.{quoted}::text, '') NOT IN ('', '0', '-', 'f', 'false', '{{}}')
                AND x.{quoted}::text IS DISTINCT FROM (
                  SELECT pg_catalog.min(y.{quoted}::text) FROM pg_catalog.{name} y WHERE {built_in} < {FIRST_USER_OID}
                  HAVING pg_catalog.count(DISTINCT y.{quoted}::text) = 1
                     AND pg_catalog.count(*) = pg_catalog.count(y.{quoted}))
              LIMIT {MOST_VALUES})",
            quote_literal(name),
            quote_literal(column),
        ))
    }
}

/// How many values of one column are looked at, and how much of each is shown.
const MOST_VALUES: usize = 10 * MAX_NAMED;
const SHOWN_CHARACTERS: usize = 60;

/// Values of columns that no reader knows, in a server that is newer than they are.
async fn unknown_values(reader: &Reader<'_>, catalogs: &[CatalogRow]) -> Result<Vec<ValueRow>, Error> {
    let major = reader.version().major();
    let of = |catalog: &CatalogRow| -> Vec<String> {
        catalog.unknown_columns(major).filter_map(|column| catalog.values(column)).collect()
    };
    let arms: Vec<String> = catalogs.iter().flat_map(of).collect();
    if arms.is_empty() {
        return Ok(Vec::new());
    }
    reader.query("unknown properties of objects", &arms.join("\nUNION ALL\n")).await
}

/// Names the catalogs that a newer major has, whose rows cannot be told apart by
/// OID, and that are not empty.
async fn unknown_rows(reader: &Reader<'_>, catalogs: &[CatalogRow]) -> Result<Vec<String>, Error> {
    let asked = unknown(catalogs).map(async |name| {
        let sql = format!("SELECT EXISTS (SELECT FROM pg_catalog.{}) AS is_there", quote_identifier(name));
        let rows: Vec<PresenceRow> = reader.query("an unknown system catalog", &sql).await?;
        Ok(rows.iter().any(|row| row.is_there).then(|| name.to_owned()))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

fn unknown(catalogs: &[CatalogRow]) -> impl Iterator<Item = &str> {
    let unknown = catalogs
        .iter()
        .filter(|catalog| catalog.is_readable && !catalog.has_oids && catalog.part().is_none());
    unknown.map(|catalog| catalog.name.as_str())
}

/// Selects the candidates of one catalog: what the user made, without what
/// temporary and TOAST relations bring and what the server makes for itself. All of an `information_schema` that was
/// made anew by its script, as notes of a release may ask for, has OIDs like a user's.
fn arm(name: &str) -> String {
    let made_by_server = |oid: &str| {
        format!(
            "(n.nspname ~ '^pg_(toast|temp)' OR n.nspname = 'information_schema' AND {oid} >= {FIRST_USER_OID})"
        )
    };
    let user_schema = |column: &str| {
        format!(
            "AND x.{column} NOT IN (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE {})",
            made_by_server("n.oid")
        )
    };
    let user_relation = |column: &str| {
        format!(
            "AND x.{column} NOT IN (SELECT c.oid FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE {})",
            made_by_server("n.oid")
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

/// Whether it is a member of an extension, or a part of one.
fn is_of_extension(id: ObjectId, dependencies: &Dependencies) -> bool {
    is_member(id, dependencies)
        || dependencies.wholes(id, &['a', 'i', 'P']).any(|whole| is_member(whole, dependencies))
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

/// Whether a schema is one that the server keeps for itself, where others can put objects all the same.
fn is_of_server(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}

async fn describe(
    reader: &Reader<'_>,
    missing: HashSet<Missing>,
    dependencies: &Dependencies,
) -> Result<Vec<Uncovered>, Error> {
    let mut missing: Vec<Missing> = missing.into_iter().collect();
    missing.sort_unstable();
    let mut values = String::new();
    for Missing { id, .. } in missing.iter().take(MAX_NAMED) {
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
    let uncovered = |(row, Missing { id, value }): (NameRow, &Missing)| {
        let description =
            row.description.unwrap_or_else(|| format!("object {} of catalog {}", id.oid, id.class.0));
        let part_of = if dependencies.has(*id) {
            vec![*id]
        } else {
            let parts = dependencies.wholes(*id, &['a', 'i', 'P']);
            parts.filter_map(|whole| dependencies.lift(whole)).collect()
        };
        let schema_of_server = row.schema.as_deref().filter(|schema| is_of_server(schema));
        Uncovered {
            description: match (value, schema_of_server) {
                (Some(value), _) => format!("{value} of {description}"),
                (None, Some(schema)) => {
                    format!("{description} in schema {schema}, which is the server's own")
                }
                (None, None) => description,
            },
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

    fn catalog(name: &str, columns: &[&str]) -> CatalogRow {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let has_oids = columns.iter().any(|column| column == "oid");
        CatalogRow { name: name.to_owned(), has_oids, is_shared: false, is_readable: true, columns }
    }

    #[test]
    fn a_catalog_of_a_later_major() {
        let catalogs = ["pg_aggregate", "pg_later", "pg_ts_config_map"].map(|name| catalog(name, &["key"]));
        assert_eq!(unknown(&catalogs).collect::<Vec<_>>(), ["pg_later"]);
    }

    #[test]
    fn columns_of_a_later_major() {
        let publication = catalog("pg_publication", &["oid", "pubname", "puballsequences", "publater"]);
        let unknown = |major| publication.unknown_columns(major).collect::<Vec<_>>();
        assert_eq!(unknown(19), ["publater"]);
        assert_eq!(unknown(18), ["puballsequences", "publater"]);
        // Rows of a catalog that is not known at all are found as such.
        assert_eq!(catalog("pg_later", &["oid", "x"]).unknown_columns(19).count(), 0);
    }

    #[test]
    fn every_catalog_says_whose_its_rows_are() {
        for (name, columns, wanted) in [
            ("pg_publication", &["oid"] as &[&str], Some("x.oid::pg_catalog.oid")),
            ("pg_enum", &["oid"], Some("x.enumtypid::pg_catalog.oid")),
            ("pg_depend", &["classid"], Some("x.objid::pg_catalog.oid")),
            ("pg_later", &["key"], None),
        ] {
            let address = catalog(name, columns).address("x").map(|(_, oid)| oid);
            assert_eq!(address.as_deref(), wanted, "{name}");
        }
    }
}
