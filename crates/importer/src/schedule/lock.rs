//! Which steps must not run side by side because of the tables they lock.

use dbhaul_catalog::ObjectId;

/// How a step locks a table. The conflicts are those of PostgreSQL's table-level locks
/// ("Explicit Locking" in its documentation), reduced to what an import does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// `ROW SHARE`: the table that a foreign key under validation refers to.
    Reference,
    /// `ROW EXCLUSIVE`: COPY.
    Write,
    /// `SHARE`: CREATE INDEX; many of them go together.
    Index,
    /// `SHARE UPDATE EXCLUSIVE`: ANALYZE, CREATE STATISTICS.
    Maintain,
    /// `SHARE ROW EXCLUSIVE` or more: ALTER TABLE, CREATE TRIGGER, foreign keys on both sides.
    Exclusive,
}

impl LockMode {
    /// Whether two steps that lock the same table in these modes would wait for each other.
    pub fn conflicts_with(self, other: LockMode) -> bool {
        use LockMode::{Exclusive, Index, Maintain, Reference, Write};
        match (self, other) {
            (Exclusive, _) | (_, Exclusive) => true,
            (Reference, _) | (_, Reference) => false,
            (Write, Index) | (Index, Write) => true,
            (Maintain, Index) | (Index, Maintain) | (Maintain, Maintain) => true,
            (Write, Write | Maintain) | (Maintain, Write) | (Index, Index) => false,
        }
    }
}

/// A table and how a step locks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    /// The table's address in the source catalog.
    pub table: ObjectId,
    /// How.
    pub mode: LockMode,
}

impl Lock {
    /// Whether holding one keeps the other waiting.
    pub fn conflicts_with(&self, other: &Lock) -> bool {
        self.table == other.table && self.mode.conflicts_with(other.mode)
    }
}
