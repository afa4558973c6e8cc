//! Bars on a terminal: one for the run, one for each of the tasks that run.

use std::collections::HashMap;
use std::time::Duration;

use dbhaul_pipeline::{for_terminal, in_one_line};
use dbhaul_progress::{Event, TaskId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tally::{RunningTask, Tally};
use super::{Painter, plain, words};
use crate::output::indented;

/// More tasks than this are counted, not drawn.
const MAX_TASK_BARS: usize = 8;
/// Bars count to this.
const STEPS: u64 = 1000;

/// Progress as bars.
pub(super) struct Bars {
    tally: Tally,
    screen: MultiProgress,
    overall: ProgressBar,
    tasks: HashMap<TaskId, ProgressBar>,
    notices: bool,
    now: Duration,
}

impl Bars {
    pub(super) fn new(notices: bool) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let overall =
            screen.add(ProgressBar::new(STEPS).with_style(style("{spinner} [{bar:24}] {wide_msg}")));
        Bars { tally: Tally::default(), screen, overall, tasks: HashMap::new(), notices, now: Duration::ZERO }
    }

    /// Bars for the tasks that run, as many as there is room for.
    fn draw_tasks(&mut self, at: Duration) {
        self.tasks.retain(|task, bar| {
            let is_running = self.tally.running.contains_key(task);
            if !is_running {
                bar.finish_and_clear();
                self.screen.remove(bar);
            }
            is_running
        });
        for (id, task) in &self.tally.running {
            if !self.tasks.contains_key(id) && self.tasks.len() < MAX_TASK_BARS {
                let template =
                    if task.total_bytes.is_some() { "    [{bar:20}] {wide_msg}" } else { "      {wide_msg}" };
                let bar = self.screen.add(ProgressBar::new(STEPS).with_style(style(template)));
                self.tasks.insert(*id, bar);
            }
            if let Some(bar) = self.tasks.get(id) {
                bar.set_position(task_position(task));
                bar.set_message(in_one_line(&task_words(task, at)));
            }
        }
    }
}

impl Painter for Bars {
    fn take(&mut self, event: &Event, at: Duration) {
        let failure = self.tally.failure(event);
        self.tally.apply(event, at);
        if let Some(text) = failure.or_else(|| plain::message(event, self.notices)) {
            // Nothing is left to tell if a terminal does not take a line.
            let _ = self.screen.println(for_terminal(&indented(&text)));
        }
    }

    fn tick(&mut self, at: Duration) {
        self.now = at;
        let fraction = self.tally.fraction(at).unwrap_or_default();
        self.overall.set_position((fraction * STEPS as f64) as u64);
        self.overall.set_message(format!("{}  {}", words::duration(at), words::line(&self.tally, at)));
        self.overall.tick();
        self.draw_tasks(at);
    }

    fn finish(&mut self) {
        for bar in self.tasks.values() {
            bar.finish_and_clear();
        }
        if self.notices {
            for line in words::table(&self.tally, self.now) {
                let _ = self.screen.println(line);
            }
        }
        self.overall.finish_and_clear();
    }
}

fn task_position(task: &RunningTask) -> u64 {
    (task.fraction() * STEPS as f64) as u64
}

fn task_words(task: &RunningTask, at: Duration) -> String {
    let time = words::duration(at.saturating_sub(task.started));
    let RunningTask { kind, name, .. } = task;
    match task.row_count {
        0 if task.stage.is_some() => format!("{kind} {name}  {}{time}", stage_words(task)),
        0 => format!("{kind} {name}  {time}"),
        rows => format!("{kind} {name}  {}  {time}", words::rows(rows)),
    }
}

/// What the server is at: `building index: sorting live tuples 40%  `.
fn stage_words(task: &RunningTask) -> String {
    match &task.stage {
        Some((stage, Some(fraction))) => format!("{stage} {:.0}%  ", fraction * 100.0),
        Some((stage, None)) => format!("{stage}  "),
        None => String::new(),
    }
}

/// A style; templates are constants of this file, and the default one is legible too.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
