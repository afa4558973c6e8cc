//! `postgres://` URIs.
//!
//! Source of the rules: PostgreSQL, src/interfaces/libpq/fe-connect.c,
//! `conninfo_uri_parse`. Messages never repeat text of the URI, which may hold a
//! password.

use percent_encoding::percent_decode_str;

use super::error::SettingsError;

/// Whether this is a URI and not a `key=value` string.
pub(super) fn is_uri(text: &str) -> bool {
    strip_scheme(text).is_some()
}

fn strip_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))
}

/// Splits a URI into keywords and values, decoded. Hosts and ports are lists
/// separated by commas, as in a `key=value` string.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let rest = strip_scheme(text).ok_or_else(|| problem("it does not begin with postgres://"))?;
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) if !before_is_userinfo(before, query) => (before, Some(query)),
        _ => (rest, None),
    };
    let mut pairs = Vec::new();
    let host_part = take_userinfo(before_query, &mut pairs)?;
    // What stands before it may all be of a password.
    if host_part.contains('@') {
        return Err(problem(
            "there is an @ behind the one that ends user and password, or a / before it: write @ as %40 and / \
             as %2F in a password, and @ as %40 in a database name",
        ));
    }
    let (hosts, database) = match split_path(host_part) {
        Some((hosts, database)) => (hosts, Some(database)),
        None => (host_part, None),
    };
    take_hosts(hosts, &mut pairs)?;
    if let Some(database) = database.filter(|database| !database.is_empty()) {
        pairs.push(("dbname".to_owned(), decode(database, "database name")?));
    }
    for parameter in query.unwrap_or("").split('&').filter(|parameter| !parameter.is_empty()) {
        pairs.push(take_parameter(parameter)?);
    }
    Ok(pairs)
}

/// A `?` before the `@` belongs to an unescaped password, not to the query.
fn before_is_userinfo(before: &str, query: &str) -> bool {
    !before.contains(['@', '/'])
        && query.contains('@')
        && !query.split('@').next().unwrap_or("").contains('/')
}

/// The text up to the first `@`, if no `/` comes before it, is `user[:password]`.
fn take_userinfo<'a>(text: &'a str, pairs: &mut Vec<(String, String)>) -> Result<&'a str, SettingsError> {
    let Some(at) = text.find(['@', '/']).filter(|at| text.as_bytes()[*at] == b'@') else {
        return Ok(text);
    };
    let (userinfo, rest) = (&text[..at], &text[at + 1..]);
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo, None),
    };
    if !user.is_empty() {
        pairs.push(("user".to_owned(), decode(user, "user name")?));
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        pairs.push(("password".to_owned(), decode(password, "password")?));
    }
    Ok(rest)
}

/// The first `/` outside brackets ends the hosts.
fn split_path(text: &str) -> Option<(&str, &str)> {
    text.split_once('/')
}

fn take_hosts(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), SettingsError> {
    if text.is_empty() {
        return Ok(());
    }
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for element in text.split(',') {
        let (host, port) = split_port(element)?;
        hosts.push(decode(host, "host")?);
        ports.push(decode(port, "port")?);
    }
    pairs.push(("host".to_owned(), hosts.join(",")));
    if ports.iter().any(|port| !port.is_empty()) {
        pairs.push(("port".to_owned(), ports.join(",")));
    }
    Ok(())
}

fn split_port(element: &str) -> Result<(&str, &str), SettingsError> {
    if let Some(rest) = element.strip_prefix('[') {
        let (address, after) =
            rest.split_once(']').ok_or_else(|| problem("an IPv6 address lacks its closing bracket"))?;
        if address.is_empty() {
            return Err(problem("an IPv6 address between brackets is empty"));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((address, port)),
            None if after.is_empty() => Ok((address, "")),
            None => Err(problem("after an IPv6 address in brackets only a colon and a port may follow")),
        };
    }
    match element.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(problem(
            "a host has two colons: write an IPv6 address in brackets, and : in a password as %3A",
        )),
        Some((host, port)) => Ok((host, port)),
        None => Ok((element, "")),
    }
}

fn take_parameter(parameter: &str) -> Result<(String, String), SettingsError> {
    let Some((keyword, value)) = parameter.split_once('=') else {
        return Err(problem("a query parameter lacks its ="));
    };
    if value.contains('=') {
        return Err(problem("a query parameter has two =: write = in a value as %3D"));
    }
    let keyword = decode(keyword, "query parameter")?;
    let value = decode(value, "query parameter")?;
    // JDBC's spelling, which libpq accepts too
    if keyword == "ssl" && value == "true" {
        return Ok(("sslmode".to_owned(), "require".to_owned()));
    }
    Ok((keyword, value))
}

fn decode(text: &str, what: &str) -> Result<String, SettingsError> {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let broken = (0..bytes.len()).any(|at| bytes[at] == b'%' && !(is_hex(at + 1) && is_hex(at + 2)));
    if broken || text.contains("%00") {
        return Err(problem(&format!("a % in the {what} is not followed by two hex digits: write % as %25")));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| problem(&format!("the {what} is not UTF-8 once decoded")))
}

fn problem(text: &str) -> SettingsError {
    SettingsError::Uri { problem: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, expected, "{text}");
    }

    #[test]
    fn uris_are_split_as_libpq_does() {
        check("postgres://", &[]);
        check("postgresql:///shop", &[("dbname", "shop")]);
        check("postgres://db", &[("host", "db")]);
        check("postgres://db:5433/shop", &[("host", "db"), ("port", "5433"), ("dbname", "shop")]);
        check("postgres://ann@db/", &[("user", "ann"), ("host", "db")]);
        check("postgres://ann:p%40ss@db", &[("user", "ann"), ("password", "p@ss"), ("host", "db")]);
        check(
            "postgres://ann:p?ss@db/x",
            &[("user", "ann"), ("password", "p?ss"), ("host", "db"), ("dbname", "x")],
        );
        check("postgres://[::1]:5433/x", &[("host", "::1"), ("port", "5433"), ("dbname", "x")]);
        check("postgres://%2Frun%2Fpg/x", &[("host", "/run/pg"), ("dbname", "x")]);
        check("postgres:///x?host=/run/pg&user=u", &[("dbname", "x"), ("host", "/run/pg"), ("user", "u")]);
        check("postgres://a:1,b,c:3/x", &[("host", "a,b,c"), ("port", "1,,3"), ("dbname", "x")]);
        check("postgres://db?ssl=true", &[("host", "db"), ("sslmode", "require")]);
        check(
            "postgres://db/x?application_name=a%20b",
            &[("host", "db"), ("dbname", "x"), ("application_name", "a b")],
        );
        check(
            "postgres://u@/x?options=-c%20geqo%3Doff",
            &[("user", "u"), ("dbname", "x"), ("options", "-c geqo=off")],
        );
    }

    #[test]
    fn broken_uris_are_refused_without_repeating_them() {
        for text in [
            "postgres://u:secret@x@db/x",
            "postgres://u:secret%zz@db/x",
            "postgres://[::1/x",
            "postgres://::1/x",
            "postgres://db/x?secret",
            "postgres://db/x?a=b=secret",
            "postgres://u:secret%00@db/x",
            "postgres://u:7/secret@db/x",
            "postgres://u:p@secret/x@db/x",
            "postgres://u:p@db/secret@x",
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{text}: {message}");
        }
    }
}
