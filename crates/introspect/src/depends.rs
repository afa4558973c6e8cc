//! Which object needs which, from `pg_depend`.
//!
//! PostgreSQL records dependencies between rows of its catalogs, many of which
//! are no objects of the model: a default, a row type, a view's rule, a member
//! of an operator family. Such a *part* is lifted to the object it belongs to,
//! which is what it depends on internally (`i`) or automatically (`a`).

use std::collections::{HashMap, HashSet};

use dbhaul_catalog::{Class, Dependency, EXTENSION_OF_SERVER, Object, ObjectId, SharedText};
use serde::Deserialize;

use crate::Error;
use crate::header::FIRST_USER_OID;
use crate::kinds::operator_family::added_to_extensions;
use crate::reader::Reader;

/// One row of `pg_depend`, columns left out. There may be millions.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Row {
    c: u32,
    o: u32,
    rc: u32,
    ro: u32,
    t: char,
}

/// How many parts of parts are followed.
const MAX_DEPTH: usize = 16;

/// Everything that `pg_depend` says, with the objects found so far.
pub(crate) struct Dependencies {
    /// Sorted, so that those of one dependent stand together; without members of extensions.
    rows: Vec<Row>,
    objects: HashSet<ObjectId>,
    /// Members of extensions, whether or not they are objects of the model.
    members: HashMap<ObjectId, u32>,
}

impl Dependencies {
    /// Reads all; no objects are known yet.
    pub(crate) async fn read(reader: &Reader<'_>) -> Result<Self, Error> {
        let sql = format!(
            "SELECT DISTINCT classid::int8 AS c, objid::int8 AS o, refclassid::int8 AS rc,
                    refobjid::int8 AS ro, deptype::text AS t
             FROM pg_catalog.pg_depend WHERE deptype <> 'p'
             UNION ALL {} UNION ALL {}
             UNION ALL SELECT a.class::int8, a.member::int8, a.first_class::int8, a.first_member::int8, 'i'
             FROM ({}) a",
            added_to_families("pg_amop", "amopfamily"),
            added_to_families("pg_amproc", "amprocfamily"),
            added_to_extensions()
        );
        let mut rows: Vec<Row> = Vec::new();
        let mut members = HashMap::new();
        let take = |row: Row| match row.t {
            'e' => drop(members.insert(address(row.c, row.o), row.ro)),
            _ => rows.push(row),
        };
        reader.query_each("dependencies", &sql, take).await?;
        rows.sort_unstable();
        Ok(Dependencies { rows, objects: HashSet::new(), members })
    }

    /// With the objects that were found.
    pub(crate) fn among(self, objects: &[Object]) -> Self {
        Dependencies { objects: objects.iter().map(|object| object.id).collect(), ..self }
    }

    /// The edges between objects, each once.
    pub(crate) fn edges(&self) -> Vec<Dependency> {
        let mut edges = Vec::new();
        for row in &self.rows {
            let referenced = self.lift(address(row.rc, row.ro));
            let dependent = referenced.and_then(|_| self.lift(address(row.c, row.o)));
            if let (Some(dependent), Some(referenced)) = (dependent, referenced)
                && dependent != referenced
            {
                edges.push(Dependency { dependent, referenced, deptype: row.t });
            }
        }
        edges.sort_unstable();
        edges.dedup();
        edges.shrink_to_fit();
        edges
    }

    /// The rows of one dependent.
    fn of(&self, id: ObjectId) -> &[Row] {
        let key = (id.class.0, id.oid);
        let start = self.rows.partition_point(|row| (row.c, row.o) < key);
        let rows = &self.rows[start..];
        &rows[..rows.partition_point(|row| (row.c, row.o) == key)]
    }

    /// The object that an address is, or is a part of.
    pub(crate) fn lift(&self, id: ObjectId) -> Option<ObjectId> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            if self.objects.contains(&id) {
                return Some(id);
            }
            id = self.whole(id)?;
        }
        None
    }

    /// What a part belongs to: by internal or partition dependency first, then automatic.
    fn whole(&self, id: ObjectId) -> Option<ObjectId> {
        let candidates = self.of(id).iter();
        let rank = |row: &&Row| match (row.t, Class(row.rc)) {
            // A partition's copy of a trigger or foreign key belongs to the parent's, not to the partition.
            ('i' | 'P', _) => 0,
            // A loose member of an operator family also depends on its operator this way.
            ('a', Class::PG_PUBLICATION | Class::PG_OPFAMILY) => 1,
            ('a', _) => 2,
            _ => 9,
        };
        let best = candidates.min_by_key(rank).filter(|row| rank(row) < 9)?;
        Some(address(best.rc, best.ro))
    }

    /// What an address depends on in one of these ways.
    pub(crate) fn wholes(&self, id: ObjectId, deptypes: &'static [char]) -> impl Iterator<Item = ObjectId> {
        let rows = self.of(id).iter();
        rows.filter(|row| deptypes.contains(&row.t)).map(|row| address(row.rc, row.ro))
    }

    /// Whether an object is in the model.
    pub(crate) fn has(&self, id: ObjectId) -> bool {
        self.objects.contains(&id)
    }

    /// The OID of the extension that an address is a member of.
    pub(crate) fn extension_of(&self, id: ObjectId) -> Option<u32> {
        self.members.get(&id).copied()
    }
}

/// That what a user has added to one of the server's own operator families is a loose member of that: on what
/// `initdb` made no dependency is recorded.
fn added_to_families(catalog: &str, family: &str) -> String {
    format!(
        "SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass::pg_catalog.oid::int8, m.oid::int8,
                'pg_catalog.pg_opfamily'::pg_catalog.regclass::pg_catalog.oid::int8, m.{family}::int8, 'a'
         FROM pg_catalog.{catalog} m
         WHERE m.oid >= {FIRST_USER_OID} AND m.{family} < {FIRST_USER_OID} AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             WHERE d.objid = m.oid AND d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
               AND d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass)"
    )
}

/// Marks members of extensions, and the parts of member tables that are objects
/// of the model: an index of an extension's table comes with the extension.
pub(crate) fn mark_members(objects: &mut [Object], dependencies: &Dependencies) {
    let names: HashMap<u32, SharedText> = objects
        .iter()
        .filter(|object| object.id.class == Class::PG_EXTENSION)
        .map(|object| (object.id.oid, SharedText::from(&object.name)))
        .collect();
    for object in objects {
        let own = dependencies.extension_of(object.id);
        let extension = own.or_else(|| extension_of_table(object, dependencies));
        let name = |oid| names.get(&oid).cloned().unwrap_or_else(|| EXTENSION_OF_SERVER.into());
        object.extension = extension.map(name);
    }
}

fn extension_of_table(object: &Object, dependencies: &Dependencies) -> Option<u32> {
    let part = matches!(
        object.id.class,
        Class::PG_CLASS | Class::PG_CONSTRAINT | Class::PG_TRIGGER | Class::PG_REWRITE | Class::PG_ATTRDEF
    );
    let mut id = object.id;
    for _ in 0..if part { MAX_DEPTH } else { 0 } {
        let whole = dependencies
            .wholes(id, &['i', 'a'])
            .find(|whole| matches!(whole.class, Class::PG_CLASS | Class::PG_CONSTRAINT) && *whole != id)?;
        if let Some(extension) = dependencies.extension_of(whole) {
            return Some(extension);
        }
        id = whole;
    }
    None
}

pub(crate) fn address(class: u32, oid: u32) -> ObjectId {
    ObjectId::new(Class(class), oid)
}
