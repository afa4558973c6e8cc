//! Sizes and times as bars. Each is a drawing of its own beside words, so that both can be read on a telephone.

use maud::{Markup, html as markup};

use super::{line, tables};
use crate::report::conclusion::grouped;
use crate::report::{LARGE_OBJECTS, RunRecord, TableResult};

/// Bars in a chart.
const MOST_BARS: usize = 12;

/// The largest tables by their rows.
pub(super) fn tables(all: &[TableResult]) -> Markup {
    let rows = |table: &TableResult| tables::most_rows(&table.verdict);
    let mut largest: Vec<&TableResult> =
        all.iter().filter(|table| rows(table) > 0 && table.name != LARGE_OBJECTS).collect();
    largest.sort_by_key(|table| (std::cmp::Reverse(rows(table)), &table.name));
    let most = largest.first().map_or(0, |table| rows(table));
    markup! {
        @if largest.len() > 1 {
            details open {
                summary { "Largest tables by rows" }
                div class="bars" {
                    @for table in largest.iter().take(MOST_BARS) {
                        @let (class, _) = tables::word(&table.verdict, "");
                        span class="name" { (line(&table.name)) }
                        (bar(class, 0, rows(table), most))
                        span class="number" { (grouped(rows(table))) }
                    }
                }
            }
        }
    }
}

/// When the phases of a run were at work, and which tasks took longest.
pub(super) fn run(run: &RunRecord) -> Markup {
    let tasks = run.longest_tasks.iter().take(MOST_BARS);
    markup! {
        section {
            h2 { "Time" }
            p { "The run took " (seconds(run.elapsed_ms)) "." }
            @if !run.phases.is_empty() {
                h3 { "Phases" }
                div class="bars" {
                    @for phase in &run.phases {
                        span class="name" { (line(&phase.phase)) }
                        (bar("time", phase.start_ms, phase.end_ms, run.elapsed_ms))
                        span class="number" { (seconds(phase.end_ms.saturating_sub(phase.start_ms))) }
                    }
                }
            }
            @if !run.longest_tasks.is_empty() {
                h3 { "Longest tasks" }
                div class="bars" {
                    @for task in tasks {
                        span class="name" {
                            (line(&task.kind.to_lowercase())) " " (line(&task.name))
                            @if let Some(bytes) = task.estimated_bytes.filter(|bytes| *bytes > 0) {
                                " (about " (size(bytes)) ")"
                            }
                        }
                        (bar("time", task.start_ms, task.end_ms, run.elapsed_ms))
                        span class="number" { (seconds(task.elapsed_ms())) }
                    }
                }
            }
        }
    }
}

/// From `start` to `end` of `whole`.
fn bar(class: &str, start: u64, end: u64, whole: u64) -> Markup {
    let whole = whole.max(end).max(1);
    let percent = |part: u64| part as f64 * 100.0 / whole as f64;
    let (from, width) = (percent(start), percent(end.saturating_sub(start)).max(0.4));
    markup! {
        svg class=(format!("bar {class}")) aria-hidden="true" {
            rect class="track" x="0" y="0" width="100%" height="100%" {}
            rect x=(format!("{from:.2}%")) y="0" width=(format!("{width:.2}%")) height="100%" {}
        }
    }
}

/// `3.7 s`, `4 min 10 s`.
fn seconds(milliseconds: u64) -> String {
    let seconds = (milliseconds + 500) / 1000;
    match milliseconds {
        ..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `17 B`, `1.5 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = UNITS[unit];
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{seconds, size};

    #[test]
    fn units() {
        for (milliseconds, text) in
            [(7, "7 ms"), (3700, "3.7 s"), (250_000, "4 min 10 s"), (7_300_000, "2 h 1 min")]
        {
            assert_eq!(seconds(milliseconds), text);
        }
        assert_eq!((size(17), size(3 << 19)), ("17 B".to_owned(), "1.5 MiB".to_owned()));
    }
}
