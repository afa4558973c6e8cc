//! An enum type.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_literal};

/// An enum type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnumType {
    /// The labels in their sort order; an enum may have none.
    pub labels: Vec<String>,
}

impl Render for EnumType {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let labels: Vec<String> =
            self.labels.iter().map(|label| format!("\n    {}", quote_literal(label))).collect();
        let create = format!("CREATE TYPE {name} AS ENUM ({}\n)", labels.join(","));
        vec![Draft::owned(Section::PreData, EntryKind::Type, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::EnumType;
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(labels: &[&str], expected: &str) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        sample::check(true, Body::from(EnumType { labels }), expected);
    }

    #[test]
    fn enums() {
        check(&["venus", "it's"], "CREATE TYPE s.n AS ENUM (\n    'venus',\n    'it''s'\n);\n");
        check(&[], "CREATE TYPE s.n AS ENUM (\n);\n");
    }
}
