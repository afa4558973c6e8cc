//! Printed definitions as parse trees, by PostgreSQL's own parser.

use std::borrow::Cow;
use std::collections::BTreeMap;

use dbhaul_catalog::{
    FunctionPart, Printed, QualifiedName, ServerVersion, quote_identifier, quoted_for_newer,
    quoted_types_for_newer,
};
use serde_json::Value;

use super::trial::Whose;
use super::{normal, shape};

/// Longer texts are not parsed.
const LONGEST_BYTES: usize = 256 * 1024;

/// The major whose parser `pg_query` carries.
const PARSED_MAJOR: u32 = 18;

/// What two parse trees say of two definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeVerdict {
    /// The parser makes the same of both.
    Same,
    /// They name other relations, functions or constants, or are of a kind that is never printed in two ways.
    Different,
    /// The trees differ, and may be two prints of one definition; or there are none, for this reason.
    Unknown(String),
}

/// A parsed definition.
pub(super) struct Tree {
    value: Value,
}

/// Compares two prints. The versions are those of the servers that made them.
pub(super) fn compare(
    printed: &Printed,
    left: (&str, ServerVersion),
    right: (&str, ServerVersion),
) -> TreeVerdict {
    let (left, right) = match (Tree::parse(printed, left), Tree::parse(printed, right)) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(reason), _) | (_, Err(reason)) => return TreeVerdict::Unknown(reason),
    };
    if left.value == right.value {
        TreeVerdict::Same
    } else if is_printed_in_one_way(printed) || left.leaves() != right.leaves() {
        TreeVerdict::Different
    } else if matches!(printed, Printed::Locale) {
        TreeVerdict::Unknown("its two locales have different names".to_owned())
    } else {
        TreeVerdict::Unknown("the parse trees of its two texts differ".to_owned())
    }
}

impl Tree {
    /// Parses what a server of `version` printed.
    pub(super) fn parse(printed: &Printed, (text, version): (&str, ServerVersion)) -> Result<Self, String> {
        if text.len() > LONGEST_BYTES {
            return Err(format!("its text is longer than {} KiB", LONGEST_BYTES / 1024));
        }
        let statement = statement(printed, &quoted_words(printed, text, version, PARSED_MAJOR));
        let parsed = pg_query::parse(&statement, 0)
            .map_err(|error| format!("its text cannot be parsed here ({error})"))?;
        let [statement] = parsed.protobuf.stmts.as_slice() else {
            return Err("its text is not one statement".to_owned());
        };
        let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
        if !node.is_some_and(|node| shape::is_expected(printed, node)) {
            return Err("its text does not define an object of its kind".to_owned());
        }
        let value = serde_json::to_value(statement).map_err(|error| error.to_string())?;
        let is_view = matches!(printed, Printed::Query { .. });
        Ok(Tree { value: normal::normalised(value, is_view) })
    }

