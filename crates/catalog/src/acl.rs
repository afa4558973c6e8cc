//! Access privileges: the model of `aclitem[]`.

pub(crate) mod grant;
pub(crate) mod merge;
pub(crate) mod privilege;
pub(crate) mod system;

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

/// Text that is not an `aclitem`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an access privilege: {item:?}")]
pub struct AclError {
    /// The text.
    pub item: String,
}

/// Reads `aclitem`s as `aclitemout` prints them: `grantee=privileges/grantor`,
/// an empty grantee for `PUBLIC`, a name in double quotes where it holds
/// anything but letters, digits and underscores.
///
/// ```
/// let acl = dbhaul_catalog::parse_acl(&["\"a \"\"b\"=r*w/postgres".to_owned()])?;
/// assert_eq!(acl[0].grantee.as_deref(), Some("a \"b"));
/// assert_eq!(acl[0].privileges, "r*w");
/// # Ok::<(), dbhaul_catalog::AclError>(())
/// ```
pub fn parse_acl(items: &[String]) -> Result<Acl, AclError> {
    items.iter().map(|item| parse_item(item).ok_or_else(|| AclError { item: item.clone() })).collect()
}

fn parse_item(item: &str) -> Option<AclItem> {
    let (grantee, rest) = parse_name(item)?;
    let (privileges, rest) = rest.strip_prefix('=')?.split_once('/')?;
    let (grantor, rest) = parse_name(rest)?;
    let valid = privileges.bytes().all(|b| b.is_ascii_alphabetic() || b == b'*');
    (valid && rest.is_empty()).then(|| AclItem {
        grantee: (!grantee.is_empty()).then_some(grantee),
        grantor,
        privileges: privileges.to_owned(),
    })
}

/// A role name at the front of `text`, unquoted, and what follows it.
fn parse_name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['=', '/']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let quote = rest.find('"')?;
        name.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AclItem, parse_acl};

    fn check(item: &str, expected: Option<(Option<&str>, &str, &str)>) {
        let parsed = parse_acl(&[item.to_owned()]).ok().and_then(|mut acl| acl.pop());
        let expected = expected.map(|(grantee, privileges, grantor)| AclItem {
            grantee: grantee.map(str::to_owned),
            grantor: grantor.to_owned(),
            privileges: privileges.to_owned(),
        });
        assert_eq!(parsed, expected, "{item}");
    }

    #[test]
    fn items() {
        check("=r/postgres", Some((None, "r", "postgres")));
        check("alice=arwd*/bob", Some((Some("alice"), "arwd*", "bob")));
        check("\"a=b/c\"=U/\"x\"\"y\"", Some((Some("a=b/c"), "U", "x\"y")));
        check("größe=U/p", Some((Some("größe"), "U", "p")));
        check("nonsense", None);
        check("\"open=r/p", None);
        check("a=r/p/q", None);
        check("a=r 1/p", None);
    }
}
