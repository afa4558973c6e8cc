//! Whether a text is what a definition of its kind is, and nothing that only looks like one.
//!
//! Texts come from catalogs, and a catalog may come from a store that others write to. What is created, and what
//! creating it runs, is decided by the kind of a definition: so a rule must be no index, and a check no foreign key.

use dbhaul_catalog::Printed;
use dbhaul_catalog::kinds::ConstraintType;
use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, CreateStmt, Node};

/// Whether the statement that a text was made into is one of its kind.
pub(super) fn is_expected(printed: &Printed, statement: &NodeEnum) -> bool {
    match (printed, statement) {
        (Printed::Query { .. }, NodeEnum::SelectStmt(select)) => select.into_clause.is_none(),
        (
            Printed::Condition { .. }
            | Printed::Default { .. }
            | Printed::Generated { .. }
            | Printed::DomainDefault(_),
            NodeEnum::SelectStmt(select),
        ) => select.target_list.len() == 1 && select.from_clause.is_empty(),
        (Printed::Constraint { constraint_type, .. }, NodeEnum::AlterTableStmt(alter)) => {
            let [Node { node: Some(NodeEnum::AlterTableCmd(action)) }] = alter.cmds.as_slice() else {
                return false;
            };
            match constraint_type {
                ConstraintType::Check => is_constraint(action.def.as_deref(), &[ConstrType::ConstrCheck]),
                ConstraintType::Exclusion => {
                    is_constraint(action.def.as_deref(), &[ConstrType::ConstrExclusion])
                }
                // these are compared, and never created
                _ => true,
            }
        }
        (Printed::DomainConstraint(_), NodeEnum::AlterDomainStmt(alter)) => {
            is_constraint(alter.def.as_deref(), &[ConstrType::ConstrCheck, ConstrType::ConstrNotnull])
        }
        (Printed::PartitionKey { .. }, NodeEnum::CreateStmt(create)) => {
            is_bare(create) && create.partspec.is_some() && create.partbound.is_none()
        }
        (Printed::PartitionBound { .. }, NodeEnum::CreateStmt(create)) => {
            is_bare(create) && create.partspec.is_none() && create.partbound.is_some()
        }
        (Printed::Index { .. }, NodeEnum::IndexStmt(_))
        | (Printed::Rule { .. }, NodeEnum::RuleStmt(_))
        | (Printed::Trigger { .. }, NodeEnum::CreateTrigStmt(_))
        | (Printed::Statistics { .. }, NodeEnum::CreateStatsStmt(_))
        | (Printed::Function { .. }, NodeEnum::CreateFunctionStmt(_))
        | (Printed::AggregateArguments | Printed::Locale, NodeEnum::DefineStmt(_)) => true,
        _ => false,
    }
}

fn is_constraint(node: Option<&Node>, allowed: &[ConstrType]) -> bool {
    match node.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::Constraint(found)) => allowed.contains(&found.contype()),
        _ => false,
    }
}

/// Without columns, constraints, options or a type of its own.
fn is_bare(create: &CreateStmt) -> bool {
    create.table_elts.is_empty()
        && create.constraints.is_empty()
        && create.options.is_empty()
        && create.of_typename.is_none()
        && create.tablespacename.is_empty()
}
