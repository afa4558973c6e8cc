//! Options of `pg_dump` and `pg_restore` that a command here does not have, each with the way it is done here.
//!
//! They are hidden arguments of every command that has nothing of that name itself, so that who types them
//! from habit is told in one sentence what to do, and never gets something else than meant.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// An option known from other programs.
struct Habit {
    letter: Option<char>,
    name: &'static str,
    takes: Takes,
    commands: &'static [&'static str],
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    Value,
    /// It is no option, but a word that stands alone.
    Word,
}

enum Answer {
    /// Refused, with what to do instead.
    Instead(&'static str),
    /// What is done anyway.
    Anyway,
}

/// Commands with a source and a target.
const TWO_SIDES: &[&str] = &["migrate", "preflight", "cleanup"];
/// Commands that look at a store alone.
const STORE_ONLY: &[&str] = &["backup list", "backup show", "backup export"];
const WRITING: &[&str] = &["restore", "migrate"];
const SCRIPTS: &[&str] = &["dump", "backup export"];
const READING: &[&str] = &["dump", "migrate", "preflight", "backup export"];
const EVERY: &[&str] = &[
    "dump",
    "restore",
    "migrate",
    "preflight",
    "verify",
    "cleanup",
    "backup list",
    "backup check",
    "backup show",
    "backup export",
];

const TWO: &str = "it names one database, and this command has two sides: give --source and --target, as in --source \
                   postgres://USER@HOST:PORT/DBNAME";
const STORE: &str = "this command reads a store and no server: give --store";
const COPY_ONLY: &str = "a script holds COPY blocks, which every psql loads: leave it out";
const SINGLE_OBJECT: &str = "dbhaul restores no single function, index or trigger: `dbhaul backup show --ddl` prints their definitions";

const fn habit(
    letter: Option<char>,
    name: &'static str,
    takes: Takes,
    commands: &'static [&'static str],
    answer: Answer,
) -> Habit {
    Habit { letter, name, takes, commands, answer }
}

use Answer::{Anyway, Instead};
use Takes::{Nothing, Value, Word};

