//! Whether a text is what a definition of its kind is, and nothing that only looks like one.
//!
//! Texts come from catalogs, and a catalog may come from a store that others write to. What is created, and what
//! creating it runs, is decided by the kind of a definition: so a rule must be no index, and a check no foreign key.

use dbhaul_catalog::Printed;
use dbhaul_catalog::kinds::ConstraintType;
use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, CreateStmt, Node, SelectStmt};

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
        ) => is_one_expression(select),
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
        (Printed::Function { .. }, NodeEnum::CreateFunctionStmt(create)) => is_in_sql(&create.options),
        (Printed::Index { .. }, NodeEnum::IndexStmt(_))
        | (Printed::Rule { .. }, NodeEnum::RuleStmt(_))
        | (Printed::Trigger { .. }, NodeEnum::CreateTrigStmt(_))
        | (Printed::Statistics { .. }, NodeEnum::CreateStatsStmt(_))
        | (Printed::AggregateArguments | Printed::Locale, NodeEnum::DefineStmt(_)) => true,
        _ => false,
    }
}

/// Whether a query is one expression and nothing around it.
fn is_one_expression(select: &SelectStmt) -> bool {
    let [_] = select.target_list.as_slice() else { return false };
    let rest = SelectStmt { target_list: Vec::new(), ..select.clone() };
    let nothing = SelectStmt {
        limit_option: rest.limit_option,
        op: pg_query::protobuf::SetOperation::SetopNone.into(),
        ..SelectStmt::default()
    };
    rest == nothing
}

/// Whether the options of a function are its language, SQL, once, and its body: another language would have a
/// library loaded, and others of them name code.
fn is_in_sql(options: &[Node]) -> bool {
    let mut languages = 0;
    let is_allowed = |option: &Node| match option.node.as_ref() {
        Some(NodeEnum::DefElem(option)) if option.defname == "as" => true,
        Some(NodeEnum::DefElem(option)) if option.defname == "language" => {
            languages += 1;
            let language = option.arg.as_ref().and_then(|arg| arg.node.as_ref());
            matches!(language, Some(NodeEnum::String(language)) if language.sval == "sql")
        }
        _ => false,
    };
    options.iter().all(is_allowed) && languages == 1
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

#[cfg(test)]
mod tests {
    use pg_query::NodeEnum;
    use pg_query::protobuf::ParseResult;

    use super::{is_in_sql, is_one_expression};

    fn statement(sql: &str) -> NodeEnum {
        let ParseResult { stmts, .. } = pg_query::parse(sql, 0).unwrap().protobuf;
        stmts.into_iter().next().unwrap().stmt.unwrap().node.unwrap()
    }

    /// What a forged catalog may hide behind a comment in the arguments of a function.
    #[test]
    fn functions_are_in_sql_and_name_no_code() {
        let check = |sql: &str| {
            let NodeEnum::CreateFunctionStmt(create) = statement(sql) else { panic!("{sql}") };
            is_in_sql(&create.options)
        };
        assert!(check("CREATE FUNCTION f(a integer DEFAULT 1) RETURNS void LANGUAGE sql AS ''"));
        assert!(check("CREATE PROCEDURE f() LANGUAGE sql BEGIN ATOMIC SELECT 1; END"));
        assert!(!check(
            "CREATE FUNCTION f(a integer) RETURNS int LANGUAGE c AS '/lib', 'f' --) LANGUAGE sql AS ''"
        ));
        assert!(!check("CREATE FUNCTION f() RETURNS int SUPPORT s.g LANGUAGE sql AS ''"));
        assert!(!check("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS ''"));
        assert!(!check("CREATE FUNCTION f() RETURNS int AS ''"));
    }

    #[test]
    fn an_expression_has_nothing_around_it() {
        let check = |sql: &str| {
            let NodeEnum::SelectStmt(select) = statement(sql) else { panic!("{sql}") };
            is_one_expression(&select)
        };
        assert!(check("SELECT (a > 1)"));
        assert!(check("SELECT ((SELECT 1 LIMIT 1))"));
        for sql in [
            "SELECT (true) WHERE (s.f())",
            "SELECT (1) FROM t",
            "SELECT (1), (2)",
            "SELECT (1) LIMIT 1",
            "SELECT (1) UNION SELECT (2)",
            "WITH w AS (SELECT 1) SELECT (1)",
            "SELECT (1) GROUP BY ()",
            "SELECT DISTINCT (1)",
            "SELECT (1) ORDER BY 1",
        ] {
            assert!(!check(sql), "{sql}");
        }
    }
}
