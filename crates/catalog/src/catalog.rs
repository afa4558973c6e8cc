//! The whole of one database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Object, ObjectId, ServerVersion};

/// Everything a database is made of, read under one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// The server's version.
    pub server_version: ServerVersion,
    /// The database itself.
    pub database: Database,
    /// Every object of the user's, and members of extensions that carry
    /// something of the user's.
    pub objects: Vec<Object>,
    /// What needs what: edges of `pg_depend` between objects in `objects`,
    /// already lifted from columns, types of tables, and other parts to the
    /// object that creates them.
    pub dependencies: Vec<Dependency>,
    /// Sizes of relations that hold rows, by `pg_class` OID. Never compared.
    pub relation_sizes: BTreeMap<u32, RelationSize>,
    /// Roles named anywhere in `objects` (owners, grantees, grantors, policies).
    pub role_names: Vec<String>,
    /// Objects of the user's that the model does not cover, described by
    /// `pg_describe_object`. A dump of a catalog in which this is not empty fails.
    pub uncovered: Vec<String>,
}

/// The properties of a database that `CREATE DATABASE` and `ALTER DATABASE` set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Database {
    /// `datname`.
    pub name: String,
    /// The owner.
    pub owner: String,
    /// The server encoding's name, such as `UTF8`.
    pub encoding: String,
    /// `datcollate`.
    pub collate: String,
    /// `datctype`.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// `datlocale` (`daticulocale` before 17).
    pub locale: Option<String>,
    /// `daticurules`.
    pub icu_rules: Option<String>,
    /// `datcollversion`.
    pub collation_version: Option<String>,
    /// Default tablespace, if not `pg_default`.
    pub tablespace: Option<String>,
    /// `datconnlimit`, -1 for none.
    pub connection_limit: i32,
    /// `datistemplate`.
    pub is_template: bool,
    /// Privileges.
    pub acl: Option<crate::Acl>,
    /// Comment.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
    /// `ALTER DATABASE ... SET` and `ALTER ROLE ... IN DATABASE ... SET`: role
    /// (`None` for all), `name=value` as in `pg_db_role_setting`.
    pub settings: Vec<(Option<String>, String)>,
}

/// `dependent` cannot be created before `referenced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// The object that needs the other.
    pub dependent: ObjectId,
    /// The object that is needed.
    pub referenced: ObjectId,
    /// `deptype` of `pg_depend`: `n`, `a`, `i`, `P`, `S`; `x` and `e` are not kept.
    pub deptype: char,
}

/// How large a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RelationSize {
    /// Pages of the heap, of 8 KiB: the real size, not the planner's estimate.
    pub heap_pages: u64,
    /// Bytes of its TOAST table.
    pub toast_bytes: u64,
    /// `reltuples`; negative when never analyzed.
    pub estimated_row_count: f64,
}

impl Catalog {
    /// The object at an address.
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }
}
