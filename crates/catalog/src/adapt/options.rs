//! Storage parameters that not every server has: tried on the target, and taken out where it refuses them.

use std::collections::BTreeSet;

use super::Losses;
use super::older::outside_quotes;
use crate::kinds::{Body, storage_parameters};
use crate::{Catalog, Identity, Object, quote_identifier};

/// What has a storage parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Table,
    Toast,
    View,
    Column,
    /// With its access method.
    Index(String),
}

/// A storage parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageParameter {
    of: Of,
    /// `name=value`, as catalogs have it.
    text: String,
}

/// Parameters that every major has from 13 on. Others are asked for, so that this list may lack some.
const KNOWN: [&str; 32] = [
    "autosummarize",
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "autovacuum_enabled",
    "autovacuum_freeze_max_age",
    "autovacuum_freeze_min_age",
    "autovacuum_freeze_table_age",
    "autovacuum_multixact_freeze_max_age",
    "autovacuum_multixact_freeze_min_age",
    "autovacuum_multixact_freeze_table_age",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_insert_scale_factor",
    "autovacuum_vacuum_insert_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "buffering",
    "check_option",
    "deduplicate_items",
    "fastupdate",
    "fillfactor",
    "gin_pending_list_limit",
    "log_autovacuum_min_duration",
    "n_distinct",
    "n_distinct_inherited",
    "pages_per_range",
    "parallel_workers",
    "security_barrier",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_truncate",
];

/// Access methods that every server has, each with a type that it indexes.
const METHODS: [(&str, &str); 6] = [
    ("btree", "int4"),
    ("hash", "int4"),
    ("gin", "int4[]"),
    ("gist", "point"),
    ("spgist", "point"),
    ("brin", "int4"),
];

impl StorageParameter {
    /// Statements that a server refuses where it does not take this parameter. They make a temporary object.
    pub fn trial(&self) -> String {
        const PROBE: &str = "dbhaul_probe";
        let text = std::slice::from_ref(&self.text);
        let parameter = storage_parameters(text, "");
        let table = |type_name: &str| format!("CREATE TEMPORARY TABLE {PROBE} (a pg_catalog.{type_name})");
        match &self.of {
            Of::Table => format!("{} WITH ({parameter})", table("text")),
            Of::Toast => format!("{} WITH ({})", table("text"), storage_parameters(text, "toast.")),
            Of::View => format!("CREATE TEMPORARY VIEW {PROBE} WITH ({parameter}) AS SELECT 1 AS a"),
            Of::Column => format!("{}; ALTER TABLE {PROBE} ALTER a SET ({parameter})", table("text")),
            Of::Index(method) => {
                let of_type = METHODS.iter().find(|(name, _)| name == method).map_or("int4", |(_, of)| of);
                let method = quote_identifier(method);
                format!("{}; CREATE INDEX ON {PROBE} USING {method} (a) WITH ({parameter})", table(of_type))
            }
        }
    }
}

/// The parameters of a catalog that its target may not know. Those of extensions' access methods are not among
/// them: the extension may not be there yet.
pub fn doubtful_parameters(catalog: &Catalog) -> BTreeSet<StorageParameter> {
    let mut doubtful = BTreeSet::new();
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        of_object(&object.body, &mut |of, text| {
            let name = text.split('=').next().unwrap_or_default();
            if !KNOWN.contains(&name) {
                doubtful.insert(StorageParameter { of: of.clone(), text: text.to_owned() });
            }
        });
    }
    doubtful
}

