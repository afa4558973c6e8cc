//! The columns that every kind's query begins with.

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Class, Object, ObjectId, SharedText, parse_acl};
use serde::Deserialize;

use crate::Error;

/// Which rows of `pg_namespace`, called `n`, are the user's.
pub(crate) const USER_SCHEMA: &str = "(n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')";

/// The first OID of objects that were not made by `initdb`
/// (PostgreSQL src/include/access/transam.h, FirstNormalObjectId).
pub(crate) const FIRST_USER_OID: u32 = 16_384;

/// What identifies an object and belongs to every kind: columns `oid`, `name`
/// and, where the kind has them, `schema`, `owner` and `acl`.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    oid: u32,
    #[serde(default)]
    pub(crate) schema: Option<SharedText>,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) owner: Option<SharedText>,
    #[serde(default)]
    acl: Option<Vec<String>>,
}

impl Header {
    /// The object, with what other readers add left empty.
    pub(crate) fn object(self, what: &'static str, class: Class, body: Body) -> Result<Object, Error> {
        let acl = self.acl.as_deref().map(parse_acl).transpose();
        Ok(Object {
            id: ObjectId::new(class, self.oid),
            schema: self.schema,
            name: self.name,
            owner: self.owner,
            acl: acl.map_err(|source| Error::Acl { what, source })?,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body,
        })
    }

    /// An error that says that `value` of this object is not understood.
    pub(crate) fn unexpected(&self, what: &'static str, value: impl ToString) -> Error {
        let object = match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        };
        Error::Unexpected { what, object, value: value.to_string() }
    }
}

/// `name=value` as arrays of options and settings hold it, in two.
pub(crate) fn split_option(option: &str) -> (String, String) {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    (name.to_owned(), value.to_owned())
}
