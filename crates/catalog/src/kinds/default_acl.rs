//! Default privileges.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Acl, AclItem, Object, quote_identifier};

/// What a role's new objects of one type grant, in one schema (the object's
/// schema) or everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAcl {
    /// Whose new objects.
    pub role: String,
    /// The type of objects.
    pub object_type: DefaultAclType,
    /// What the built-in default grants and new objects do not have. Always empty
    /// for default privileges limited to a schema, which only add.
    pub revoked: Acl,
    /// What new objects have beyond the built-in default.
    pub granted: Acl,
}

/// `defaclobjtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultAclType {
    /// `r`
    Tables,
    /// `S`
    Sequences,
    /// `f`
    Functions,
    /// `T`
    Types,
    /// `n`
    Schemas,
    /// `L`
    LargeObjects,
}

impl DefaultAclType {
    /// As it stands after `ON`.
    pub fn keyword(self) -> &'static str {
        match self {
            DefaultAclType::Tables => "TABLES",
            DefaultAclType::Sequences => "SEQUENCES",
            DefaultAclType::Functions => "FUNCTIONS",
            DefaultAclType::Types => "TYPES",
            DefaultAclType::Schemas => "SCHEMAS",
            DefaultAclType::LargeObjects => "LARGE OBJECTS",
        }
    }

    /// Letter and keyword of each privilege that objects of the type have.
    fn privileges(self, target: &Target) -> impl Iterator<Item = (char, &'static str)> {
        let has_maintain = target.version.major() >= 17;
        self.all_privileges().iter().copied().filter(move |(letter, _)| *letter != 'm' || has_maintain)
    }

    /// Those that `ALL` stands for on the newest server.
    fn all_privileges(self) -> &'static [(char, &'static str)] {
        match self {
            DefaultAclType::Tables => &[
                ('r', "SELECT"),
                ('a', "INSERT"),
                ('x', "REFERENCES"),
                ('d', "DELETE"),
                ('t', "TRIGGER"),
                ('D', "TRUNCATE"),
                ('w', "UPDATE"),
                ('m', "MAINTAIN"),
            ],
            DefaultAclType::Sequences => &[('r', "SELECT"), ('U', "USAGE"), ('w', "UPDATE")],
            DefaultAclType::Functions => &[('X', "EXECUTE")],
            DefaultAclType::Types => &[('U', "USAGE")],
            DefaultAclType::Schemas => &[('C', "CREATE"), ('U', "USAGE")],
            DefaultAclType::LargeObjects => &[('r', "SELECT"), ('w', "UPDATE")],
        }
    }
}

impl DefaultAcl {
    fn prefix(&self, schema: Option<&str>) -> String {
        let schema = schema.map_or(String::new(), |name| format!("IN SCHEMA {} ", quote_identifier(name)));
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} {schema}", quote_identifier(&self.role))
    }

    /// Takes away what the default grants and this does not
    /// (PostgreSQL src/bin/pg_dump/dumputils.c, buildACLCommands).
    fn revoke(&self, item: &AclItem, prefix: &str, target: &Target) -> Option<String> {
        let privileges = self.privileges(item, None, target)?;
        Some(format!("{prefix}REVOKE {privileges} ON {} FROM {}", self.object_type.keyword(), grantee(item)))
    }

    /// Grants those privileges of `item` that may, or may not, be granted on.
    fn grant(&self, item: &AclItem, with_option: bool, prefix: &str, target: &Target) -> Option<String> {
        let privileges = self.privileges(item, Some(with_option), target)?;
        let option = if with_option { " WITH GRANT OPTION" } else { "" };
        Some(format!("{prefix}GRANT {privileges} ON {} TO {}{option}", self.object_type.keyword(), grantee(item)))
    }

    /// Leads back to the built-in default, so that what is made next has nothing else. `pg_dump`
    /// has no such statement, and what its `--clean` makes again is granted to more than it was.
    fn undo(&self, prefix: &str, target: &Target) -> Option<DropStatement> {
        let granted = self.granted.iter().filter_map(|item| self.revoke(item, prefix, target));
        let revoked = self.revoked.iter().filter_map(|item| self.grant(item, false, prefix, target));
        let statements: Vec<String> = granted.chain(revoked).collect();
        let (command, object) = statements.join("; ").strip_prefix(prefix).map(|rest| (prefix.trim_end(), rest.to_owned()))?;
        Some(DropStatement { command: command.to_owned(), object })
    }

    /// The privileges of an item as a list, `ALL` where it has every one.
    fn privileges(&self, item: &AclItem, with_option: Option<bool>, target: &Target) -> Option<String> {
        let held: Vec<char> = letters(&item.privileges)
            .filter(|(_, option)| with_option.is_none_or(|wanted| wanted == *option))
            .map(|(letter, _)| letter)
            .collect();
        let known = self.object_type.privileges(target);
        let names: Vec<&str> =
            known.filter(|(letter, _)| held.contains(letter)).map(|(_, name)| name).collect();
        match names.len() {
            0 => None,
            // an older server's script may be run by a newer one, where ALL would be more
            count if count == self.object_type.all_privileges().len() => Some("ALL".to_owned()),
            _ => Some(names.join(",")),
        }
    }
}

