//! What can go wrong while a catalog is read.

/// Why a catalog could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A catalog query failed; `what` says what was being read.
    #[error("cannot read {what} from the system catalogs")]
    Query {
        /// What was being read, in the plural: `functions`.
        what: &'static str,
        /// The server's or the connection's answer.
        source: dbhaul_postgres::Error,
    },
    /// The catalogs hold something this version cannot interpret.
    #[error("cannot interpret {what} of {object}: {value}")]
    Unexpected {
        /// What could not be interpreted: `a column's storage`.
        what: &'static str,
        /// The object it belongs to.
        object: String,
        /// The value found.
        value: String,
    },
    /// An `aclitem` that does not parse.
    #[error("cannot interpret the privileges of {what}")]
    Acl {
        /// What was being read.
        what: &'static str,
        /// The item.
        source: dbhaul_catalog::AclError,
    },
}
