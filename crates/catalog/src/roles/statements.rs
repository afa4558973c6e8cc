//! Roles as statements.

use super::{Membership, Password, Role};
use crate::setting::setting_value;
use crate::{Secret, ServerVersion, quote_identifier, quote_literal};

/// The statements that create one role. They are separate so that what one
/// server or provider refuses does not take the rest with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleStatements {
    /// `CREATE ROLE` with every attribute that differs from the default: some
    /// providers refuse a statement that only names `NOSUPERUSER`.
    pub create: String,
    /// The same without attributes that not every role may give.
    pub create_plain: String,
    /// Those attributes, each as word and statement.
    pub privileged: Vec<(&'static str, String)>,
    /// `ALTER ROLE ... PASSWORD` with the hash.
    pub password: Option<Secret>,
    /// `COMMENT ON ROLE`, `SECURITY LABEL`.
    pub annotations: Vec<String>,
    /// `ALTER ROLE ... SET`; to be run when all roles exist, because a setting may name one.
    pub settings: Vec<String>,
}

impl Role {
    /// The statements that create it.
    pub fn statements(&self) -> RoleStatements {
        let name = quote_identifier(&self.name);
        let plain = self.plain_attributes();
        let privileged = self.privileged_attributes();
        let all: Vec<&str> = privileged.iter().copied().chain(plain.iter().map(String::as_str)).collect();
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let alter = |word: &&'static str| (*word, format!("ALTER ROLE {name} {word}"));
        let mut annotations = Vec::new();
        if let Some(comment) = &self.comment {
            annotations.push(format!("COMMENT ON ROLE {name} IS {}", quote_literal(comment)));
        }
        annotations.extend(self.security_labels.iter().map(|(provider, label)| {
            let (provider, label) = (quote_identifier(provider), quote_literal(label));
            format!("SECURITY LABEL FOR {provider} ON ROLE {name} IS {label}")
        }));
        RoleStatements {
            create: create(&name, &all),
            create_plain: create(&name, &plain),
            privileged: privileged.iter().map(alter).collect(),
            password: self.password_statement(&name),
            annotations,
            settings: self.settings.iter().map(|setting| set(&name, setting)).collect(),
        }
    }

    /// Attributes that only some may give, where they differ from the default.
    pub(super) fn privileged_attributes(&self) -> Vec<&'static str> {
        let attributes = [
            (self.superuser, "SUPERUSER"),
            (self.create_role, "CREATEROLE"),
            (self.create_db, "CREATEDB"),
            (self.replication, "REPLICATION"),
            (self.bypass_rls, "BYPASSRLS"),
        ];
        attributes.into_iter().filter(|(given, _)| *given).map(|(_, word)| word).collect()
    }

    /// Attributes that whoever creates a role may give, where they differ from the default.
    pub(super) fn plain_attributes(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.login {
            words.push("LOGIN".to_owned());
        }
        if !self.inherit {
            words.push("NOINHERIT".to_owned());
        }
        if self.connection_limit != -1 {
            words.push(format!("CONNECTION LIMIT {}", self.connection_limit));
        }
        if let Some(time) = &self.valid_until {
            words.push(format!("VALID UNTIL {}", quote_literal(time)));
        }
        words
    }

    fn password_statement(&self, name: &str) -> Option<Secret> {
        match &self.password {
            Password::Hash(hash) => {
                Some(Secret::new(format!("ALTER ROLE {name} PASSWORD {}", quote_literal(hash.reveal()))))
            }
            Password::None | Password::Unknown => None,
        }
    }
}

fn create(name: &str, attributes: &[&str]) -> String {
    let mut sql = format!("CREATE ROLE {name}");
    for attribute in attributes {
        sql.push(' ');
        sql.push_str(attribute);
    }
    sql
}

fn set(name: &str, setting: &str) -> String {
    let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
    format!("ALTER ROLE {name} SET {} TO {}", quote_identifier(key), setting_value(key, value))
}

/// `GRANT role TO member` as a target takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantStatement {
    /// The statement, without the grantor.
    pub sql: String,
    /// ` GRANTED BY ...`, where it was another than the bootstrap superuser.
    pub granted_by: Option<String>,
    /// What the target's version cannot say.
    pub losses: Vec<&'static str>,
}

