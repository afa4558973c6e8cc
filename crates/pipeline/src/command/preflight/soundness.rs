//! Whether servers are what one may build on: releases with known faults, and libraries that sort text
//! otherwise than those of the other side.

use std::fmt;

use dbhaul_catalog::{Database, ServerVersion};
use dbhaul_postgres::{CollationVersion, Probe, Session};
use serde::Deserialize;

/// Releases of one major with a fault that matters to whoever moves its databases.
struct FaultyReleases {
    major: u32,
    /// The last minor that has it; all before have it too.
    last_minor: u32,
    fault: &'static str,
}

/// Faults that the release notes tell of.
const FAULTY: [FaultyReleases; 1] = [
    // PostgreSQL 14.4, release notes, first entry (https://www.postgresql.org/docs/14/release-14-4.html)
    FaultyReleases {
        major: 14,
        last_minor: 3,
        fault: "CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY may leave rows out of an index before 14.4: \
                unique indexes and foreign keys may not hold what they promise",
    },
];

/// What is known to be wrong with a release.
pub(super) fn faults(version: ServerVersion) -> impl Iterator<Item = String> {
    let has = move |releases: &&FaultyReleases| {
        releases.major == version.major() && version.minor() <= releases.last_minor
    };
    FAULTY.iter().filter(has).map(move |releases| format!("PostgreSQL {version}: {}", releases.fault))
}

/// The collations that a source uses and their versions.
pub(super) async fn of_source(session: &Session) -> Result<Vec<CollationVersion>, dbhaul_postgres::Error> {
    Probe::new(session).collations_in_use().await
}

/// Collations whose library at the source has another version than when they were recorded: its indexes
/// may be in the order of the former.
pub(super) fn stale(source: &[CollationVersion]) -> Vec<String> {
    let stale = source.iter().filter_map(|collation| {
        let CollationVersion { recorded: Some(recorded), actual: Some(actual), .. } = collation else {
            return None;
        };
        (recorded != actual).then(|| {
            format!(
                "{collation} was recorded with version {recorded} of its library, which now is {actual}: \
                 indexes, constraints and partitions there may be in the order of the former"
            )
        })
    });
    stale.collect()
}

/// Collations of the source that sort by another version of their library on the target.
pub(super) async fn changed(
    source: &[CollationVersion],
    target: &Session,
) -> Result<Vec<String>, dbhaul_postgres::Error> {
    let there = Probe::new(target).collation_versions(source).await?;
    let mut messages = Vec::new();
    for collation in source {
        let Some(from) = collation.recorded.as_ref().or(collation.actual.as_ref()) else { continue };
        let same = there.iter().find(|other| other.is_same_collation(collation));
        let Some(to) = same.and_then(|other| other.actual.as_ref()).filter(|to| *to != from) else {
            continue;
        };
        messages.push(format!(
            "{collation} has version {to} of its library, {from} on the source: text may sort otherwise; \
             indexes are built anew, but range partitions and check constraints that compare text may \
             refuse rows"
        ));
    }
    Ok(messages)
}

/// What is to be said where the target's database has another locale than the source's.
pub(super) async fn other_locale(
    source: &Database,
    target: &Session,
) -> Result<Option<String>, dbhaul_postgres::Error> {
    #[derive(Deserialize)]
    struct Row {
        found: serde_json::Value,
    }
    // the columns differ from major to major
    let sql = "SELECT pg_catalog.to_jsonb(d) AS found FROM pg_catalog.pg_database d \
               WHERE d.datname = pg_catalog.current_database()";
    let rows: Vec<Row> = target.query_json(sql).await?;
    let Some(Row { found }) = rows.first() else { return Ok(None) };
    let text = |name: &str| found.get(name).and_then(serde_json::Value::as_str);
    let provider = match text("datlocprovider") {
        Some("i") => "icu",
        Some("b") => "builtin",
        _ => "libc",
    };
    let there = Locale {
        provider,
        locale: text("datlocale").or_else(|| text("daticulocale")),
        collate: text("datcollate").unwrap_or_default(),
        ctype: text("datctype").unwrap_or_default(),
    };
    let here = Locale {
        provider: &source.locale_provider,
        locale: source.locale.as_deref(),
        collate: &source.collate,
        ctype: &source.ctype,
    };
    Ok((!there.is_same(&here)).then(|| {
        format!(
            "its locale is {there}, the source's is {here}: text may sort and compare otherwise, so that range \
             partitions and checks that compare text may refuse rows; a database with the source's is what --create \
             makes"
        )
    }))
}

/// The locale of a database.
struct Locale<'a> {
    provider: &'a str,
    locale: Option<&'a str>,
    collate: &'a str,
    ctype: &'a str,
}

impl Locale<'_> {
    fn is_same(&self, other: &Self) -> bool {
        // the C library reads "en_US.UTF-8" and "en_US.utf8" alike
        let plain = |name: &str| name.to_lowercase().replace('-', "");
        let names = |locale: &Self| (plain(locale.collate), plain(locale.ctype));
        (self.provider, self.locale) == (other.provider, other.locale) && names(self) == names(other)
    }
}

impl fmt::Display for Locale<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(locale) = self.locale {
            write!(f, "{locale} ({}) with ", self.provider)?;
        }
        write!(f, "LC_COLLATE {} and LC_CTYPE {}", self.collate, self.ctype)
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::ServerVersion;
    use dbhaul_postgres::CollationVersion;

    use super::{faults, stale};

    #[test]
    fn releases_with_known_faults_are_named() {
        for (number, count) in [(130_003, 0), (140_000, 1), (140_003, 1), (140_004, 0), (150_000, 0)] {
            assert_eq!(faults(ServerVersion(number)).count(), count, "{number}");
        }
    }

    #[test]
    fn a_collation_is_stale_where_its_library_has_changed() {
        let collation = |recorded: Option<&str>, actual: Option<&str>| CollationVersion {
            provider: "libc".to_owned(),
            locale: "de_DE".to_owned(),
            recorded: recorded.map(str::to_owned),
            actual: actual.map(str::to_owned),
        };
        for sound in [(None, None), (None, Some("2")), (Some("1"), None), (Some("1"), Some("1"))] {
            assert!(stale(&[collation(sound.0, sound.1)]).is_empty(), "{sound:?}");
        }
        let told = stale(&[collation(Some("1"), Some("2"))]);
        assert!(told[0].starts_with("collation de_DE (libc) was recorded with version 1"), "{told:?}");
    }
}