/// Shows every parameter of an object.
fn of_object(body: &Body, show: &mut impl FnMut(&Of, &str)) {
    let mut all = |of: Of, options: &[String]| options.iter().for_each(|option| show(&of, option));
    match body {
        Body::Table(table) => {
            if table.access_method.as_deref().is_none_or(|method| method == "heap") {
                all(Of::Table, &table.options);
            }
            all(Of::Toast, &table.toast_options);
            for column in table.columns.iter().filter_map(|column| column.extras.as_ref()) {
                all(Of::Column, &column.options);
            }
        }
        Body::MaterializedView(view) => {
            if view.access_method.as_deref().is_none_or(|method| method == "heap") {
                all(Of::Table, &view.options);
            }
            all(Of::Toast, &view.toast_options);
            view.columns.iter().for_each(|column| all(Of::Column, &column.options));
        }
        // a view without an option of that kind may show more than it did: it is not made at all then
        Body::View(view) => {
            let options = view.options.iter().filter(|option| !option.starts_with("security"));
            options.for_each(|option| show(&Of::View, option));
        }
        Body::Index(index) => of_index(&index.definition, show),
        Body::Constraint(constraint) => {
            constraint.index.iter().for_each(|index| of_index(&index.index_definition, show));
        }
        _ => {}
    }
}

fn of_index(definition: &str, show: &mut impl FnMut(&Of, &str)) {
    let Some(printed) = PrintedOptions::find(definition) else { return };
    let Some(method) = method_of(definition) else { return };
    let of = Of::Index(method.to_owned());
    printed.items.iter().for_each(|item| show(&of, &as_in_catalogs(item)));
}

/// Takes from an object what its target has refused.
pub(super) fn take(
    object: &mut Object,
    name: &Identity,
    refused: &BTreeSet<StorageParameter>,
    losses: &mut Losses,
) {
    if refused.is_empty() {
        return;
    }
    let mut taken = BTreeSet::new();
    let mut take_from = |of: &Of, options: &mut Vec<String>| {
        options.retain(|option| {
            let is_refused = refused.contains(&StorageParameter { of: of.clone(), text: option.clone() });
            if is_refused {
                taken.insert(option.clone());
            }
            !is_refused
        });
    };
    match &mut object.body {
        Body::Table(table) => {
            take_from(&Of::Table, &mut table.options);
            take_from(&Of::Toast, &mut table.toast_options);
            for extras in table.columns.iter_mut().filter_map(|column| column.extras.as_mut()) {
                take_from(&Of::Column, &mut extras.options);
            }
        }
        Body::MaterializedView(view) => {
            take_from(&Of::Table, &mut view.options);
            take_from(&Of::Toast, &mut view.toast_options);
            view.columns.iter_mut().for_each(|column| take_from(&Of::Column, &mut column.options));
        }
        Body::View(view) => take_from(&Of::View, &mut view.options),
        Body::Index(index) => take_from_index(&mut index.definition, &mut take_from),
        Body::Constraint(constraint) => {
            if let Some(index) = &mut constraint.index {
                let method = method_of(&index.index_definition).unwrap_or_default().to_owned();
                take_from(&Of::Index(method), &mut index.options);
                take_from_index(&mut index.index_definition, &mut take_from);
            }
        }
        _ => {}
    }
    // of an index that a constraint makes, the constraint tells
    if matches!(&object.body, Body::Index(index) if index.constraint.is_some()) {
        return;
    }
    for option in taken {
        losses.add(
            name,
            format!("created without the storage parameter {option}, which the target does not have"),
        );
    }
}

fn take_from_index(definition: &mut String, take_from: &mut impl FnMut(&Of, &mut Vec<String>)) {
    let Some(method) = method_of(definition) else { return };
    let of = Of::Index(method.to_owned());
    let Some(printed) = PrintedOptions::find(definition) else { return };
    let mut kept = Vec::new();
    for item in &printed.items {
        let mut one = vec![as_in_catalogs(item)];
        take_from(&of, &mut one);
        if !one.is_empty() {
            kept.push(*item);
        }
    }
    if kept.len() < printed.items.len() {
        let with = if kept.is_empty() { String::new() } else { format!(" WITH ({})", kept.join(", ")) };
        *definition = format!("{}{with}{}", printed.head, printed.tail);
    }
}

/// The access method of an index, where it is one that every server has.
fn method_of(definition: &str) -> Option<&'static str> {
    let at = outside_quotes(definition, " USING ")?;
    let method = definition[at + " USING ".len()..].split([' ', '(']).next()?;
    METHODS.iter().map(|(name, _)| *name).find(|name| *name == method)
}

