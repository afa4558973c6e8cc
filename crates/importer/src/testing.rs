//! Tables of contents for tests.

use dbhaul_catalog::{
    Adoption, Class, DataEntry, DropStatement, EntryKind, ObjectId, QualifiedName, Section, TableData, Toc,
    TocEntry,
};

/// Entries, numbered as they come; each call returns the id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    toc: Toc,
}

impl Entries {
    pub(crate) fn into_toc(self) -> Toc {
        self.toc
    }

    pub(crate) fn table(&mut self, name: &str) -> u32 {
        let id = self.push(Section::PreData, EntryKind::Table, name, &[]);
        self.last().object = Some(ObjectId::new(Class::PG_CLASS, 16_384 + id));
        id
    }

    pub(crate) fn attach(&mut self, name: &str, part: u32, parent: u32) -> u32 {
        let id = self.push(Section::PreData, EntryKind::TableAttach, name, &[parent, part]);
        self.last().object = self.object(part);
        id
    }

    pub(crate) fn rows(&mut self, name: &str, table: u32) -> u32 {
        let id = self.push(Section::Data, EntryKind::TableData, name, &[table]);
        let object = self.object(table);
        let entry = self.last();
        entry.object = object;
        entry.data = Some(DataEntry::Table(Box::new(TableData {
            table: QualifiedName::new("public", name),
            root: None,
            columns: Vec::new(),
            condition: None,
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        })));
        id
    }

    pub(crate) fn pre_data(&mut self, kind: EntryKind, name: &str, depends_on: &[u32]) -> u32 {
        self.push(Section::PreData, kind, name, depends_on)
    }

    pub(crate) fn post_data(&mut self, kind: EntryKind, name: &str, depends_on: &[u32]) -> u32 {
        self.push(Section::PostData, kind, name, depends_on)
    }

    /// A function with a body in a string.
    pub(crate) fn function(&mut self, name: &str, language: &str, body: &str) -> u32 {
        let id = self.push(Section::PreData, EntryKind::Function, &format!("{name}(integer)"), &[]);
        self.last().create = vec![format!(
            "CREATE FUNCTION public.{name}(integer) RETURNS integer\n    LANGUAGE {language} IMMUTABLE\n    AS $${body}$$"
        )];
        id
    }

    /// Lets the rows of an entry go through a partitioned table.
    pub(crate) fn load_through(&mut self, id: u32, root: &str) {
        if let Some(DataEntry::Table(table)) = &mut self.toc.entries[id as usize - 1].data {
            table.root = Some(QualifiedName::new("public", root));
        }
    }

    /// Lets an entry depend on more.
    pub(crate) fn depend(&mut self, id: u32, on: &[u32]) {
        self.toc.entries[id as usize - 1].depends_on.extend(on);
    }

    /// What an entry makes has this address.
    pub(crate) fn set_object(&mut self, id: u32, object: Option<ObjectId>) {
        self.toc.entries[id as usize - 1].object = object;
    }

    /// A unique or primary key that can be built as an index first.
    pub(crate) fn key(&mut self, name: &str, depends_on: &[u32]) -> u32 {
        let id = self.post_data(EntryKind::Constraint, name, depends_on);
        let adoption = Adoption {
            build: "CREATE UNIQUE INDEX".to_owned(),
            adopt: "ALTER TABLE ADD CONSTRAINT".to_owned(),
        };
        self.last().adoption = Some(Box::new(adoption));
        id
    }

    /// A foreign key from the first table to the second, which has a key.
    pub(crate) fn foreign_key(&mut self, name: &str, from: u32, to: u32, key: u32) -> u32 {
        let table = self.toc.entries[from as usize - 1].name.clone();
        let id = self.post_data(EntryKind::ForeignKey, name, &[from, to, key]);
        let entry = self.last();
        entry.create = vec!["ALTER TABLE ADD FOREIGN KEY".to_owned()];
        let command = format!("ALTER TABLE ONLY public.{table} DROP CONSTRAINT");
        entry.drop = Some(Box::new(DropStatement { command, object: "fkey".to_owned() }));
        id
    }

    fn push(&mut self, section: Section, kind: EntryKind, name: &str, depends_on: &[u32]) -> u32 {
        let id = self.toc.entries.len() as u32 + 1;
        self.toc.entries.push(TocEntry {
            id,
            section,
            kind,
            schema: Some("public".into()),
            name: name.to_owned(),
            owner: None,
            create: Vec::new(),
            set_owner: None,
            drop: None,
            depends_on: depends_on.to_vec(),
            object: None,
            data: None,
            weight_bytes: 0,
            adoption: None,
        });
        id
    }

    pub(crate) fn object(&self, id: u32) -> Option<ObjectId> {
        self.toc.entries[id as usize - 1].object
    }

    fn last(&mut self) -> &mut TocEntry {
        self.toc.entries.last_mut().unwrap()
    }
}
