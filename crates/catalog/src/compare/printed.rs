//! Fields that hold SQL as a server has printed it.
//!
//! PostgreSQL prints what it has parsed, and prints it otherwise once it has parsed it again: equal texts
//! are equal definitions, but texts that differ say nothing yet. Each is told with what a parser needs.

use super::Side;
use crate::kinds::{Body, CollationProvider, Column, ConstraintType, Function, FunctionKind, FunctionSource};
use crate::{Identity, Object, QualifiedName};

/// Two printed definitions whose texts differ: whether the definitions do is for a parser to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsettled {
    /// The object, as the left has it.
    pub identity: Identity,
    /// Where in the object: `body.columns.2.default.expression`.
    pub path: String,
    /// The name of the column or constraint that the path has by its place in a list.
    pub part: Option<String>,
    /// What the texts are.
    pub printed: Printed,
    /// The left's text.
    pub left: String,
    /// The right's.
    pub right: String,
}

/// What a printed text is, and what it refers to without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// The query of a view or materialized view: `pg_get_viewdef`.
    Query {
        /// Its own name.
        relation: QualifiedName,
    },
    /// A constraint of a table: `pg_get_constraintdef`.
    Constraint {
        /// The table.
        relation: QualifiedName,
        /// Which type.
        constraint_type: ConstraintType,
    },
    /// A condition on rows of a table, as in a policy.
    Condition {
        /// The table.
        relation: QualifiedName,
    },
    /// A column's default.
    Default {
        /// The table or view.
        relation: QualifiedName,
        /// The column.
        column: String,
    },
    /// The expression of a generated column.
    Generated {
        /// The table.
        relation: QualifiedName,
        /// The column's type on the right.
        type_name: String,
    },
    /// An index: `pg_get_indexdef`.
    Index {
        /// The table or materialized view.
        relation: QualifiedName,
        /// The index's name.
        name: String,
    },
    /// A rule: `pg_get_ruledef`.
    Rule {
        /// The table or view.
        relation: QualifiedName,
        /// The rule's name.
        name: String,
    },
    /// A trigger: `pg_get_triggerdef`.
    Trigger {
        /// The table or view.
        relation: QualifiedName,
        /// The trigger's name.
        name: String,
    },
    /// Extended statistics: `pg_get_statisticsobjdef`. Their table is in the text.
    Statistics {
        /// Their own name.
        name: QualifiedName,
    },
    /// A constraint of a domain.
    DomainConstraint(DomainBase),
    /// The default of a domain.
    DomainDefault(DomainBase),
    /// A part of a function, with all of it on both sides.
    Function {
        /// Which part.
        part: FunctionPart,
        /// The left's.
        left: Box<Signature>,
        /// The right's.
        right: Box<Signature>,
    },
    /// Arguments of an aggregate.
    AggregateArguments,
    /// How a table is partitioned: `pg_get_partkeydef`.
    PartitionKey {
        /// The table.
        relation: QualifiedName,
    },
    /// The bound of a partition.
    PartitionBound {
        /// The partitioned table.
        parent: QualifiedName,
        /// How that is partitioned, if it is known.
        key: Option<String>,
    },
    /// The locale of an ICU collation.
    Locale,
}

/// What a domain is over, on the right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainBase {
    /// The type.
    pub base_type: String,
    /// The collation, as SQL.
    pub collation: Option<String>,
}

/// A part of a function that holds printed SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionPart {
    /// With names and defaults.
    Arguments,
    /// Without defaults.
    IdentityArguments,
    /// What it returns.
    Result,
    /// Its body in standard SQL.
    Body,
}

/// What of a function is printed SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Function, procedure or window function.
    pub kind: FunctionKind,
    /// Its arguments.
    pub arguments: String,
    /// What it returns, for functions.
    pub result: Option<String>,
    /// Its body, if that is in standard SQL.
    pub body: Option<String>,
}

impl From<&Function> for Signature {
    fn from(function: &Function) -> Self {
        let body = match &function.source {
            FunctionSource::SqlBody { sql } => Some(sql.clone()),
            FunctionSource::Text { .. } | FunctionSource::Library { .. } => None,
        };
        Signature {
            kind: function.kind,
            arguments: function.arguments.clone(),
            result: function.result.clone(),
            body,
        }
    }
}

