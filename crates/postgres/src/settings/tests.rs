//! What becomes of connection strings and environments. Nothing here looks at the
//! real environment; files are in temporary directories.

use std::collections::HashMap;
use std::time::Duration;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let map: HashMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    move |name| map.get(name).cloned()
}

fn resolve(text: &str, pairs: &[(&str, &str)]) -> Result<ConnectSettings, SettingsError> {
    ConnectSettings::resolve(Some(text), &environment(pairs))
}

#[track_caller]
fn check(text: &str, pairs: &[(&str, &str)], expected: &str) {
    assert_eq!(resolve(text, pairs).unwrap().describe(), expected, "{text} {pairs:?}");
}

#[track_caller]
fn check_error(text: &str, pairs: &[(&str, &str)], expected: &str) {
    let message = resolve(text, pairs).unwrap_err().to_string();
    assert!(message.contains(expected), "{text} {pairs:?}: {message}");
}

#[test]
fn strings_and_environments_become_endpoints() {
    check("postgres://u@db/shop", &[], "db:5432/shop as u");
    check("host=db user=u", &[], "db:5432/u as u");
    check("", &[("PGHOST", "db"), ("PGUSER", "u"), ("PGPORT", "1"), ("PGDATABASE", "d")], "db:1/d as u");
    check("postgres://u@/d?host=/run/pg", &[("PGPORT", "6432")], "/run/pg:6432/d as u");
    check("postgres://u@a:1,[::1],c:3/d", &[], "a:1,[::1]:5432,c:3/d as u");
    check("host=a,b port=7 user=u", &[], "a:7,b:7/u as u");
    check("hostaddr=10.0.0.1 user=u", &[], "10.0.0.1:5432/u as u");
    check("host=db hostaddr=10.0.0.1 user=u", &[], "db:5432/u as u");
    check("host=db user=u port=''", &[("PGPORT", "9")], "db:9/u as u");
}

#[test]
fn explicit_beats_service_beats_environment() {
    let home = tempfile::tempdir().unwrap();
    let text = "[shop]\nhost=service-host\nport=7000\nuser=service-user\n";
    std::fs::write(home.path().join(".pg_service.conf"), text).unwrap();
    let home = home.path().to_str().unwrap();
    let pairs = [
        ("HOME", home),
        ("PGSERVICE", "shop"),
        ("PGHOST", "env-host"),
        ("PGUSER", "env-user"),
        ("PGDATABASE", "d"),
    ];
    check("host=given", &pairs, "given:7000/d as service-user");
    check("", &pairs, "service-host:7000/d as service-user");
    check("service=shop", &[("HOME", home), ("PGDATABASE", "d")], "service-host:7000/d as service-user");
    check_error("service=none", &[("HOME", home)], "service \"none\" is not defined in any of:");
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    check_error(
        "port=1 hots=db",
        &[],
        "connection keyword 2 of the connection string is unknown; was host meant?",
    );
    check_error(
        "postgres://db/x?slmode=require",
        &[],
        "a parameter of the connection URI is unknown; was sslmode",
    );
    check_error(
        "bananas=1",
        &[],
        "connection keyword 1 of the connection string is unknown; write key=value",
    );
    check_error("krbsrvname=postgres user=u", &[], "krbsrvname");
    check("host=h user=u", &[("PGKRBSRVNAME", "postgres")], "h:5432/u as u");
    check_error("user=u", &[("PGREQUIREPEER", "x")], "environment variable PGREQUIREPEER");
    check_error("user=u", &[("PGREQUIREAUTH", "scram")], "a list of methods");
    check("host=h user=u require_auth=!password", &[("PGREQUIREAUTH", "scram")], "h:5432/u as u");
    check_error("gssencmode=require", &[], "gssencmode");
    check("host=h user=u gssencmode=prefer", &[], "h:5432/u as u");
    check_error("sslmode=on user=u", &[], "one of disable, allow, prefer");
    check_error("port=0 user=u", &[], "port number");
    check_error("host=a,b port=1,2,3 user=u", &[], "2 hosts cannot be matched with 3 values of port");
    check_error("host=a,b hostaddr=10.0.0.1 user=u", &[], "values of hostaddr");
    check_error("dbname=xpassword=y user=u", &[], "the value of dbname in the connection string holds an =");
    check("postgres://u@h/a%3Db", &[], "h:5432/a=b as u");
    check_error("connect_timeout=soon user=u", &[], "a whole number");
    check_error("mysql://u@db/x", &[], "postgres://");
    check_error("sslrootcert=system sslmode=require user=u", &[], "too weak");
    check_error("sslnegotiation=direct user=u", &[], "too weak");
}

