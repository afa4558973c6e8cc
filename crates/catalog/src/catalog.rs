//! The whole of one database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::kinds::Body;
use crate::setting::role_in_setting;
use crate::{Acl, Object, ObjectId, QualifiedName, ServerVersion, Unselected};

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
    /// Comments, labels and privileges of parts that the body of their object
    /// has no place for.
    pub notes: Vec<PartNotes>,
    /// What members of extensions had when their extension was made or updated
    /// (`pg_init_privs`): privileges are carried where they differ from it.
    pub initial_acls: Vec<InitialAcl>,
    /// Objects of `pg_catalog` whose privileges were changed.
    pub system_privileges: Vec<SystemPrivileges>,
    /// Tables of extensions that a selection has left out, whose rows it takes all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<crate::kinds::ConfigurationTable>,
    /// Sizes of relations that hold rows, by `pg_class` OID. Never compared.
    pub relation_sizes: BTreeMap<u32, RelationSize>,
    /// Partitioned tables, by `pg_class` OID, that assign rows to partitions by a hash which another
    /// database does not share, such as that of an enum, whose labels it knows by its own OIDs. Never
    /// compared.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unstable_hashes: BTreeSet<u32>,
    /// Tables partitioned so of which a selection has left parts behind. Never compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub torn_families: Vec<TornFamily>,
    /// What TimescaleDB keeps; `None` where it is not installed. Never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypertables: Option<crate::Hypertables>,
    /// What objects need that a selection has left behind, as a person knows it, by the object that needs it.
    /// Never stored, never compared.
    #[serde(skip)]
    pub unselected: BTreeMap<ObjectId, Unselected>,
    /// Roles named anywhere in `objects` (owners, grantees, grantors, policies).
    pub role_names: Vec<String>,
    /// Objects of the user's that the model does not cover. A dump of a catalog in
    /// which this is not empty fails.
    pub uncovered: Vec<Uncovered>,
}

/// A table that assigns rows to partitions by a hash which another database does not share, and of which not
/// every partition is selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornFamily {
    /// The topmost partitioned table.
    pub root: crate::QualifiedName,
    /// Whether that is selected.
    pub has_root: bool,
    /// Tables below it, at any level, that are.
    pub kept: Vec<crate::QualifiedName>,
    /// Those that are not.
    pub left_out: Vec<crate::QualifiedName>,
}

/// An object that the model does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncovered {
    /// It, as `pg_describe_object` calls it.
    pub description: String,
    /// Where it is; `None` if that is not known, so that it may be part of anything.
    pub place: Option<UncoveredPlace>,
}

/// Where an object is that the model does not cover: what decides whether it is selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncoveredPlace {
    /// The schema that it lies in, if it lies in one.
    pub schema: Option<String>,
    /// Objects of the model that it is a part of, such as the table of a trigger.
    pub part_of: Vec<ObjectId>,
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
    /// What a new database has before anything is made in it.
    #[serde(default, skip_serializing_if = "Given::is_unknown")]
    pub given: Given,
}

impl Database {
    /// The locale provider as a statement has it. A catalog may come from a store, and say anything.
    pub fn locale_provider_sql(&self) -> String {
        match self.locale_provider.as_str() {
            known @ ("libc" | "icu" | "builtin") => known.to_owned(),
            other => crate::quote_literal(other),
        }
    }
}

/// What of that which every new database has is as `initdb` made it. Not compared itself: it says what a difference
/// means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Given {
    /// Whether schema `public` has the owner, privileges and comment that it was made with.
    pub public: bool,
    /// Whether extension plpgsql is the one that `initdb` made, which is no object of the catalog; `None` where that
    /// is not known, or where it is not selected.
    pub plpgsql: Option<bool>,
}

impl Given {
    fn is_unknown(&self) -> bool {
        *self == Given::default()
    }
}

impl Database {
    /// As comparisons and reports name it.
    pub fn identity(&self) -> crate::Identity {
        crate::Identity {
            kind: crate::EntryKind::Database,
            schema: None,
            name: self.name.clone(),
            discriminator: None,
        }
    }
}

/// What hangs on a part of an object that is no object of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartNotes {
    /// The object.
    pub object: ObjectId,
    /// The part.
    pub part: PartName,
    /// `COMMENT ON` text.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
    /// Tables without which there is no such part: of a partition's copy of a key or trigger the partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<QualifiedName>,
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartName {
    /// A constraint that comes with the table, such as a partition's copy of its parent's.
    TableConstraint(String),
    /// The rule that makes a view a view.
    Rule(String),
    /// Anything else, as `COMMENT ON` writes it: `TRIGGER t ON public.p`.
    Address(String),
}