impl Membership {
    /// The statement for a target. Before 16 there is no more than `ADMIN OPTION`
    /// (PostgreSQL src/bin/pg_dump/pg_dumpall.c, dumpRoleMembership). `inherits`
    /// says whether the member has `INHERIT`, which decides there.
    pub fn statement(&self, target: ServerVersion, inherits: bool) -> GrantStatement {
        let mut sql = format!("GRANT {} TO {}", quote_identifier(&self.role), quote_identifier(&self.member));
        let mut losses = Vec::new();
        let mut granted_by = None;
        if target.major() >= 16 {
            let mut with = Vec::new();
            if self.admin {
                with.push("ADMIN TRUE".to_owned());
            }
            if let Some(options) = self.options {
                let word = |value: bool| if value { "TRUE" } else { "FALSE" };
                with.push(format!("INHERIT {}, SET {}", word(options.inherit), word(options.set)));
            }
            if !with.is_empty() {
                sql.push_str(&format!(" WITH {}", with.join(", ")));
            }
            granted_by =
                self.grantor.as_deref().map(|name| format!(" GRANTED BY {}", quote_identifier(name)));
        } else {
            if self.admin {
                sql.push_str(" WITH ADMIN OPTION");
            }
            losses.extend(self.options.filter(|options| !options.set).map(|_| "SET FALSE"));
            losses.extend(
                self.options
                    .filter(|options| options.inherit != inherits)
                    .map(|options| if options.inherit { "INHERIT TRUE" } else { "INHERIT FALSE" }),
            );
        }
        GrantStatement { sql, granted_by, losses }
    }
}

#[cfg(test)]
mod tests {
    use crate::roles::sample::{membership, role};
    use crate::roles::{Membership, MembershipOptions, Password, Role};
    use crate::{Secret, ServerVersion};

    fn check(role: Role, expected: &str) {
        let statements = role.statements();
        let mut sql = vec![statements.create.clone()];
        if statements.create != statements.create_plain {
            sql.push(format!("or {}", statements.create_plain));
            sql.extend(statements.privileged.into_iter().map(|(_, statement)| statement));
        }
        sql.extend(statements.password.map(|secret| secret.reveal().to_owned()));
        sql.extend(statements.annotations);
        sql.extend(statements.settings);
        assert_eq!(sql.join(";\n"), expected);
    }

    #[test]
    fn only_what_differs_from_the_default_is_said() {
        check(role("app"), "CREATE ROLE app");
        check(
            Role {
                inherit: false,
                login: true,
                connection_limit: 7,
                valid_until: Some("2030-01-01 00:00:00+00".to_owned()),
                ..role("Web \"User\"")
            },
            "CREATE ROLE \"Web \"\"User\"\"\" LOGIN NOINHERIT CONNECTION LIMIT 7 \
             VALID UNTIL '2030-01-01 00:00:00+00'",
        );
    }

    #[test]
    fn what_may_be_refused_stands_alone() {
        check(
            Role { superuser: true, replication: true, login: true, ..role("dba") },
            "CREATE ROLE dba SUPERUSER REPLICATION LOGIN;\nor CREATE ROLE dba LOGIN;\n\
             ALTER ROLE dba SUPERUSER;\nALTER ROLE dba REPLICATION",
        );
        check(
            Role {
                password: Password::Hash(Secret::new("SCRAM-SHA-256$4096:x'y")),
                comment: Some("it's".to_owned()),
                security_labels: vec![("p".to_owned(), "l".to_owned())],
                settings: vec!["search_path=a, \"B\"".to_owned(), "work_mem=4MB".to_owned()],
                ..role("app")
            },
            "CREATE ROLE app;\nALTER ROLE app PASSWORD 'SCRAM-SHA-256$4096:x''y';\n\
             COMMENT ON ROLE app IS 'it''s';\nSECURITY LABEL FOR p ON ROLE app IS 'l';\n\
             ALTER ROLE app SET search_path TO 'a', 'B';\nALTER ROLE app SET work_mem TO '4MB'",
        );
    }

    fn check_grant(membership: Membership, major: u32, inherits: bool, expected: &str, losses: &[&str]) {
        let statement = membership.statement(ServerVersion::of_major(major), inherits);
        assert_eq!(statement.sql + &statement.granted_by.unwrap_or_default(), expected);
        assert_eq!(statement.losses, losses);
    }

    #[test]
    fn memberships_of_each_version() {
        let options = |inherit, set| Some(MembershipOptions { inherit, set });
        let full = Membership {
            admin: true,
            grantor: Some("Boss".to_owned()),
            options: options(false, false),
            ..membership("r", "m")
        };
        check_grant(
            full.clone(),
            16,
            true,
            "GRANT r TO m WITH ADMIN TRUE, INHERIT FALSE, SET FALSE GRANTED BY \"Boss\"",
            &[],
        );
        check_grant(full, 15, true, "GRANT r TO m WITH ADMIN OPTION", &["SET FALSE", "INHERIT FALSE"]);
        let old = Membership { options: None, ..membership("r", "m") };
        check_grant(old.clone(), 18, true, "GRANT r TO m", &[]);
        check_grant(Membership { admin: true, ..old }, 18, true, "GRANT r TO m WITH ADMIN TRUE", &[]);
        check_grant(membership("r", "m"), 15, false, "GRANT r TO m", &["INHERIT TRUE"]);
    }
}
