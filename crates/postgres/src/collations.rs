//! Versions of the libraries that sort text.

use std::fmt::{self, Display, Formatter};

use serde::Deserialize;

use crate::error::Result;
use crate::probe::Probe;
use dbhaul_catalog::quote_literal;

/// A collation and the versions of the library that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CollationVersion {
    /// `libc` or `icu`.
    pub provider: String,
    /// The library's name of it: `de_DE.UTF-8`, `en-US`.
    pub locale: String,
    /// The version that was noted when it, or the database whose default it is, was made.
    pub recorded: Option<String>,
    /// The version that the server has.
    pub actual: Option<String>,
}

impl CollationVersion {
    /// Whether the same library knows both by the same name.
    pub fn is_same_collation(&self, other: &CollationVersion) -> bool {
        (&self.provider, &self.locale) == (&other.provider, &other.locale)
    }
}

impl Display for CollationVersion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "collation {} ({})", self.locale, self.provider)
    }
}

impl Probe<'_> {
    /// The database's default collation and those that its objects name, as far as they have versions:
    /// `C` and those that PostgreSQL brings itself have none.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn collations_in_use(&self) -> Result<Vec<CollationVersion>> {
        let used = "EXISTS (SELECT FROM pg_catalog.pg_depend d \
                    WHERE d.refclassid = 'pg_catalog.pg_collation'::pg_catalog.regclass AND d.refobjid = c.oid)";
        self.collations(used).await
    }

    /// Those of the given collations that this server has too, with its versions.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn collation_versions(&self, wanted: &[CollationVersion]) -> Result<Vec<CollationVersion>> {
        let locale = locale(self.session().version().major());
        let names: Vec<String> = wanted.iter().map(|collation| quote_literal(&collation.locale)).collect();
        let known = if names.is_empty() {
            "false".to_owned()
        } else {
            format!("COALESCE({locale}, c.collcollate) IN ({})", names.join(", "))
        };
        self.collations(&known).await
    }

    async fn collations(&self, condition: &str) -> Result<Vec<CollationVersion>> {
        let major = self.session().version().major();
        let locale = locale(major);
        let default = default_sql(major);
        let sql = format!(
            "SELECT CASE provider WHEN 'i' THEN 'icu' ELSE 'libc' END AS provider, locale, \
                 pg_catalog.max(recorded) AS recorded, pg_catalog.max(actual) AS actual FROM ( \
             {default} \
             UNION ALL SELECT c.collprovider::pg_catalog.text, COALESCE({locale}, c.collcollate)::pg_catalog.text, \
                 c.collversion, pg_catalog.pg_collation_actual_version(c.oid) \
             FROM pg_catalog.pg_collation c WHERE c.collprovider IN ('c', 'i') AND {condition}) v \
             WHERE recorded IS NOT NULL OR actual IS NOT NULL GROUP BY provider, locale ORDER BY 1, 2"
        );
        self.session().query_json(&sql).await
    }
}

/// The column with ICU's name of a collation; 17 gave it a name for all providers.
fn locale(major: u32) -> &'static str {
    match major {
        ..15 => "NULL::pg_catalog.text",
        15 | 16 => "c.colliculocale",
        17.. => "c.colllocale",
    }
}

/// The database's default. Before 15 it is libc's, has no recorded version, and the library is asked
/// through any collation of the same name.
fn default_sql(major: u32) -> String {
    let (provider, locale, recorded, actual) = match major {
        ..15 => (
            "'c'",
            "d.datcollate::pg_catalog.text",
            "NULL::pg_catalog.text",
            "(SELECT pg_catalog.pg_collation_actual_version(c.oid) FROM pg_catalog.pg_collation c \
              WHERE c.collprovider = 'c' AND c.collcollate = d.datcollate LIMIT 1)",
        ),
        15 | 16 => (
            "d.datlocprovider::pg_catalog.text",
            "COALESCE(d.daticulocale, d.datcollate)",
            "d.datcollversion",
            "pg_catalog.pg_database_collation_actual_version(d.oid)",
        ),
        17.. => (
            "d.datlocprovider::pg_catalog.text",
            "COALESCE(d.datlocale, d.datcollate)",
            "d.datcollversion",
            "pg_catalog.pg_database_collation_actual_version(d.oid)",
        ),
    };
    format!(
        "SELECT {provider} AS provider, {locale} AS locale, {recorded} AS recorded, {actual} AS actual \
         FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database() AND {provider} IN ('c', 'i')"
    )
}
