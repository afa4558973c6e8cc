//! Names with wildcards, as `pg_dump -n` and `-t` take them.

use regex_lite::Regex;

/// A pattern for names, possibly with a schema's pattern before a dot.
///
/// Outside double quotes letters are folded to lower case, `*` stands for any
/// characters, `?` for one, and other punctuation is a regular expression's;
/// inside them everything stands for itself. The whole name must match.
/// (PostgreSQL src/fe_utils/string_utils.c, `patternToSQLRegex`.)
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    parts: Vec<Regex>,
}

impl Pattern {
    /// Reads a pattern of at most `max_parts` parts between dots. `Err` says what is wrong.
    pub(crate) fn parse(text: &str, max_parts: usize) -> Result<Self, String> {
        let parts = split(text);
        if parts.len() > max_parts {
            return Err("improper qualified name (too many dotted names)".to_owned());
        }
        let compile =
            |part: &String| Regex::new(&format!("^(?s:{part})$")).map_err(|error| error.to_string());
        Ok(Pattern { parts: parts.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether a name without schema matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.parts.last().is_some_and(|part| part.is_match(name))
    }

    /// Whether it says in which schemas to look.
    pub(crate) fn has_schema(&self) -> bool {
        self.parts.len() > 1
    }

    /// Whether the pattern's own schema part matches; `None` where it has none.
    pub(crate) fn matches_schema(&self, schema: &str) -> Option<bool> {
        self.before_last(1).map(|part| part.is_match(schema))
    }

    /// Whether the pattern's own database part matches; `None` where it has none.
    pub(crate) fn matches_database(&self, database: &str) -> Option<bool> {
        self.before_last(2).map(|part| part.is_match(database))
    }

    fn before_last(&self, distance: usize) -> Option<&Regex> {
        self.parts.len().checked_sub(distance + 1).and_then(|place| self.parts.get(place))
    }
}

/// The pattern as regular expressions, one for each part between dots.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let part = match parts.last_mut() {
            Some(part) => part,
            None => return parts,
        };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted => part.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
            '*' => part.push_str(".*"),
            '?' => part.push('.'),
            '.' => parts.push(String::new()),
            '$' => part.push_str("\\$"),
            // An array type's brackets, not an empty set of characters.
            '[' if chars.peek() == Some(&']') => {
                chars.next();
                part.push_str("\\[\\]");
            }
            _ => part.extend(c.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(pattern: &str, schema: &str, name: &str, expected: bool) {
        let pattern = Pattern::parse(pattern, 3).unwrap();
        let matches = pattern.matches(name) && pattern.matches_schema(schema).unwrap_or(true);
        assert_eq!(matches, expected, "{pattern:?} on {schema}.{name}");
    }

    #[test]
    fn patterns() {
        check("film", "public", "film", true);
        check("film", "public", "film_actor", false);
        check("FILM*", "public", "film_actor", true);
        check("\"FILM\"*", "public", "film_actor", false);
        check("\"Film\"", "public", "Film", true);
        check("fi?m", "public", "film", true);
        check("pub*.f*", "public", "film", true);
        check("sales.f*", "public", "film", false);
        check("(film|actor)", "public", "actor", true);
        check("[ab]_[0-9]+", "public", "b_12", true);
        check("\"a.b\"", "public", "a.b", true);
        check("\"a\"\"b*\"", "public", "a\"b*", true);
        check("a$b", "public", "a$b", true);
        check("*", "public", "with\nnewline", true);
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert!(Pattern::parse("a.b.c.d", 3).is_err());
        assert!(Pattern::parse("a.b", 1).is_err());
        assert!(Pattern::parse("(", 1).is_err());
    }
}
