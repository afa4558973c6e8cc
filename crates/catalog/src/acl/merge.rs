//! Items of one grantee and grantor, made one.

use crate::{Acl, AclItem};

/// The order in which `aclitemout` prints privileges
/// (PostgreSQL src/include/utils/acl.h, ACL_ALL_RIGHTS_STR).
const LETTERS: &str = "arwdDxtXUCTcsAm";

/// One item for each grantee and grantor.
pub(crate) fn merged(acl: &Acl) -> Acl {
    let mut items: Acl = Vec::with_capacity(acl.len());
    for item in acl {
        let is_same = |other: &&mut AclItem| other.grantee == item.grantee && other.grantor == item.grantor;
        match items.iter_mut().find(is_same) {
            Some(other) => other.privileges = united(&other.privileges, &item.privileges),
            None => items.push(item.clone()),
        }
    }
    items
}

/// What either of two lists of privilege letters has.
fn united(one: &str, two: &str) -> String {
    let mut letters = String::new();
    for letter in LETTERS.chars() {
        let place = |text: &str| text.find(letter).map(|at| text[at + letter.len_utf8()..].starts_with('*'));
        match (place(one), place(two)) {
            (None, None) => {}
            (first, second) => {
                letters.push(letter);
                if first == Some(true) || second == Some(true) {
                    letters.push('*');
                }
            }
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::united;

    #[test]
    fn letters_of_both() {
        assert_eq!(united("rw*", "ar*"), "ar*w*");
        assert_eq!(united("m", "D"), "Dm");
    }
}
