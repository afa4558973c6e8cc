//! In which format a migration copies each table.

use std::collections::BTreeMap;

use dbhaul_catalog::ServerVersion;
use dbhaul_exporter::{ExportPlan, RowForm, RowSource, TablePlan, binary_types};
use dbhaul_rows::BinaryType;

use crate::CopyChoice;
use crate::command::dump::PlannedTable;

/// The most columns of a table that is copied in binary.
///
/// For each value a server begins a buffer of 1 KiB (PostgreSQL src/backend/libpq/pqformat.c,
/// pq_begintypsend), and frees those of a row together. From 128 KiB on the C library may give such memory
/// back to the kernel with every row, and fetch it anew: six times the server's CPU for a table of 500 columns.
const MAX_BINARY_COLUMNS: usize = 100;

/// The format of each table, in words.
pub(crate) struct CopyForms {
    by_entry: BTreeMap<u32, String>,
}

impl CopyForms {
    /// Chooses, and writes the choice into the plan. Source and target are of these versions.
    pub(crate) fn choose(
        export: &mut ExportPlan,
        choice: CopyChoice,
        (source, target): (ServerVersion, ServerVersion),
    ) -> Self {
        let newest = ServerVersion::NEWEST_TESTED.major();
        let untested = [source, target].into_iter().find(|version| version.major() > newest);
        let mut by_entry = BTreeMap::new();
        for table in &mut export.tables {
            let form = match untested {
                Some(version) => {
                    Err(format!("binary COPY of PostgreSQL {} is not known yet", version.major()))
                }
                None => types(table, choice),
            };
            by_entry.insert(table.entry, in_words(&form));
            table.form = form.unwrap_or_default();
        }
        CopyForms { by_entry }
    }

    /// The tables as the plan shows them.
    pub(crate) fn plan(mut self, export: &ExportPlan) -> Vec<PlannedTable> {
        let planned = PlannedTable::of(export).into_iter().zip(&export.tables);
        planned
            .map(|(planned, table)| PlannedTable { travels: self.by_entry.remove(&table.entry), ..planned })
            .collect()
    }
}

/// How a table travels; an error is why it has to be text.
fn types(table: &TablePlan, choice: CopyChoice) -> Result<RowForm, String> {
    let RowSource::Table(data) = &table.source else { return Ok(RowForm::Text) };
    if choice == CopyChoice::Text {
        return Err("it was asked for".to_owned());
    }
    // a column of another type would read the bytes as something else, and not always complain
    if !data.created_by_toc {
        return Err("the table on the target is not made by this run".to_owned());
    }
    let types = binary_types(data, &table.digest_spec)?;
    // the text of a bytea is twice as long, and both servers and the network have to do with all of it
    let is_wide = types.len() > MAX_BINARY_COLUMNS;
    let is_binary = (choice == CopyChoice::Binary && !is_wide) || types.contains(&BinaryType::Bytea);
    Ok(if is_binary { RowForm::Binary(types) } else { RowForm::TextWhileItFits(types) })
}

fn in_words(form: &Result<RowForm, String>) -> String {
    match form {
        Ok(RowForm::Text) => "as text; digest of the rows as they pass".to_owned(),
        Ok(RowForm::TextWhileItFits(_)) => {
            "as text, in binary if a row is too long for text; digest of the rows as they pass".to_owned()
        }
        Ok(RowForm::Binary(_)) => "in binary; digest of the rows as they pass".to_owned(),
        Err(reason) => format!("as text, because {reason}; digest of the rows as they pass"),
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{DataColumn, QualifiedName, RelationSize, ServerVersion, TableData};
    use dbhaul_exporter::{ExportPlan, RowForm, TablePlan};
    use dbhaul_rows::{DigestSpec, TextForm};

    use super::CopyForms;
    use crate::CopyChoice;

    fn table(types: &[&str]) -> TableData {
        let column = |name: &&str| DataColumn {
            name: "c".into(),
            type_name: (*name).into(),
            base_type_name: (*name).into(),
            base_type_kind: 'b',
        };
        TableData {
            table: QualifiedName::new("public", "film"),
            root: None,
            columns: types.iter().map(column).collect(),
            condition: None,
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        }
    }

    fn check(
        types: &[&str],
        text_form: TextForm,
        choice: CopyChoice,
        target: u32,
        is_text: bool,
        words: &str,
    ) {
        let data = table(types);
        let (spec, size) = (DigestSpec::new(Vec::new(), text_form), RelationSize::default());
        let (source, target) = (ServerVersion::of_major(13), ServerVersion::of_major(target));
        let table = TablePlan::table(1, data, spec, size, source, 1 << 20);
        let mut plan = ExportPlan { tables: vec![table] };
        let forms = CopyForms::choose(&mut plan, choice, (source, target));
        assert_eq!(plan.tables[0].form == RowForm::Text, is_text);
        let travels = forms.plan(&plan).remove(0).travels.unwrap();
        assert!(travels.starts_with(words), "{travels}");
    }

    #[test]
    fn binary_is_for_known_types_between_known_versions() {
        use CopyChoice::{Auto, Binary, Text};
        use TextForm::{Raw, Utf8Hex};
        let known = ["bigint", "numeric", "character", "timestamp with time zone"];
        check(&known, Raw, Auto, 18, false, "as text, in binary if a row is too long for text");
        check(&known, Raw, Binary, 13, false, "in binary");
        check(&["bigint", "bytea"], Raw, Auto, 18, false, "in binary");
        check(&known, Raw, Text, 18, true, "as text, because it was asked for");
        check(&known, Utf8Hex, Binary, 18, true, "as text, because the database is not in UTF8");
        check(&known, Raw, Binary, 20, true, "as text, because binary COPY of PostgreSQL 20 is not known");
        check(&["bytea", "real"], Raw, Binary, 18, true, "as text, because column \"c\" is of type real");
        check(
            &["public.bytea"],
            Raw,
            Auto,
            18,
            true,
            "as text, because column \"c\" is of type public.bytea",
        );
        check(&[], Raw, Binary, 18, true, "as text, because it has no columns");
        check(&["integer"; 100], Raw, Binary, 18, false, "in binary");
        check(&["integer"; 101], Raw, Binary, 18, false, "as text, in binary if a row is too long for text");
    }

    #[test]
    fn a_table_that_is_there_already_may_have_other_types() {
        let data = TableData { created_by_toc: false, ..table(&["integer", "bytea"]) };
        let version = ServerVersion::of_major(18);
        let planned =
            TablePlan::table(1, data, DigestSpec::default(), RelationSize::default(), version, 1 << 20);
        for choice in [CopyChoice::Auto, CopyChoice::Binary] {
            let mut plan = ExportPlan { tables: vec![planned.clone()] };
            CopyForms::choose(&mut plan, choice, (version, version));
            assert_eq!(plan.tables[0].form, RowForm::Text);
        }
    }
}
