//! Events that wait to be shown.

use std::collections::HashMap;

use dbhaul_progress::{Event, TaskId};

/// Events in order of arrival. Advances of one task are added up while they
/// wait, so their number is bounded by the tasks that run, not by the rows that pass.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    events: Vec<Event>,
    advances: HashMap<TaskId, usize>,
    stages: HashMap<TaskId, usize>,
    has_messages: bool,
}

impl Inbox {
    pub(super) fn push(&mut self, event: Event) {
        match &event {
            Event::TaskAdvanced { task, row_count, copied_bytes } => {
                let waiting = self.advances.get(task).and_then(|at| self.events.get_mut(*at));
                if let Some(Event::TaskAdvanced { row_count: rows, copied_bytes: bytes, .. }) = waiting {
                    *rows += row_count;
                    *bytes += copied_bytes;
                    return;
                }
                self.advances.insert(*task, self.events.len());
            }
            Event::TaskProgressed { task, .. } => {
                if let Some(waiting) = self.stages.get(task).and_then(|at| self.events.get_mut(*at)) {
                    *waiting = event;
                    return;
                }
                self.stages.insert(*task, self.events.len());
            }
            Event::Notice { .. } | Event::Warning { .. } => self.has_messages = true,
            _ => {}
        }
        self.events.push(event);
    }

    /// Whether something waits that a person should read now.
    pub(super) fn has_messages(&self) -> bool {
        self.has_messages
    }

    /// Takes everything that waits.
    pub(super) fn drain(&mut self) -> Vec<Event> {
        self.advances.clear();
        self.stages.clear();
        self.has_messages = false;
        std::mem::take(&mut self.events)
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_progress::{Event, TaskId};

    use super::Inbox;

    fn advance(task: u64, row_count: u64) -> Event {
        Event::TaskAdvanced { task: TaskId(task), row_count, copied_bytes: 10 * row_count }
    }

    #[test]
    fn advances_add_up_until_they_are_taken() {
        let mut inbox = Inbox::default();
        for event in [advance(1, 1), advance(2, 5), advance(1, 2)] {
            inbox.push(event);
        }
        inbox.push(Event::TaskFinished { task: TaskId(1) });
        let end = Event::TaskFinished { task: TaskId(1) };
        assert_eq!(inbox.drain(), [advance(1, 3), advance(2, 5), end]);
        inbox.push(advance(1, 4));
        assert_eq!(inbox.drain(), [advance(1, 4)]);
        assert_eq!(inbox.drain(), []);
    }

    #[test]
    fn of_what_a_server_says_the_last_counts() {
        let mut inbox = Inbox::default();
        let at = |done| Event::TaskProgressed { task: TaskId(1), stage: "sorting".into(), done, total: 9 };
        (1..=5).for_each(|done| inbox.push(at(done)));
        assert_eq!(inbox.drain(), [at(5)]);
        inbox.push(at(6));
        assert_eq!(inbox.drain(), [at(6)]);
    }

    #[test]
    fn messages_are_urgent() {
        let mut inbox = Inbox::default();
        inbox.push(advance(1, 1));
        assert!(!inbox.has_messages());
        inbox.push(Event::Notice { message: "hello".into() });
        assert!(inbox.has_messages());
        inbox.drain();
        assert!(!inbox.has_messages());
    }
}
