//! What a PostgreSQL database is made of; no I/O.
//!
//! A [`Catalog`] holds every [`Object`] of one database: its [`Identity`], owner,
//! privileges, comment, what it depends on, and a [`kinds::Body`] particular to its kind.
//! A [`Toc`] is the same catalog as [`TocEntry`]s in restorable order, each with
//! the statements that create it, each in a [`Section`].
//!
//! This crate does not know any SQL client. Catalogs are filled by a reader of
//! the system catalogs; statements are run by others.
//!
//! ```
//! use dbhaul_catalog::{QualifiedName, quote_identifier};
//!
//! assert_eq!(quote_identifier("Order"), "\"Order\"");
//! assert_eq!(QualifiedName::new("public", "film").sql(), "public.film");
//! ```

mod acl;
mod adapt;
mod catalog;
mod compare;
mod filter;
mod keywords;
/// The kinds of objects, one file each.
pub mod kinds;
mod members;
mod names;
mod object;
mod order;
mod range_key;
mod redact;
mod render;
mod requote;
mod restoring;
mod roles;
mod script;
mod secret;
mod select;
mod setting;
mod shared_text;
mod shown;
mod statement;
mod statistics_data;
mod toc;
mod version;

pub use acl::{Acl, AclError, AclItem, parse_acl};
pub use adapt::{
    Adaptation, InlineExpression, Loss, StorageParameter, TargetFacts, adapt, as_made, changes_up_to,
    doubtful_expressions, doubtful_parameters, set_apart, settings_of_functions,
};
pub use catalog::{
    Catalog, CatalogIndex, Database, Dependency, Given, InitialAcl, PartName, PartNotes, RelationSize,
    SystemPrivileges, TornFamily, Uncovered, UncoveredPlace,
};
pub use compare::{
    Aspects, CatalogDiff, Comparison, Decision, Difference, DomainBase, EXTENSION_OF_SERVER, FunctionPart,
    MemberDifferences, Printed, Severity, Signature, SystemDifferences, Unsettled, compare, compare_aspects,
    compare_databases, compare_members_of_extensions, compare_system_privileges, given_on_the_right,
    kept_maintain, lost_maintain, system_identity,
};
pub use filter::FilterError;
pub use names::{
    QualifiedName, for_terminal, in_lines, in_one_line, is_command, quote_identifier, quote_literal,
};
pub use object::{Class, Identity, Object, ObjectId};
pub use range_key::RangeKey;
pub use redact::without_values;
pub use render::{Draft, Part, Target};
pub use requote::{NEWEST_MAJOR, QUOTED_SINCE, quoted_for_newer, quoted_types_for_newer};
pub use restoring::{
    HypertableFeature, Hypertables, TIMESCALEDB, UntestedFeature, end_of_restore, rehearsed, replaced_rows,
};
pub use roles::{
    GrantStatement, Membership, MembershipOptions, Password, Role, RoleLoss, RoleMap, RoleMapError, RolePlan,
    RoleScope, RoleStatements, Roles,
};
pub use script::{
    DatabaseStatement, ListedEntry, connect_command, copy_header, database_create, database_statements,
    failing_statement, listed_entry, render_drops, render_entry, render_preamble, render_statement, title,
};
pub use secret::Secret;
pub use select::{Selection, SelectionError, Tablespaces, Taken, Unselected};
pub use shared_text::SharedText;
pub use shown::shown_value;
pub use statement::{
    StatementProblem, Token, TokenKind, check_bound, check_entry, check_single, drop_statements,
    forbidden_statement, tokens,
};
pub use statistics_data::{ColumnStatistics, RelationStatistics};
pub use toc::{
    Adoption, DataColumn, DataEntry, DropStatement, EntryKind, Section, TableData, Toc, TocEntry, TocError,
    TocOptions, UnknownKind,
};
pub use version::ServerVersion;
