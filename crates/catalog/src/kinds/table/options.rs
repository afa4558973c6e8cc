//! Options as `WITH (...)`, `SET (...)` and `OPTIONS (...)` write them.

use serde::{Deserialize, Deserializer};

use crate::{quote_identifier, quote_literal};

/// How the names of attribute options begin that a server keeps for itself. Releases of November 2026 have
/// one on every column, with a value that no other table has; `pg_dump` of these releases passes it over.
const SERVERS_OWN: &str = "pg_attver";

/// The `name=value` texts of `pg_attribute.attoptions` that a user has set.
pub fn column_options(mut options: Vec<String>) -> Vec<String> {
    options.retain(|option| !option.starts_with(SERVERS_OWN));
    options
}

/// Reads those that a user has set from a stored catalog, which may hold others too: it was written by a
/// version that did not tell them apart.
pub(super) fn stored_column_options<'de, D: Deserializer<'de>>(stored: D) -> Result<Vec<String>, D::Error> {
    Vec::deserialize(stored).map(column_options)
}

/// Storage parameters from the `name=value` texts of `pg_class.reloptions` or
/// `pg_attribute.attoptions`: `fillfactor=70, "Odd"='a b'`. `prefix` is `toast.`
/// for those of the TOAST table.
///
/// A value that would need quotes as an identifier is written as a string
/// constant, as `appendReloptionsArray` of PostgreSQL's `string_utils.c` does.
pub(crate) fn storage_parameters(options: &[String], prefix: &str) -> String {
    let one = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let plain = quote_identifier(value) == value || is_number(value);
        let value = if plain { value.to_owned() } else { quote_literal(value) };
        format!("{prefix}{}={value}", quote_identifier(name))
    };
    options.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// ` WITH (...)`, or nothing where there are no options.
pub(crate) fn with_clause(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" WITH ({})", storage_parameters(options, "")) }
}

/// Options of a foreign-data wrapper: `schema_name 's1', table_name 't1'`.
pub(crate) fn generic_options(options: &[(String, String)]) -> String {
    let one =
        |(name, value): &(String, String)| format!("{} {}", quote_identifier(name), quote_literal(value));
    options.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Digits with at most one decimal point and an optional sign: always safe bare.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1
        && !digits.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::{column_options, generic_options, storage_parameters};

    #[test]
    fn what_a_server_keeps_for_itself_is_no_option_of_a_user() {
        let kept = ["pg_attver=22159328", "n_distinct=3", "pg_attver_next=x", "pg_attver"].map(String::from);
        assert_eq!(column_options(kept.to_vec()), ["n_distinct=3"]);
    }

    #[test]
    fn storage_parameters_quote_only_what_needs_it() {
        let options =
            ["fillfactor=70", "n_distinct=-0.5", "user=x y", "buffering=auto", "empty="].map(String::from);
        assert_eq!(
            storage_parameters(&options, "toast."),
            "toast.fillfactor=70, toast.n_distinct=-0.5, toast.\"user\"='x y', toast.buffering=auto, toast.empty=''"
        );
    }

    #[test]
    fn generic_options_are_always_constants() {
        let options = [("schema_name".to_owned(), "x1".to_owned()), ("Odd".to_owned(), "it's".to_owned())];
        assert_eq!(generic_options(&options), "schema_name 'x1', \"Odd\" 'it''s'");
    }
}