/// Privileges that an extension's script gave.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InitialAcl {
    /// The member.
    pub object: ObjectId,
    /// Its column, if the privileges are a column's.
    pub column: Option<String>,
    /// What it had.
    pub acl: crate::Acl,
}

/// The privileges of an object that belongs to the server itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SystemPrivileges {
    /// Kind and name as `ALTER` would write them: `FUNCTION pg_catalog.pg_reload_conf()`.
    pub address: String,
    /// The column, if the privileges are a column's.
    pub column: Option<String>,
    /// The owner.
    pub owner: String,
    /// The owner after `initdb`, where it is another now. `pg_dump` leaves such a change behind.
    #[serde(default)]
    pub initial_owner: Option<String>,
    /// What it has; `None` for the kind's built-in default.
    pub acl: Option<crate::Acl>,
    /// What it had after `initdb`; `None` for the kind's built-in default.
    pub initial: Option<crate::Acl>,
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
    /// A catalog of nothing, as a server of this version would have it.
    pub fn empty(server_version: ServerVersion) -> Self {
        Catalog {
            server_version,
            database: Database::default(),
            objects: Vec::new(),
            dependencies: Vec::new(),
            notes: Vec::new(),
            initial_acls: Vec::new(),
            system_privileges: Vec::new(),
            configuration: Vec::new(),
            relation_sizes: BTreeMap::new(),
            unstable_hashes: BTreeSet::new(),
            torn_families: Vec::new(),
            hypertables: None,
            unselected: BTreeMap::new(),
            role_names: Vec::new(),
            uncovered: Vec::new(),
        }
    }

    /// Fills [`role_names`](Catalog::role_names) from everything that names roles.
    pub fn gather_role_names(&mut self) {
        self.role_names = role_names(&self.database, &self.objects);
    }

    /// Objects whose definitions the role that read the catalog was not allowed
    /// to see, each with what is missing. They are made without it or not at
    /// all, so whoever carries the catalog on must report them.
    pub fn unreadable(&self) -> Vec<(crate::Identity, &'static str)> {
        let missing = |object: &Object| match &object.body {
            Body::Subscription(subscription) if subscription.definition.is_none() => {
                Some("only a superuser may read the definition of a subscription, so it is not copied")
            }
            Body::UserMapping(mapping) if mapping.options.is_none() => {
                Some("its options may not be read, so it is copied without them")
            }
            _ => None,
        };
        let members = self.objects.iter().filter(|object| object.extension.is_none());
        members.filter_map(|object| Some((object.identity(), missing(object)?))).collect()
    }

    /// The object at an address, by a search from the front; a [`CatalogIndex`]
    /// answers many such questions faster.
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }
}

/// Finds objects of one catalog by address.
#[derive(Debug, Clone)]
pub struct CatalogIndex {
    places: HashMap<ObjectId, usize>,
}

impl CatalogIndex {
    /// Indexes a catalog as it is now.
    pub fn new(catalog: &Catalog) -> Self {
        let places = catalog.objects.iter().enumerate().map(|(place, object)| (object.id, place)).collect();
        CatalogIndex { places }
    }

    /// Where in [`Catalog::objects`] the object stands.
    pub fn place(&self, id: ObjectId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// The object at an address in the catalog that was indexed.
    pub fn object<'a>(&self, catalog: &'a Catalog, id: ObjectId) -> Option<&'a Object> {
        self.place(id).and_then(|place| catalog.objects.get(place))
    }
}

/// Every role that the catalog's statements name.
fn role_names(database: &Database, objects: &[Object]) -> Vec<String> {
    let mut names = BTreeSet::from([database.owner.clone()]);
    names.extend(database.settings.iter().filter_map(|(role, _)| role.clone()));
    let named = database.settings.iter().filter_map(|(_, setting)| role_in_setting(setting));
    names.extend(named.map(str::to_owned));
    database.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
    for object in objects {
        names.extend(object.owner.as_ref().map(String::from));
        object.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
        for column in object.body.column_annotations() {
            column.acl.iter().for_each(|acl| add_grantees(acl, &mut names));
        }
        match &object.body {
            Body::Policy(policy) => {
                names.extend(policy.roles.iter().filter(|role| *role != "public").cloned())
            }
            Body::DefaultAcl(default) => {
                names.insert(default.role.clone());
                add_grantees(&default.revoked, &mut names);
                add_grantees(&default.granted, &mut names);
            }
            Body::UserMapping(mapping) => names.extend(mapping.user.clone()),
            Body::Function(function) => names.extend(function.roles_set().map(str::to_owned)),
            _ => {}
        }
    }
    names.into_iter().collect()
}

fn add_grantees(acl: &Acl, names: &mut BTreeSet<String>) {
    for item in acl {
        names.extend(item.grantee.clone());
        names.insert(item.grantor.clone());
    }
}
