//! Values of settings as they may be shown.

/// The value of a setting, unless its name or the value itself says that it may be a secret.
pub fn shown_value<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret_name(name) || may_hold_secret(value) { "(not shown)" } else { value }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "credential", "conninfo", "auth", "dsn"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether a text may be a connection string, a URI with a user, a list of keys and values, a private key or a token,
/// whatever it is called.
fn may_hold_secret(value: &str) -> bool {
    const WORDS: [&str; 7] = ["pass", "pwd", "secret", "token", "credential", "bearer", "private key"];
    let lower = value.to_ascii_lowercase();
    value.contains(['@', '=']) || WORDS.iter().any(|word| lower.contains(word)) || holds_token(value)
}

/// Whether letters and digits stand together for longer than a name for people has them.
fn holds_token(value: &str) -> bool {
    const TOKEN_BYTES: usize = 20;
    let parts =
        value.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '+' | '/' | '.'));
    let has = |part: &str, is: fn(&char) -> bool| part.chars().any(|c| is(&c));
    parts
        .filter(|part| part.len() >= TOKEN_BYTES)
        .any(|part| has(part, char::is_ascii_digit) && has(part, char::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::shown_value;

    #[test]
    fn secrets_are_told_by_what_they_are() {
        for (name, value) in [
            ("app.api_token", "hunter2"),
            ("app.DSN", "hunter2"),
            ("app.backend", "postgres://u:hunter2@host/db"),
            ("app.backend", "https://hunter2@host"),
            ("app.backend", "postgres:/u:hunter2@host/db"),
            ("app.backend", "postgres://host/db?sslpassword=hunter2"),
            ("app.backend", "host=h PASSWORD = 'hunter2'"),
            ("app.backend", "{\"pass\": \"hunter2\"}"),
            ("app.backend", "Bearer hunter2"),
            ("app.backend", "-----BEGIN PRIVATE KEY-----"),
            ("app.backend", "eyJhbGciOiJIUzI1NiJ9.e30.x"),
        ] {
            assert_eq!(shown_value(name, value), "(not shown)", "{name} = {value}");
        }
        for value in
            ["7MB", "\"$user\", public", "America/Argentina/Buenos_Aires", "https://host:8080/path", ""]
        {
            assert_eq!(shown_value("app.value", value), value);
        }
    }
}
