//! Metrics in the text format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::Path;

use dbhaul_catalog::is_command;

use crate::command::job::{StepKind, StepResult};
use crate::{JobReport, Status};

/// Name, type and meaning of each metric.
const METRICS: [(&str, &str); 8] = [
    ("dbhaul_backup_last_run_timestamp_seconds", "When the job last ended."),
    (LAST_SUCCESS, "When the database was last backed up, and the backup checked, without error."),
    (
        "dbhaul_backup_status",
        "Exit code of the last run, for the database or, without one, the whole job: 0 done, 1 failed, 3 done in part.",
    ),
    ("dbhaul_backup_duration_seconds", "How long the last backup took."),
    ("dbhaul_backup_rows", "Rows in the last backup."),
    ("dbhaul_backup_plain_bytes", "Bytes of the rows in the last backup."),
    ("dbhaul_backup_stored_bytes", "Bytes of the rows as they are stored."),
    ("dbhaul_backup_forgotten", "Backups that the last run forgot."),
];

/// Kept from the file before where a run fails.
const LAST_SUCCESS: &str = "dbhaul_backup_last_success_timestamp_seconds";

/// A metric, by its place in [`METRICS`], and its value.
type Values = BTreeMap<usize, f64>;

/// The metrics of a run: those of the job, and of each database.
fn values(report: &JobReport) -> BTreeMap<Option<&str>, Values> {
    let mut values: BTreeMap<Option<&str>, Values> = BTreeMap::new();
    let finished = report.finished.as_millisecond() as f64 / 1000.0;
    let whole = values.entry(None).or_default();
    whole.insert(0, finished);
    whole.insert(2, f64::from(report.status().exit_code()));
    for step in &report.steps {
        let of = values.entry(step.database.as_deref()).or_default();
        if step.database.is_some() {
            let code = f64::from(step.status().exit_code());
            // 1 is worse than 3
            let rank = |code: f64| [0.0, 3.0, 1.0, 130.0].iter().position(|known| *known == code);
            let before = of.get(&2).copied();
            of.insert(2, before.filter(|before| rank(*before) > rank(code)).unwrap_or(code));
        }
        match &step.result {
            StepResult::Dumped(dump) => {
                if dump.status() == Status::Done {
                    of.insert(1, finished);
                }
                of.insert(3, step.elapsed_seconds);
                of.insert(4, dump.row_count as f64);
                of.insert(5, dump.totals.plain_bytes as f64);
                of.insert(6, dump.totals.stored_bytes as f64);
            }
            // a backup that cannot be relied on is none
            _ if step.step == StepKind::Check && step.status() != Status::Done => drop(of.remove(&1)),
            StepResult::Forgot(forgot) => drop(of.insert(7, forgot.forgotten_count as f64)),
            StepResult::Checked(_)
            | StepResult::Pruned(_)
            | StepResult::Left { .. }
            | StepResult::Failed { .. }
            | StepResult::NotDone { .. } => {}
        }
    }
    values
}

/// The metrics of a run as one text, with the profile and the database of each as labels.
pub(super) fn text(profile: &str, report: &JobReport) -> String {
    let mut text = String::new();
    let values = values(report);
    for (place, (name, help)) in METRICS.into_iter().enumerate() {
        let of = values.iter().filter_map(|(database, values)| Some((*database, values.get(&place)?)));
        let lines: String =
            of.map(|(database, value)| format!("{name}{} {value}\n", labels(profile, database))).collect();
        if !lines.is_empty() {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{lines}"));
        }
    }
    text
}

/// The same for a push gateway, which replaces all of a metric in a group at once: each database is a group, so that a
/// failure leaves its last success there. The labels are in the address.
pub(super) fn groups(report: &JobReport) -> Vec<(Option<String>, String)> {
    let text = |values: &Values| {
        values.iter().map(|(place, value)| format!("{} {value}\n", METRICS[*place].0)).collect::<String>()
    };
    values(report).iter().map(|(database, values)| (database.map(str::to_owned), text(values))).collect()
}

fn labels(profile: &str, database: Option<&str>) -> String {
    let quoted = |name: &str| label(name).replace('\\', "\\\\").replace('"', "\\\"");
    match database {
        Some(database) => format!("{{profile=\"{}\",database=\"{}\"}}", quoted(profile), quoted(database)),
        None => format!("{{profile=\"{}\"}}", quoted(profile)),
    }
}

/// A name as the value of a label: what could break a line, command a terminal or turn the reading is escaped as
/// `\u{1b}`, and the backslash itself, so that no two names become one series.
fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\\' => label.push_str("\\\\"),
            c if is_command(c) => label.extend(c.escape_unicode()),
            c => label.push(c),
        }
    }
    label
}

/// Writes the file, with the last successes of the one before for databases that have none now. A reader sees the old
/// file or the new one, never half of it; anybody may read it, as the collector must.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    let before = match std::fs::read_to_string(file) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new().prefix(".dbhaul-").tempfile_in(directory)?;
    fresh.write_all(with_last_successes(text, &before).as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fresh.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    fresh.persist(file).map(drop).map_err(|error| error.error)
}

