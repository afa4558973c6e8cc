//! Statements as text that `psql` runs, and those that make a database.

mod listing;
mod text;

pub use listing::{ListedEntry, listed_entry};
pub use text::{
    connect_command, copy_header, failing_statement, render_drops, render_entry, render_preamble,
    render_statement, title,
};

use crate::acl::grant::{GrantObject, grant_statements};
use crate::acl::privilege::{Grantable, default_acl};
use crate::render::Target;
use crate::setting::setting_value;
use crate::{Database, quote_identifier, quote_literal};

/// The statements that make a database like this one, to be run in another
/// database: `CREATE DATABASE`, owner, settings, privileges and comment.
///
/// The collation version is not carried: the new server's library decides it.
pub fn database_create(database: &Database, target: &Target) -> Vec<String> {
    database_statements(database, target).into_iter().map(|statement| statement.sql).collect()
}

/// One of the statements that make a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStatement {
    /// The statement.
    pub sql: String,
    /// Which properties are given by it, by their paths in a comparison of databases; none for the one that creates.
    pub properties: Vec<String>,
}

/// As [`database_create`], each with what it is about.
pub fn database_statements(database: &Database, target: &Target) -> Vec<DatabaseStatement> {
    let name = quote_identifier(&database.name);
    let address = format!("DATABASE {name}");
    let mut statements =
        vec![DatabaseStatement { sql: create_statement(database, &name, target), properties: Vec::new() }];
    let mut add = |sql: String, properties: &[&str]| {
        let properties = properties.iter().map(|&property| property.to_owned()).collect();
        statements.push(DatabaseStatement { sql, properties });
    };
    // privileges are given by the owner
    add(format!("ALTER {address} OWNER TO {}", quote_identifier(&database.owner)), &["owner", "acl"]);
    if let Some(comment) = &database.comment {
        add(format!("COMMENT ON {address} IS {}", quote_literal(comment)), &["comment"]);
    }
    for (provider, label) in &database.security_labels {
        let (provider, label) = (quote_identifier(provider), quote_literal(label));
        add(format!("SECURITY LABEL FOR {provider} ON {address} IS {label}"), &["security_labels"]);
    }
    if let Some(acl) = &database.acl {
        let on = GrantObject {
            kind: Grantable::Database,
            name: &name,
            column: None,
            owner: &database.owner,
            target: target.version,
        };
        let default = default_acl(Grantable::Database, &database.owner, target.version);
        grant_statements(&on, acl, &default).into_iter().for_each(|grant| add(grant, &["acl"]));
    }
    if database.connection_limit != -1 {
        let sql = format!("ALTER {address} CONNECTION LIMIT = {}", database.connection_limit);
        add(sql, &["connection_limit"]);
    }
    if database.is_template {
        add(format!("ALTER {address} IS_TEMPLATE = true"), &["is_template"]);
    }
    for (role, setting) in &database.settings {
        let (key, _) = named_setting(role.as_deref(), setting);
        add(setting_statement(&name, role, setting), &[&format!("settings.{key}")]);
    }
    statements
}

/// A setting's name, behind the role's where it is one role's, and its value.
pub(crate) fn named_setting<'a>(role: Option<&str>, setting: &'a str) -> (String, &'a str) {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    match role {
        None => (name.to_owned(), value),
        Some(role) => (format!("{name} of role {}", quote_identifier(role)), value),
    }
}

fn create_statement(database: &Database, name: &str, target: &Target) -> String {
    let mut sql = format!(
        "CREATE DATABASE {name} WITH TEMPLATE = template0 ENCODING = {}",
        quote_literal(&database.encoding)
    );
    if target.version.major() >= 15 {
        sql.push_str(&format!(" LOCALE_PROVIDER = {}", database.locale_provider_sql()));
    }
    if database.collate == database.ctype {
        sql.push_str(&format!(" LOCALE = {}", quote_literal(&database.collate)));
    } else {
        let (collate, ctype) = (quote_literal(&database.collate), quote_literal(&database.ctype));
        sql.push_str(&format!(" LC_COLLATE = {collate} LC_CTYPE = {ctype}"));
    }
    if let Some(locale) = &database.locale {
        let word = if database.locale_provider == "builtin" { "BUILTIN_LOCALE" } else { "ICU_LOCALE" };
        sql.push_str(&format!(" {word} = {}", quote_literal(locale)));
    }
    if let Some(rules) = &database.icu_rules {
        sql.push_str(&format!(" ICU_RULES = {}", quote_literal(rules)));
    }
    if let Some(tablespace) = &database.tablespace {
        sql.push_str(&format!(" TABLESPACE = {}", quote_identifier(tablespace)));
    }
    sql
}

fn setting_statement(database: &str, role: &Option<String>, setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    let set = format!("SET {} TO {}", quote_identifier(name), setting_value(name, value));
    match role {
        Some(role) => format!("ALTER ROLE {} IN DATABASE {database} {set}", quote_identifier(role)),
        None => format!("ALTER DATABASE {database} {set}"),
    }
}

#[cfg(test)]
mod tests {
    use super::create_statement;
    use crate::{Database, ServerVersion, Target};

    /// A catalog out of a store may be a forger's.
    #[test]
    fn a_locale_provider_brings_no_other_options_along() {
        let create = |provider: &str| {
            let database = Database { locale_provider: provider.to_owned(), ..Database::default() };
            create_statement(&database, "shop", &Target { version: ServerVersion::of_major(18) })
        };
        assert!(create("icu").contains(" LOCALE_PROVIDER = icu "));
        assert!(create("libc IS_TEMPLATE = true").contains(" LOCALE_PROVIDER = 'libc IS_TEMPLATE = true' "));
    }
}
