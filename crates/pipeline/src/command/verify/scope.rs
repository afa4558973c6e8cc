//! What a comparison does not cover: left out on request, or by its nature. The
//! report says so, so that nobody takes for compared what was not.

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Aspects, Catalog, Selection, SystemDifferences, compare_databases, compare_members_of_extensions,
    compare_system_privileges, given_on_the_right, kept_maintain, lost_maintain,
};
use dbhaul_verifier::{AcceptList, Measure, Mode, Report, ShowValues, TimeLimit};

use super::sections::forget_other_sections;
use super::{Computed, ShownRows};
use crate::report::rows_left_out::RowsLeftOut;
use crate::report::words::listed;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) aspects: Aspects,
    /// The database's own properties, which only `--create` carries.
    pub(crate) database: bool,
    /// What is compared of what is selected.
    pub(crate) mode: &'a [Mode],
    /// What of the rows that differ is shown.
    pub(crate) shown: ShownRows,
    /// Until when rows are read, and how many seconds that was.
    pub(crate) limit: Option<TimeLimit>,
    /// Where statements are to be written that make rows equal: what is accepted, and so left as it is.
    pub(crate) accept: Option<&'a AcceptList>,
    /// Values that a server computes from others.
    pub(crate) computed: Computed,
}

/// What of two catalogs is compared of what a selection takes.
pub(crate) fn aspects(selection: &Selection, owners: bool, privileges: bool) -> Aspects {
    Aspects {
        owners,
        privileges,
        comments: selection.comments,
        security_labels: selection.security_labels,
        policies: selection.policies,
        publications: selection.publications,
        subscriptions: selection.subscriptions,
    }
}

/// The patterns of a selection as options of a command line; `None` where it takes everything.
pub(crate) fn selected(selection: &Selection) -> Option<String> {
    let lists = [
        ("--schema", &selection.schemas),
        ("--exclude-schema", &selection.exclude_schemas),
        ("--table", &selection.tables),
        ("--table-and-children", &selection.tables_and_children),
        ("--exclude-table", &selection.exclude_tables),
        ("--exclude-table-and-children", &selection.exclude_tables_and_children),
        ("--exclude-table-data", &selection.exclude_table_data),
        ("--exclude-table-data-and-children", &selection.exclude_table_data_and_children),
        ("--extension", &selection.extensions),
        ("--filter, of extensions", &selection.filter_extensions),
        ("--exclude-extension", &selection.exclude_extensions),
        ("--include-foreign-data", &selection.foreign_data),
    ];
    let options =
        lists.iter().flat_map(|(option, names)| names.iter().map(move |name| format!("{option} {name}")));
    let sections =
        [("pre-data", selection.pre_data), ("data", selection.data), ("post-data", selection.post_data)];
    let is_whole = sections.iter().all(|(_, is_taken)| *is_taken);
    let sections = sections.iter().filter(|(_, is_taken)| *is_taken && !is_whole);
    let all: Vec<String> =
        options.chain(sections.map(|(section, _)| format!("--section {section}"))).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// Properties of a database that are no objects of it.
const DATABASE: &str = "properties of the database itself (owner, privileges, settings, comment, encoding, \
                        locale, tablespace, limits), which only --create carries";

impl Scope<'_> {
    /// How it is compared, in words.
    pub(crate) fn options(&self) -> Vec<String> {
        let has = |mode| self.mode.contains(&mode);
        let definitions = self.compares_definitions().then(|| self.definitions());
        let digests = (self.measure() == Measure::Digest)
            .then(|| "rows by their number and the sum of their 64-bit hashes, for each table".to_owned());
        let counts = (has(Mode::Counts) && digests.is_none()).then(|| {
            "rows by their number alone, for each table: their contents are not compared".to_owned()
        });
        let deep = has(Mode::Deep).then(|| self.shown_rows());
        let settle = self.shown.settle.filter(|_| has(Mode::Deep)).map(|limit| {
            format!(
                "rows that differ are looked at again, under new snapshots of both sides, for up to {} s",
                limit.as_secs()
            )
        });
        let all = [definitions, digests, counts, deep, settle].into_iter().flatten();
        all.chain(self.computed.options()).collect()
    }

    fn shown_rows(&self) -> String {
        let values = match self.shown.values {
            ShowValues::Show => "their values shown",
            ShowValues::Mask => "their values masked",
            ShowValues::Omit => "their values left out",
        };
        format!(
            "of tables whose sums differ, the rows that do: {} of each table at most, {values}",
            self.shown.max_rows
        )
    }

    /// What is to be known of rows.
    pub(crate) fn measure(&self) -> Measure {
        let has_digest = self.mode.iter().any(|mode| mode.reads_rows());
        if has_digest || !self.mode.contains(&Mode::Counts) { Measure::Digest } else { Measure::Count }
    }

    /// What of it a copy carries, in words.
    pub(crate) fn carried(&self) -> Vec<String> {
        let rows = self.selection.data.then(|| "rows, positions of sequences".to_owned());
        self.compares_definitions().then(|| self.definitions()).into_iter().chain(rows).collect()
    }

    fn definitions(&self) -> String {
        let Aspects { owners, privileges, comments, policies, .. } = self.aspects;
        let compared = [
            ("owners", owners),
            ("privileges", privileges),
            ("comments", comments),
            ("policies", policies),
            ("properties of the database", self.database),
        ];
        let compared = compared.iter().filter(|(_, is_compared)| *is_compared).map(|(what, _)| *what);
        let compared: Vec<&str> =
            self.compares_definitions().then_some("definitions").into_iter().chain(compared).collect();
        compared.join(", ")
    }

    /// Whether definitions are compared.
    pub(crate) fn compares_definitions(&self) -> bool {
        let is_selected = self.selection.pre_data || self.selection.post_data;
        is_selected && self.mode.contains(&Mode::Schema)
    }

    /// Takes out of a report what was not asked for, and notes it there, with what
    /// no digest covers.
    pub(crate) fn apply(
        &self,
        report: &mut Report,
        (left, right): (&Catalog, &Catalog),
        rows_left_out: &RowsLeftOut,
    ) {
        let mut note = |text: &str| report.not_compared.push(text.to_owned());
        let data = self.selection.data;
        if !data {
            note("rows, large objects and positions of sequences, as asked");
            report.sequences.clear();
            report.compared_sequence_count = 0;
            // Without rows nothing has filled the materialized views.
            report.schema.forget_filling();
        } else {
            report.not_compared.extend(rows_left_out.not_compared());
            report.schema.differences.retain(|difference| !rows_left_out.explains(difference));
            report.not_compared.extend(self.computed.not_compared(left));
            if self.selection.foreign_data.is_empty() {
                report.not_compared.extend(foreign(left));
            }
        }
        if !self.compares_definitions() {
            report.not_compared.push("definitions, as asked".to_owned());
            report.schema.differences.clear();
            report.compared_object_count = 0;
            report.compared_kinds.clear();
            if data {
                // their rows are read on neither side, and are not on the right
                report.schema.differences.extend(compare_members_of_extensions(left, right).with_data(left));
            }
            return;
        }
        self.compare_around(report, left, right);
        forget_other_sections(report, self.selection, (left, right));
        report.not_compared.extend(extensions(left));
        if self.selection.tablespaces.none {
            report.not_compared.push("tablespaces, as asked".to_owned());
        }
        let mut note = |text: &str| report.not_compared.push(text.to_owned());
        if !self.aspects.owners {
            note("owners, as asked");
        }
        match self.aspects.privileges {
            true => report.information.extend(kept(left, right).into_iter().chain(lost(left, right))),
            false => {
                note("privileges, as asked, with default privileges, and owners of the server's own objects")
            }
        }
        let Aspects { comments, security_labels, policies, publications, subscriptions, .. } = self.aspects;
        for (what, is_compared) in [
            ("comments", comments),
            ("security labels", security_labels),
            ("policies, and whether row security is on", policies),
            ("publications", publications),
            ("subscriptions", subscriptions),
        ] {
            if !is_compared {
                report.not_compared.push(format!("{what}, as asked"));
            }
        }
    }

    /// Adds what differs in the database itself and in privileges on the server's own objects: as
    /// differences where it was to be carried, else for information.
    fn compare_around(&self, report: &mut Report, left: &Catalog, right: &Catalog) {
        let database = compare_databases(left, right, self.aspects);
        if self.database {
            report.schema.differences.extend(database);
        } else {
            report.not_compared.push(DATABASE.to_owned());
            report.information.extend(database.iter().map(ToString::to_string));
        }
        report.information.extend(collation_versions(left, right));
        report.information.extend(given_on_the_right(left, right));
        let members = compare_members_of_extensions(left, right);
        report.schema.differences.extend(members.lacking);
        report.information.extend(members.of_versions);
        if !self.aspects.privileges {
            return;
        }
        let SystemDifferences { lacking, extra } = compare_system_privileges(left, right, self.aspects);
        report.schema.differences.extend(lacking);
        let extra = extra.iter().map(|difference| format!("{difference} (an object of the server itself)"));
        report.information.extend(extra);
    }
}

