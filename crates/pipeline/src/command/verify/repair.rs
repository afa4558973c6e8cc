//! `--repair-sql FILE`: statements that would make the right equal to the left. Nobody here runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use dbhaul_catalog::kinds::{Body, ConstraintType, IdentityKind, Table};
use dbhaul_catalog::{Catalog, in_one_line, quote_literal, render_preamble};
use dbhaul_progress::counted;
use dbhaul_rows::DigestSpec;
use dbhaul_verifier::{
    LARGE_OBJECTS, MatchingKey, RepairColumn, RepairTable, Report, SequenceResult, TableRepair, Verdict,
};

use super::side::Side;
use crate::PipelineError;

/// How the table of the right can be repaired; or why it cannot.
pub(super) fn repair_table(
    name: &str,
    spec: &DigestSpec,
    key: &MatchingKey,
    right: &Side,
) -> Result<RepairTable, String> {
    if name == LARGE_OBJECTS {
        return Err("large objects are left out".to_owned());
    }
    let Some(table) = table_of(&right.catalog, name) else {
        return Err(format!("{name} is left out: it is no table of the right"));
    };
    if table.foreign.is_some() {
        return Err(format!("{name} is left out: its rows lie on another server"));
    }
    if key.columns.is_empty() || key.note.is_some() {
        return Err(format!(
            "{name} is left out: the two sides do not have the same key, by which a row would be found"
        ));
    }
    let column = |name: &str| {
        let own = table.columns.iter().find(|column| column.name == *name)?;
        Some(RepairColumn {
            name: name.to_owned(),
            equals: equals(&own.base_type_name, own.base_type_kind),
            is_always_identity: own.identity == Some(IdentityKind::Always),
        })
    };
    let columns: Option<Vec<RepairColumn>> = spec.columns.iter().map(|one| column(&one.name)).collect();
    let columns = columns.ok_or_else(|| format!("{name} is left out: its columns differ"))?;
    Ok(RepairTable { name: name.to_owned(), columns })
}

fn table_of<'a>(catalog: &'a Catalog, name: &str) -> Option<&'a Table> {
    catalog.objects.iter().find_map(|object| match &object.body {
        Body::Table(table) if object.sql_name() == name => Some(table.as_ref()),
        _ => None,
    })
}

/// The operator that finds equal values of a type under an empty search path. Those of types that are not the server's
/// own lie beside them; enums, ranges, composites and arrays have the server's.
fn equals(type_name: &str, kind: char) -> String {
    match type_name.rsplit_once('.') {
        Some((schema, _)) if kind == 'b' && !type_name.ends_with("[]") => format!("OPERATOR({schema}.=)"),
        _ => "OPERATOR(pg_catalog.=)".to_owned(),
    }
}

/// What is written for one verification.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Statements of each table.
    pub(super) tables: Vec<TableRepair>,
    /// What no statement is written for, a sentence each.
    pub(super) left_out: Vec<String>,
}

