//! A file of application checks: queries with names, in TOML.

use std::ops::Range;

use dbhaul_pipeline::{Check, Checks};
use serde::Deserialize;
use toml::Spanned;

/// How long a side may take to answer a check, unless the file says otherwise.
const USUAL_TIMEOUT_SECONDS: u32 = 600;

/// So many checks are more than anybody reads.
const MOST_CHECKS: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChecksFile {
    #[serde(default)]
    search_path: Vec<String>,
    #[serde(default)]
    timeout_seconds: Option<u32>,
    #[serde(default)]
    check: Vec<CheckEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckEntry {
    name: Spanned<String>,
    sql: String,
    #[serde(default)]
    ordered: bool,
    #[serde(default)]
    timeout_seconds: Option<u32>,
}

/// Reads the checks that a text holds.
///
/// # Errors
/// What is wrong with it, and in which line.
pub(crate) fn read_checks(text: &str) -> Result<Checks, String> {
    let file: ChecksFile = toml::from_str(text).map_err(|error| match error.span() {
        Some(span) => format!("line {}: {}", line_of(text, &span), error.message()),
        None => error.message().to_owned(),
    })?;
    if file.check.is_empty() || file.check.len() > MOST_CHECKS {
        return Err(format!("it has {} [[check]], and needs 1 to {MOST_CHECKS}", file.check.len()));
    }
    let mut checks: Vec<Check> = Vec::with_capacity(file.check.len());
    for CheckEntry { name, sql, ordered, timeout_seconds } in &file.check {
        let fault = |problem: String| format!("line {}: {problem}", line_of(text, &name.span()));
        let timeout = timeout_seconds.or(file.timeout_seconds).unwrap_or(USUAL_TIMEOUT_SECONDS);
        if timeout > i32::MAX as u32 / 1000 {
            return Err(fault("timeout_seconds is too long; 0 stands for no limit".to_owned()));
        }
        if checks.iter().any(|check| check.name() == name.get_ref()) {
            return Err(fault("another check has that name".to_owned()));
        }
        let check = Check::new(name.get_ref(), sql, *ordered, timeout);
        checks.push(check.map_err(|problem| fault(format!("check {:?}: {problem}", name.get_ref())))?);
    }
    Ok(Checks { search_path: file.search_path, checks })
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::read_checks;

    #[test]
    fn checks_are_read() {
        let text =
            "search_path = [\"shop\"]\ntimeout_seconds = 5\n[[check]]\nname = \"a\"\nsql = \"SELECT 1\"\n
            [[check]]\nname = 'b'\nordered = true\nsql = '''\nSELECT a FROM t -- all\nORDER BY a;\n'''\n";
        let checks = read_checks(text).unwrap();
        let names: Vec<&str> = checks.checks.iter().map(|check| check.name()).collect();
        assert_eq!((names, checks.search_path), (vec!["a", "b"], vec!["shop".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let check = |name: &str, sql: &str| format!("[[check]]\nname = '{name}'\nsql = '{sql}'\n");
        for (text, problem) in [
            (String::new(), "it has 0 [[check]]"),
            ("checks = 1".to_owned(), "line 1: unknown field `checks`"),
            ("\n[[check]]\nname = 'a'\n".to_owned(), "line 2: missing field `sql`"),
            ("[[check]\n".to_owned(), "line 1: "),
            (check("a", "SELECT 1") + &check("a", "SELECT 2"), "line 5: another check has that name"),
            (check("a", "DELETE FROM t"), "line 2: check \"a\": the query has to be a SELECT"),
            (check("a", "SELECT 1; COMMIT"), "line 2: check \"a\": the query has to be one statement"),
            (check("a", "SELECT 1 +"), "line 2: check \"a\": the query cannot be parsed"),
            (check("", "SELECT 1"), "line 2: check \"\": a name has"),
            (
                format!("{}timeout_seconds = 9999999\n", check("a", "SELECT 1")),
                "line 2: timeout_seconds is too",
            ),
        ] {
            let told = read_checks(&text).unwrap_err();
            assert!(told.starts_with(problem), "{text}: {told}");
        }
    }
}