#[test]
fn values_have_their_defaults() {
    let settings = resolve("host=h user=u", &[]).unwrap();
    assert_eq!(settings.application_name, "dbhaul");
    assert_eq!(settings.connect_timeout, Some(Duration::from_secs(30)));
    assert_eq!(settings.tls().mode, SslMode::Prefer);
    assert!(settings.keepalives.enabled);
    let settings = resolve("host=h user=u connect_timeout=0 keepalives=0 sslrootcert=system", &[]).unwrap();
    assert_eq!(settings.connect_timeout, None);
    assert_eq!(settings.tls().mode, SslMode::VerifyFull);
    assert!(!settings.keepalives.enabled);
}

#[test]
fn passwords_come_from_the_nearest_place_and_are_never_shown() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("passwords");
    std::fs::write(&file, "db:*:shop:u:filed\ndb:*:other:u:moved\nlocalhost:5432:*:u:socket\n").unwrap();
    set_private(&file);
    let file = file.to_str().unwrap();
    let password = |text: &str, pairs: &[(&str, &str)]| {
        let settings = resolve(text, pairs).unwrap();
        assert!(!format!("{settings:?} {}", settings.describe()).contains("given"));
        settings.password_for(&settings.endpoints()[0]).map(str::to_owned)
    };
    assert_eq!(password("postgres://u:given@db/shop", &[("PGPASSFILE", file)]).as_deref(), Some("given"));
    assert_eq!(password("postgres://u@db/shop", &[("PGPASSWORD", "given")]).as_deref(), Some("given"));
    assert_eq!(password("postgres://u@db/shop", &[("PGPASSFILE", file)]).as_deref(), Some("filed"));
    assert_eq!(password("postgres://u@/shop?host=/tmp", &[("PGPASSFILE", file)]).as_deref(), Some("socket"));
    assert_eq!(password("postgres://u@db/none", &[("PGPASSFILE", file)]), None);
    let moved = resolve("postgres://u@db/shop", &[("PGPASSFILE", file)]).unwrap().with_database("other");
    assert_eq!(moved.password_for(&moved.endpoints()[0]), Some("moved"));
}

#[cfg(unix)]
fn set_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn set_private(_path: &std::path::Path) {}

#[test]
fn an_ignored_password_file_is_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let settings = resolve("host=h user=u", &[("PGPASSFILE", home.path().to_str().unwrap())]).unwrap();
    assert!(settings.warnings()[0].contains("not a plain file"), "{:?}", settings.warnings());
}

