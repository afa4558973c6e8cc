//! Statements as text that `psql` runs, and those that make a database.

use crate::acl::grant::{GrantObject, grant_statements};
use crate::acl::privilege::{Grantable, default_acl};
use crate::render::Target;
use crate::setting::setting_value;
use crate::{Database, Toc, TocEntry, quote_identifier, quote_literal};

/// Settings that the script of a TOC begins with: those that decide what its
/// statements mean and what must not end them.
const PREAMBLE: &str = "\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
";

/// The whole TOC as a script for `psql`; entries that hold rows are left out.
pub fn render_sql(toc: &Toc) -> String {
    let mut script = format!("{PREAMBLE}\n");
    for entry in &toc.entries {
        script.push_str(&render_entry(entry));
    }
    script
}

/// One entry as a script: a comment that names it and its statements. Empty for
/// an entry without statements.
pub fn render_entry(entry: &TocEntry) -> String {
    let statements: Vec<&String> = entry.create.iter().chain(&entry.set_owner).collect();
    if statements.is_empty() {
        return String::new();
    }
    let schema = entry.schema.as_deref().unwrap_or("-");
    let owner = entry.owner.as_deref().unwrap_or("-");
    let header = format!("Name: {}; Type: {}; Schema: {schema}; Owner: {owner}", entry.name, entry.kind);
    // A name may hold a line break; a comment may not.
    let mut script = format!("--\n-- {}\n--\n\n", header.replace(['\n', '\r'], " "));
    for statement in statements {
        script.push_str(statement);
        script.push_str(";\n\n");
    }
    script
}

/// The statements that make a database like this one, to be run in another
/// database: `CREATE DATABASE`, owner, settings, privileges and comment.
///
/// The collation version is not carried: the new server's library decides it.
pub fn database_create(database: &Database, target: &Target) -> Vec<String> {
    let name = quote_identifier(&database.name);
    let address = format!("DATABASE {name}");
    let mut statements = vec![create_statement(database, &name, target)];
    statements.push(format!("ALTER {address} OWNER TO {}", quote_identifier(&database.owner)));
    if let Some(comment) = &database.comment {
        statements.push(format!("COMMENT ON {address} IS {}", quote_literal(comment)));
    }
    for (provider, label) in &database.security_labels {
        let (provider, label) = (quote_identifier(provider), quote_literal(label));
        statements.push(format!("SECURITY LABEL FOR {provider} ON {address} IS {label}"));
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
        statements.extend(grant_statements(&on, acl, &default));
    }
    if database.connection_limit != -1 {
        statements.push(format!("ALTER {address} CONNECTION LIMIT = {}", database.connection_limit));
    }
    if database.is_template {
        statements.push(format!("ALTER {address} IS_TEMPLATE = true"));
    }
    statements
        .extend(database.settings.iter().map(|(role, setting)| setting_statement(&name, role, setting)));
    statements
}

fn create_statement(database: &Database, name: &str, target: &Target) -> String {
    let mut sql = format!(
        "CREATE DATABASE {name} WITH TEMPLATE = template0 ENCODING = {}",
        quote_literal(&database.encoding)
    );
    if target.version.major() >= 15 {
        sql.push_str(&format!(" LOCALE_PROVIDER = {}", database.locale_provider));
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