/// Privilege letters, each with whether `*` follows.
fn letters(privileges: &str) -> impl Iterator<Item = (char, bool)> {
    let following = privileges.chars().skip(1).chain(std::iter::once(' '));
    privileges.chars().zip(following).filter(|(letter, _)| *letter != '*').map(|(letter, next)| (letter, next == '*'))
}

fn grantee(item: &AclItem) -> String {
    item.grantee.as_deref().map_or("PUBLIC".to_owned(), quote_identifier)
}

impl Render for DefaultAcl {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let prefix = self.prefix(object.schema.as_deref());
        let revoked = self.revoked.iter();
        let mut create: Vec<String> = revoked.filter_map(|item| self.revoke(item, &prefix, target)).collect();
        create.extend(self.granted.iter().flat_map(|item| {
            [false, true].into_iter().filter_map(|option| self.grant(item, option, &prefix, target))
        }));
        let drop = self.undo(&prefix, target);
        vec![Draft { create, drop, ..Draft::new(Section::PostData, EntryKind::DefaultAcl, "") }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(format!("FOR ROLE {}", quote_identifier(&self.role)))
    }
}

#[cfg(test)]
mod tests {
    use super::{DefaultAcl, DefaultAclType};
    use crate::kinds::{Body, sample};
    use crate::{Acl, AclItem};

    fn acl(items: &[(Option<&str>, &str)]) -> Acl {
        items
            .iter()
            .map(|&(grantee, privileges)| AclItem {
                grantee: grantee.map(str::to_owned),
                grantor: "o".to_owned(),
                privileges: privileges.to_owned(),
            })
            .collect()
    }

    #[track_caller]
    fn check(schema: bool, object_type: DefaultAclType, revoked: Acl, granted: Acl, expected: &str) {
        let body = DefaultAcl { role: "o".to_owned(), object_type, revoked, granted };
        sample::check(schema, Body::from(body), expected);
    }

    #[test]
    fn revoked_before_granted() {
        check(
            false,
            DefaultAclType::Functions,
            acl(&[(None, "X")]),
            acl(&[(Some("Reader"), "X*")]),
            "ALTER DEFAULT PRIVILEGES FOR ROLE o REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT ALL ON FUNCTIONS TO \"Reader\" WITH GRANT OPTION;\n",
        );
    }

    /// What was all on a server before 17 is not all on a later one.
    #[test]
    fn all_is_all_that_the_target_knows() {
        check(
            false,
            DefaultAclType::Tables,
            Vec::new(),
            acl(&[(Some("x"), "arwdDxtm"), (Some("y"), "rw*"), (Some("z"), "arwdDxt")]),
            "ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT ALL ON TABLES TO x;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT ON TABLES TO y;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT UPDATE ON TABLES TO y WITH GRANT OPTION;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE \
             ON TABLES TO z;\n",
        );
    }

    #[test]
    fn limited_to_a_schema() {
        check(
            true,
            DefaultAclType::Types,
            Vec::new(),
            acl(&[(None, "U")]),
            "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT ALL ON TYPES TO PUBLIC;\n",
        );
    }

    #[test]
    fn undone() {
        let undone = |schema: Option<&str>, revoked: Acl, granted: Acl| {
            let object_type = DefaultAclType::Functions;
            let body = Body::from(DefaultAcl { role: "o".to_owned(), object_type, revoked, granted });
            let object = sample::object(schema, "n", body);
            let target = crate::Target { version: crate::ServerVersion::of_major(18) };
            object.body.render(&object, &target).remove(0).drop.map(|drop| drop.sql(true))
        };
        let everywhere = undone(None, acl(&[(None, "X")]), acl(&[(Some("r"), "X*")]));
        assert_eq!(
            everywhere.as_deref(),
            Some(
                "ALTER DEFAULT PRIVILEGES FOR ROLE o REVOKE ALL ON FUNCTIONS FROM r; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT ALL ON FUNCTIONS TO PUBLIC"
            )
        );
        let in_schema = undone(Some("s"), Acl::new(), acl(&[(None, "X")]));
        let expected = "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s REVOKE ALL ON FUNCTIONS FROM PUBLIC";
        assert_eq!(in_schema.as_deref(), Some(expected));
        assert_eq!(undone(None, Acl::new(), Acl::new()), None);
    }
}
