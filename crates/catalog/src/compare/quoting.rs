//! Names as servers quote them: each major quotes the words that are keywords of its own.

use std::borrow::Cow;

use crate::keywords::must_quote;

/// Fields that hold names of types, functions, operators and collations as SQL.
const NAMES: &[&str] = &[
    "argument_types",
    "base_type",
    "base_type_name",
    "canonical",
    "collation",
    "combine",
    "commutator",
    "deserialize",
    "element",
    "final_function",
    "from_sql",
    "function",
    "handler",
    "inline",
    "input",
    "join",
    "left_type",
    "modifier_input",
    "modifier_output",
    "negator",
    "of_type",
    "operator",
    "operator_class",
    "output",
    "receive",
    "restrict",
    "right_type",
    "send",
    "serialize",
    "sort_family",
    "sort_operator",
    "source",
    "storage_type",
    "subscript",
    "subtype",
    "subtype_difference",
    "target",
    "to_sql",
    "transforms",
    "transition",
    "type_name",
    "validator",
    "analyze",
    "inverse",
    "support",
    "start",
    "get_token",
    "end",
    "headline",
    "lexeme_types",
    "init",
    "lexize",
    "template",
    "parser",
    "dictionaries",
];

/// Whether two texts at `path`, which begins in an object's body, are the same names under other quotes.
pub(super) fn agree(path: &[&str], left: &str, right: &str) -> bool {
    let field = path.iter().rev().find(|part| part.parse::<usize>().is_err());
    field.is_some_and(|field| NAMES.contains(field)) && bare(left) == bare(right)
}

/// A list of names without the quotes around words that are keywords of some server: what is left is
/// unambiguous, for a keyword that stands for itself is never quoted.
pub(super) fn bare(names: &str) -> Cow<'_, str> {
    if !names.contains('"') {
        return Cow::Borrowed(names);
    }
    let mut bared = String::with_capacity(names.len());
    let mut rest = names;
    while let Some((before, quoted)) = rest.split_once('"') {
        bared.push_str(before);
        let end = end_of_quoted(quoted);
        let (name, behind) = quoted.split_at(end);
        // "char" is a type of its own
        if must_quote(name) && name != "char" {
            bared.push_str(name);
        } else {
            bared.push('"');
            bared.push_str(name);
            bared.push('"');
        }
        rest = behind.strip_prefix('"').unwrap_or(behind);
    }
    bared.push_str(rest);
    Cow::Owned(bared)
}

/// Where the name that begins `text` ends: at a quote that is not doubled.
fn end_of_quoted(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].find('"') {
        let at = from + at;
        if !text[at + 1..].starts_with('"') {
            return at;
        }
        from = at + 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{agree, bare};

    #[test]
    fn only_keywords_are_bared() {
        for (names, expected) in [
            ("public.\"json\"(public.d)", "public.json(public.d)"),
            ("public.\"Json\"(\"char\")", "public.\"Json\"(\"char\")"),
            ("s.\"a\"\"json\"", "s.\"a\"\"json\""),
            ("\"open", "\"open\""),
            ("s.\"json\".\"x y\"", "s.json.\"x y\""),
        ] {
            assert_eq!(bare(names), expected);
        }
    }

    #[test]
    fn in_fields_of_names_alone() {
        assert!(agree(&["method", "function"], "s.\"json\"(a)", "s.json(a)"));
        assert!(agree(&["argument_types", "0"], "s.\"json\"", "s.json"));
        assert!(!agree(&["method", "function"], "s.\"json\"(a)", "s.json(b)"));
        assert!(!agree(&["options", "0"], "\"json\"", "json"));
        assert!(!agree(&["source", "text"], "\"json\"", "json"));
    }
}
