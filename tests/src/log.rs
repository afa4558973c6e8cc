//! What sessions have said to a server, as its log has it.

use std::collections::HashMap;

use crate::qualified::{Parser, Session};

/// What begins the lines of the log: when, whose process, and of a session its id, what serves it and what
/// its client calls itself.
pub(crate) const LINE_PREFIX: &str = "%m [%p] %q%c (%b) <%a> ";

/// What clients of PostgreSQL's own call themselves, who may name things as they like: tests use them to
/// prepare and to judge, and servers to reach foreign tables. All other sessions are dbhaul's, whatever they are called.
const OTHERS: [&str; 5] = ["psql", "pg_dump", "pg_dumpall", "pg_restore", "postgres_fdw"];

/// How a mover's sessions call themselves that the long form of the tests judges: each with more behind it.
const MOVER: &str = "pgcopydb";

/// What a server calls a client that has not named itself, or not yet.
const UNKNOWN: &str = "[unknown]";

/// The kind of process that serves a client's session.
const SERVES_CLIENTS: &str = "client backend";

/// One line of a session, with those that continue it.
struct Line<'a> {
    session: &'a str,
    served_by: &'a str,
    client: &'a str,
    level: &'a str,
    text: String,
}

/// A session of dbhaul's.
#[derive(Default)]
struct Logged {
    judged: Session,
    last: String,
    /// An error was told of, and not yet by which statement.
    has_failed: bool,
}

/// Judges the statements of dbhaul's sessions. Returns how many statements there are, whoever has sent them.
///
/// # Errors
/// For the first that names something without its schema where the search path is not empty.
pub(crate) fn judge(log: &str) -> Result<usize, String> {
    let mut sessions: HashMap<&str, Option<Logged>> = HashMap::new();
    let mut parser = Parser::default();
    let mut count = 0;
    for line in lines(log) {
        let says_something = statement(line.level, &line.text).is_some();
        if line.client == UNKNOWN && !says_something && !sessions.contains_key(line.session) {
            continue; // a server warns of its database before it takes the client's name
        }
        // a session is who it says it is when it begins
        let is_others = || OTHERS.contains(&line.client) || line.client.starts_with(MOVER);
        let is_ours = || line.served_by == SERVES_CLIENTS && !is_others();
        let session = sessions.entry(line.session).or_insert_with(|| is_ours().then(Logged::default));
        count += usize::from(says_something);
        let Some(session) = session else { continue };
        let taken = session.take(&mut parser, &line);
        taken.map_err(|problem| format!("{problem}\nin {}\nof session {}", line.text, line.session))?;
    }
    Ok(count)
}

impl Logged {
    fn take(&mut self, parser: &mut Parser, line: &Line<'_>) -> Result<(), String> {
        if let Some(sql) = statement(line.level, &line.text) {
            (self.last, self.has_failed) = (sql.to_owned(), false);
            return self.judged.take(parser, sql).map(drop);
        }
        match line.level {
            "ERROR" => self.has_failed = true,
            "STATEMENT" if std::mem::take(&mut self.has_failed) => {
                if line.text != self.last {
                    // refused before the server would have logged it
                    return self.judged.take_refused(parser, &line.text).map(drop);
                }
                self.judged.fail();
            }
            _ => {}
        }
        Ok(())
    }
}

/// The statement that a line tells of: a simple query, or one that is executed after it was prepared.
fn statement<'a>(level: &str, text: &'a str) -> Option<&'a str> {
    if level != "LOG" {
        return None;
    }
    let executed = || text.strip_prefix("execute ")?.split_once(": ").map(|(_, sql)| sql);
    text.strip_prefix("statement: ").or_else(executed)
}

