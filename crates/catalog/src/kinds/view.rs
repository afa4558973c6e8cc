//! A view.

use serde::{Deserialize, Serialize};

use super::ViewColumn;
use super::table::options::with_clause;
use crate::render::{Draft, Part, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_identifier};

/// A view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// `name=value` of `reloptions`, without `check_option`.
    pub options: Vec<String>,
    /// `LOCAL` or `CASCADED`.
    pub check_option: Option<String>,
    /// `pg_get_viewdef`, without the final semicolon.
    pub definition: String,
    /// Columns in the order of their numbers.
    pub columns: Vec<ViewColumn>,
}

impl View {
    /// A query of the same columns that depends on nothing but their types:
    /// what stands in for the definition while a dependency loop is open.
    pub fn dummy_select(&self) -> String {
        let column = |column: &ViewColumn| {
            let collation =
                column.collation.as_ref().map(|name| format!(" COLLATE {name}")).unwrap_or_default();
            format!("\n    NULL::{}{collation} AS {}", column.type_name, quote_identifier(&column.name))
        };
        format!("SELECT{}", self.columns.iter().map(column).collect::<Vec<_>>().join(","))
    }

    /// The drafts where the view is part of a dependency loop: a view of the same
    /// columns, and its replacement by the real one once everything else stands.
    pub(crate) fn render_in_two_steps(&self, object: &Object) -> Vec<Draft> {
        let name = object.sql_name();
        let dummy = format!("CREATE VIEW {name} AS\n{}", self.dummy_select());
        let replacement = Draft {
            part: Part::After,
            drop: Some(DropStatement {
                command: "CREATE OR REPLACE VIEW".to_owned(),
                object: format!("{name} AS\n{}", self.dummy_select()),
            }),
            ..Draft::new(Section::PostData, EntryKind::Rule, self.statement("CREATE OR REPLACE VIEW", &name))
        };
        vec![Draft::owned(Section::PreData, EntryKind::View, &name, dummy), replacement]
    }

    fn statement(&self, command: &str, name: &str) -> String {
        let check = self.check_option.as_ref().map(|kind| format!("\n  WITH {kind} CHECK OPTION"));
        let with = with_clause(&self.options);
        format!("{command} {name}{with} AS\n{}{}", self.definition, check.unwrap_or_default())
    }
}

impl Render for View {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let create = self.statement("CREATE VIEW", &name);
        vec![Draft::owned(Section::PreData, EntryKind::View, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::{View, ViewColumn};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    fn view() -> View {
        let column = |name: &str, collation| ViewColumn {
            name: name.to_owned(),
            type_name: "text".to_owned(),
            collation,
            storage: None,
            compression: None,
            statistics_target: None,
            options: Vec::new(),
            acl: None,
            comment: None,
            security_labels: Vec::new(),
        };
        View {
            options: vec!["security_barrier=true".to_owned()],
            check_option: Some("LOCAL".to_owned()),
            definition: " SELECT a,\n    b\n   FROM s.t".to_owned(),
            columns: vec![column("a", None), column("B", Some(QualifiedName::new("pg_catalog", "C")))],
        }
    }

    #[test]
    fn a_view_with_options() {
        sample::check(
            true,
            Body::from(view()),
            "CREATE VIEW s.n WITH (security_barrier='true') AS\n SELECT a,\n    b\n   FROM s.t\n  WITH LOCAL CHECK OPTION;\n",
        );
    }

    #[test]
    fn a_view_in_a_loop_is_a_dummy_first() {
        let object = sample::object(Some("s"), "n", Body::from(view()));
        let statements: Vec<String> =
            view().render_in_two_steps(&object).into_iter().flat_map(|draft| draft.create).collect();
        assert_eq!(
            statements,
            [
                "CREATE VIEW s.n AS\nSELECT\n    NULL::text AS a,\n    NULL::text COLLATE pg_catalog.\"C\" AS \"B\"",
                "CREATE OR REPLACE VIEW s.n WITH (security_barrier='true') AS\n SELECT a,\n    b\n   FROM s.t\n  WITH LOCAL CHECK OPTION",
            ]
        );
    }
}