#[rustfmt::skip]
const HABITS: &[Habit] = &[
    habit(Some('h'), "host", Value, TWO_SIDES, Instead(TWO)),
    habit(Some('p'), "port", Value, TWO_SIDES, Instead(TWO)),
    habit(Some('U'), "username", Value, TWO_SIDES, Instead(TWO)),
    habit(Some('d'), "dbname", Value, TWO_SIDES, Instead(TWO)),
    habit(None, "DBNAME", Word, &["migrate", "preflight", "cleanup", "verify"], Instead(TWO)),
    habit(Some('h'), "host", Value, STORE_ONLY, Instead(STORE)),
    habit(Some('p'), "port", Value, STORE_ONLY, Instead(STORE)),
    habit(Some('U'), "username", Value, STORE_ONLY, Instead(STORE)),
    habit(Some('d'), "dbname", Value, STORE_ONLY, Instead(STORE)),
    habit(None, "FILE", Word, &["restore"],
        Instead("dbhaul restores from a store, not from a file: give --store, and --target or -d for the database")),
    habit(Some('f'), "file", Value, &["restore"],
        Instead("`dbhaul backup export --file FILE` writes a backup as a script; a restore goes to --target or -d")),
    habit(Some('F'), "format", Value, &["restore"], Instead("a store has one format: leave it out")),
    habit(Some('w'), "no-password", Nothing, EVERY, Anyway),
    habit(Some('W'), "password", Nothing, EVERY,
        Instead("dbhaul never asks for a password: set PGPASSWORD, or write it into ~/.pgpass")),
    habit(None, "strict-names", Nothing, EVERY, Anyway),
    habit(Some('Z'), "compress", Value, &["backup export"], Instead("pipe the script through zstd or gzip")),
    habit(None, "snapshot", Value, READING,
        Instead("dbhaul takes a snapshot itself, which all its sessions share: leave it out")),
    habit(None, "serializable-deferrable", Nothing, READING,
        Instead("dbhaul reads a snapshot that is repeatable, not serializable: leave it out, or stop what writes")),
    habit(None, "no-sync", Nothing, EVERY,
        Instead("dbhaul always waits until what it has written is safe on disk: leave it out")),
    habit(None, "sync-method", Value, EVERY,
        Instead("dbhaul always waits until what it has written is safe on disk: leave it out")),
    habit(None, "load-via-partition-root", Nothing, EVERY,
        Instead("dbhaul loads rows through the root of their partitions where they may belong to others on the \
                 target, and only there: leave it out")),
    habit(None, "quote-all-identifiers", Nothing, EVERY,
        Instead("dbhaul quotes the names that the target's version must have quoted: leave it out")),
    habit(None, "inserts", Nothing, SCRIPTS, Instead(COPY_ONLY)),
    habit(None, "column-inserts", Nothing, SCRIPTS, Instead(COPY_ONLY)),
    habit(None, "attribute-inserts", Nothing, SCRIPTS, Instead(COPY_ONLY)),
    habit(None, "rows-per-insert", Value, SCRIPTS, Instead(COPY_ONLY)),
    habit(None, "on-conflict-do-nothing", Nothing, SCRIPTS, Instead(COPY_ONLY)),
    habit(Some('1'), "single-transaction", Nothing, WRITING,
        Instead("dbhaul commits step by step, so that --resume can go on: after a failure resume, or start over \
                 with --clean --if-exists")),
    habit(None, "transaction-size", Value, WRITING,
        Instead("dbhaul commits step by step, so that --resume can go on: leave it out")),
    habit(Some('e'), "exit-on-error", Nothing, WRITING,
        Instead("dbhaul restores all that can be restored, lists what failed, and does not end with 0 then: leave \
                 it out")),
    habit(Some('l'), "list", Nothing, &["restore"],
        Instead("`dbhaul backup show --toc` lists the entries of a backup")),
    habit(Some('L'), "use-list", Value, WRITING,
        Instead("choose objects with -n, -N, -t, -T or --filter FILE")),
    habit(Some('I'), "index", Value, WRITING, Instead(SINGLE_OBJECT)),
    habit(Some('P'), "function", Value, WRITING, Instead(SINGLE_OBJECT)),
    habit(None, "trigger", Value, WRITING, Instead(SINGLE_OBJECT)),
    habit(Some('S'), "superuser", Value, EVERY,
        Instead("connect as the superuser: in the URI, or with -U where the command has it")),
    habit(Some('E'), "encoding", Value, READING,
        Instead("backups and scripts are in UTF8, those of a SQL_ASCII database as they are: leave it out")),
    habit(Some('R'), "no-reconnect", Nothing, EVERY, Anyway),
    habit(None, "no-data", Nothing, EVERY, Instead("use --schema-only")),
    habit(None, "no-schema", Nothing, EVERY, Instead("use --data-only")),
    habit(None, "statistics", Nothing, SCRIPTS,
        Instead("a backup holds planner statistics without it, and a script holds none: leave it out")),
    habit(None, "with-statistics", Nothing, EVERY,
        Instead("a backup holds planner statistics; whether they are restored says --statistics of `restore` and \
                 `migrate`: leave it out")),
    habit(None, "no-statistics", Nothing, WRITING, Instead("use --statistics none")),
    habit(None, "sequence-data", Nothing, EVERY,
        Instead("the values of sequences are read with the rows: leave out --schema-only to have them")),
    habit(None, "disable-triggers", Nothing, READING,
        Instead("it is an option of `dbhaul restore` and `dbhaul migrate`: leave it out")),
    habit(None, "restrict-key", Value, EVERY,
        Instead("dbhaul's scripts hold no \\restrict: leave it out")),
    habit(None, "extra-float-digits", Value, EVERY,
        Instead("dbhaul reads floating-point numbers with all their digits: leave it out")),
    habit(None, "binary-upgrade", Nothing, EVERY,
        Instead("it is for pg_upgrade alone: leave it out")),
    habit(None, "statistics-only", Nothing, EVERY,
        Instead("dbhaul carries planner statistics beside the rows: see --statistics of `restore` and `migrate`")),
    habit(None, "enable-row-security", Nothing, EVERY,
        Instead("dbhaul never leaves out rows that a policy hides: connect as a role that sees all of them")),
    habit(None, "use-set-session-authorization", Nothing, EVERY,
        Instead("dbhaul sets owners with ALTER ... OWNER TO: leave it out")),
    habit(None, "no-data-for-failed-tables", Nothing, WRITING,
        Instead("dbhaul loads no rows into a table that it could not create: leave it out")),
    habit(None, "no-table-access-method", Nothing, EVERY,
        Instead("dbhaul keeps the access methods of tables; what the target lacks is listed by `dbhaul preflight`")),
    habit(None, "no-toast-compression", Nothing, EVERY,
        Instead("dbhaul keeps the compression of columns; what the target lacks is listed by `dbhaul preflight`")),
    habit(None, "no-unlogged-table-data", Nothing, EVERY,
        Instead("name the unlogged tables with --exclude-table-data")),
    habit(None, "disable-dollar-quoting", Nothing, SCRIPTS,
        Instead("a script quotes bodies as the server prints them: leave it out")),
];

