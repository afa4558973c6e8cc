//! Values of configuration settings as `SET ... TO` takes them.

use crate::quote_literal;

/// Settings whose stored value is a list of names, already quoted in its own
/// way (GUC_LIST_QUOTE; PostgreSQL src/bin/pg_dump/dumputils.c,
/// variable_is_guc_list_quote).
const QUOTED_LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Whether a setting has the name of a role for its value.
pub(crate) fn names_role(name: &str, value: &str) -> bool {
    match name.to_ascii_lowercase().as_str() {
        "role" => value != "none",
        name => name == "session_authorization",
    }
}

/// The role that a setting names, from `name=value`.
pub(crate) fn role_in_setting(setting: &str) -> Option<&str> {
    let (name, value) = setting.split_once('=')?;
    names_role(name, value).then_some(value)
}

/// The right side of `SET name TO`, from a value as `proconfig` and `setconfig`
/// store it: one literal, or one for each name of a list.
pub(crate) fn setting_value(name: &str, value: &str) -> String {
    if !QUOTED_LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return quote_literal(value);
    }
    match split_list(value) {
        Some(names) if !names.is_empty() => {
            names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ")
        }
        // An empty list is written as one empty name; text that is no list is kept as it is.
        _ => quote_literal(value),
    }
}

/// Splits `a, "b c", ""` into its names without folding case, as SplitGUCList
/// does; `None` where quotes or commas do not add up.
fn split_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim_start();
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => take_bare(rest)?,
        };
        names.push(name);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(names),
            None => return None,
        }
    }
}

/// The name up to the closing quote, doubled quotes undone, and what follows.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_once('"')?;
        name.push_str(head);
        match tail.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, tail)),
        }
    }
}

/// The name up to a comma or white space, and what follows.
fn take_bare(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::setting_value;

    #[test]
    fn values() {
        for (name, value, expected) in [
            ("work_mem", "4MB", "'4MB'"),
            ("search_path", "public, \"My \"\"Schema\", pg_temp", "'public', 'My \"Schema', 'pg_temp'"),
            ("search_path", "\"\"", "''"),
            ("search_path", "", "''"),
            ("Search_Path", "a,b", "'a', 'b'"),
            ("datestyle", "ISO, DMY", "'ISO, DMY'"),
        ] {
            assert_eq!(setting_value(name, value), expected, "{name} = {value}");
        }
    }
}
