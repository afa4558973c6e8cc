//! What two roles of one name differ in.

use std::collections::{BTreeMap, BTreeSet};

use super::{Password, Role};

impl Role {
    /// What a role of the same name on another server has otherwise, in words.
    /// Hashes of passwords are salted, so two of them are not compared; that
    /// there is none is said.
    pub fn differences(&self, there: &Role) -> Vec<String> {
        let mut found = Vec::new();
        for (wanted, has, word) in [
            (self.superuser, there.superuser, "SUPERUSER"),
            (self.inherit, there.inherit, "INHERIT"),
            (self.create_role, there.create_role, "CREATEROLE"),
            (self.create_db, there.create_db, "CREATEDB"),
            (self.login, there.login, "LOGIN"),
            (self.replication, there.replication, "REPLICATION"),
            (self.bypass_rls, there.bypass_rls, "BYPASSRLS"),
        ] {
            if wanted != has {
                let (wanted, has) = if wanted { ("", "NO") } else { ("NO", "") };
                found.push(format!("{has}{word} instead of {wanted}{word}"));
            }
        }
        if self.connection_limit != there.connection_limit {
            let (wanted, has) = (self.connection_limit, there.connection_limit);
            found.push(format!("CONNECTION LIMIT {has} instead of {wanted}"));
        }
        if self.valid_until != there.valid_until {
            let text = |time: &Option<String>| time.clone().unwrap_or_else(|| "for ever".to_owned());
            let (wanted, has) = (text(&self.valid_until), text(&there.valid_until));
            found.push(format!("VALID UNTIL {has} instead of {wanted}"));
        }
        let has_password = matches!(self.password, Password::Hash(_));
        if has_password && there.password == Password::None {
            found.push("no password".to_owned());
        }
        found.extend(other_settings(&self.settings, &there.settings));
        if self.comment != there.comment {
            found.push("another comment".to_owned());
        }
        if self.security_labels != there.security_labels {
            found.push("other security labels".to_owned());
        }
        found
    }
}

/// Which settings differ. Their values are not shown: an application's may be a secret.
fn other_settings(wanted: &[String], there: &[String]) -> Vec<String> {
    let by_name = |settings: &[String]| -> BTreeMap<String, String> {
        let named = settings.iter().map(|setting| setting.split_once('=').unwrap_or((setting, "")));
        named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (wanted, there) = (by_name(wanted), by_name(there));
    let names: BTreeSet<&String> = wanted.keys().chain(there.keys()).collect();
    let differences = names.into_iter().filter_map(|name| match (wanted.get(name), there.get(name)) {
        (Some(_), None) => Some(format!("no setting {name}")),
        (None, Some(_)) => Some(format!("a setting {name} of its own")),
        (one, two) if one != two => Some(format!("another value of setting {name}")),
        _ => None,
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use crate::Secret;
    use crate::roles::sample::role;
    use crate::roles::{Password, Role};

    fn check(wanted: Role, there: Role, expected: &[&str]) {
        assert_eq!(wanted.differences(&there), expected);
    }

    #[test]
    fn differences() {
        check(role("a"), role("a"), &[]);
        let settings = |settings: &[&str]| settings.iter().map(|&setting| setting.to_owned()).collect();
        check(
            Role { login: true, settings: settings(&["a=1", "b=2", "d=4"]), ..role("a") },
            Role {
                create_db: true,
                connection_limit: 3,
                valid_until: Some("infinity".to_owned()),
                settings: settings(&["b=2", "c=3", "d=5"]),
                comment: Some("x".to_owned()),
                ..role("a")
            },
            &[
                "CREATEDB instead of NOCREATEDB",
                "NOLOGIN instead of LOGIN",
                "CONNECTION LIMIT 3 instead of -1",
                "VALID UNTIL infinity instead of for ever",
                "no setting a",
                "a setting c of its own",
                "another value of setting d",
                "another comment",
            ],
        );
    }

    #[test]
    fn hashes_are_not_compared_and_never_shown() {
        let with = |hash: &str| Role { password: Password::Hash(Secret::new(hash)), ..role("a") };
        check(with("md5one"), with("md5two"), &[]);
        check(with("md5one"), role("a"), &["no password"]);
        assert!(!format!("{:?}", with("md5one")).contains("md5one"));
    }
}
