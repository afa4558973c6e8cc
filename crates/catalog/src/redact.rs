//! Statements as they may be shown: without the values in them.

/// The text of a statement up to its first string literal, which may be a password, a connection
/// string or a token; `...` stands for the rest. A statement without literals stays whole.
///
/// ```
/// use dbhaul_catalog::without_values;
///
/// let sql = "ALTER ROLE \"it's me\" SET app.token TO 'secret'";
/// assert_eq!(without_values(sql), "ALTER ROLE \"it's me\" SET app.token TO ...");
/// assert_eq!(without_values("GRANT SELECT ON TABLE a.b TO c"), "GRANT SELECT ON TABLE a.b TO c");
/// ```
pub fn without_values(statement: &str) -> String {
    let mut in_name = false;
    let mut previous = ' ';
    for (at, character) in statement.char_indices() {
        // inside a name a dollar is a letter; in front of one it opens a quotation
        let is_dollar_quote = character == '$' && !(previous.is_alphanumeric() || previous == '_');
        match character {
            '"' => in_name = !in_name,
            _ if in_name => {}
            '\'' => return cut(&statement[..at]),
            _ if is_dollar_quote => return cut(&statement[..at]),
            _ => {}
        }
        previous = character;
    }
    statement.to_owned()
}

/// What stands before a literal, without the letter that says how its escapes are read.
fn cut(text: &str) -> String {
    let text = text.strip_suffix(" E").or_else(|| text.strip_suffix("(E")).unwrap_or(text);
    format!("{} ...", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn nothing_of_a_literal_is_shown() {
        for (statement, shown) in [
            (
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (\"user\" 'u', password 'p')",
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (\"user\" ...",
            ),
            ("COMMENT ON ROLE a IS E'it\\'s'", "COMMENT ON ROLE a IS ..."),
            ("CREATE FUNCTION f$1() AS $x$secret$x$", "CREATE FUNCTION f$1() AS ..."),
            (
                "GRANT ALL ON TABLE \"a'b\".\"$$\" TO \"c\"\"'d\"",
                "GRANT ALL ON TABLE \"a'b\".\"$$\" TO \"c\"\"'d\"",
            ),
        ] {
            assert_eq!(without_values(statement), shown);
        }
    }
}