/// What owners may do on the right whatever they have revoked from themselves.
fn kept(left: &Catalog, right: &Catalog) -> Option<String> {
    let names = kept_maintain(left.server_version, right).iter().map(ToString::to_string).collect();
    listed(
        "privilege MAINTAIN, new in PostgreSQL 17, is the owner's on the right only (owners of older servers may do the \
         same without it), for",
        names,
    )
}

/// What others than the owners may do on the left, and nobody can be given on the right.
fn lost(left: &Catalog, right: &Catalog) -> Option<String> {
    let names = lost_maintain(left, right.server_version).iter().map(ToString::to_string).collect();
    listed(
        "privilege MAINTAIN, which the right side's version does not have, is given on the left to others than \
         the owners of",
        names,
    )
}

/// The libraries that sort text differ: indexes are built anew, but not everything is an index.
fn collation_versions(left: &Catalog, right: &Catalog) -> Option<String> {
    let key = |catalog: &Catalog| {
        let database = &catalog.database;
        let libc = || database.collate.clone();
        (database.locale_provider.clone(), database.locale.clone().unwrap_or_else(libc))
    };
    let (one, two) = (left.database.collation_version.as_ref()?, right.database.collation_version.as_ref()?);
    let (provider, locale) = key(left);
    (one != two && key(left) == key(right)).then(|| {
        format!(
            "collation {locale} ({provider}), the databases' default, has version {one} of its library on the \
             left and {two} on the right: text may sort otherwise; range partitions and check constraints that \
             compare text deserve a look"
        )
    })
}

/// An extension's version is the installation's: what its members are follows from it.
fn extensions(catalog: &Catalog) -> Option<String> {
    let extensions = catalog.objects.iter().filter(|object| matches!(object.body, Body::Extension(_)));
    let names: Vec<String> = extensions.map(|object| object.sql_name()).collect();
    listed("versions of extensions, and the objects that depend on the version", names)
}

/// Rows of other servers, which are not the database's own.
fn foreign(catalog: &Catalog) -> Option<String> {
    let tables = catalog.objects.iter().filter(|object| match &object.body {
        Body::Table(table) => table.foreign.is_some(),
        _ => false,
    });
    listed(
        "rows of foreign tables, which lie on other servers",
        tables.map(|object| object.sql_name()).collect(),
    )
}
