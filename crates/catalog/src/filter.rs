//! Filter files: what to take and what to leave out, a line each.
//!
//! The syntax is that of `pg_dump --filter` (PostgreSQL src/bin/pg_dump/filter.c):
//! `include|exclude`, a type of object, a pattern. `#` begins a comment, and a
//! quoted part of a pattern may go on over several lines.

use thiserror::Error;

use crate::Selection;

/// A line of a filter file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct FilterError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Include,
    Exclude,
}

/// Types of objects that a filter file may name, and what they are called in errors.
const TYPES: [(&str, &str); 11] = [
    ("table_data", "table data"),
    ("table_data_and_children", "table data and children"),
    ("database", "database"),
    ("extension", "extension"),
    ("foreign_data", "foreign data"),
    ("function", "function"),
    ("index", "index"),
    ("schema", "schema"),
    ("table", "table"),
    ("table_and_children", "table and children"),
    ("trigger", "trigger"),
];

impl Selection {
    /// Adds what a filter file says, as if its patterns had been given as options.
    ///
    /// As with `pg_dump`, `include extension` restricts which extensions are taken
    /// and, unlike `--extension`, leaves all else as it is.
    ///
    /// # Errors
    /// The first line that cannot be used; nothing is added then.
    pub fn add_filter(&mut self, text: &str) -> Result<(), FilterError> {
        let mut selection = self.clone();
        let mut reader = Reader::new(text);
        while let Some(line) = reader.next_line() {
            selection.add_line(&mut reader, line)?;
        }
        *self = selection;
        Ok(())
    }

    fn add_line<'a>(&mut self, reader: &mut Reader<'a>, line: &'a str) -> Result<(), FilterError> {
        let line = line.trim_start_matches(is_space);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (command, rest) = keyword(line);
        let command = if command.eq_ignore_ascii_case("include") {
            Command::Include
        } else if command.eq_ignore_ascii_case("exclude") {
            Command::Exclude
        } else {
            return Err(reader.error("invalid filter command (expected \"include\" or \"exclude\")"));
        };
        let (word, rest) = keyword(rest);
        if word.is_empty() {
            return Err(reader.error("missing filter object type"));
        }
        let found = TYPES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        let Some((kind, name)) = found else {
            return Err(reader.error(format!("unsupported filter object type: \"{word}\"")));
        };
        let pattern = reader.pattern(rest)?;
        let Some(list) = self.filtered(command, kind) else {
            let command = if command == Command::Include { "include" } else { "exclude" };
            return Err(reader.error(format!("{command} filter for \"{name}\" is not allowed")));
        };
        list.push(pattern);
        Ok(())
    }

    /// Where the patterns of a type go; `None` if it cannot be filtered so.
    fn filtered(&mut self, command: Command, kind: &str) -> Option<&mut Vec<String>> {
        match (command, kind) {
            (Command::Include, "extension") => Some(&mut self.filter_extensions),
            (Command::Include, "foreign_data") => Some(&mut self.foreign_data),
            (Command::Include, "schema") => Some(&mut self.schemas),
            (Command::Include, "table") => Some(&mut self.tables),
            (Command::Include, "table_and_children") => Some(&mut self.tables_and_children),
            (Command::Exclude, "extension") => Some(&mut self.exclude_extensions),
            (Command::Exclude, "schema") => Some(&mut self.exclude_schemas),
            (Command::Exclude, "table") => Some(&mut self.exclude_tables),
            (Command::Exclude, "table_and_children") => Some(&mut self.exclude_tables_and_children),
            (Command::Exclude, "table_data") => Some(&mut self.exclude_table_data),
            (Command::Exclude, "table_data_and_children") => Some(&mut self.exclude_table_data_and_children),
            _ => None,
        }
    }
}

/// What C's `isspace` says of ASCII.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// The first run of characters that are no white space, and what follows.
fn keyword(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(is_space);
    text.split_at(text.find(is_space).unwrap_or(text.len()))
}

/// The lines of a filter, counted.
struct Reader<'a> {
    lines: std::str::Lines<'a>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { lines: text.lines(), line: 0 }
    }

    fn next_line(&mut self) -> Option<&'a str> {
        let line = self.lines.next()?;
        self.line += 1;
        Some(line)
    }

    fn error(&self, problem: impl Into<String>) -> FilterError {
        FilterError { line: self.line, problem: problem.into() }
    }

    /// Reads a pattern: white space is kept, as one space, only between words;
    /// quoted parts may reach into further lines.
    fn pattern(&mut self, text: &'a str) -> Result<String, FilterError> {
        let mut rest = text.trim_start_matches(is_space);
        if rest.is_empty() {
            return Err(self.error("missing object name pattern"));
        }
        let mut pattern = String::new();
        let (mut skip_space, mut found_space) = (true, false);
        while let Some(first) = rest.chars().next().filter(|c| *c != '#') {
            let end = rest.find(|c: char| is_space(c) || "#,.()\"".contains(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if !word.is_empty() && !skip_space && found_space {
                pattern.push(' ');
            }
            pattern.push_str(word);
            rest = after;
            skip_space = false;
            let next = if word.is_empty() { Some(first) } else { rest.chars().next() };
            match next {
                Some('"') => {
                    if found_space && word.is_empty() {
                        pattern.push(' ');
                    }
                    rest = self.quoted(&rest[1..], &mut pattern)?;
                }
                Some(',') => {
                    pattern.push_str(", ");
                    skip_space = true;
                    rest = &rest[1..];
                }
                Some(c @ ('.' | '(' | ')')) => {
                    pattern.push(c);
                    skip_space = true;
                    rest = &rest[1..];
                }
                _ => {}
            }
            let trimmed = rest.trim_start_matches(is_space);
            found_space = trimmed.len() < rest.len();
            rest = trimmed;
        }
        // A line that holds a comment where the pattern should be would select by an empty name.
        if pattern.is_empty() { Err(self.error("missing object name pattern")) } else { Ok(pattern) }
    }

    /// Reads up to the closing quote, which may stand on a later line; returns what
    /// follows. `\n` and `\\` stand for a line break and a backslash.
    fn quoted(&mut self, text: &'a str, pattern: &mut String) -> Result<&'a str, FilterError> {
        pattern.push('"');
        let mut chars = text.chars();
        loop {
            match chars.next() {
                None => {
                    let line = self.next_line().ok_or_else(|| self.error("unexpected end of file"))?;
                    pattern.push('\n');
                    chars = line.chars();
                }
                Some('"') => {
                    pattern.push('"');
                    if !chars.as_str().starts_with('"') {
                        return Ok(chars.as_str());
                    }
                    pattern.push('"');
                    chars.next();
                }
                Some('\\') => match chars.next() {
                    Some('n') => pattern.push('\n'),
                    Some('\\') => pattern.push('\\'),
                    _ => {}
                },
                Some('\r') => {}
                Some(c) => pattern.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests;
