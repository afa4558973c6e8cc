//! What to create in a scratch schema to have a server parse a definition, and how to read it back.

use dbhaul_catalog::kinds::{ConstraintType, FunctionKind};
use dbhaul_catalog::{
    DomainBase, EntryKind, FunctionPart, Printed, QualifiedName, ServerVersion, Signature, check_bound,
    quote_identifier, quote_literal,
};

use super::tree;

/// Names of what is made beside the definition's own name.
const MADE: &str = "dbhaul_made";

/// Statements that create a definition in a scratch schema, each to be sent alone, and the query that reads it
/// back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) creates: Vec<String>,
    pub(super) read: String,
}

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Left,
    Right,
}

/// The relation whose empty copy a definition is created on.
pub(super) fn relation(printed: &Printed, text: &str) -> Option<QualifiedName> {
    match printed {
        Printed::Constraint { relation, .. }
        | Printed::Condition { relation }
        | Printed::Default { relation, .. }
        | Printed::Generated { relation, .. }
        | Printed::Index { relation, .. }
        | Printed::Rule { relation, .. }
        | Printed::Trigger { relation, .. }
        | Printed::PartitionKey { relation } => Some(relation.clone()),
        Printed::PartitionBound { parent, .. } => Some(parent.clone()),
        Printed::Statistics { .. } => {
            tree::on_another(text, Some("x.x"), "x.x").map(|(_, relation)| relation)
        }
        Printed::Query { .. }
        | Printed::DomainConstraint(_)
        | Printed::DomainDefault(_)
        | Printed::Function { .. }
        | Printed::AggregateArguments
        | Printed::Locale => None,
    }
}

/// Whether the server only parses such a definition as it creates it. Any other it plans: then it computes what is
/// constant in it, and so runs functions that are IMMUTABLE (`eval_const_expressions` in clauses.c).
pub(super) fn is_only_parsed(printed: &Printed) -> bool {
    match printed {
        Printed::Query { .. }
        | Printed::Condition { .. }
        | Printed::Default { .. }
        | Printed::Rule { .. }
        | Printed::Trigger { .. }
        | Printed::DomainDefault(_)
        | Printed::Function { .. }
        | Printed::AggregateArguments
        | Printed::Locale => true,
        Printed::Constraint { .. }
        | Printed::DomainConstraint(_)
        | Printed::Generated { .. }
        | Printed::Index { .. }
        | Printed::Statistics { .. }
        | Printed::PartitionKey { .. }
        | Printed::PartitionBound { .. } => false,
    }
}