    /// Parses what a definition is created with beside its own text: types, the key of a partitioned table, and
    /// the rest of a function.
    pub(super) fn parse_parts(
        printed: &Printed,
        (whose, version): (Whose, ServerVersion),
    ) -> Result<Vec<Self>, String> {
        match printed {
            Printed::Function { left, right, .. } => {
                let signature = if whose == Whose::Left { left } else { right };
                let texts = [
                    (FunctionPart::Arguments, Some(&signature.arguments)),
                    (FunctionPart::Result, signature.result.as_ref()),
                    (FunctionPart::Body, signature.body.as_ref()),
                ];
                let parse = |(part, text): (FunctionPart, Option<&String>)| {
                    let printed = Printed::Function { part, left: left.clone(), right: right.clone() };
                    Some(Tree::parse(&printed, (text?, version)))
                };
                texts.into_iter().filter_map(parse).collect()
            }
            Printed::Generated { type_name, .. } => Ok(vec![Tree::parse_type(type_name)?]),
            Printed::DomainConstraint(base) | Printed::DomainDefault(base) => {
                let collate = base.collation.as_ref().map(|name| format!(" COLLATE {name}"));
                Ok(vec![Tree::parse_type(&format!("{}{}", base.base_type, collate.unwrap_or_default()))?])
            }
            Printed::PartitionBound { parent, key: Some(key) } => {
                let key_of = Printed::PartitionKey { relation: parent.clone() };
                Ok(vec![Tree::parse(&key_of, (key, version))?])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Parses a type with its collation, and nothing else.
    fn parse_type(text: &str) -> Result<Self, String> {
        use pg_query::NodeEnum;
        let parsed = pg_query::parse(&format!("CREATE TABLE x (c {text})"), 0)
            .map_err(|error| format!("its type cannot be parsed here ({error})"))?;
        let unknown = || "its type is more than a type".to_owned();
        let [statement] = parsed.protobuf.stmts.as_slice() else { return Err(unknown()) };
        let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
        let Some(NodeEnum::CreateStmt(create)) = node else { return Err(unknown()) };
        let is_plain =
            create.partspec.is_none() && create.inh_relations.is_empty() && create.options.is_empty();
        match create.table_elts.as_slice() {
            [pg_query::protobuf::Node { node: Some(NodeEnum::ColumnDef(column)) }]
                if is_plain && column.constraints.is_empty() => {}
            _ => return Err(unknown()),
        }
        let value = serde_json::to_value(statement).map_err(|error| error.to_string())?;
        Ok(Tree { value: normal::normalised(value, false) })
    }

    /// The types that it names and that are not the server's own, as SQL: in a print each has its schema.
    pub(super) fn types_of_users(&self) -> Vec<String> {
        let mut types = Vec::new();
        collect_types(&self.value, &mut types);
        types
    }

    /// Whether it holds text in quotes, which the server reads as a value of some type.
    pub(super) fn has_literals(&self) -> bool {
        let mut found = false;
        visit(&self.value, &mut |kind, fields| found |= kind == "AConst" && is_text(fields));
        found
    }

    /// Whether it holds text in quotes that only its place gives a type. No server prints that, but in syntax of
    /// its own.
    pub(super) fn has_bare_literals(&self) -> bool {
        has_bare_literals(&self.value)
    }

    /// Whether creating it locks tables of the user's more than reading does.
    pub(super) fn locks_tables(&self) -> bool {
        const LOCKING: [&str; 5] = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "LockingClause"];
        let mut locks = false;
        visit(&self.value, &mut |kind, _| locks |= LOCKING.contains(&kind));
        locks
    }

    /// Whether it names functions, operators, types or operator classes that are not the server's own. In a
    /// print each such name has its schema.
    pub(super) fn names_of_users(&self) -> bool {
        has_names_of_users(&self.value)
    }

    /// The relations that it names, with how often: the first one of an index, trigger or rule is its own.
    fn leaves(&self) -> BTreeMap<String, usize> {
        let mut leaves = BTreeMap::new();
        visit(&self.value, &mut |kind, fields| {
            let leaf = match kind {
                "FuncCall" => fields.get("funcname").filter(|name| !normal::is_of_the_server(name)),
                "AConst" => fields.get("val"),
                "RangeVar" => fields.get("relname"),
                _ => None,
            };
            // a schema that one of the two names and the other does not is no common table expression
            let schema = fields.get("schemaname").filter(|_| kind == "RangeVar");
            if let Some(leaf) = leaf {
                *leaves.entry(format!("{kind} {schema:?} {leaf}")).or_default() += 1;
            }
        });
        leaves
    }
}

fn has_names_of_users(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            // columns too are named in parts, and statistics themselves, which are created in a schema of ours
            fields.iter().any(|(key, below)| {
                !matches!(key.as_str(), "fields" | "defnames") && has_names_of_users(below)
            })
        }
        Value::Array(items) => {
            let is_name = items.len() > 1 && items.iter().all(|item| item.get("String").is_some());
            (is_name && !normal::is_of_the_server(value)) || items.iter().any(has_names_of_users)
        }
        _ => false,
    }
}

/// Functions of the standard's syntax with a word in a place of text.
const WITH_WORDS: [&str; 3] = ["extract", "normalize", "is_normalized"];

fn has_bare_literals(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(kind, below)| match kind.as_str() {
            "AConst" => is_text(below),
            "TypeCast" => below
                .get("arg")
                .is_some_and(|arg| !arg.get("AConst").is_some_and(is_text) && has_bare_literals(arg)),
            "FuncCall" if takes_a_word(below) => false,
            // the path of JSON_TABLE is a text that nothing casts; one that is computed is not
            "pathspec" => !below.get("AConst").is_some_and(is_text) && has_bare_literals(below),
            _ => has_bare_literals(below),
        }),
        Value::Array(items) => items.iter().any(has_bare_literals),
        _ => false,
    }
}

/// Whether a call has words in the place of text, and no other text in quotes without its type.
fn takes_a_word(call: &Value) -> bool {
    let Some(name) = call.get("funcname").filter(|name| normal::is_of_the_server(name)) else { return false };
    let name = name.pointer("/1/String/sval").and_then(Value::as_str).unwrap_or_default();
    let arguments = call.get("args").and_then(Value::as_array).into_iter().flatten();
    WITH_WORDS.contains(&name)
        && arguments
            .filter(|argument| argument.get("AConst").is_none())
            .all(|other| !has_bare_literals(other))
}

fn is_text(constant: &Value) -> bool {
    constant.pointer("/val/Sval").is_some()
}

fn collect_types(value: &Value, types: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(names)) = fields.get("names")
                && fields.contains_key("typemod")
                && names.len() > 1
                && !normal::is_of_the_server(&Value::Array(names.clone()))
            {
                let parts =
                    names.iter().filter_map(|name| name.pointer("/String/sval").and_then(Value::as_str));
                types.push(parts.map(quote_identifier).collect::<Vec<_>>().join("."));
            }
            fields.values().for_each(|below| collect_types(below, types));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_types(item, types)),
        _ => {}
    }
}

