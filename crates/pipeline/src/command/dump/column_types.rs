//! The columns of tables as a catalog has them, for files of Parquet: no server is asked, so that a backup can be written so too.

use std::collections::HashMap;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, DataColumn, Object, TableData};
use dbhaul_columns::{Column, PgType, TableColumns, TypeFacts};

/// Domains over domains are followed so far.
const MAX_DOMAINS: usize = 32;

/// What a catalog says of types and tables, by their names as SQL has them.
pub(crate) struct ColumnTypes<'a> {
    enums: HashMap<String, &'a [String]>,
    domains: HashMap<String, &'a str>,
    tables: HashMap<String, &'a Object>,
}

impl<'a> ColumnTypes<'a> {
    pub(crate) fn new(catalog: &'a Catalog) -> Self {
        let mut types =
            ColumnTypes { enums: HashMap::new(), domains: HashMap::new(), tables: HashMap::new() };
        for object in &catalog.objects {
            match &object.body {
                Body::EnumType(body) => _ = types.enums.insert(object.sql_name(), &body.labels),
                Body::Domain(body) => _ = types.domains.insert(object.sql_name(), &body.base_type),
                Body::Table(_) => _ = types.tables.insert(object.sql_name(), object),
                _ => {}
            }
        }
        types
    }

    /// The columns of a table's rows.
    pub(crate) fn of_table(&self, data: &TableData) -> TableColumns {
        let name = data.table.sql();
        let object = self.tables.get(&name).copied();
        let columns = data.columns.iter().map(|column| self.column(column, object)).collect();
        TableColumns { table: Some(name), comment: object.and_then(|object| object.comment.clone()), columns }
    }

    fn column(&self, column: &DataColumn, table: Option<&Object>) -> Column {
        let known = table.and_then(|object| match &object.body {
            Body::Table(table) => table.columns.iter().find(|found| found.name == column.name),
            _ => None,
        });
        let extras = known.map(|found| found.extras());
        let is_required =
            known.and_then(|found| found.not_null.as_ref()).is_some_and(|found| !found.not_valid);
        Column {
            name: column.name.to_string(),
            pg_type: self.pg_type(column),
            type_sql: column.type_name.to_string(),
            modifier: split_modifier(&column.type_name).1,
            collation: extras.and_then(|extras| Some(extras.collation.as_ref()?.sql())),
            is_nullable: !is_required,
            is_generated: false,
            comment: extras.and_then(|extras| extras.comment.clone()),
        }
    }

    fn pg_type(&self, column: &DataColumn) -> PgType {
        let text = self.below_domains(&column.type_name);
        // a domain that is not in the catalog, since it was not selected
        let text = if self.is_known(text) { text } else { &column.base_type_name };
        match text.strip_suffix("[]") {
            // OIDs are for binary rows
            Some(element) => self.scalar(self.below_domains(element), 'b', Some(0)),
            None => self.scalar(text, column.base_type_kind, None),
        }
    }

    /// Whether the name is that of a type which is not a domain that nothing is known of.
    fn is_known(&self, text: &str) -> bool {
        !text.contains('.') || self.enums.contains_key(text)
    }

    fn below_domains<'t>(&'t self, text: &'t str) -> &'t str {
        let mut text = text;
        for _ in 0..MAX_DOMAINS {
            match self.domains.get(text) {
                Some(base) => text = base,
                None => break,
            }
        }
        text
    }

    fn scalar(&self, text: &str, kind: char, element_oid: Option<u32>) -> PgType {
        let labels = self.enums.get(text).copied();
        let (name, modifier) = split_modifier(text);
        let (kind, name) = match (labels, kind) {
            (Some(_), _) => ('e', text),
            // its labels are not known, and are text
            (None, 'e') => ('b', "text"),
            (None, kind) => (kind, name.as_str()),
        };
        PgType::of(&TypeFacts { name, kind, modifier, labels: labels.unwrap_or_default(), element_oid })
    }
}

/// The name of a type without its modifier, and `atttypmod`: -1 where it has none, or one that no type here has.
fn split_modifier(text: &str) -> (String, i32) {
    let whole = || (text.to_owned(), -1);
    let Some((front, rest)) = text.split_once('(') else {
        return if text.starts_with("interval") { ("interval".to_owned(), -1) } else { whole() };
    };
    let Some((modifier, behind)) = rest.split_once(')') else { return whole() };
    let name = format!("{front}{}", behind.trim_end_matches("[]"));
    let numbers: Option<Vec<i32>> = modifier.split(',').map(|number| number.trim().parse().ok()).collect();
    // PostgreSQL src/backend/utils/adt: numeric.c `make_numeric_typmod`, varchar.c `anychar_typmodin`, timestamp.c
    let modifier = match (front, numbers.as_deref()) {
        ("numeric", Some([precision, scale])) => ((precision << 16) | (scale & 0x7ff)) + 4,
        ("character" | "character varying", Some([length])) => length + 4,
        ("time" | "timestamp", Some([precision])) => *precision,
        _ => -1,
    };
    if front.starts_with("interval") { ("interval".to_owned(), -1) } else { (name, modifier) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, modifier: i32) {
        assert_eq!(split_modifier(text), (name.to_owned(), modifier));
    }

    #[test]
    fn modifiers_are_taken_out_of_the_middle() {
        check("integer", "integer", -1);
        check("numeric(10,2)", "numeric", ((10 << 16) | 2) + 4);
        check("numeric(3,-2)", "numeric", ((3 << 16) | 0x7fe) + 4);
        check("character varying(20)", "character varying", 24);
        check("timestamp(3) without time zone", "timestamp without time zone", 3);
        check("interval day to second(3)", "interval", -1);
        check("public.geometry(Point,4326)", "public.geometry", -1);
    }

    #[test]
    fn types_follow_domains_and_enums_of_the_catalog() {
        let labels = ["sad".to_owned(), "glad".to_owned()];
        let types = ColumnTypes {
            enums: HashMap::from([("public.mood".to_owned(), &labels[..])]),
            domains: HashMap::from([
                ("public.price".to_owned(), "public.amount"),
                ("public.amount".to_owned(), "numeric(10,2)"),
            ]),
            tables: HashMap::new(),
        };
        let pg_type = |type_name: &str, base: &str, kind| {
            types.pg_type(&DataColumn {
                name: "c".into(),
                type_name: type_name.into(),
                base_type_name: base.into(),
                base_type_kind: kind,
            })
        };
        let price = PgType::Numeric(Some((10, 2)));
        assert_eq!(pg_type("public.price", "numeric", 'b'), price);
        assert_eq!(pg_type("public.price[]", "public.price[]", 'b'), PgType::Array(Box::new(price), 0));
        assert_eq!(pg_type("public.mood", "public.mood", 'e'), PgType::Enum(labels.to_vec().into()));
        assert_eq!(pg_type("other.unknown", "integer", 'b'), PgType::Int4);
        assert_eq!(pg_type("other.mood", "other.mood", 'e'), PgType::Text);
        assert_eq!(pg_type("public.geometry", "public.geometry", 'b'), PgType::Other);
        assert_eq!(pg_type("other.many[]", "other.many[]", 'b'), PgType::Other);
    }
}