/// What the text at `path` of an object is; `None` where it is not printed SQL that a parser may write
/// otherwise. `path` begins in the object's body.
pub(super) fn at((left, right): (&Object, &Object), side: &Side<'_>, path: &[&str]) -> Option<Printed> {
    let own = || QualifiedName::new(right.schema.clone().unwrap_or_default(), right.name.as_str());
    match (&right.body, path) {
        (Body::View(_) | Body::MaterializedView(_), ["definition"]) => {
            Some(Printed::Query { relation: own() })
        }
        (Body::Table(table), _) => table_part(table, &own(), side, path),
        (Body::ColumnDefault(default), ["expression"]) => {
            let column = side.table(&default.table).and_then(|table| {
                table.columns.iter().find(|column| column.name == default.column).filter(|c| c.is_generated())
            });
            Some(match column {
                Some(column) => generated(&default.table, column),
                None => {
                    Printed::Default { relation: default.table.clone(), column: default.column.to_string() }
                }
            })
        }
        (Body::Index(index), ["definition"]) => {
            Some(Printed::Index { relation: index.table.clone(), name: right.name.clone() })
        }
        (Body::Constraint(constraint), ["definition"]) => Some(Printed::Constraint {
            relation: constraint.table.clone(),
            constraint_type: constraint.constraint_type,
        }),
        (Body::Constraint(constraint), ["index", "index_definition"]) => {
            let name = constraint.index.as_ref().map(|index| index.name.clone())?;
            Some(Printed::Index { relation: constraint.table.clone(), name })
        }
        (Body::Policy(policy), ["using" | "with_check"]) => {
            Some(Printed::Condition { relation: policy.table.clone() })
        }
        (Body::Publication(publication), ["tables", at, "condition"]) => {
            let relation = publication.tables.get(at.parse::<usize>().ok()?)?.table.clone();
            Some(Printed::Condition { relation })
        }
        (Body::Rule(rule), ["definition"]) => {
            Some(Printed::Rule { relation: rule.table.clone(), name: right.name.clone() })
        }
        (Body::Trigger(trigger), ["definition"]) => {
            Some(Printed::Trigger { relation: trigger.table.clone(), name: right.name.clone() })
        }
        (Body::Statistics(_), ["definition"]) => Some(Printed::Statistics { name: own() }),
        (Body::Domain(domain), ["default"] | ["constraints", _, "definition"]) => {
            let base =
                DomainBase { base_type: domain.base_type.clone(), collation: domain.collation.clone() };
            Some(if path.len() == 1 { Printed::DomainDefault(base) } else { Printed::DomainConstraint(base) })
        }
        (Body::Function(function), _) => {
            let part = function_part(path)?;
            let Body::Function(other) = &left.body else { return None };
            let (left, right) = (Signature::from(&**other), Signature::from(&**function));
            Some(Printed::Function { part, left: Box::new(left), right: Box::new(right) })
        }
        (Body::Aggregate(_), ["arguments" | "identity_arguments"]) => Some(Printed::AggregateArguments),
        (Body::Collation(collation), ["locale"]) if collation.provider == CollationProvider::Icu => {
            Some(Printed::Locale)
        }
        _ => None,
    }
}

fn table_part(
    table: &crate::kinds::Table,
    own: &QualifiedName,
    side: &Side<'_>,
    path: &[&str],
) -> Option<Printed> {
    match path {
        ["partition_key"] => Some(Printed::PartitionKey { relation: own.clone() }),
        ["partition_of", "bound"] => {
            let parent = table.partition_of.as_ref()?.parent.clone();
            let key = side.table(&parent).and_then(|parent| parent.partition_key.clone());
            Some(Printed::PartitionBound { parent, key })
        }
        ["checks", _, "definition"] => {
            Some(Printed::Constraint { relation: own.clone(), constraint_type: ConstraintType::Check })
        }
        ["columns", column, "default", "expression"] => {
            let mut columns = table.columns.iter();
            let column = match column.parse::<usize>() {
                Ok(at) => columns.nth(at),
                Err(_) => columns.find(|one| super::words::quoted(&one.name) == *column),
            }?;
            Some(if column.is_generated() {
                generated(own, column)
            } else {
                Printed::Default { relation: own.clone(), column: column.name.to_string() }
            })
        }
        _ => None,
    }
}

fn generated(relation: &QualifiedName, column: &Column) -> Printed {
    Printed::Generated { relation: relation.clone(), type_name: column.type_name.to_string() }
}

fn function_part(path: &[&str]) -> Option<FunctionPart> {
    match path {
        ["arguments"] => Some(FunctionPart::Arguments),
        ["identity_arguments"] => Some(FunctionPart::IdentityArguments),
        ["result"] => Some(FunctionPart::Result),
        ["source", "sql"] => Some(FunctionPart::Body),
        _ => None,
    }
}