fn with_last_successes(text: &str, before: &str) -> String {
    let known = |line: &str| line.rsplit_once(' ').map(|(series, _)| series.to_owned());
    let now: BTreeSet<String> =
        text.lines().filter(|line| line.starts_with(LAST_SUCCESS)).filter_map(known).collect();
    let kept: Vec<&str> = before
        .lines()
        .filter(|line| {
            // an older version wrote names as they are
            let is_ours = line.starts_with(LAST_SUCCESS) && !line.contains(is_command);
            is_ours && known(line).is_some_and(|series| !now.contains(&series))
        })
        .collect();
    if kept.is_empty() {
        return text.to_owned();
    }
    // all lines of a metric stand together
    let header = format!("# TYPE {LAST_SUCCESS} gauge");
    let mut lines: Vec<&str> = text.lines().collect();
    let place = lines.iter().position(|line| *line == header).unwrap_or_else(|| {
        lines.push(&header);
        lines.len() - 1
    });
    lines.splice(place + 1..place + 1, kept);
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{is_command, labels, text, with_last_successes, write};
    use crate::JobReport;
    use crate::command::job::{Step, StepKind, StepResult};

    fn failed(database: &str) -> JobReport {
        let result = StepResult::Failed { error: "no space".to_owned(), help: None };
        let database = Some(database.to_owned());
        let step = Step { database, step: StepKind::Dump, elapsed_seconds: 1.0, result };
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        JobReport { job: "nightly".to_owned(), started: at, finished: at, steps: vec![step] }
    }

    #[test]
    fn a_failure_has_its_code_and_no_success() {
        let text = text("nightly", &failed("shop"));
        assert!(text.contains("dbhaul_backup_status{profile=\"nightly\",database=\"shop\"} 1\n"), "{text}");
        assert!(text.contains("dbhaul_backup_status{profile=\"nightly\"} 1\n"), "{text}");
        assert!(
            text.contains("dbhaul_backup_last_run_timestamp_seconds{profile=\"nightly\"} 1800000000\n"),
            "{text}"
        );
        assert!(!text.contains("last_success"), "{text}");
    }

    #[test]
    fn the_status_of_the_profile_is_that_of_its_worst_step() {
        let left = |step, database: Option<&str>| {
            let result = StepResult::Left { reason: "another run removes packs".to_owned() };
            Step { database: database.map(str::to_owned), step, elapsed_seconds: 0.0, result }
        };
        let status = |steps| {
            let text = text("nightly", &JobReport { steps, ..failed("shop") });
            let prefix = "dbhaul_backup_status{profile=\"nightly\"} ";
            text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned)
        };
        let prune = || left(StepKind::Prune, None);
        assert_eq!(status(vec![left(StepKind::Dump, Some("shop")), prune()]).as_deref(), Some("0"));
        // the last step is one of the whole store, and done
        let mut steps = failed("shop").steps;
        steps.push(prune());
        assert_eq!(status(steps).as_deref(), Some("1"));
        let result = StepResult::NotDone { reason: "another backup is running".to_owned() };
        let skipped = Step { result, ..left(StepKind::Dump, Some("shop")) };
        assert_eq!(status(vec![skipped, prune()]).as_deref(), Some("3"));
        // a run that was stopped before it could begin
        assert_eq!(status(Vec::new()).as_deref(), Some("1"));
    }

    #[test]
    fn the_last_success_outlives_a_failure() {
        let series = "dbhaul_backup_last_success_timestamp_seconds{profile=\"nightly\",database=\"shop\"}";
        let whole = with_last_successes("a 1\n", &format!("x 2\n{series} 17\n"));
        assert_eq!(
            whole,
            format!("a 1\n# TYPE dbhaul_backup_last_success_timestamp_seconds gauge\n{series} 17\n")
        );
        let newer = format!("# TYPE dbhaul_backup_last_success_timestamp_seconds gauge\n{series} 18\n");
        assert_eq!(with_last_successes(&newer, &whole), newer);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dbhaul.prom");
        write(&file, &newer).unwrap();
        write(&file, &text("nightly", &failed("shop"))).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("{series} 18\n")));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_are_escaped() {
        let check = |name: &str, escaped: &str| {
            assert_eq!(labels("a\"b", Some(name)), format!("{{profile=\"a\\\"b\",database=\"{escaped}\"}}"));
        };
        check("größe 表 {x=1}", "größe 表 {x=1}");
        // the exposition format takes a backslash before each backslash
        check("c\\d\ne", r"c\\\\d\\u{a}e");
        check("x\r\u{1b}[2J\u{202e}\0", r"x\\u{d}\\u{1b}[2J\\u{202e}\\u{0}");
        // no two names are one series, which a collector refuses together with the whole file
        check(r"x\u{d}", r"x\\\\u{d}");
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        assert!(!labels(&all, Some(&all)).contains(is_command));
    }
}