/// Calls `take` with the kind and fields of every node. Relations that stand in a field of their own have no
/// kind in a tree; they are told as `RangeVar` too.
fn visit(value: &Value, take: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("relname") && fields.contains_key("schemaname") {
                take("RangeVar", value);
            }
            for (key, below) in fields {
                if key != "RangeVar" {
                    take(key, below);
                }
                visit(below, take);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, take)),
        _ => {}
    }
}

/// Kinds of definitions that hold names alone, which are printed as they are.
fn is_printed_in_one_way(printed: &Printed) -> bool {
    use dbhaul_catalog::kinds::ConstraintType::{Check, Exclusion};
    match printed {
        Printed::Constraint { constraint_type, .. } => !matches!(constraint_type, Check | Exclusion),
        Printed::AggregateArguments => true,
        Printed::Function { part, .. } => {
            matches!(part, FunctionPart::IdentityArguments | FunctionPart::Result)
        }
        _ => false,
    }
}

/// The statement that a definition is a part of.
fn statement(printed: &Printed, text: &str) -> String {
    match printed {
        Printed::Query { .. }
        | Printed::Index { .. }
        | Printed::Rule { .. }
        | Printed::Trigger { .. }
        | Printed::Statistics { .. } => text.to_owned(),
        Printed::Condition { .. }
        | Printed::Default { .. }
        | Printed::Generated { .. }
        | Printed::DomainDefault(_) => format!("SELECT ({text})"),
        Printed::Constraint { .. } => format!("ALTER TABLE x ADD CONSTRAINT c {text}"),
        Printed::DomainConstraint(_) => format!("ALTER DOMAIN x ADD CONSTRAINT c {text}"),
        Printed::Function { part, .. } => match part {
            FunctionPart::Arguments | FunctionPart::IdentityArguments => {
                format!("CREATE FUNCTION f({text}) RETURNS void LANGUAGE sql AS ''")
            }
            FunctionPart::Result => format!("CREATE FUNCTION f() RETURNS {text} LANGUAGE sql AS ''"),
            FunctionPart::Body => format!("CREATE FUNCTION f() RETURNS void LANGUAGE sql {text}"),
        },
        Printed::AggregateArguments => format!("CREATE AGGREGATE a({text}) (SFUNC = f)"),
        Printed::PartitionKey { .. } => format!("CREATE TABLE x () PARTITION BY {text}"),
        Printed::PartitionBound { .. } => format!("CREATE TABLE x PARTITION OF y {text}"),
        Printed::Locale => format!("CREATE COLLATION c (LOCALE = '{}')", text.replace('\'', "''")),
    }
}

/// A text with names quoted that became keywords between the server that printed it and major `read_by`.
pub(super) fn quoted_words<'a>(
    printed: &Printed,
    text: &'a str,
    printed_by: ServerVersion,
    read_by: u32,
) -> Cow<'a, str> {
    match printed {
        Printed::Function {
            part: FunctionPart::Arguments | FunctionPart::IdentityArguments | FunctionPart::Result,
            ..
        }
        | Printed::AggregateArguments => quoted_types_for_newer(text, printed_by.major(), read_by),
        _ => quoted_for_newer(text, printed_by.major(), read_by),
    }
}

/// A definition with another relation in place of the one that an index, trigger, rule or statistics are on,
/// and that one; `None` where there is none to be found.
pub(super) fn on_another(
    text: &str,
    statistics: Option<&str>,
    relation: &str,
) -> Option<(String, QualifiedName)> {
    let parsed = pg_query::parse(text, 0).ok()?;
    let [statement] = parsed.protobuf.stmts.as_slice() else { return None };
    use pg_query::NodeEnum;
    let on = match statement.stmt.as_ref()?.node.as_ref()? {
        NodeEnum::IndexStmt(index) => index.relation.as_ref()?,
        NodeEnum::RuleStmt(rule) => rule.relation.as_ref()?,
        NodeEnum::CreateTrigStmt(trigger) => trigger.relation.as_ref()?,
        NodeEnum::CreateStatsStmt(statistics) => match statistics.relations.as_slice() {
            [pg_query::protobuf::Node { node: Some(NodeEnum::RangeVar(on)) }] => on,
            _ => return None,
        },
        _ => return None,
    };
    let tokens = pg_query::scan(text).ok()?.tokens;
    let start = usize::try_from(on.location).ok()?;
    let first = tokens.iter().position(|token| usize::try_from(token.start) == Ok(start))?;
    let last = first + if on.schemaname.is_empty() { 0 } else { 2 };
    let end = usize::try_from(tokens.get(last)?.end).ok()?;
    let mut spliced = format!("{}{relation}{}", text.get(..start)?, text.get(end..)?);
    if let Some(name) = statistics {
        // CREATE STATISTICS schema.name
        let (from, to) = (tokens.get(2)?, tokens.get(4)?);
        let (from, to) = (usize::try_from(from.start).ok()?, usize::try_from(to.end).ok()?);
        spliced.replace_range(from..to, name);
    }
    Some((spliced, QualifiedName::new(on.schemaname.as_str(), on.relname.as_str())))
}

#[cfg(test)]
mod tests;