/// `WITH (...)` in the definition of an index, as a server prints it.
struct PrintedOptions<'a> {
    head: &'a str,
    items: Vec<&'a str>,
    tail: &'a str,
}

impl<'a> PrintedOptions<'a> {
    fn find(definition: &'a str) -> Option<Self> {
        const WITH: &str = " WITH (";
        let start = outside_quotes(definition, WITH)?;
        let list = &definition[start + WITH.len()..];
        let end = outside_quotes(list, ")")?;
        let mut items = Vec::new();
        let mut rest = &list[..end];
        while let Some(at) = outside_quotes(rest, ", ") {
            items.push(&rest[..at]);
            rest = &rest[at + ", ".len()..];
        }
        items.push(rest);
        Some(PrintedOptions { head: &definition[..start], items, tail: &list[end + 1..] })
    }
}

/// `name='value'` as catalogs have it: `name=value`.
fn as_in_catalogs(item: &str) -> String {
    let at = outside_quotes(item, "=").unwrap_or(item.len());
    let (name, value) = item.split_at(at);
    let value = value.strip_prefix('=').unwrap_or(value);
    let bare =
        |text: &str, quote: char| match text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            Some(inner) => inner.replace(&format!("{quote}{quote}"), &quote.to_string()),
            None => text.to_owned(),
        };
    format!("{}={}", bare(name, '"'), bare(value, '\''))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Of, StorageParameter, as_in_catalogs, of_index, take_from_index};

    #[test]
    fn options_of_an_index_are_found_in_its_definition() {
        let check = |definition: &str, expected: &[&str]| {
            let mut found = Vec::new();
            of_index(definition, &mut |_, option| found.push(option.to_owned()));
            assert_eq!(found, expected, "{definition}");
        };
        check("CREATE INDEX i ON s.t USING btree (a)", &[]);
        check(
            "CREATE INDEX i ON s.t USING gin (a) WITH (fastupdate='off', later='it''s, (1)') WHERE (b = ' WITH ('::text)",
            &["fastupdate=off", "later=it's, (1)"],
        );
        check("CREATE INDEX \" WITH (x=1)\" ON s.t USING btree (a)", &[]);
        // what an extension's access method has is the extension's
        check("CREATE INDEX i ON s.t USING hnsw (a) WITH (m='4')", &[]);
        assert_eq!(as_in_catalogs("\"Odd=\"\"one\"='x'"), "Odd=\"one=x");
    }

    #[test]
    fn what_is_refused_is_taken_out() {
        let refused = StorageParameter { of: Of::Index("btree".to_owned()), text: "later=1".to_owned() };
        let refused = BTreeSet::from([refused]);
        for (definition, expected) in [
            (
                "CREATE INDEX i ON s.t USING btree (a) WITH (fillfactor='70', later='1') WHERE (a > 0)",
                "CREATE INDEX i ON s.t USING btree (a) WITH (fillfactor='70') WHERE (a > 0)",
            ),
            (
                "CREATE INDEX i ON s.t USING btree (a) WITH (later='1')",
                "CREATE INDEX i ON s.t USING btree (a)",
            ),
            (
                "CREATE INDEX i ON s.t USING btree (a) WITH (later='2')",
                "CREATE INDEX i ON s.t USING btree (a) WITH (later='2')",
            ),
            (
                "CREATE INDEX i ON s.t USING hash (a) WITH (later='1')",
                "CREATE INDEX i ON s.t USING hash (a) WITH (later='1')",
            ),
        ] {
            let mut text = definition.to_owned();
            take_from_index(&mut text, &mut |of, options| {
                options.retain(|option| {
                    !refused.contains(&StorageParameter { of: of.clone(), text: option.clone() })
                });
            });
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_trial_is_quoted() {
        let of = |of: Of| StorageParameter { of, text: "Later=x); DROP TABLE t; --".to_owned() }.trial();
        assert_eq!(
            of(Of::Index("gist".to_owned())),
            "CREATE TEMPORARY TABLE dbhaul_probe (a pg_catalog.point); CREATE INDEX ON dbhaul_probe USING gist (a) \
             WITH (\"Later\"='x); DROP TABLE t; --')"
        );
    }
}
