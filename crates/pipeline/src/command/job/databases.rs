//! The databases of a server whose names match patterns.

use dbhaul_catalog::in_one_line;
use dbhaul_postgres::{ConnectSettings, Session, SessionRole};

use crate::{Context, PipelineError};

/// Databases, and whether each takes connections; templates are named by whoever wants them.
const DATABASES: &str = "SELECT d.datname, d.datallowconn::pg_catalog.text FROM pg_catalog.pg_database d \
                         WHERE NOT d.datistemplate ORDER BY d.datname COLLATE pg_catalog.\"C\"";

/// What the databases of a server are for a job.
pub(super) struct Matching {
    /// Those that it backs up.
    pub(super) open: Vec<String>,
    /// Those that match and refuse all connections, so that nobody can back them up.
    pub(super) closed: Vec<Closed>,
    /// An error for each pattern that matches none: a database that was renamed would otherwise be left out in silence for
    /// years.
    pub(super) unmatched: Vec<PipelineError>,
}

/// A database that refuses all connections.
pub(super) struct Closed {
    pub(super) name: String,
    /// Whether the job names it itself, and not only a pattern that stands for many.
    pub(super) is_named: bool,
}

/// Databases whose names match any of the patterns.
pub(super) async fn matching(
    server: &ConnectSettings,
    patterns: &[String],
    context: &Context,
) -> Result<Matching, PipelineError> {
    let asking = |error| PipelineError::server("reading the names of databases", error);
    let session = Session::connect(server, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let rows = session.query_rows(DATABASES).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    let databases = rows.into_iter().filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
        Ok([Some(name), takes_connections]) => Some((name, takes_connections.as_deref() == Some("true"))),
        _ => None,
    });
    Ok(chosen(databases.collect(), patterns))
}

/// Of databases, each with whether it takes connections, those that match.
fn chosen(databases: Vec<(String, bool)>, patterns: &[String]) -> Matching {
    let unmatched =
        patterns.iter().filter(|pattern| !databases.iter().any(|(name, _)| matches(pattern, name)));
    let unmatched = unmatched.map(|pattern| no_match(pattern)).collect();
    let mut matching = Matching { open: Vec::new(), closed: Vec::new(), unmatched };
    for (name, takes_connections) in databases {
        if !patterns.iter().any(|pattern| matches(pattern, &name)) {
            continue;
        }
        match takes_connections {
            true => matching.open.push(name),
            false => matching.closed.push(Closed { is_named: patterns.contains(&name), name }),
        }
    }
    matching
}

impl Closed {
    /// The error of a database that the job names and cannot back up.
    pub(super) fn refused(&self) -> PipelineError {
        PipelineError::Request {
            problem: format!("database {:?} {CLOSED}", in_one_line(&self.name)),
            help: "`ALTER DATABASE ... ALLOW_CONNECTIONS true` opens it; if it is not to be backed up, take it out of \
                   `databases` of the profile"
                .to_owned(),
        }
    }
}

/// What is said of a closed database.
pub(super) const CLOSED: &str =
    "refuses all connections (datallowconn is false), so that it cannot be backed up";

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
    use super::{chosen, matches};

    #[test]
    fn a_closed_database_is_not_left_out_in_silence() {
        let databases = [("app_1", true), ("app_2", false), ("app_3", false), ("other", false)];
        let databases = databases.map(|(name, is_open)| (name.to_owned(), is_open)).to_vec();
        let matching = chosen(databases, &["app_*".to_owned(), "app_3".to_owned(), "gone".to_owned()]);
        assert_eq!(matching.open, ["app_1"]);
        let closed: Vec<_> =
            matching.closed.iter().map(|closed| (closed.name.as_str(), closed.is_named)).collect();
        assert_eq!(closed, [("app_2", false), ("app_3", true)]);
        assert_eq!(matching.unmatched.len(), 1);
        assert!(matching.unmatched[0].to_string().contains("\"gone\""));
        assert!(matching.closed[1].refused().to_string().contains("\"app_3\" refuses all connections"));
    }

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
