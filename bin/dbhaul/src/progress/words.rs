//! A tally in one line.

use std::time::Duration;

use dbhaul_pipeline::format_bytes;

use super::tally::{Span, Tally};

/// What runs, how far it is, how fast, how long it will take; the end may be cut off by a narrow terminal:
/// `data, post-data: 50%, 700.0 KiB/s, ETA 2s, 1,204 rows, 1.5 MiB of about 3.0 MiB, 1 done, 2 running`.
pub(super) fn line(tally: &Tally, at: Duration) -> String {
    let names: Vec<&str> = tally.phases.iter().map(|phase| phase.name()).collect();
    let name = if names.is_empty() { "between phases".to_owned() } else { names.join(", ") };
    let mut parts = Vec::new();
    if tally.failed_tasks > 0 {
        parts.push(format!("{} FAILED", tally.failed_tasks));
    }
    if tally.is_working() {
        parts.extend(tally.fraction(at).map(|fraction| format!("{:.0}%", fraction * 100.0)));
        if tally.copies_rows() {
            parts.push(format!("{}/s", format_bytes(tally.rate(at) as u64)));
        }
        parts.extend(tally.time_left(at).map(|left| format!("ETA {}", duration(left))));
    }
    if tally.row_count > 0 || tally.copies_rows() {
        parts.push(rows(tally.row_count));
        parts.push(moved(tally));
    }
    if tally.finished_tasks > 0 || !tally.running.is_empty() {
        parts.push(format!("{} done, {} running", tally.finished_tasks, tally.running.len()));
    }
    if parts.is_empty() { name } else { format!("{name}: {}", parts.join(", ")) }
}

/// The phases of a run with their times and rates, a line each:
/// `data        12.3 s    4.0 MiB at 333.0 KiB/s, 7 tasks`.
pub(super) fn table(tally: &Tally, at: Duration) -> Vec<String> {
    let line = |span: &Span| {
        let seconds = span.ended.unwrap_or(at).saturating_sub(span.started).as_secs_f64();
        let mut text = format!("{:<10} {seconds:>8.1} s", span.phase.name());
        let mut more = Vec::new();
        if span.moved_bytes > 0 {
            let rate = format_bytes((span.moved_bytes as f64 / seconds.max(0.001)) as u64);
            more.push(format!("{} at {rate}/s", format_bytes(span.moved_bytes)));
        }
        if span.ended_tasks > 0 {
            more.push(counted(span.ended_tasks, "task"));
        }
        if !more.is_empty() {
            text = format!("{text}  {}", more.join(", "));
        }
        if span.ended.is_none() { format!("{text}, not finished") } else { text }
    };
    tally.spans.iter().map(line).collect()
}

fn moved(tally: &Tally) -> String {
    let copied = format_bytes(tally.copied_bytes);
    match tally.expected_bytes() {
        Some(expected) if tally.copies_rows() && expected > 0 => {
            format!("{copied} of about {}", format_bytes(expected))
        }
        _ => copied,
    }
}

/// A number with its noun: `1 task`, `2 tasks`.
fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1 row`, `1,204 rows`.
pub(super) fn rows(count: u64) -> String {
    counted(count, "row")
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `7s`, `3m05s`, `2h07m`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbhaul_progress::{Event, Phase, TaskId};

    use super::super::tally::Tally;
    use super::{duration, grouped, line, table};

    #[test]
    fn numbers_and_times() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let times = [0, 59, 65, 3600, 7620].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(times, ["0s", "59s", "1m05s", "1h00m", "2h07m"]);
    }

    #[test]
    fn a_table_of_phases() {
        let mut tally = Tally::default();
        let second = Duration::from_secs;
        let start = |phase, total_bytes| Event::PhaseStarted { phase, total_tasks: None, total_bytes };
        tally.apply(&start(Phase::Data, Some(9)), second(1));
        let (task, total_bytes) = (TaskId(0), Some(4 << 20));
        let (kind, name) = ("TABLE DATA".to_owned(), "t".to_owned());
        tally.apply(&Event::TaskStarted { task, kind, name, total_bytes }, second(1));
        tally.apply(&Event::TaskAdvanced { task, row_count: 5, copied_bytes: 4 << 20 }, second(2));
        tally.apply(&Event::TaskFinished { task }, second(3));
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, second(3));
        tally.apply(&start(Phase::PostData, None), second(3));
        assert_eq!(
            table(&tally, second(6)),
            ["data            2.0 s  4.0 MiB at 2.0 MiB/s, 1 task", "post-data       3.0 s, not finished",]
        );
    }

    #[test]
    fn a_copy_in_one_line() {
        let mut tally = Tally::default();
        let second = Duration::from_secs;
        assert_eq!(line(&tally, second(0)), "between phases");
        let total_bytes = Some(4 << 20);
        tally
            .apply(&Event::PhaseStarted { phase: Phase::Data, total_tasks: Some(1), total_bytes }, second(0));
        let task = TaskId(0);
        let (kind, name) = ("TABLE DATA".to_owned(), "t".to_owned());
        tally.apply(&Event::TaskStarted { task, kind, name, total_bytes }, second(0));
        tally.apply(&Event::TaskAdvanced { task, row_count: 5000, copied_bytes: 1 << 20 }, second(4));
        assert_eq!(
            line(&tally, second(4)),
            "data: 25%, 256.0 KiB/s, ETA 12s, 5,000 rows, 1.0 MiB of about 4.0 MiB, 0 done, 1 running"
        );
        tally.apply(&Event::TaskFailed { task, message: "no".into() }, second(5));
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, second(5));
        assert_eq!(line(&tally, second(5)), "between phases: 1 FAILED, 5,000 rows, 1.0 MiB");
    }
}