/// How a definition is created in `scratch`, a quoted schema that has an empty copy of [`relation`].
///
/// # Errors
/// Why it is not created, in words.
pub(super) fn trial(
    printed: &Printed,
    text: &str,
    whose: Whose,
    (scratch, version): (&str, ServerVersion),
) -> Result<Trial, String> {
    let table = |relation: &QualifiedName| format!("{scratch}.{}", quote_identifier(&relation.name));
    match printed {
        Printed::Query { relation } => {
            let name = table(relation);
            Ok(one(
                format!("CREATE VIEW {name} AS {text}"),
                format!("SELECT pg_catalog.pg_get_viewdef({})", regclass(&name)),
            ))
        }
        Printed::Constraint { relation, constraint_type } => match constraint_type {
            ConstraintType::Check | ConstraintType::Exclusion => Ok(constraint(&table(relation), text)),
            _ => Err("keys and NOT NULL constraints are not created for a comparison".to_owned()),
        },
        Printed::Condition { relation } => {
            let table = table(relation);
            Ok(one(
                format!("CREATE POLICY {MADE} ON {table} USING ({text})"),
                format!(
                    "SELECT pg_catalog.pg_get_expr(polqual, polrelid) FROM pg_catalog.pg_policy WHERE polrelid = {}",
                    regclass(&table)
                ),
            ))
        }
        Printed::Default { relation, column } => {
            let table = table(relation);
            let set =
                format!("ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT {text}", quote_identifier(column));
            Ok(one(set, column_expression(&table, column)))
        }
        Printed::Generated { relation, type_name } => {
            let table = table(relation);
            let add = format!(
                "ALTER TABLE {table} ADD COLUMN {MADE} {type_name} GENERATED ALWAYS AS ({text}) STORED"
            );
            Ok(one(add, column_expression(&table, MADE)))
        }
        Printed::Index { relation, name } => {
            let index = format!("{scratch}.{}", quote_identifier(name));
            let create = on_another(text, None, &table(relation))?;
            Ok(one(create, format!("SELECT pg_catalog.pg_get_indexdef({})", regclass(&index))))
        }
        Printed::Rule { relation, name } => on(&table(relation), (text, name), &RULES),
        Printed::Trigger { relation, name } => on(&table(relation), (text, name), &TRIGGERS),
        Printed::Statistics { name } => {
            let relation = relation(printed, text).ok_or_else(unknown_place)?;
            let made = format!("{scratch}.{}", quote_identifier(&name.name));
            let create = on_another(text, Some(&made), &table(&relation))?;
            Ok(one(
                create,
                format!(
                    "SELECT pg_catalog.pg_get_statisticsobjdef(s.oid) FROM pg_catalog.pg_statistic_ext s \
                     WHERE s.stxrelid = {} AND s.stxname = {}",
                    regclass(&table(&relation)),
                    quote_literal(&name.name)
                ),
            ))
        }
        Printed::DomainConstraint(base) => Ok(domain(
            scratch,
            base,
            &format!("ADD CONSTRAINT {MADE} {text}"),
            &format!(
                "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint \
             WHERE conname = '{MADE}' AND contypid = {}::pg_catalog.regtype",
                quote_literal(&format!("{scratch}.{MADE}"))
            ),
        )),
        Printed::DomainDefault(base) => Ok(domain(
            scratch,
            base,
            &format!("SET DEFAULT {text}"),
            &format!(
                "SELECT pg_catalog.pg_get_expr(typdefaultbin, 'pg_catalog.pg_type'::pg_catalog.regclass) \
             FROM pg_catalog.pg_type WHERE oid = {}::pg_catalog.regtype",
                quote_literal(&format!("{scratch}.{MADE}"))
            ),
        )),
        Printed::Function { part, left, right } => {
            let signature = if whose == Whose::Left { left } else { right };
            Ok(function(scratch, signature, *part, text))
        }
        Printed::AggregateArguments => {
            Err("arguments of aggregates are not created for a comparison".to_owned())
        }
        Printed::PartitionKey { relation } => {
            let made = format!("{scratch}.{MADE}");
            Ok(one(
                format!("CREATE TABLE {made} (LIKE {}) PARTITION BY {text}", table(relation)),
                format!("SELECT pg_catalog.pg_get_partkeydef({})", regclass(&made)),
            ))
        }
        Printed::PartitionBound { parent, key } => bound(scratch, &table(parent), key.as_deref(), text),
        Printed::Locale => Ok(locale(scratch, text, version)),
    }
}

fn one(create: String, read: String) -> Trial {
    Trial { creates: vec![create], read }
}

fn regclass(name: &str) -> String {
    format!("{}::pg_catalog.regclass", quote_literal(name))
}

fn unknown_place() -> String {
    "its text does not name its table".to_owned()
}

fn on_another(text: &str, name: Option<&str>, relation: &str) -> Result<String, String> {
    tree::on_another(text, name, relation).map(|(text, _)| text).ok_or_else(unknown_place)
}

fn constraint(table: &str, text: &str) -> Trial {
    one(
        format!("ALTER TABLE {table} ADD CONSTRAINT {MADE} {text}"),
        format!(
            "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint \
             WHERE conname = '{MADE}' AND conrelid = {}",
            regclass(table)
        ),
    )
}

fn column_expression(table: &str, column: &str) -> String {
    format!(
        "SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
         WHERE d.adrelid = {} AND a.attname = {}",
        regclass(table),
        quote_literal(column)
    )
}

/// How what is on a relation and has a name there is read back.
struct OnRelation {
    function: &'static str,
    catalog: &'static str,
    relation: &'static str,
    name: &'static str,
}

const RULES: OnRelation =
    OnRelation { function: "pg_get_ruledef", catalog: "pg_rewrite", relation: "ev_class", name: "rulename" };