#[test]
fn every_keyword_of_libpq_is_known_once() {
    let mut names: Vec<&str> = keywords::KEYWORDS.iter().map(|keyword| keyword.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(keywords::find("sslmode").is_some() && keywords::find("SSLMODE").is_none());
}

/// What never shows.
const SECRET: &str = "S3CR3Tz";

/// How many of the next are URIs.
const URIS: usize = 17;

/// Where a secret stands, as people write it.
const WITH_SECRET: &[&str] = &[
    "postgresql://u:S3CR3Tz@host/x",
    "postgresql://u:S3CR3Tz@host:5432/x?sslmode=require",
    "postgres://u:a/S3CR3Tz@host/x",
    "postgres://u:S3CR3Tz/7@host/x",
    "postgres://u:7/S3CR3Tz@host/x",
    "postgres://u:a@S3CR3Tz@host/x",
    "postgres://u:a:S3CR3Tz@host/x",
    "postgres://u:a?S3CR3Tz=1@host/x",
    "postgres://u:a/b?S3CR3Tz=1@host/x",
    "postgres://u:a#S3CR3Tz@[::1]:1,b:2/x",
    "postgres://u:[S3CR3Tz@host/x",
    "postgres://u:%S3CR3Tz%@host/x",
    "postgres://u:,S3CR3Tz,@host/x",
    "postgres://u%3AS3CR3Tz@host/x",
    "postgres://u%3aS3CR3Tz:@host/x",
    "postgres://u@host/x?password=S3CR3Tz",
    "postgres://u@host/x?sslmode=verify-full&sslpassword=S3CR3Tz",
    "host=db port=5432 password=S3CR3Tz user=u",
    "host=db password='a S3CR3Tz b' dbname=x",
    "host=db password=a S3CR3Tz=1",
    "host=db password=a port=S3CR3Tz",
    "host=db password=a connect_timeout=S3CR3Tz sslmode=require",
    "host=db password=a sslmode=S3CR3Tz",
    "host=db password=a\\ S3CR3Tz gssencmode=S3CR3Tz",
    "sslkey=/k sslcert=/c sslpassword=S3CR3Tz",
    "oauth_client_secret=S3CR3Tz oauth_issuer=x",
    "scram_client_key=S3CR3Tz user=u",
];

/// Nothing of a text shows in an error, nor in a description but what it names openly.
#[track_caller]
fn check_hidden(text: &str, result: &Result<ConnectSettings, SettingsError>) {
    match result {
        Err(error) => {
            assert!(!format!("{error} {error:?}").contains(SECRET), "{text:?}: {error:?}");
        }
        Ok(settings) => {
            let open = format!("{} {:?}", settings.describe(), settings.endpoints());
            if open.contains(SECRET) {
                // As a name that is shown for what it is, and has an @ behind it at most as a user's.
                let at = text.find(SECRET).unwrap();
                let is_name = uri::is_uri(text) && !text[at..].contains('@');
                assert!(settings.user().contains(SECRET) || is_name, "{text:?}: {open}");
            } else {
                assert!(!format!("{settings:?} {:?}", settings.warnings()).contains(SECRET), "{text:?}");
            }
        }
    }
}

#[test]
fn a_password_behind_an_encoded_colon_is_not_shown() {
    for text in [
        "postgres://u%3AS3CR3Tz@host/x",
        "postgres://u%3aS3CR3Tz:@host/x",
        "user=u:S3CR3Tz host=host dbname=x",
    ] {
        let settings = resolve(text, &[]).unwrap();
        assert_eq!(settings.describe(), "host:5432/x as u:***");
        assert!(!format!("{settings:?}").contains(SECRET));
    }
    // with a password beside it, it is a name
    assert_eq!(resolve("postgres://a%3Ab:S3CR3Tz@host/x", &[]).unwrap().describe(), "host:5432/x as a:b");
}

/// One change to a text that leaves the secret whole.
fn changed(text: &str, at: usize, change: usize) -> String {
    const INSERTED: [&str; 16] =
        [":", "/", "@", "?", "#", "%", "'", "\\", " ", "=", "&", "[", "]", ",", "\n", "x"];
    let secret = text.find(SECRET).map_or(0..0, |start| start..start + SECRET.len());
    let mut pieces: Vec<&str> = text.split("").collect();
    pieces.retain(|piece| !piece.is_empty());
    let at = at % (pieces.len() + 1);
    if secret.contains(&at) && at != secret.start {
        return text.to_owned();
    }
    match change % (INSERTED.len() * 2 + 1) {
        0 if at < pieces.len() && !secret.contains(&at) => drop(pieces.remove(at)),
        change if change > INSERTED.len() && at < pieces.len() && !secret.contains(&at) => {
            pieces[at] = INSERTED[change - INSERTED.len() - 1];
        }
        change => pieces.insert(at, INSERTED[change % INSERTED.len()]),
    }
    pieces.concat()
}

#[test]
fn no_error_repeats_a_secret() {
    for text in WITH_SECRET {
        check_hidden(text, &resolve(text, &[]));
        // Every single change, which is every slip of the finger.
        for at in 0..=text.len() {
            for change in 0..33 {
                let text = changed(text, at, change);
                check_hidden(&text, &resolve(&text, &[]));
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_error_repeats_a_secret_of_a_uri_however_it_is_mistyped(
        text in proptest::sample::select(&WITH_SECRET[..URIS]),
        changes in proptest::collection::vec((0_usize..80, 0_usize..33), 1..4),
    ) {
        let changed = changes.into_iter().fold(text.to_owned(), |text, (at, change)| changed(&text, at, change));
        check_hidden(&changed, &resolve(&changed, &[]));
    }

    #[test]
    fn no_error_repeats_a_secret_of_a_service_file(
        text in proptest::sample::select(&WITH_SECRET[URIS..]),
        (at, change) in (0_usize..80, 0_usize..33),
    ) {
        let home = tempfile::tempdir().unwrap();
        let pairs = [("HOME", home.path().to_str().unwrap()), ("PGPASSWORD", SECRET)];
        let file = format!("[s]\n{}\n", changed(text, at, change).replace(' ', "\n"));
        std::fs::write(home.path().join(".pg_service.conf"), &file).unwrap();
        check_hidden(&file, &resolve("service=s", &pairs));
    }
}
