//! Reads a live server's system catalogs into the catalog model.
//!
//! [`read_catalog`] fills a [`Catalog`](dbhaul_catalog::Catalog) over one session, under whatever
//! snapshot the session's transaction holds. Each kind of object has a *reader*,
//! one file with one set-based query gated by the server's version; nothing is
//! queried per object, and readers ask together what does not depend on each
//! other's answers, so a database of a hundred thousand tables costs as many
//! round trips as an empty one: two.
//!
//! What belongs to no kind in particular is read beside them for all at
//! once: dependencies, *lifted* from columns, row types, rules and other parts
//! to the object whose statement creates the part; comments; security labels;
//! membership in extensions; sizes. The *guard* walks the system
//! catalogs for objects of the user's that no reader has found, and names them
//! in [`Catalog::uncovered`](dbhaul_catalog::Catalog::uncovered), so that an
//! unknown kind is never lost in silence.
//!
//! This crate writes nothing and knows nothing of statements that create objects.
//!
//! ```no_run
//! # async fn example(session: &dbhaul_postgres::Session) -> Result<(), dbhaul_introspect::Error> {
//! let catalog = dbhaul_introspect::read_catalog(session).await?;
//! assert!(catalog.uncovered.is_empty(), "not carried: {:?}", catalog.uncovered);
//! # Ok(())
//! # }
//! ```

mod annotations;
mod database;
mod depends;
mod error;
mod guard;
mod header;
mod hypertables;
mod kinds;
mod partitioning;
mod plan_code;
mod privileges;
mod range_keys;
mod read;
mod reader;
mod roles;
mod sizes;
mod statistics_data;

pub use error::Error;
pub use kinds::sequence::{SequenceValue, sequence_values};
pub use plan_code::{PlanCode, plan_code};
pub use range_keys::range_keys;
pub use read::read_catalog;
pub use roles::read_roles;
pub use statistics_data::{StatisticsPlan, read_statistics};
