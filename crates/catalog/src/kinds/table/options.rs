//! Options as `WITH (...)`, `SET (...)` and `OPTIONS (...)` write them.

use crate::{quote_identifier, quote_literal};

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
    use super::{generic_options, storage_parameters};

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
