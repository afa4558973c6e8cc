//! Whether a server can give a database its locale.
//!
//! `CREATE DATABASE` cannot be rolled back, so what it would refuse is found out otherwise: the locale of a
//! session's amounts of money goes through the same look at the system (PostgreSQL
//! src/backend/utils/adt/pg_locale.c, `check_locale`), and a collation of the same locale is made in a
//! transaction that is rolled back.

use dbhaul_catalog::{Database, ServerVersion, quote_literal};
use dbhaul_postgres::{Error, Probe, Session};

use crate::PipelineError;

/// SQLSTATEs that speak of the locale, not of what the role may do: no such value, no such provider, not on
/// this system, not of this provider.
const OF_THE_LOCALE: [&str; 4] = ["22023", "42P17", "0A000", "42809"];

/// Why a database with this locale cannot be created, if so.
///
/// # Errors
/// If the server cannot be asked.
pub(crate) async fn locale_blocker(
    session: &Session,
    database: &Database,
) -> Result<Option<PipelineError>, Error> {
    if let Some(problem) = too_new(session.version(), database) {
        return Ok(Some(blocker(problem)));
    }
    for (name, locale) in [("LC_COLLATE", &database.collate), ("LC_CTYPE", &database.ctype)] {
        let sql = format!("SELECT pg_catalog.set_config('lc_monetary', {}, true)", quote_literal(locale));
        if is_refused(session, &sql).await?.is_some() {
            return Ok(Some(blocker(format!(
                "{name} {locale:?}, the source's, is no locale that the target's system knows"
            ))));
        }
    }
    // a collation is made for the encoding of the database that one is connected to
    if session.server_encoding() != database.encoding {
        return Ok(None);
    }
    for collation in collations(database) {
        let sql = format!("CREATE COLLATION pg_temp.dbhaul_probe ({collation})");
        if let Some(message) = is_refused(session, &sql).await? {
            return Ok(Some(blocker(format!("the target has no such locale as the source's: {message}"))));
        }
    }
    Ok(None)
}

async fn is_refused(session: &Session, sql: &str) -> Result<Option<String>, Error> {
    let refusal = Probe::new(session).refusal(sql).await?;
    let of_the_locale = refusal.filter(|refusal| OF_THE_LOCALE.contains(&refusal.sqlstate.as_str()));
    Ok(of_the_locale.map(|refusal| refusal.message))
}

/// What `CREATE DATABASE` of older servers has no words for.
fn too_new(target: ServerVersion, database: &Database) -> Option<String> {
    let (provider, locale) = (&database.locale_provider, database.locale.as_deref());
    let (needed, more) = match (provider.as_str(), &database.icu_rules) {
        ("builtin", _) if locale == Some("PG_UNICODE_FAST") => (18, " with locale PG_UNICODE_FAST"),
        ("builtin", _) => (17, ""),
        (_, Some(_)) => (16, " with rules of its own"),
        ("icu", None) => (15, ""),
        _ => return None,
    };
    (target.major() < needed).then(|| {
        format!("the source's locale provider is {provider}{more}, which PostgreSQL {needed} and newer have")
    })
}

/// The collations that the database's own is made of.
fn collations(database: &Database) -> Vec<String> {
    let (collate, ctype) = (quote_literal(&database.collate), quote_literal(&database.ctype));
    let mut collations = vec![format!("provider = libc, lc_collate = {collate}, lc_ctype = {ctype}")];
    if let Some(locale) = &database.locale {
        let mut own =
            format!("provider = {}, locale = {}", database.locale_provider_sql(), quote_literal(locale));
        if let Some(rules) = &database.icu_rules {
            own.push_str(&format!(", rules = {}", quote_literal(rules)));
        }
        collations.push(own);
    }
    collations
}

fn blocker(problem: String) -> PipelineError {
    PipelineError::Request {
        problem: format!("the database cannot be created: {problem}"),
        help:
            "install that locale there, or create the database with another one, connect to it and leave out \
               --create: text may sort otherwise then"
                .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{Database, ServerVersion};

    use super::too_new;

    #[test]
    fn older_servers_have_fewer_providers() {
        let check = |provider: &str, locale: &str, rules: Option<&str>, first: u32| {
            let database = Database {
                locale_provider: provider.to_owned(),
                locale: Some(locale.to_owned()),
                icu_rules: rules.map(str::to_owned),
                ..Database::default()
            };
            for major in 13..=18 {
                let told = too_new(ServerVersion(major * 10_000), &database);
                assert_eq!(told.is_some(), major < first, "{provider} on {major}: {told:?}");
            }
        };
        check("libc", "C", None, 13);
        check("icu", "und", None, 15);
        check("icu", "und", Some("&b < a"), 16);
        check("builtin", "C.UTF-8", None, 17);
        check("builtin", "PG_UNICODE_FAST", None, 18);
    }
}
