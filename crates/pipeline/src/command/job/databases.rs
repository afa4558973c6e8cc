//! The databases of a server whose names match patterns.

use dbhaul_catalog::in_one_line;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};

use crate::{Context, PipelineError};

/// Databases that take connections; templates are named by whoever wants them.
const DATABASES: &str = "SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datallowconn AND NOT d.datistemplate \
                         ORDER BY d.datname COLLATE pg_catalog.\"C\"";

/// Names of databases that match any of the patterns, and an error for each pattern that matches none: a database that
/// was renamed would otherwise be left out in silence for years.
pub(super) async fn matching(
    server: &ConnectSettings,
    patterns: &[String],
    context: &Context,
) -> Result<(Vec<String>, Vec<PipelineError>), PipelineError> {
    let asking = |error| PipelineError::server("reading the names of databases", error);
    let session = Session::connect(server, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let mut names = session.query_strings(DATABASES).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    let unmatched = patterns.iter().filter(|pattern| !names.iter().any(|name| matches(pattern, name)));
    let unmatched = unmatched.map(|pattern| no_match(pattern)).collect();
    names.retain(|name| patterns.iter().any(|pattern| matches(pattern, name)));
    Ok((names, unmatched))
}

fn no_match(pattern: &str) -> PipelineError {
    PipelineError::Request {
        problem: format!("no database of the server matches the pattern {:?}", in_one_line(pattern)),
        help: "correct `databases` of the profile; * stands for any characters, ? for one".to_owned(),
    }
}

/// Whether a name matches a pattern: `*` stands for any characters, `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // places in both to go back to: the last star, and what it stands for so far
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[of] => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    of = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name) in [
            ("app_*", "app_"),
            ("app_*", "app_1"),
            ("*", ""),
            ("a*b*c", "aXbYbc"),
            ("?pp", "äpp"),
            ("*.*", "a.b"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("app_*", "xapp_1"), ("app", "app_1"), ("a*b", "abc"), ("?", ""), ("", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
