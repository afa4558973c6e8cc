//! The settings that every session pins, so that what it reads is the same on
//! every server, and nothing ends it but us.

use std::collections::BTreeMap;

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
    // what is tried and refused is no reason to end
    ("exit_on_error", "off"),
    ("search_path", ""),
];

/// Pinned in sessions that read. Whoever owns a database may have set anything for it: what the first of
/// these holds back has the server run functions of constraints to plan a query, and the second is about
/// views that take the place of tables between a look at these and their reading.
const READING: &[(&str, &str)] =
    &[("constraint_exclusion", "partition"), ("restrict_nonsystem_relation_kind", "view")];

/// Pinned in sessions that load.
const LOADING: &[(&str, &str)] = &[
    ("synchronous_commit", "off"),
    ("default_transaction_read_only", "off"),
    ("check_function_bodies", "off"),
    // Statements name tablespace and access method wherever they are not these.
    ("default_tablespace", ""),
    ("default_table_access_method", "heap"),
    ("client_min_messages", "warning"),
    ("xmloption", "content"),
];

/// The pinned settings that shape the text of values, by name.
pub fn text_settings() -> BTreeMap<String, String> {
    const SHAPING: &[&str] = &[
        "extra_float_digits",
        "DateStyle",
        "IntervalStyle",
        "TimeZone",
        "bytea_output",
        "lc_monetary",
        "xmloption",
    ];
    let pins = EVERY.iter().chain(LOADING).filter(|(name, _)| SHAPING.contains(name));
    pins.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The settings to pin, as (name, value).
pub(crate) fn settings(role: SessionRole, extra: &[(String, String)]) -> Vec<(String, String)> {
    let own = if role == SessionRole::Loader { LOADING } else { READING };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let is_usual = |(name, _): &&(&str, &str)| !extra.iter().any(|(other, _)| other == name);
    EVERY.iter().chain(own).filter(is_usual).map(owned).chain(extra.iter().cloned()).collect()
}

/// What the first message of every session begins with. A session starts with the search path that the
/// database's owner chose, which may put operators and functions of the owner's before the server's own;
/// whatever finds one of these runs it as the role that we are. `SET` looks nothing up, the rest of its
/// message is analyzed after it has run, and where it fails, nothing of the rest is run at all.
pub(crate) const EMPTY_PATH: &str = "SET search_path = ''";

/// Whether two names of settings are the same. Qualified: what goes with a session's first message is run
/// also where that one has failed.
const SAME_SETTING: &str = "pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(p.name)";

/// [`pin_sql`] as a session's first message: behind an empty search path, with limits on time lifted as early
/// as may be.
pub(crate) fn first_sql(pins: &[(String, String)]) -> String {
    format!("{EMPTY_PATH}; SET statement_timeout = 0; SET lock_timeout = 0; {}", pin_sql(pins))
}

/// One message that sets everything that the server knows. The client encoding is UTF8, but SQL_ASCII where
/// the server's is: there any other would have the server check bytes that nobody ever checked.
pub(crate) fn pin_sql(pins: &[(String, String)]) -> String {
    format!(
        "SELECT s.name, pg_catalog.set_config(s.name, p.value, false) \
         FROM (VALUES {values}) AS p(name, value) \
         JOIN pg_catalog.pg_settings AS s ON {SAME_SETTING}; \
         SELECT 'client_encoding', pg_catalog.set_config('client_encoding', {encoding}, false)",
        values = values(pins),
        encoding = CLIENT_ENCODING,
    )
}

const CLIENT_ENCODING: &str = "CASE WHEN pg_catalog.current_setting('server_encoding') \
     OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END";

/// One query, for another transaction than [`pin_sql`]'s, that reads every pin
/// back: rows of (name, wanted, raw, shown). It sets no search path, whose pin it looks at too.
pub(crate) fn verify_sql(pins: &[(String, String)]) -> String {
    format!(
        "SELECT s.name, p.value, s.setting, pg_catalog.current_setting(s.name) FROM (VALUES {values}) AS p(name, value) \
         JOIN pg_catalog.pg_settings AS s ON {SAME_SETTING} \
         UNION ALL SELECT 'client_encoding', {encoding}, e, e \
         FROM pg_catalog.current_setting('client_encoding') AS e",
        values = values(pins),
        encoding = CLIENT_ENCODING,
    )
}

fn values(pins: &[(String, String)]) -> String {
    let row =
        |(name, value): &(String, String)| format!("({}, {})", quote_literal(name), quote_literal(value));
    pins.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Whether a setting reads as it was pinned, either raw (in the server's base
/// unit) or as `SHOW` shows it. `DateStyle` keeps the order of day and month
/// beside its style.
pub(crate) fn is_kept(name: &str, wanted: &str, raw: &str, shown: &str) -> bool {
    if name.eq_ignore_ascii_case("DateStyle") {
        let style = |text: &str| text.split(',').next().unwrap_or("").trim().to_ascii_lowercase();
        return style(wanted) == style(raw);
    }
    wanted.eq_ignore_ascii_case(raw)
        || wanted.eq_ignore_ascii_case(shown)
        || quantity(wanted).is_some_and(|wanted| Some(wanted) == quantity(shown))
}

/// A value with a unit of memory or time, as bytes or microseconds.
fn quantity(text: &str) -> Option<(bool, i64)> {
    const MEMORY: &[(&str, i64)] =
        &[("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];
    const TIME: &[(&str, i64)] = &[
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("min", 60_000_000),
        ("h", 3_600_000_000),
        ("d", 86_400_000_000),
    ];
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = (text[..unit_at].parse::<i64>().ok()?, text[unit_at..].trim());
    let factor =
        |units: &[(&str, i64)]| units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (is_memory, factor) = match factor(MEMORY) {
        Some(factor) => (true, factor),
        None => (false, factor(TIME)?),
    };
    Some((is_memory, number.checked_mul(factor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_means_the_same_value() {
        assert!(is_kept("DateStyle", "ISO", "ISO, DMY", "ISO, DMY"));
        assert!(!is_kept("DateStyle", "ISO", "German, DMY", "German, DMY"));
        assert!(is_kept("maintenance_work_mem", "1024MB", "1048576", "1GB"));
        assert!(is_kept("maintenance_work_mem", "65536", "65536", "64MB"));
        assert!(!is_kept("maintenance_work_mem", "64MB", "131072", "128MB"));
        assert!(!is_kept("maintenance_work_mem", "64MB", "64000", "64s"));
        assert!(is_kept("statement_timeout", "60s", "60000", "1min"));
        assert!(is_kept("TimeZone", "UTC", "UTC", "UTC"));
        assert!(!is_kept("statement_timeout", "0", "5000", "5s"));
        assert!(!is_kept("search_path", "", "public", "public"));
    }

    #[test]
    fn loaders_pin_more_than_readers() {
        let names = |role| settings(role, &[]).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(names(SessionRole::Loader).contains(&"synchronous_commit".to_owned()));
        assert!(!names(SessionRole::Reader).contains(&"synchronous_commit".to_owned()));
    }
}
