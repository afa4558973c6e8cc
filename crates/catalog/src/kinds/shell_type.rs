//! A type that is only declared.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A type that is only declared and was never defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellType {}

/// The declaration that a base or range type needs before its functions, which
/// name it, can be made. It has no owner and is dropped with the type itself.
pub(crate) fn shell_draft(object: &Object) -> Draft {
    Draft::new(Section::PreData, "SHELL TYPE", format!("CREATE TYPE {}", object.sql_name()))
}

impl Render for ShellType {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        vec![Draft::owned(Section::PreData, "TYPE", "TYPE", &name, format!("CREATE TYPE {name}"))]
    }

    fn kind(&self) -> Option<&'static str> {
        Some("TYPE")
    }
}

#[cfg(test)]
mod tests {
    use super::{ShellType, shell_draft};
    use crate::kinds::{Body, sample};

    #[test]
    fn shell_types() {
        let body = Body::ShellType(ShellType {});
        assert_eq!(shell_draft(&sample::object(Some("s"), "n", body.clone())).create, ["CREATE TYPE s.n"]);
        sample::check(true, body, "CREATE TYPE s.n;\n");
    }
}
