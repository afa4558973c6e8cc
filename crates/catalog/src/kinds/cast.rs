//! A cast between two types.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};

/// A cast between two types; the object's name is `CAST (source AS target)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// The type it takes, as SQL.
    pub source: String,
    /// The type it yields, as SQL.
    pub target: String,
    /// How.
    pub method: CastMethod,
    /// Where it is applied unasked.
    pub context: CastContext,
}

/// `castmethod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum CastMethod {
    /// By a function.
    Function {
        /// With its argument types, as SQL: `s.f(integer)`.
        function: String,
    },
    /// Through the text form.
    InOut,
    /// Not at all: both are the same bytes.
    Binary,
}

/// `castcontext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CastContext {
    /// Only where it is written.
    Explicit,
    /// In assignments too.
    Assignment,
    /// Everywhere.
    Implicit,
}

impl Render for Cast {
    fn render(&self, _object: &Object, _target: &Target) -> Vec<Draft> {
        let types = format!("({} AS {})", self.source, self.target);
        let method = match &self.method {
            CastMethod::Function { function } => format!("WITH FUNCTION {function}"),
            CastMethod::InOut => "WITH INOUT".to_owned(),
            CastMethod::Binary => "WITHOUT FUNCTION".to_owned(),
        };
        let context = match self.context {
            CastContext::Explicit => "",
            CastContext::Assignment => " AS ASSIGNMENT",
            CastContext::Implicit => " AS IMPLICIT",
        };
        vec![Draft {
            address: Some(format!("CAST {types}")),
            drop: Some(DropStatement { command: "DROP CAST".to_owned(), object: types.clone() }),
            ..Draft::new(Section::PreData, EntryKind::Cast, format!("CREATE CAST {types} {method}{context}"))
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::{Cast, CastContext, CastMethod};
    use crate::kinds::{Body, sample};

    #[test]
    fn casts() {
        for (method, context, expected) in [
            (
                CastMethod::Function { function: "pg_catalog.age(timestamp with time zone)".to_owned() },
                CastContext::Assignment,
                "WITH FUNCTION pg_catalog.age(timestamp with time zone) AS ASSIGNMENT",
            ),
            (CastMethod::InOut, CastContext::Implicit, "WITH INOUT AS IMPLICIT"),
            (CastMethod::Binary, CastContext::Explicit, "WITHOUT FUNCTION"),
        ] {
            let cast = Cast { source: "text".to_owned(), target: "s.t".to_owned(), method, context };
            sample::check(false, Body::from(cast), &format!("CREATE CAST (text AS s.t) {expected};\n"));
        }
    }
}
