//! Entries as `pg_restore -l` lists them.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::text::one_line;
use crate::{Section, TocEntry};

/// One line of a listing: `215; 1259 16386 TABLE public film postgres`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedEntry {
    /// Position in the TOC.
    pub id: u32,
    /// OID of the system catalog that the object is in, 0 for none.
    pub catalog_oid: u32,
    /// OID of the object on the source, 0 for none.
    pub oid: u32,
    /// `TABLE`, `TABLE DATA`, ...
    pub kind: String,
    /// When it is restored.
    pub section: Section,
    /// The schema.
    pub schema: Option<String>,
    /// The name, with the table's for parts of tables.
    pub name: String,
    /// The owner.
    pub owner: Option<String>,
}

/// What a listing says of an entry.
pub fn listed_entry(entry: &TocEntry) -> ListedEntry {
    ListedEntry {
        id: entry.id,
        catalog_oid: entry.object.map_or(0, |object| object.class.0),
        oid: entry.object.map_or(0, |object| object.oid),
        kind: entry.kind.to_string(),
        section: entry.section,
        schema: entry.schema.as_ref().map(String::from),
        name: entry.name.clone(),
        owner: entry.owner.as_ref().map(String::from),
    }
}

impl Display for ListedEntry {
    /// A name may hold a line break; a line of a listing may not
    /// (PostgreSQL src/bin/pg_dump/pg_backup_archiver.c, `sanitize_line`).
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let schema = self.schema.as_deref().map_or_else(|| "-".to_owned(), one_line);
        let (name, owner) = (one_line(&self.name), one_line(self.owner.as_deref().unwrap_or_default()));
        let ListedEntry { id, catalog_oid, oid, kind, .. } = self;
        write!(f, "{id}; {catalog_oid} {oid} {kind} {schema} {name} {owner}")
    }
}
