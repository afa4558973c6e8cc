//! Access privileges: the model of `aclitem[]`.

use serde::{Deserialize, Serialize};

/// One grantee's privileges by one grantor, as in one `aclitem`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AclItem {
    /// The role that holds them; `None` is `PUBLIC`.
    pub grantee: Option<String>,
    /// The role that granted them.
    pub grantor: String,
    /// Privilege letters of `aclitem` output, each followed by `*` where it may
    /// be granted on: `arwd*`.
    pub privileges: String,
}

/// The privileges of an object, in catalog order.
pub type Acl = Vec<AclItem>;
