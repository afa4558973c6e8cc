//! A domain.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Part, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_identifier, quote_literal};

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The type below, with modifier, as `format_type` prints it.
    pub base_type: String,
    /// The collation as SQL, where it is not the base type's.
    pub collation: Option<String>,
    /// The default as SQL.
    pub default: Option<String>,
    /// Whether values may not be NULL.
    pub not_null: bool,
    /// The name of the not-null constraint where it is not `<domain>_not_null`;
    /// servers before 17 have no name for it.
    pub not_null_name: Option<String>,
    /// `COMMENT ON CONSTRAINT ... ON DOMAIN` of the not-null constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_null_comment: Option<String>,
    /// Its check constraints, in order of name.
    pub constraints: Vec<DomainConstraint>,
}

/// A check constraint of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainConstraint {
    /// The name, unquoted.
    pub name: String,
    /// As `pg_get_constraintdef` prints it.
    pub definition: String,
    /// Whether all stored values are known to satisfy it. One that is not valid
    /// is added after the rows, which may violate it.
    pub validated: bool,
    /// `COMMENT ON CONSTRAINT ... ON DOMAIN`.
    pub comment: Option<String>,
}

impl Domain {
    /// The name of the not-null constraint.
    fn not_null_name(&self, domain: &str) -> String {
        self.not_null_name.clone().unwrap_or_else(|| format!("{domain}_not_null"))
    }

    /// The default by a statement of its own.
    pub(crate) fn default_draft(&self, name: &str) -> Option<Draft> {
        let default = self.default.as_ref()?;
        let drop =
            DropStatement { command: "ALTER DOMAIN".to_owned(), object: format!("{name} DROP DEFAULT") };
        let set = format!("ALTER DOMAIN {name} SET DEFAULT {default}");
        Some(Draft {
            part: Part::After,
            drop: Some(drop),
            ..Draft::new(Section::PreData, EntryKind::Default, set)
        })
    }

    fn create(&self, name: &str, domain: &str) -> String {
        let mut sql = format!("CREATE DOMAIN {name} AS {}", self.base_type);
        if let Some(collation) = &self.collation {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        if self.not_null {
            // What a comment names must have that name, whatever else has it.
            let commented = self.not_null_comment.as_ref().map(|_| self.not_null_name(domain));
            if let Some(constraint) = self.not_null_name.clone().or(commented) {
                sql.push_str(&format!(" CONSTRAINT {}", quote_identifier(&constraint)));
            }
            sql.push_str(" NOT NULL");
        }
        if let Some(default) = &self.default {
            sql.push_str(&format!(" DEFAULT {default}"));
        }
        for constraint in self.constraints.iter().filter(|constraint| constraint.validated) {
            sql.push_str(&format!("\n\t{}", constraint.clause()));
        }
        sql
    }
}

impl DomainConstraint {
    fn clause(&self) -> String {
        format!("CONSTRAINT {} {}", quote_identifier(&self.name), self.definition)
    }

    /// What follows the domain: the constraint, if it could not be inlined, and its comment.
    fn drafts(&self, domain: &str) -> Vec<Draft> {
        let name = quote_identifier(&self.name);
        let section = if self.validated { Section::PreData } else { Section::PostData };
        let separate = (!self.validated).then(|| Draft {
            drop: Some(DropStatement {
                command: format!("ALTER DOMAIN {domain} DROP CONSTRAINT"),
                object: name.clone(),
            }),
            part: Part::After,
            ..Draft::new(section, EntryKind::CheckConstraint, format!("ALTER DOMAIN {domain} ADD {}", self.clause()))
        });
        let comment = self.comment.as_ref().map(|text| comment_draft(section, &self.name, domain, text));
        separate.into_iter().chain(comment).collect()
    }
}

/// The comment on a constraint of a domain.
fn comment_draft(section: Section, constraint: &str, domain: &str, text: &str) -> Draft {
    let (constraint, text) = (quote_identifier(constraint), quote_literal(text));
    let sql = format!("COMMENT ON CONSTRAINT {constraint} ON DOMAIN {domain} IS {text}");
    Draft { part: Part::After, ..Draft::new(section, EntryKind::Comment, sql) }
}

impl Render for Domain {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let mut drafts =
            vec![Draft::owned(Section::PreData, EntryKind::Domain, &name, self.create(&name, &object.name))];
        drafts.extend(self.not_null_comment.as_ref().map(|text| {
            comment_draft(Section::PreData, &self.not_null_name(&object.name), &name, text)
        }));
        drafts.extend(self.constraints.iter().flat_map(|constraint| constraint.drafts(&name)));
        drafts
    }
}

#[cfg(test)]
mod tests {
    use super::{Domain, DomainConstraint};
    use crate::kinds::{Body, sample};

    fn constraint(name: &str, validated: bool) -> DomainConstraint {
        let suffix = if validated { "" } else { " NOT VALID" };
        DomainConstraint {
            name: name.to_owned(),
            definition: format!("CHECK ((VALUE > 0)){suffix}"),
            validated,
            comment: None,
        }
    }

    fn domain(not_null_name: Option<&str>, constraints: Vec<DomainConstraint>) -> Body {
        Body::from(Domain {
            base_type: "text".to_owned(),
            collation: Some("pg_catalog.\"C\"".to_owned()),
            default: Some("'10014'::text".to_owned()),
            not_null: true,
            not_null_name: not_null_name.map(str::to_owned),
            not_null_comment: None,
            constraints,
        })
    }

    #[test]
    fn domains() {
        let start = "CREATE DOMAIN s.n AS text COLLATE pg_catalog.\"C\"";
        let end = "DEFAULT '10014'::text";
        let commented = DomainConstraint { comment: Some("it's".to_owned()), ..constraint("c", true) };
        let mut commented_not_null = domain(None, Vec::new());
        if let Body::Domain(domain) = &mut commented_not_null {
            domain.not_null_comment = Some("why".to_owned());
        }
        for (body, expected) in [
            (domain(None, Vec::new()), format!("{start} NOT NULL {end};\n")),
            (domain(Some("N"), Vec::new()), format!("{start} CONSTRAINT \"N\" NOT NULL {end};\n")),
            (
                domain(None, vec![constraint("a", true), constraint("b", false)]),
                format!(
                    "{start} NOT NULL {end}\n\tCONSTRAINT a CHECK ((VALUE > 0));\n\
                     ALTER DOMAIN s.n ADD CONSTRAINT b CHECK ((VALUE > 0)) NOT VALID;\n"
                ),
            ),
            (
                commented_not_null,
                format!(
                    "{start} CONSTRAINT n_not_null NOT NULL {end};\n\
                     COMMENT ON CONSTRAINT n_not_null ON DOMAIN s.n IS 'why';\n"
                ),
            ),
            (
                domain(None, vec![commented]),
                format!(
                    "{start} NOT NULL {end}\n\tCONSTRAINT c CHECK ((VALUE > 0));\n\
                     COMMENT ON CONSTRAINT c ON DOMAIN s.n IS 'it''s';\n"
                ),
            ),
        ] {
            sample::check(true, body, &expected);
        }
    }
}
