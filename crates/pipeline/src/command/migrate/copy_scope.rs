//! What a run has written and nobody has compared: from where, when, what of it, and the digests of its rows.

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{Selection, ServerVersion, in_one_line};
use dbhaul_importer::ImportOutcome;
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::counted;
use dbhaul_verifier::{LARGE_OBJECTS, Mode, SideDescription, TableResult, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use crate::command::verify::scope::{Scope, aspects, selected};
use crate::{Computed, ShownRows, WriteOptions};

/// The scope of a copy, as [`Report`](dbhaul_verifier::Report) has that of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct CopyScope {
    /// What was copied.
    pub from: SideDescription,
    /// Where it is now.
    pub into: SideDescription,
    /// The patterns that chose what was copied, as options of a command line; `None` for everything.
    pub selection: Option<String>,
    /// What was carried, in words.
    pub options: Vec<String>,
    /// dbhaul's version.
    pub dbhaul_version: String,
    /// The tables all of whose rows were loaded, with the digests of these as they were sent.
    pub tables: Vec<TableResult>,
}

impl CopyScope {
    pub(crate) fn new(
        from: SideDescription,
        (target, version): (&ConnectSettings, ServerVersion),
        (selection, options): (&Selection, &WriteOptions),
        outcome: &ImportOutcome,
    ) -> Self {
        let scope = Scope {
            selection,
            aspects: aspects(selection, options.set_owners, options.privileges),
            database: options.create,
            mode: &Mode::USUAL,
            shown: ShownRows::default(),
            limit: None,
            accept: None,
            computed: Computed::default(),
        };
        let into = SideDescription {
            name: target.describe(),
            server_version: version.to_string(),
            as_of: Timestamp::now().to_string(),
            lsn: None,
        };
        let tables = outcome.tables.iter().map(|table| (table.table.sql(), table.digest));
        let tables = tables.chain(outcome.large_objects.map(|digest| (LARGE_OBJECTS.to_owned(), digest)));
        let loaded = |(name, digest): (String, _)| TableResult::new(name, Verdict::Equal { digest });
        let mut tables: Vec<TableResult> = tables.map(loaded).collect();
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        CopyScope {
            from,
            into,
            selection: selected(selection),
            options: scope.carried(),
            dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
            tables,
        }
    }
}

impl Display for CopyScope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "from   {}", self.from)?;
        writeln!(f, "into   {}", self.into)?;
        writeln!(f, "scope  {}", in_one_line(self.selection.as_deref().unwrap_or("everything")))?;
        for option in &self.options {
            writeln!(f, "       {option}")?;
        }
        writeln!(f, "written by dbhaul {}", self.dbhaul_version)?;
        writeln!(f)?;
        let tables = self.tables.iter().filter(|table| table.name != LARGE_OBJECTS).count();
        writeln!(f, "rows: {} loaded, with digests of what was sent", counted(tables, "table"))?;
        self.tables.iter().try_for_each(|table| writeln!(f, "{table:#}"))?;
        writeln!(f)?;
        f.write_str("NOT COMPARED with the target: use `dbhaul verify`")
    }
}
