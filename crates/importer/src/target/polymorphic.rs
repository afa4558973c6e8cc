//! Aggregates and operators on functions whose argument types became others with 14.

use dbhaul_catalog::{EntryKind, TocEntry, TokenKind, tokens};

use super::refusal::Problem;

/// `array_append`, `array_cat` and others take `anycompatible` types since 14
/// (PostgreSQL's release notes, "E.… Migration to Version 14").
const RENAMED: [(&str, &str); 4] = [
    ("anyelement", "anycompatible"),
    ("anyarray", "anycompatiblearray"),
    ("anynonarray", "anycompatiblenonarray"),
    ("anyrange", "anycompatiblerange"),
];

/// The statement that would make an aggregate or operator with the newer types, where a function that it needs was not
/// found with the older ones.
pub(super) fn other_statement(entry: &TocEntry, problem: &Problem) -> Option<String> {
    let is_polymorphic = matches!(entry.kind, EntryKind::Aggregate | EntryKind::Operator);
    if !is_polymorphic || problem.sqlstate() != Some("42883") {
        return None;
    }
    let create = entry.create.first()?;
    let has_older = |name: &&(&str, &str)| create.contains(name.0);
    RENAMED.iter().find(has_older).and_then(|_| renamed(create))
}

/// The statement with the newer types, in one line.
fn renamed(create: &str) -> Option<String> {
    let mut text = String::with_capacity(create.len());
    let mut copied = 0;
    for token in tokens(create).ok()? {
        let at = token.text.as_ptr() as usize - create.as_ptr() as usize;
        let gap = &create[copied..at];
        text.push_str(if gap.contains('\n') { " " } else { gap });
        let newer = RENAMED.iter().find(|(older, _)| token.kind == TokenKind::Word && token.is(older));
        text.push_str(newer.map_or(token.text, |(_, newer)| newer));
        copied = at + token.text.len();
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn operators_are_made_of_functions_too() {
        let create = "CREATE OPERATOR s.+++ (\n    FUNCTION = array_append,\n    LEFTARG = anyarray,\n    RIGHTARG = anyelement\n)";
        let expected = "CREATE OPERATOR s.+++ ( FUNCTION = array_append, LEFTARG = anycompatiblearray, RIGHTARG = \
                        anycompatible )";
        assert_eq!(renamed(create).as_deref(), Some(expected));
    }

    #[test]
    fn only_types_are_renamed() {
        let create = "CREATE AGGREGATE s.\"anyarray\"(anyelement) (\n    SFUNC = array_append,\n    \
                      STYPE = anyarray,\n    INITCOND = 'anyarray'\n)";
        let expected = "CREATE AGGREGATE s.\"anyarray\"(anycompatible) ( SFUNC = array_append, \
                        STYPE = anycompatiblearray, INITCOND = 'anyarray' )";
        assert_eq!(renamed(create).as_deref(), Some(expected));
    }
}
