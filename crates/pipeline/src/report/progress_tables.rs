//! Progress of tables that several sessions read at the same time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dbhaul_exporter::ExportPlan;
use dbhaul_progress::{Progress, Task};

/// One task for each table, started with its first segment and ended with its last.
pub(crate) struct TableTasks {
    progress: Progress,
    tables: Mutex<HashMap<u32, TableTask>>,
}

struct TableTask {
    name: String,
    estimated_bytes: u64,
    remaining_segments: usize,
    task: Option<Task>,
}

impl TableTasks {
    pub(crate) fn new(plan: &ExportPlan, progress: &Progress) -> Self {
        let tables = plan.tables.iter().map(|table| {
            let task = TableTask {
                name: table.name(),
                estimated_bytes: table.estimated_bytes(),
                remaining_segments: table.segments.len(),
                task: None,
            };
            (table.entry, task)
        });
        TableTasks { progress: progress.clone(), tables: Mutex::new(tables.collect()) }
    }

    /// Rows of a table have passed.
    pub(crate) fn advance(&self, entry: u32, row_count: u64, copied_bytes: u64) {
        self.with(entry, |task, progress| {
            task.started(progress).advance(row_count, copied_bytes);
        });
    }

    /// A segment of a table is complete.
    pub(crate) fn segment_finished(&self, entry: u32) {
        self.with(entry, |task, progress| {
            task.started(progress);
            task.remaining_segments = task.remaining_segments.saturating_sub(1);
            if task.remaining_segments == 0
                && let Some(task) = task.task.take()
            {
                task.finish();
            }
        });
    }

    fn with(&self, entry: u32, act: impl FnOnce(&mut TableTask, &Progress)) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tables.get_mut(&entry) {
            act(task, &self.progress);
        }
    }
}

impl TableTask {
    fn started(&mut self, progress: &Progress) -> &Task {
        let (name, bytes) = (&self.name, self.estimated_bytes);
        self.task.get_or_insert_with(|| progress.task("TABLE DATA", name, Some(bytes)))
    }
}