/// The lines of sessions, continued ones in one.
fn lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    let mut rest = log.split_inclusive('\n').peekable();
    std::iter::from_fn(move || {
        loop {
            let Some(mut line) = line(rest.next()?) else { continue };
            while let Some(more) = rest.next_if(|line| line.starts_with('\t')) {
                line.text.push_str(&more[1..]);
            }
            if line.text.ends_with('\n') {
                line.text.pop();
            }
            return Some(line);
        }
    })
}

/// A line that begins as [`LINE_PREFIX`] says; none that belongs to no session.
fn line(line: &str) -> Option<Line<'_>> {
    let (_, line) = line.split_once("] ")?;
    let (session, line) = line.split_once(" (")?;
    if session.contains(' ') {
        return None;
    }
    let (served_by, line) = line.split_once(") <")?;
    let (client, line) = line.split_once("> ")?;
    let (level, text) = line.split_once(":  ")?;
    Some(Line { session, served_by, client, level, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::judge;

    /// Lines of one session, each with its level; `\n` in a text as the server writes it.
    fn log(client: &str, lines: &[&str]) -> String {
        let line = |text: &&str| {
            let text = text.replace('\n', "\n\t");
            format!("2026-11-29 20:00:00.000 UTC [7] 66a.7 (client backend) <{client}> {text}\n")
        };
        let begin =
            "2026-11-29 20:00:00.000 UTC [6] LOG:  statement: SELECT 1 + 1 (of no session) <x> LOG:  y\n";
        [begin.to_owned()].into_iter().chain(lines.iter().map(line)).collect()
    }

    const EMPTIED: &str = "LOG:  statement: SET search_path = ''";
    const FINE: &str = "LOG:  execute s1: SELECT 1 OPERATOR(pg_catalog.+) 1";
    const BARE: &str = "LOG:  statement: SELECT\n1 + 1";

    #[test]
    fn sessions_are_followed_through_a_log() {
        let opening = [EMPTIED, FINE, FINE];
        let judge = |lines: &[&str]| judge(&log("dbhaul hold x", &[&opening, lines].concat()));
        assert_eq!(judge(&[BARE, BARE]), Ok(5));
        let refused = |lines: &[&str]| {
            let problem = judge(lines).unwrap_err();
            assert!(problem.contains("without a schema: operator +"), "{problem}");
        };
        refused(&["LOG:  statement: RESET search_path", BARE]);
        refused(&["LOG:  statement: RESET search_path", "LOG:  execute fetch from s1: SELECT 1 + 1"]);
        refused(&["LOG:  execute <unnamed>: DISCARD ALL", "ERROR:  no", "STATEMENT:  SELECT 1 + 1"]);
        let emptied = "STATEMENT:  SET search_path = ''";
        refused(&["LOG:  statement: DISCARD ALL", EMPTIED, "ERROR:  timeout", "HINT:  x", emptied, BARE]);
        let set_again = [EMPTIED, "ERROR:  no", "STATEMENT:  SELECT 1 + 1", "LOG:  noted", emptied, BARE];
        assert_eq!(judge(&set_again), Ok(5));
    }

    #[test]
    fn sessions_of_others_may_name_things_as_they_like() {
        let bare = |client| log(client, &[BARE]);
        for client in ["psql", "pg_restore"] {
            assert_eq!(judge(&bare(client)), Ok(1), "{client}");
        }
        for client in ["dbhaul", "[unknown]", "my psql"] {
            assert!(judge(&bare(client)).is_err(), "{client}");
        }
        let warned = "2026-11-29 20:00:00.000 UTC [7] 66a.7 (client backend) <[unknown]> WARNING:  version\n";
        assert_eq!(judge(&(warned.to_owned() + &bare("psql"))), Ok(1));
        assert!(judge(&(warned.to_owned() + &bare("dbhaul"))).is_err());
        // who it is shows at the beginning
        assert!(judge(&(bare("dbhaul") + &bare("psql"))).is_err());
        assert_eq!(judge(&(bare("psql") + &bare("dbhaul"))), Ok(2));
    }
}
