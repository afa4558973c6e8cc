//! Other names for roles.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// Which role of the target stands for which of the source.
///
/// The text has lines `source_role = target_role`; `source_role = -` drops the
/// role: what it owns belongs to the importing role, and what it was granted is
/// left out. `#` begins a comment. A name is taken as it stands, without change
/// of case; one that holds `=`, `#`, a line break or quotes is written in double
/// quotes, with quotes inside doubled.
///
/// ```
/// use dbhaul_catalog::RoleMap;
///
/// let map = RoleMap::parse("# to the new provider\npostgres = app_admin\n\"old=one\" = -\n")?;
/// assert_eq!(map.name("postgres"), Some("app_admin"));
/// assert_eq!(map.name("old=one"), None);
/// assert_eq!(map.name("anybody"), Some("anybody"));
/// # Ok::<(), dbhaul_catalog::RoleMapError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleMap {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    line: usize,
    to: Option<String>,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RoleMapError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl RoleMap {
    /// Reads the text of a map.
    ///
    /// # Errors
    /// Names the first line that is no mapping, or maps a role for the second time.
    pub fn parse(text: &str) -> Result<Self, RoleMapError> {
        let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
        let mut map = RoleMap::default();
        while reader.skip_to_entry() {
            let line = reader.line;
            let from = reader.name()?;
            reader.expect_equals()?;
            let to = reader.name()?;
            reader.expect_end()?;
            let to = (to.quoted || to.text != "-").then_some(to.text);
            if let Some(first) = map.entries.get(&from.text).map(|entry| entry.line) {
                let problem = format!("role \"{}\" is mapped in line {first} already", from.text);
                return Err(RoleMapError { line, problem });
            }
            map.entries.insert(from.text, Entry { line, to });
        }
        Ok(map)
    }

    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name of a role of the source on the target; `None` if it is dropped.
    pub fn name<'a>(&'a self, role: &'a str) -> Option<&'a str> {
        match self.entries.get(role) {
            Some(entry) => entry.to.as_deref(),
            None => Some(role),
        }
    }

    /// The roles that are dropped.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| entry.to.is_none()).map(|(from, _)| from.as_str())
    }

    /// Roles of the source that the map names and the source does not have: errors
    /// in typing, which would else be obeyed by doing nothing.
    pub fn unknown_sources(&self, known: &BTreeSet<String>) -> Vec<RoleMapError> {
        let unknown = self.entries.iter().filter(|(from, _)| !known.contains(*from));
        let error = |(from, entry): (&String, &Entry)| RoleMapError {
            line: entry.line,
            problem: format!("the source has no role \"{from}\""),
        };
        unknown.map(error).collect()
    }

    /// Roles that the map leads to and that the target does not have.
    pub fn unknown_targets(&self, known: &BTreeSet<String>) -> Vec<RoleMapError> {
        let entries = self.entries.values().filter_map(|entry| Some((entry.line, entry.to.as_ref()?)));
        let error = |(line, to): (usize, &String)| RoleMapError {
            line,
            problem: format!("the target has no role \"{to}\""),
        };
        entries.filter(|(_, to)| !known.contains(*to)).map(error).collect()
    }
}

/// A name as it was written.
struct Name {
    text: String,
    quoted: bool,
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// Goes to the next name at the beginning of a line; false at the end.
    fn skip_to_entry(&mut self) -> bool {
        while let Some(&next) = self.rest.peek() {
            match next {
                '#' => self.skip_comment(),
                c if c.is_whitespace() || c == '\u{feff}' => drop(self.next()),
                _ => return true,
            }
        }
        false
    }

    fn skip_comment(&mut self) {
        while self.rest.peek().is_some_and(|&next| next != '\n') {
            self.next();
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.peek().is_some_and(|next| next.is_whitespace() && *next != '\n') {
            self.next();
        }
    }

    fn name(&mut self) -> Result<Name, RoleMapError> {
        self.skip_blanks();
        if self.rest.next_if_eq(&'"').is_some() {
            return self.quoted_name();
        }
        let mut text = String::new();
        while let Some(next) = self.rest.next_if(|next| !"=#\n\"".contains(*next)) {
            text.push(next);
        }
        let text = text.trim_end().to_owned();
        if text.is_empty() { Err(self.error("a role is missing")) } else { Ok(Name { text, quoted: false }) }
    }

    fn quoted_name(&mut self) -> Result<Name, RoleMapError> {
        let line = self.line;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') if self.rest.next_if_eq(&'"').is_some() => text.push('"'),
                Some('"') if text.is_empty() => return Err(self.error("a role is missing")),
                Some('"') => return Ok(Name { text, quoted: true }),
                Some(other) => text.push(other),
                None => {
                    let problem = "a quoted name has no end".to_owned();
                    return Err(RoleMapError { line, problem });
                }
            }
        }
    }

    fn expect_equals(&mut self) -> Result<(), RoleMapError> {
        self.skip_blanks();
        match self.rest.next_if_eq(&'=') {
            Some(_) => Ok(()),
            None => Err(self.error("it is not of the form `source_role = target_role`")),
        }
    }

    fn expect_end(&mut self) -> Result<(), RoleMapError> {
        self.skip_blanks();
        match self.rest.peek() {
            None | Some('\n' | '#') => Ok(()),
            Some(_) => Err(self.error("something follows the second role")),
        }
    }

    fn error(&self, problem: &str) -> RoleMapError {
        RoleMapError { line: self.line, problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RoleMap;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Option<&str>)]) {
        let map = RoleMap::parse(text).unwrap();
        assert_eq!(map.entries.len(), expected.len(), "{map:?}");
        for (from, to) in expected {
            assert_eq!(map.name(from), *to, "{from}");
        }
    }

    #[test]
    fn names_and_comments() {
        check("", &[]);
        check("\u{feff}# nothing\n\n  # at all", &[]);
        check(
            "a=b\r\n  Web User = web # as it stands\nc = -",
            &[("a", Some("b")), ("Web User", Some("web")), ("c", None)],
        );
        check("\"a=\"\"b\nc\" = \"-\"\nd = größe", &[("a=\"b\nc", Some("-")), ("d", Some("größe"))]);
    }

    #[track_caller]
    fn refuse(text: &str, expected: &str) {
        assert_eq!(RoleMap::parse(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_name_their_line() {
        refuse("a = b\n# c\na = c", "line 3: role \"a\" is mapped in line 1 already");
        refuse("a = b\nc", "line 2: it is not of the form `source_role = target_role`");
        refuse("a =\nb = c", "line 1: a role is missing");
        refuse("= c", "line 1: a role is missing");
        refuse("\"a\" = b = c", "line 1: something follows the second role");
        refuse("a = \"b", "line 1: a quoted name has no end");
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let map = RoleMap::parse("a = x\nb = y\nc = -\n").unwrap();
        let known = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let text = |errors: Vec<super::RoleMapError>| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(text(map.unknown_sources(&known(&["a", "c"]))), "line 2: the source has no role \"b\"");
        assert_eq!(text(map.unknown_targets(&known(&["y"]))), "line 1: the target has no role \"x\"");
        assert_eq!(map.dropped().collect::<Vec<_>>(), ["c"]);
    }
}