impl Repair {
    /// Writes the file, and returns what a report says of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(
        mut self,
        file: &Path,
        report: &Report,
        (left, right): (&Side, &Side),
    ) -> Result<Vec<String>, PipelineError> {
        self.left_out.extend(report.tables.iter().filter_map(|table| match &table.verdict {
            Verdict::Missing => Some(format!("{} is left out: the right does not have it", table.name)),
            Verdict::Extra => Some(format!("{} is left out: the left does not have it", table.name)),
            Verdict::NotVerified { .. } | Verdict::SameCount { .. } | Verdict::OtherCount { .. } => {
                Some(format!("{} is left out: its rows were not compared", table.name))
            }
            _ => None,
        }));
        self.left_out.extend(self.tables.iter().flat_map(|table| table.left_out.iter().cloned()));
        let sequences = setvals(&report.sequences, left);
        let summary = self.summary(file, sequences.len());
        let text = self.text(report, right, (&sequences, &summary));
        let failed = |source| PipelineError::Output { place: file.display().to_string(), source };
        open(file).and_then(|mut open| open.write_all(&text)).map_err(failed)?;
        Ok(summary)
    }

    fn summary(&self, file: &Path, sequence_count: usize) -> Vec<String> {
        let count = |which: usize| -> u64 { self.tables.iter().map(|table| table.counts[which]).sum() };
        let first = format!(
            "{} holds statements, which dbhaul has not run, that insert {}, update {}, delete {} and set {} on the right",
            file.display(),
            counted(count(0), "row"),
            counted(count(1), "row"),
            counted(count(2), "row"),
            counted(sequence_count, "sequence"),
        );
        let rest =
            self.left_out.iter().map(|left_out| format!("not repaired by {}: {left_out}", file.display()));
        std::iter::once(first).chain(rest).collect()
    }

    fn text(&self, report: &Report, right: &Side, (sequences, summary): (&[String], &[String])) -> Vec<u8> {
        let mut script = Script { text: header(report, summary).into_bytes() };
        script.add(render_preamble(&right.catalog.database.encoding, false).as_bytes());
        script.add(b"BEGIN;\nSET CONSTRAINTS ALL DEFERRED;\n");
        let order = Order::of(&right.catalog, self.tables.iter().map(|table| table.name.as_str()));
        if order.has_cycle {
            script.section("foreign keys go round in a circle: some statements may be refused", &[b"\n"]);
        }
        let find = |(name, is_referred_to): &(String, bool)| {
            Some((self.tables.iter().find(|table| table.name == *name)?, *is_referred_to))
        };
        let tables: Vec<(&TableRepair, bool)> = order.tables.iter().filter_map(find).collect();
        // what a foreign key refers to comes first, and goes last
        for (table, is_referred_to) in &tables {
            let TableRepair { name, inserts, updates, deletes, .. } = table;
            match is_referred_to {
                true => script.section(name, &[inserts, updates]),
                false => script.section(name, &[deletes, updates, inserts]),
            }
        }
        for (table, _) in tables.iter().rev().filter(|(_, is_referred_to)| *is_referred_to) {
            script.section(&format!("{}, rows that only the right has", table.name), &[&table.deletes]);
        }
        let setvals: Vec<&[u8]> = sequences.iter().map(String::as_bytes).collect();
        script.section("sequences", &setvals);
        script.add(b"\nCOMMIT;\n");
        script.text
    }
}

/// The text of a file.
struct Script {
    text: Vec<u8>,
}