/// Adds to each command what it is asked for from habit.
pub(super) fn add(command: Command) -> Command {
    each(command, "", &mut |mut command, path| {
        for (number, habit) in of(path) {
            let has = |arg: &Arg| match habit.takes {
                Word => arg.is_positional(),
                _ => arg.get_long() == Some(habit.name),
            };
            if command.get_arguments().any(has) {
                continue;
            }
            let letter =
                habit.letter.filter(|l| command.get_arguments().all(|arg| arg.get_short() != Some(*l)));
            command = command.arg(argument(number, habit, letter));
        }
        command
    })
}

/// What was typed from habit, and what to do instead.
pub(super) fn refused(matches: &ArgMatches) -> Option<Refused> {
    let (path, innermost) = innermost(matches);
    of(&path).find_map(|(number, habit)| {
        let id = id(number);
        let is_known = innermost.try_contains_id(&id).is_ok();
        let is_given = is_known && innermost.value_source(&id) == Some(ValueSource::CommandLine);
        match habit.answer {
            Instead(way) if is_given => Some(Refused { command: path.clone(), problem: problem(habit, way) }),
            _ => None,
        }
    })
}

/// A command line that is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The command.
    pub(crate) command: String,
    /// What is wrong, and what to do instead.
    pub(crate) problem: String,
}

fn problem(habit: &Habit, way: &str) -> String {
    match (habit.takes, habit.letter) {
        (Word, _) => format!("{} stands alone: {way}", habit.name),
        (_, Some(letter)) => format!("-{letter}, --{}: {way}", habit.name),
        (_, None) => format!("--{}: {way}", habit.name),
    }
}

fn of(path: &str) -> impl Iterator<Item = (usize, &'static Habit)> {
    HABITS.iter().enumerate().filter(move |(_, habit)| habit.commands.contains(&path))
}

fn id(number: usize) -> String {
    format!("habit-{number}")
}

fn argument(number: usize, habit: &'static Habit, letter: Option<char>) -> Arg {
    let arg = Arg::new(id(number)).hide(true);
    match habit.takes {
        Word => return arg.num_args(0..).value_name(habit.name),
        Value => arg.num_args(1).action(ArgAction::Append),
        Nothing => arg.action(ArgAction::Count),
    }
    .long(habit.name)
    .short(letter)
}

/// Applies `act` to each command that has none below it, with the words that call it.
fn each(command: Command, path: &str, act: &mut impl FnMut(Command, &str) -> Command) -> Command {
    let below: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    if below.is_empty() {
        return act(command, path);
    }
    below.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |subcommand| each(subcommand, &path, act))
    })
}

fn innermost(matches: &ArgMatches) -> (String, &ArgMatches) {
    let (mut path, mut matches) = (String::new(), matches);
    while let Some((name, below)) = matches.subcommand() {
        path = format!("{path} {name}").trim_start().to_owned();
        matches = below;
    }
    (path, matches)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Answer, HABITS, Takes, add};
    use crate::args::Cli;

    #[test]
    fn commands_stay_consistent() {
        add(Cli::command()).debug_assert();
    }

    /// Whatever stands in the table is answered, and by its own answer, unless a command has come to know it.
    #[test]
    fn every_habit_is_answered() {
        for (number, habit) in HABITS.iter().enumerate() {
            for command in habit.commands {
                let earlier = HABITS[..number].iter().filter(|other| other.commands.contains(command));
                assert!(earlier.clone().all(|other| other.name != habit.name), "{command} {}", habit.name);
                let option = match habit.takes {
                    Takes::Word => String::new(),
                    _ => format!("--{}", habit.name),
                };
                let value = if habit.takes == Takes::Nothing { "" } else { "1" };
                let words = format!("dbhaul {command} {option} {value}");
                let read = Cli::read(words.split_whitespace());
                let is_own = Cli::command()
                    .find_subcommand(command.split(' ').next_back().unwrap())
                    .is_some_and(|found| found.get_arguments().any(|arg| arg.get_long() == Some(habit.name)));
                match (&habit.answer, read) {
                    (Answer::Instead(way), Ok(Err(refused))) => {
                        assert!(refused.problem.ends_with(way), "{words}: {}", refused.problem);
                    }
                    (Answer::Anyway, Ok(Ok(_))) => {}
                    (_, read) => assert!(is_own, "{words}: {read:?}"),
                }
            }
        }
    }
}
