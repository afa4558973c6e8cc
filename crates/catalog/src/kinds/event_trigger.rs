//! An event trigger.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier, quote_literal};

/// An event trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTrigger {
    /// `ddl_command_start`, `sql_drop`, ...
    pub event: String,
    /// Command tags it is limited to; empty for all.
    pub tags: Vec<String>,
    /// The function, as SQL without arguments.
    pub function: String,
    /// When it fires.
    pub enabled: EventTriggerState,
}

/// `evtenabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventTriggerState {
    /// In origin and local mode.
    Origin,
    /// In replica mode.
    Replica,
    /// In every mode.
    Always,
    /// Never.
    Disabled,
}

impl Render for EventTrigger {
    /// Made last of all, or it would fire for what the restore itself does.
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let tags: Vec<String> = self.tags.iter().map(|tag| quote_literal(tag)).collect();
        let when =
            if tags.is_empty() { String::new() } else { format!("\n         WHEN TAG IN ({})", tags.join(", ")) };
        let create = format!(
            "CREATE EVENT TRIGGER {name} ON {}{when}\n   EXECUTE FUNCTION {}()",
            quote_identifier(&self.event),
            self.function
        );
        let mut draft = Draft::owned(Section::PostData, EntryKind::EventTrigger, &name, create);
        let state = match self.enabled {
            EventTriggerState::Origin => None,
            EventTriggerState::Replica => Some("ENABLE REPLICA"),
            EventTriggerState::Always => Some("ENABLE ALWAYS"),
            EventTriggerState::Disabled => Some("DISABLE"),
        };
        draft.create.extend(state.map(|state| format!("ALTER EVENT TRIGGER {name} {state}")));
        vec![draft]
    }
}

#[cfg(test)]
mod tests {
    use super::{EventTrigger, EventTriggerState};
    use crate::kinds::{Body, sample};

    #[test]
    fn event_triggers() {
        let plain = EventTrigger {
            event: "sql_drop".to_owned(),
            tags: Vec::new(),
            function: "s.f".to_owned(),
            enabled: EventTriggerState::Origin,
        };
        let full = EventTrigger {
            tags: vec!["DROP TABLE".to_owned(), "DROP VIEW".to_owned()],
            enabled: EventTriggerState::Disabled,
            ..plain.clone()
        };
        for (body, expected) in [
            (plain, "CREATE EVENT TRIGGER n ON sql_drop\n   EXECUTE FUNCTION s.f();\n"),
            (
                full,
                "CREATE EVENT TRIGGER n ON sql_drop\n         WHEN TAG IN ('DROP TABLE', 'DROP VIEW')\n   \
                 EXECUTE FUNCTION s.f();\nALTER EVENT TRIGGER n DISABLE;\n",
            ),
        ] {
            sample::check(false, Body::from(body), expected);
        }
    }
}
