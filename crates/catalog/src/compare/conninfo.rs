//! Connection strings as they may be shown: without what may be secret in them.

/// Keywords whose values are no secrets (PostgreSQL src/interfaces/libpq/fe-connect.c, `PQconninfoOptions`).
const SHOWN: [&str; 26] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "port",
    "replication",
    "require_auth",
    "service",
    "sslcert",
    "sslcompression",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// What stands for a secret.
const MASK: &str = "***";

/// A connection string with its secrets masked; all of it where it is not certain what they are.
pub(super) fn without_secrets(conninfo: &str) -> String {
    let uri = ["postgresql://", "postgres://"]
        .into_iter()
        .find_map(|scheme| Some((scheme, conninfo.strip_prefix(scheme)?)));
    let shown = match uri {
        Some((scheme, rest)) => uri_without_secrets(scheme, rest),
        None => pairs(conninfo).map(|pairs| {
            let pairs =
                pairs.into_iter().map(|(keyword, value)| format!("{keyword}={}", shown(keyword, &value)));
            pairs.collect::<Vec<_>>().join(" ")
        }),
    };
    shown.unwrap_or_else(|| MASK.to_owned())
}

/// A value as it may be shown. A name of a database with a `=` or `://` in it may be a whole connection string.
fn shown<'a>(keyword: &str, value: &'a str) -> &'a str {
    let is_nested = keyword == "dbname" && (value.contains('=') || value.contains("://"));
    if SHOWN.contains(&keyword) && !is_nested { value } else { MASK }
}

/// The keywords and values of a string, as libpq's `conninfo_parse` reads it; `None` where it does not.
fn pairs(conninfo: &str) -> Option<Vec<(&str, String)>> {
    let mut pairs = Vec::new();
    let mut rest = conninfo.trim_start();
    while !rest.is_empty() {
        let (keyword, behind) = rest.split_once('=')?;
        let keyword = keyword.trim_end();
        if keyword.is_empty() || keyword.contains(char::is_whitespace) {
            return None;
        }
        let (value, behind) = value(behind.trim_start())?;
        pairs.push((keyword, value));
        rest = behind.trim_start();
    }
    Some(pairs)
}

/// The value that a text begins with, in quotes or up to white space, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted.is_some() => return Some((value, &text[at + 1..])),
            _ if quoted.is_none() && letter.is_whitespace() => return Some((value, &text[at..])),
            _ => value.push(letter),
        }
    }
    quoted.is_none().then_some((value, ""))
}

/// A URI without secrets. What stands before an `@` or behind a `/` in another way than is written usually may be part of a
/// password that lacks its escapes.
fn uri_without_secrets(scheme: &str, rest: &str) -> Option<String> {
    let (place, parameters) =
        rest.split_once('?').map_or((rest, None), |(place, parameters)| (place, Some(parameters)));
    let (authority, database) =
        place.split_once('/').map_or((place, None), |(authority, database)| (authority, Some(database)));
    let (user, hosts) =
        authority.split_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let is_plain =
        |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-%[]:,".contains(letter));
    let has_ports = |host: &str| {
        host.ends_with(']') || host.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok())
    };
    let is_certain = is_plain(hosts)
        && hosts.split(',').all(has_ports)
        && database.is_none_or(|name| is_plain(name) && !name.contains(':'));
    if !is_certain {
        return None;
    }
    let mut shown_uri = scheme.to_owned();
    if let Some(user) = user {
        let (name, password) =
            user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
        let password = if password.is_some() { format!(":{MASK}") } else { String::new() };
        shown_uri += &format!("{name}{password}@");
    }
    shown_uri += hosts;
    shown_uri.extend(database.iter().flat_map(|name| ["/", name]));
    if let Some(parameters) = parameters {
        let parameters: Option<Vec<String>> = parameters
            .split('&')
            .map(|pair| {
                pair.split_once('=').map(|(keyword, value)| format!("{keyword}={}", shown(keyword, value)))
            })
            .collect();
        shown_uri += &format!("?{}", parameters?.join("&"));
    }
    Some(shown_uri)
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn only_secrets_are_masked() {
        for (conninfo, expected) in [
            ("host=a port = 5432 password=x", "host=a port=5432 password=***"),
            (r"host=a password='it\'s x=y' dbname=b", "host=a password=*** dbname=b"),
            (r"password=a\ b user=c sslpassword=d", "password=*** user=c sslpassword=***"),
            ("dbname='host=b password=x' options=y", "dbname=*** options=***"),
            ("oauth_client_secret=x whatever=y", "oauth_client_secret=*** whatever=***"),
            ("password='x", "***"),
            ("x y=z", "***"),
            ("", ""),
            (
                "postgres://u:x@h:1,[::1]:2/db?sslmode=require&password=y",
                "postgres://u:***@h:1,[::1]:2/db?sslmode=require&password=***",
            ),
            ("postgresql://h/db", "postgresql://h/db"),
            ("postgresql://u@h", "postgresql://u@h"),
            ("postgresql://u:x@y@h/db", "***"),
            ("postgresql://u:x/y@h/db", "***"),
            ("postgresql://u:12/y@h/db", "***"),
            ("postgresql://u:x?y@h/db", "***"),
            ("postgresql://h/db?password", "***"),
        ] {
            assert_eq!(without_secrets(conninfo), expected, "{conninfo}");
        }
    }
}