const TRIGGERS: OnRelation =
    OnRelation { function: "pg_get_triggerdef", catalog: "pg_trigger", relation: "tgrelid", name: "tgname" };

fn on(table: &str, (text, name): (&str, &str), of: &OnRelation) -> Result<Trial, String> {
    let OnRelation { function, catalog, relation, name: column } = of;
    let (create, table, name) = (on_another(text, None, table)?, regclass(table), quote_literal(name));
    Ok(one(
        create,
        format!(
            "SELECT pg_catalog.{function}(oid) FROM pg_catalog.{catalog} WHERE {relation} = {table} AND {column} = {name}"
        ),
    ))
}

fn domain(scratch: &str, DomainBase { base_type, collation }: &DomainBase, alter: &str, read: &str) -> Trial {
    let collate = collation.as_ref().map(|name| format!(" COLLATE {name}")).unwrap_or_default();
    let creates = vec![
        format!("CREATE DOMAIN {scratch}.{MADE} AS {base_type}{collate}"),
        format!("ALTER DOMAIN {scratch}.{MADE} {alter}"),
    ];
    Trial { creates, read: read.to_owned() }
}

/// The function whole, with the part that is tried in its place.
fn function(scratch: &str, signature: &Signature, part: FunctionPart, text: &str) -> Trial {
    let mut signature = signature.clone();
    match part {
        FunctionPart::Arguments => signature.arguments = text.to_owned(),
        FunctionPart::IdentityArguments => {}
        FunctionPart::Result => signature.result = Some(text.to_owned()),
        FunctionPart::Body => signature.body = Some(text.to_owned()),
    }
    let kind =
        if signature.kind == FunctionKind::Procedure { EntryKind::Procedure } else { EntryKind::Function };
    let returns = signature.result.as_ref().map(|result| format!(" RETURNS {result}")).unwrap_or_default();
    let body = signature.body.unwrap_or_else(|| "AS ''".to_owned());
    let create =
        format!("CREATE {kind} {scratch}.{MADE}({}){returns} LANGUAGE sql {body}", signature.arguments);
    let read = match part {
        FunctionPart::Arguments => "pg_get_function_arguments",
        FunctionPart::IdentityArguments => "pg_get_function_identity_arguments",
        FunctionPart::Result => "pg_get_function_result",
        FunctionPart::Body => "pg_get_function_sqlbody",
    };
    let read = format!(
        "SELECT pg_catalog.{read}(p.oid) FROM pg_catalog.pg_proc p WHERE p.proname = '{MADE}' \
         AND p.pronamespace = {}::pg_catalog.regnamespace",
        quote_literal(scratch)
    );
    one(create, read)
}

fn bound(scratch: &str, parent: &str, key: Option<&str>, text: &str) -> Result<Trial, String> {
    let key = key.ok_or("how the partitioned table is partitioned is not known")?;
    check_bound(text).map_err(|problem| problem.to_string())?;
    let (made, part) = (format!("{scratch}.{MADE}"), format!("{scratch}.{MADE}_part"));
    let creates = vec![
        format!("CREATE TABLE {made} (LIKE {parent}) PARTITION BY {key}"),
        format!("CREATE TABLE {part} PARTITION OF {made} {text}"),
    ];
    let read = format!(
        "SELECT pg_catalog.pg_get_expr(relpartbound, oid) FROM pg_catalog.pg_class WHERE oid = {}",
        regclass(&part)
    );
    Ok(Trial { creates, read })
}

fn locale(scratch: &str, text: &str, version: ServerVersion) -> Trial {
    let column = match version.major() {
        17.. => "colllocale",
        15 | 16 => "colliculocale",
        _ => "collcollate",
    };
    one(
        format!("CREATE COLLATION {scratch}.{MADE} (PROVIDER = icu, LOCALE = {})", quote_literal(text)),
        format!(
            "SELECT {column}::text FROM pg_catalog.pg_collation WHERE collname = '{MADE}' \
             AND collnamespace = {}::pg_catalog.regnamespace",
            quote_literal(scratch)
        ),
    )
}
