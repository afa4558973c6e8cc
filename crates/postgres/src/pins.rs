//! The settings that every session pins, so that what it reads is the same on
//! every server, and nothing ends it but us.

use dbhaul_catalog::quote_literal;

/// What a session is for; decides which settings are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionRole {
    /// It reads: catalogs, rows, digests.
    Reader,
    /// It changes: DDL and rows. Commits do not wait for the disk
    /// (`synchronous_commit off`): a lost tail is loaded again, since the ledger
    /// is lost with it.
    Loader,
}

/// Pinned in every session. Beyond what pg_dump's `setup_connection` sets: `jit`
/// only costs catalog queries, and the rest decides how literals and rows read.
const EVERY: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("extra_float_digits", "3"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("quote_all_identifiers", "off"),
    ("synchronize_seqscans", "off"),
    ("standard_conforming_strings", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("jit", "off"),
    ("search_path", ""),
];

/// Pinned in sessions that load.
const LOADING: &[(&str, &str)] = &[
    ("synchronous_commit", "off"),
    ("default_transaction_read_only", "off"),
    ("check_function_bodies", "off"),
    ("client_min_messages", "warning"),
    ("xmloption", "content"),
];

/// The settings to pin, as (name, value).
pub(crate) fn settings(role: SessionRole, extra: &[(String, String)]) -> Vec<(String, String)> {
    let loading = if role == SessionRole::Loader { LOADING } else { &[] };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    EVERY.iter().chain(loading).map(owned).chain(extra.iter().cloned()).collect()
}

/// One message that sets everything that the server knows. The client encoding
/// is UTF8, but SQL_ASCII where the server's is: there any other would have the
/// server check bytes that nobody ever checked.
pub(crate) fn pin_sql(pins: &[(String, String)]) -> String {
    format!(
        "SELECT s.name, pg_catalog.set_config(s.name, p.value, false) \
         FROM (VALUES {values}) AS p(name, value) \
         JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name); \
         SELECT 'client_encoding', pg_catalog.set_config('client_encoding', {encoding}, false)",
        values = values(pins),
        encoding = CLIENT_ENCODING,
    )
}

const CLIENT_ENCODING: &str = "CASE pg_catalog.current_setting('server_encoding') \
     WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END";

/// One query, for another transaction than [`pin_sql`]'s, that reads every pin
/// back: rows of (name, wanted, found).
pub(crate) fn verify_sql(pins: &[(String, String)]) -> String {
    format!(
        "SELECT s.name, p.value, s.setting FROM (VALUES {values}) AS p(name, value) \
         JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name) \
         UNION ALL SELECT 'client_encoding', {encoding}, pg_catalog.current_setting('client_encoding')",
        values = values(pins),
        encoding = CLIENT_ENCODING,
    )
}

fn values(pins: &[(String, String)]) -> String {
    let row =
        |(name, value): &(String, String)| format!("({}, {})", quote_literal(name), quote_literal(value));
    pins.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Whether a setting reads as it was pinned. `DateStyle` keeps the order of day
/// and month beside its style; memory and time read in the server's base units,
/// so a value with a unit counts as kept.
pub(crate) fn is_kept(name: &str, wanted: &str, found: &str) -> bool {
    if name.eq_ignore_ascii_case("DateStyle") {
        let style = |text: &str| text.split(',').next().unwrap_or("").trim().to_ascii_lowercase();
        return style(wanted) == style(found);
    }
    if wanted.eq_ignore_ascii_case(found) {
        return true;
    }
    let has_unit = wanted.starts_with(|c: char| c.is_ascii_digit())
        && wanted.ends_with(|c: char| c.is_ascii_alphabetic());
    has_unit && found.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_means_the_same_value() {
        assert!(is_kept("DateStyle", "ISO", "ISO, DMY"));
        assert!(!is_kept("DateStyle", "ISO", "German, DMY"));
        assert!(is_kept("maintenance_work_mem", "64MB", "65536"));
        assert!(is_kept("TimeZone", "UTC", "UTC"));
        assert!(!is_kept("statement_timeout", "0", "5000"));
        assert!(!is_kept("search_path", "", "public"));
    }

    #[test]
    fn loaders_pin_more_than_readers() {
        let names = |role| settings(role, &[]).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(names(SessionRole::Loader).contains(&"synchronous_commit".to_owned()));
        assert!(!names(SessionRole::Reader).contains(&"synchronous_commit".to_owned()));
    }
}
