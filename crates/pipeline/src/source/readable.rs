//! What of a source may not be read, found out before anything is.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Object, QualifiedName, Selection, in_one_line, quote_identifier};
use dbhaul_postgres::{self as postgres, Probe, UnreadableTable};

use crate::source::LiveDatabase;
use crate::{NamedReason, PipelineError};

/// What the role may not read, of the whole database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unreadable {
    tables: Vec<UnreadableTable>,
    large_objects: Vec<String>,
}

impl Unreadable {
    /// Asks the server.
    pub(crate) async fn find(probe: Probe<'_>) -> Result<Self, postgres::Error> {
        let (tables, large_objects) = probe.unreadable().await?;
        let large_objects = large_objects.iter().map(u32::to_string).collect();
        Ok(Unreadable { tables, large_objects })
    }

    /// Whether a relation is among what may not be read.
    pub(crate) fn has(&self, name: &QualifiedName) -> bool {
        self.tables.iter().any(|table| table.schema == name.schema && table.name == name.name)
    }
}

impl LiveDatabase {
    /// Everything that a selection reads and the role may not, each with the way out.
    ///
    /// # Errors
    /// If the selection cannot be used.
    pub(crate) fn unreadable(&self, selection: &Selection) -> Result<Vec<NamedReason>, PipelineError> {
        let options = selection.toc_options(&self.catalog)?;
        if !options.data {
            return Ok(Vec::new());
        }
        let is_read = |object: &&Object| match &object.body {
            Body::Table(table) => table.holds_rows() && !options.without_data.contains(&object.id),
            Body::Sequence(_) => !options.without_data.contains(&object.id),
            _ => false,
        };
        let read: BTreeSet<String> =
            self.catalog.objects.iter().filter(is_read).map(Object::sql_name).collect();
        let tables = self.unreadable.tables.iter().map(reason);
        let mut found: Vec<NamedReason> = tables.filter(|one| read.contains(&one.object)).collect();
        let objects = self.catalog.objects.iter();
        let carried: BTreeSet<&str> = objects
            .filter(|object| matches!(object.body, Body::LargeObject(_)))
            .map(|object| object.name.as_str())
            .collect();
        let hidden = self.unreadable.large_objects.iter().filter(|oid| carried.contains(oid.as_str()));
        found.extend(hidden.map(|oid| NamedReason {
            object: format!("large object {oid}"),
            reason: format!(
                "it may not be read: GRANT SELECT ON LARGE OBJECT {oid}, or connect as its owner"
            ),
        }));
        Ok(found)
    }

    /// Fails, naming all of it, if the role may not read something that a selection reads.
    pub(crate) fn check_readable(&self, selection: &Selection) -> Result<(), PipelineError> {
        let objects = self.unreadable(selection)?;
        if objects.is_empty() {
            return Ok(());
        }
        let objects = objects
            .into_iter()
            .map(|NamedReason { object, reason }| in_one_line(&format!("{object}: {reason}")));
        Err(PipelineError::Unreadable { server: self.settings.describe(), objects: objects.collect() })
    }
}

fn reason(table: &UnreadableTable) -> NamedReason {
    let name = QualifiedName::new(&table.schema, &table.name);
    let owner = quote_identifier(&table.owner);
    let reason = if table.is_filtered {
        "row security hides rows of it: connect as a role with BYPASSRLS".to_owned()
    } else {
        let (missing, on) = match table.lacks_schema_usage {
            true => ("USAGE", format!("SCHEMA {}", quote_identifier(&table.schema))),
            false => ("SELECT", name.to_string()),
        };
        match table.is_own {
            true => {
                format!("its owner may not read it: GRANT {missing} ON {on} TO {owner}")
            }
            false => format!("it may not be read: GRANT {missing} ON {on}, or connect as its owner, {owner}"),
        }
    };
    NamedReason { object: name.sql(), reason }
}
