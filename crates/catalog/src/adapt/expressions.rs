//! Defaults and checks of a table that another major may not take, because a function or an operator in them is not
//! there: tried on the target, and set by statements of their own where it refuses them, so that the table is made
//! without and its rows are loaded. Those that use anything of the database's are such statements from the start.

use std::collections::{BTreeMap, BTreeSet};

use crate::kinds::{Body, ConstraintType, ExpressionPlace, ExpressionRole, Table};
use crate::statement::{Token, TokenKind, tokens};
use crate::{Catalog, Object, QualifiedName, SharedText, quote_identifier};

/// A default or a check that stands in `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InlineExpression {
    table: QualifiedName,
    part: InlinePart,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum InlinePart {
    /// The default of a column.
    Default(SharedText),
    /// The check of a name.
    Check(String),
}

impl InlineExpression {
    /// The table.
    pub fn table(&self) -> &QualifiedName {
        &self.table
    }
}

/// Functions that every major has from 13 on, with the same arguments. Others are tried, so that this list may lack
/// some. Words that are followed by a parenthesis and are no functions are among them.
const KNOWN_FUNCTIONS: [&str; 38] = [
    "abs",
    "all",
    "and",
    "any",
    "array_length",
    "btrim",
    "char_length",
    "character",
    "clock_timestamp",
    "coalesce",
    "date_part",
    "date_trunc",
    "gen_random_uuid",
    "in",
    "jsonb_typeof",
    "left",
    "length",
    "lower",
    "md5",
    "not",
    "now",
    "nullif",
    "numeric",
    "octet_length",
    "or",
    "right",
    "round",
    "row",
    "statement_timestamp",
    "timestamp",
    "timezone",
    "to_char",
    "transaction_timestamp",
    "trim",
    "upper",
    "varying",
    "bit",
    "check",
];

/// Operators that every major has from 13 on, wherever they stand.
const KNOWN_OPERATORS: [&str; 20] = [
    "=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "~~", "!~~", "~~*", "!~~*", "~*", "!~",
    "!~*", "::",
];

/// Defaults and checks in `CREATE TABLE` that the target may not take, by statements that it refuses then, which make a
/// temporary table.
pub fn doubtful_expressions(catalog: &Catalog) -> BTreeMap<String, Vec<InlineExpression>> {
    let mut trials: BTreeMap<String, Vec<InlineExpression>> = BTreeMap::new();
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        let Body::Table(table) = &object.body else { continue };
        let mut doubt = |part, trial| {
            trials.entry(trial).or_default().push(InlineExpression { table: name_of(object), part });
        };
        for column in &table.columns {
            let Some(default) = &column.default else { continue };
            let is_inline =
                default.place == ExpressionPlace::Inline && default.role == ExpressionRole::Default;
            if is_inline && is_doubtful(&default.expression) {
                let trial = probe(&format!("a {} DEFAULT {}", column.type_name, default.expression));
                doubt(InlinePart::Default(column.name.clone()), trial);
            }
        }
        for check in table.checks.iter().filter(|check| is_doubtful(&check.definition)) {
            doubt(InlinePart::Check(check.name.clone()), probe(&with_columns(table, &check.definition)));
        }
    }
    trials
}

fn probe(columns: &str) -> String {
    format!("CREATE TEMPORARY TABLE dbhaul_probe ({columns})")
}

/// The columns of a table that are of the server's types, with a check. A check that needs others cannot be tried.
fn with_columns(table: &Table, check: &str) -> String {
    let columns = table.columns.iter().filter(|column| !column.type_name.contains('.'));
    let columns = columns.map(|column| format!("{} {}", quote_identifier(&column.name), column.type_name));
    columns.chain([check.to_owned()]).collect::<Vec<_>>().join(", ")
}

/// Whether an expression calls a function or uses an operator that not every major may have.
fn is_doubtful(expression: &str) -> bool {
    let Ok(tokens) = tokens(expression) else { return false };
    let is_word = |token: &Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
    let calls = tokens.windows(2).any(|pair| {
        let name = pair[0].text.to_ascii_lowercase();
        is_word(&pair[0]) && pair[1].text == "(" && !KNOWN_FUNCTIONS.contains(&name.as_str())
    });
    calls || operators(&tokens).iter().any(|operator| !KNOWN_OPERATORS.contains(&operator.as_str()))
}

/// The operators of an expression, put together from characters.
fn operators(tokens: &[Token<'_>]) -> Vec<String> {
    let is_part = |token: &Token<'_>| {
        token.kind == TokenKind::Symbol
            && token.text.chars().all(|letter| "+-*/<>=~!@#%^&|`?:".contains(letter))
    };
    let runs = tokens.chunk_by(|one, other| is_part(one) && is_part(other));
    let runs = runs.filter(|run| run.first().is_some_and(is_part));
    runs.map(|run| run.iter().map(|token| token.text).collect()).collect()
}

/// Has these set by statements of their own.
pub fn set_apart(catalog: &mut Catalog, expressions: &[InlineExpression]) {
    if expressions.is_empty() {
        return;
    }
    let mut by_table: BTreeMap<&QualifiedName, BTreeSet<&InlinePart>> = BTreeMap::new();
    for expression in expressions {
        by_table.entry(&expression.table).or_default().insert(&expression.part);
    }
    let is_apart = |table: &QualifiedName, part: &InlinePart| {
        by_table.get(table).is_some_and(|parts| parts.contains(part))
    };
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none()) {
        let name = name_of(object);
        match &mut object.body {
            Body::Table(table) => {
                for column in &mut table.columns {
                    if let Some(default) = &mut column.default
                        && is_apart(&name, &InlinePart::Default(column.name.clone()))
                    {
                        default.place = ExpressionPlace::Separate;
                    }
                }
                table.checks.retain(|check| !is_apart(&name, &InlinePart::Check(check.name.clone())));
            }
            Body::ColumnDefault(default) => {
                default.separate |= is_apart(&default.table, &InlinePart::Default(default.column.clone()));
            }
            Body::Constraint(check) if check.constraint_type == ConstraintType::Check => {
                check.separate |= is_apart(&check.table, &InlinePart::Check(object.name.clone()));
            }
            _ => {}
        }
    }
}

fn name_of(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)
}

#[cfg(test)]
mod tests {
    use super::is_doubtful;

    #[test]
    fn what_every_major_has_is_not_tried() {
        for (expression, expected) in [
            ("'new'::character varying(20)", false),
            ("now()", false),
            ("CHECK (((a > 0) AND (b <> ALL (ARRAY[1, 2]))))", false),
            ("CHECK (((length(a) <= 20) AND (a ~~ 'x(%'::text)))", false),
            ("timezone('utc'::text, now())", false),
            ("uuidv7()", true),
            ("CHECK (((a !) > (5)::numeric))", true),
            ("CHECK ((a @ b))", true),
            ("\"left\"(a, 1)", true),
            ("random(1, 6)", true),
        ] {
            assert_eq!(is_doubtful(expression), expected, "{expression}");
        }
    }
}