impl Script {
    fn add(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Adds statements under a title, if there are any.
    fn section(&mut self, title: &str, statements: &[&[u8]]) {
        if statements.iter().any(|one| !one.is_empty()) {
            self.add(format!("\n-- {}\n", in_one_line(title)).as_bytes());
            statements.iter().for_each(|one| self.add(one));
        }
    }
}

/// What a person has to know before they run the file.
fn header(report: &Report, summary: &[String]) -> String {
    const HOW: [&str; 6] = [
        "dbhaul has not run them. Read them, then run them in the database on the right:",
        "    psql -X -v ON_ERROR_STOP=1 -f FILE",
        "They are one transaction. Triggers and rules of the tables run too; a superuser can hold triggers and foreign",
        "keys back by SET LOCAL session_replication_role = replica behind BEGIN. Verify again afterwards.",
        "",
        "What is in it:",
    ];
    let sides = [format!("left:  {}", report.left), format!("right: {}", report.right)];
    let first = "Statements that would make the rows of the right equal to those of the left.".to_owned();
    let lines =
        std::iter::once(first).chain(sides).chain(HOW.map(str::to_owned)).chain(summary.iter().cloned());
    lines.map(|line| format!("-- {}\n", in_one_line(&line))).chain(["\n".to_owned()]).collect()
}

/// Statements that set sequences which both sides have as they are on the left.
fn setvals(differing: &[SequenceResult], left: &Side) -> Vec<String> {
    let is_on_both =
        |one: &&SequenceResult| one.not_verified.is_none() && one.left.is_some() && one.right.is_some();
    let names: BTreeSet<&str> = differing.iter().filter(is_on_both).map(|one| one.name.as_str()).collect();
    let values = left.sequences.iter().filter(|value| names.contains(value.sequence.sql().as_str()));
    let set = |value: &dbhaul_introspect::SequenceValue| {
        let name = quote_literal(&value.sequence.sql());
        format!("SELECT pg_catalog.setval({name}, {}, {});\n", value.last_value, value.is_called)
    };
    values.map(set).collect()
}

/// Tables in an order in which those that foreign keys refer to come first.
struct Order {
    /// Each with whether any foreign key refers to it.
    tables: Vec<(String, bool)>,
    has_cycle: bool,
}

impl Order {
    fn of<'a>(catalog: &Catalog, tables: impl Iterator<Item = &'a str>) -> Self {
        let References { roots, refers, referred_to } = References::of(catalog);
        let mut by_root: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for table in tables {
            let root = roots.get(table).map_or(table, String::as_str);
            by_root.entry(root.to_owned()).or_default().push(table.to_owned());
        }
        let mut order = Order { tables: Vec::new(), has_cycle: false };
        let mut waiting: BTreeSet<String> = by_root.keys().chain(refers.keys()).cloned().collect();
        while !waiting.is_empty() {
            let is_free = |name: &&String| {
                refers.get(*name).is_none_or(|others| others.iter().all(|other| !waiting.contains(other)))
            };
            let mut next: Vec<String> = waiting.iter().filter(is_free).cloned().collect();
            if next.is_empty() {
                next.extend(waiting.first().cloned());
                order.has_cycle |= next.iter().any(|name| by_root.contains_key(name));
            }
            for name in next {
                waiting.remove(&name);
                let is_referred_to = referred_to.contains(&name);
                let own = by_root.remove(&name).unwrap_or_default();
                order.tables.extend(own.into_iter().map(|table| (table, is_referred_to)));
            }
        }
        order
    }
}

/// What foreign keys say, between tables at the top of their partitions.
struct References {
    /// The table at the top, of each partition.
    roots: BTreeMap<String, String>,
    /// Which others each table refers to.
    refers: BTreeMap<String, BTreeSet<String>>,
    /// Tables that some foreign key refers to, be it their own.
    referred_to: BTreeSet<String>,
}

impl References {
    fn of(catalog: &Catalog) -> Self {
        let mut references =
            References { roots: roots(catalog), refers: BTreeMap::new(), referred_to: BTreeSet::new() };
        for object in &catalog.objects {
            let Body::Constraint(constraint) = &object.body else { continue };
            let (ConstraintType::ForeignKey, Some(other)) =
                (constraint.constraint_type, &constraint.referenced_table)
            else {
                continue;
            };
            let root = |name: String| references.roots.get(&name).cloned().unwrap_or(name);
            let (from, to) = (root(constraint.table.sql()), root(other.sql()));
            references.referred_to.insert(to.clone());
            if from != to {
                references.refers.entry(from).or_default().insert(to);
            }
        }
        references
    }
}

/// The tables at the top of partitions.
fn roots(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut parents: BTreeMap<String, String> = BTreeMap::new();
    for object in &catalog.objects {
        let Body::Table(table) = &object.body else { continue };
        if let Some(above) = &table.partition_of {
            parents.insert(object.sql_name(), above.parent.sql());
        }
    }
    let top = |name: &String| {
        let mut top = name;
        while let Some(above) = parents.get(top) {
            top = above;
        }
        (name.clone(), top.clone())
    };
    parents.keys().map(top).collect()
}

/// Opens the file for its owner alone, for it holds values; one that is there keeps its mode.
fn open(file: &Path) -> std::io::Result<std::fs::File> {
    let is_new = !file.exists();
    let open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    if is_new {
        open.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(open)
}
