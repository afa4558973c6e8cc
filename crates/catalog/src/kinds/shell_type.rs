//! A type that is only declared.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A type that is only declared and was never defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellType {}

impl Render for ShellType {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        vec![Draft::owned(Section::PreData, EntryKind::Type, &name, format!("CREATE TYPE {name}"))]
    }

    fn kind(&self) -> Option<EntryKind> {
        Some(EntryKind::Type)
    }
}

#[cfg(test)]
mod tests {
    use super::ShellType;
    use crate::kinds::{Body, sample};

    #[test]
    fn shell_types() {
        let body = Body::from(ShellType {});
        sample::check(true, body, "CREATE TYPE s.n;\n");
    }
}
