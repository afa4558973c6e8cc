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
            return Err("its text is of another kind than what it defines".to_owned());
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
            // columns too are named in parts
            fields.iter().any(|(key, below)| key != "fields" && has_names_of_users(below))
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
mod tests {
    use super::*;

    const VERSION: u32 = 18;

    fn verdict(printed: &Printed, left: &str, right: &str) -> TreeVerdict {
        let version = ServerVersion::of_major(VERSION);
        compare(printed, (left, version), (right, version))
    }

    fn relation() -> QualifiedName {
        QualifiedName::new("public", "t")
    }

    #[track_caller]
    fn query(left: &str, right: &str, is_same: bool) {
        let verdict = verdict(&Printed::Query { relation: relation() }, left, right);
        assert_eq!(verdict == TreeVerdict::Same, is_same, "{left}\n{right}\n{verdict:?}");
    }

    #[track_caller]
    fn condition(left: &str, right: &str, is_same: bool) {
        let verdict = verdict(&Printed::Condition { relation: relation() }, left, right);
        assert_eq!(verdict == TreeVerdict::Same, is_same, "{left}\n{right}\n{verdict:?}");
    }

    #[test]
    fn types_and_nothing_else() {
        let types = |text: &str| Tree::parse_type(text).map(|tree| tree.types_of_users());
        assert_eq!(types("numeric(10,2)[] COLLATE pg_catalog.\"C\""), Ok(vec![]));
        assert_eq!(types("public.\"Mood\"[]"), Ok(vec!["public.\"Mood\"".to_owned()]));
        for text in [
            "int DEFAULT s.f()",
            "int) PARTITION BY RANGE (c",
            "int, d int",
            "int) INHERITS (y",
            "int CHECK (s.f())",
        ] {
            assert!(types(text).is_err(), "{text}");
        }
        let version = ServerVersion::of_major(VERSION);
        let tree = |text| Tree::parse(&Printed::Condition { relation: relation() }, (text, version)).unwrap();
        assert_eq!(tree("a = '{1}'::public.d[]").types_of_users(), ["public.d"]);
        assert!(tree("t.a = 'x'::text AND s.f(b)").types_of_users().is_empty());
    }

    #[test]
    fn qualifiers_of_the_only_relation() {
        query("SELECT t.a FROM s.t WHERE (t.a > 1)", "SELECT a FROM s.t WHERE (a > 1)", true);
        query("SELECT u.a FROM s.t u GROUP BY u.a", "SELECT a FROM s.t u GROUP BY a", true);
        query("SELECT t.a FROM s.t", "SELECT a FROM r.t", false);
        query("SELECT t.a FROM s.t, s.u", "SELECT u.a FROM s.t, s.u", false);
        query("SELECT t.b AS a FROM s.t ORDER BY t.a", "SELECT b AS a FROM s.t ORDER BY a", false);
        query("SELECT t.a FROM s.t ORDER BY t.a", "SELECT a FROM s.t ORDER BY a", true);
        query(
            "SELECT a FROM s.t WHERE EXISTS (SELECT 1 FROM s.u WHERE u.a = t.a)",
            "SELECT a FROM s.t WHERE EXISTS (SELECT 1 FROM s.u WHERE u.a = u.a)",
            false,
        );
    }

    #[test]
    fn qualifiers_of_every_kind_of_relation() {
        let from = [
            ("s.t", "t"),
            ("ONLY s.t", "t"),
            ("s.t x(a, b)", "x"),
            ("s.t TABLESAMPLE system (10) REPEATABLE (1)", "t"),
            ("s.t x TABLESAMPLE bernoulli (10)", "x"),
            ("XMLTABLE('/a' PASSING p COLUMNS a integer, b integer)", "\"xmltable\""),
            ("XMLTABLE('/a' PASSING p COLUMNS a integer, b integer) x", "x"),
            ("JSON_TABLE(p, '$' COLUMNS (a integer, b integer))", "\"json_table\""),
            ("JSON_TABLE(p, '$' COLUMNS (a integer, b integer)) x", "x"),
            ("(SELECT 1 AS a, 2 AS b) x", "x"),
            ("LATERAL (SELECT 1 AS a, 2 AS b) x", "x"),
            ("(VALUES (1, 2)) x(a, b)", "x"),
            ("s.f() x(a, b)", "x"),
            ("LATERAL s.f() x(a integer, b integer)", "x"),
            ("ROWS FROM(s.f(), s.g()) WITH ORDINALITY x(a, b)", "x"),
        ];
        for (from, name) in from {
            let text =
                |name: &str| format!("SELECT {name}a FROM {from} WHERE ({name}b > 1) ORDER BY {name}b");
            query(&text(&format!("{name}.")), &text(""), true);
            query(&text("other."), &text(""), false);
        }
        for from in ["s.t, s.u", "s.t JOIN s.u USING (b)", "s.t TABLESAMPLE system (10), s.u"] {
            query(&format!("SELECT t.a FROM {from}"), &format!("SELECT a FROM {from}"), false);
        }
        query(
            "WITH c AS (SELECT t.a FROM s.t) SELECT c.a FROM c",
            "WITH c AS (SELECT t.a FROM s.t) SELECT a FROM c",
            true,
        );
    }

    #[test]
    fn qualifiers_in_what_a_query_sorts_by() {
        for clause in [
            "ORDER BY (t.a + 1)",
            "ORDER BY (t.a COLLATE \"C\") USING ~>~",
            "ORDER BY (- t.a) DESC NULLS LAST",
            "GROUP BY t.a, GROUPING SETS ((t.a), ())",
            "WINDOW w AS (PARTITION BY t.a ORDER BY t.a)",
        ] {
            let text = |clause: &str| format!("SELECT b AS a FROM s.t {clause}");
            query(&text(clause), &text(&clause.replace("t.a", "a")), true);
        }
        // a name alone is one of the query's own columns, if there is one
        for clause in ["ORDER BY t.a USING ~>~", "ORDER BY b, t.a DESC", "ORDER BY (t.a)"] {
            let text = |clause: &str| format!("SELECT b AS a FROM s.t {clause}");
            query(&text(clause), &text(&clause.replace("t.a", "a")), false);
        }
        let distinct = |of: &str| format!("SELECT DISTINCT ON ({of}) b AS a FROM s.t");
        query(&distinct("t.a + 1"), &distinct("a + 1"), true);
        query(&distinct("t.a"), &distinct("a"), false);
    }

    #[test]
    fn names_that_nobody_sees() {
        query(
            "SELECT q.id FROM (SELECT t.id FROM s.t UNION ALL SELECT NULL::integer) q",
            "SELECT id FROM (SELECT t.id FROM s.t UNION ALL SELECT NULL::integer AS int4) q",
            true,
        );
        query("SELECT a AS x FROM s.t", "SELECT a AS y FROM s.t", false);
        query("SELECT a AS a, b::text AS b FROM s.t", "SELECT a, b::text FROM s.t", true);
    }

    #[test]
    fn casts_of_arrays() {
        let one = "((v)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))";
        let two = "((v)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))";
        condition(one, two, true);
        condition(
            "n = ANY ((ARRAY[ARRAY[1, 2]])::numeric[])",
            "n = ANY (ARRAY[ARRAY[(1)::numeric, (2)::numeric]])",
            true,
        );
        condition("n = ANY ((ARRAY[1])::numeric[])", "n = ANY (ARRAY[(1)::bigint])", false);
        condition("n = ANY ((ARRAY[1])::numeric[])", "n = ANY (ARRAY[1])", false);
    }

    #[test]
    fn parentheses_count() {
        condition("((a OR b) AND c)", "(a OR (b AND c))", false);
        condition("((a) > 0)", "(a > 0)", true);
        condition("(a + (b * c)) > 0", "((a + b) * c) > 0", false);
        condition("s1.f(a)", "s2.f(a)", false);
        condition("'a.b'", "'b'", false);
    }

    #[test]
    fn syntax_of_the_standard() {
        condition("(a AT TIME ZONE 'utc'::text)", "timezone('utc'::text, a)", true);
        condition("SUBSTRING(a FROM 1 FOR 2)", "\"substring\"(a, 1, 2)", true);
        condition("EXTRACT(\"YEAR\" FROM a)", "EXTRACT(YEAR FROM a)", true);
        condition("EXTRACT(YEAR FROM a)", "EXTRACT(MONTH FROM a)", false);
        condition("EXTRACT(YEAR FROM a)", "date_part('year'::text, a)", false);
        condition("s.timezone('utc'::text, a)", "timezone('utc'::text, a)", false);
    }

    #[test]
    fn keywords_of_later_majors() {
        let check = |left: (&str, u32), right: (&str, u32), expected: bool| {
            let side = |(text, major)| (text, ServerVersion::of_major(major));
            let verdict = compare(&Printed::Condition { relation: relation() }, side(left), side(right));
            assert_eq!(verdict == TreeVerdict::Same, expected, "{left:?} {right:?}");
        };
        check(("system_user = 'a'", 15), ("\"system_user\" = 'a'", 18), true);
        check(("system_user = 'a'", 18), ("\"system_user\" = 'a'", 18), false);
        check(("'system_user' = 'a'", 15), ("'\"system_user\"' = 'a'", 18), false);
        check(("(json ->> 'a')", 15), ("(\"json\" ->> 'a')", 18), true);
    }

    #[test]
    fn names_tell_a_difference_and_shapes_do_not() {
        let printed = Printed::Condition { relation: relation() };
        assert_eq!(verdict(&printed, "s1.f(a)", "s2.f(a)"), TreeVerdict::Different);
        assert!(matches!(verdict(&printed, "(a OR b) AND c", "a OR (b AND c)"), TreeVerdict::Unknown(_)));
        assert!(matches!(verdict(&printed, "a = ", "a = 1"), TreeVerdict::Unknown(_)));
        let injected = verdict(&printed, "1); COMMIT; SELECT (1", "1");
        assert!(matches!(injected, TreeVerdict::Unknown(reason) if reason.contains("one statement")));
        let long = "x".repeat(LONGEST_BYTES + 1);
        assert!(matches!(verdict(&printed, &long, "a"), TreeVerdict::Unknown(_)));
    }

    #[test]
    fn names_that_users_gave() {
        let tree = |text: &str| {
            let printed = Printed::Condition { relation: relation() };
            Tree::parse(&printed, (text, ServerVersion::of_major(VERSION))).unwrap().names_of_users()
        };
        for text in ["evil.f(1)", "a OPERATOR(evil.=) 1", "a = '1'::evil.t", "a = ANY ('{1}'::evil.t[])"] {
            assert!(tree(text), "{text}");
        }
        for text in ["lower(a) = 'x'::text", "t.a > 1", "a = ANY (ARRAY[1, 2]::bigint[])", "(a.b).c IS NULL"]
        {
            assert!(!tree(text), "{text}");
        }
    }

    #[test]
    fn literals_without_a_type() {
        let tree = |text: &str| {
            let printed = Printed::Condition { relation: relation() };
            Tree::parse(&printed, (text, ServerVersion::of_major(VERSION))).unwrap()
        };
        for text in
            ["a = '{1}'", "'{1}'", "s.f('{1}')", "array_cat(a, '{1}')", "extract('day' FROM s.f('{1}'))"]
        {
            assert!(tree(text).has_bare_literals(), "{text}");
        }
        for text in
            ["a = '{1}'::s.d[]", "a = 1", "EXTRACT(year FROM a) > 1", "a = ANY (ARRAY['x'::text, 'y'::text])"]
        {
            assert!(!tree(text).has_bare_literals(), "{text}");
        }
        assert!(tree("a = '{1}'::s.d[]").has_literals());
        assert!(!tree("(a)::s.d > 1").has_literals());
    }

    #[test]
    fn a_text_is_of_its_kind() {
        use dbhaul_catalog::kinds::ConstraintType::{Check, Exclusion};
        let constraint = |constraint_type| Printed::Constraint { relation: relation(), constraint_type };
        let rule = Printed::Rule { relation: relation(), name: "r".to_owned() };
        let bound = Printed::PartitionBound { parent: relation(), key: None };
        let parse = |printed: &Printed, text: &str| {
            Tree::parse(printed, (text, ServerVersion::of_major(VERSION))).map(drop)
        };
        for (printed, text) in [
            (&constraint(Check), "FOREIGN KEY (a) REFERENCES s.t(a)"),
            (&constraint(Check), "EXCLUDE USING gist (a WITH =)"),
            (&constraint(Exclusion), "CHECK ((a > 0))"),
            (&rule, "CREATE INDEX r ON public.t (a) WHERE s.f(1)"),
            (&rule, "CREATE TRIGGER r BEFORE INSERT ON public.t EXECUTE FUNCTION s.f()"),
            (&bound, "(a CHECK (s.f())) DEFAULT"),
            (&bound, "(FOREIGN KEY (a) REFERENCES s.t) FOR VALUES IN (1)"),
            (&Printed::Query { relation: relation() }, "DELETE FROM s.t"),
            (&Printed::DomainConstraint(base()), "CHECK (true), ADD CHECK (s.f())"),
        ] {
            assert!(parse(printed, text).is_err(), "{text}");
        }
        for (printed, text) in [
            (&constraint(Check), "CHECK ((a > 0)) NO INHERIT NOT VALID"),
            (&constraint(Exclusion), "EXCLUDE USING gist (a WITH =) WHERE ((a > 0))"),
            (&rule, "CREATE RULE r AS ON INSERT TO public.t DO INSTEAD NOTHING"),
            (&bound, "DEFAULT"),
            (&bound, "FOR VALUES WITH (modulus 2, remainder 1)"),
            (&Printed::Query { relation: relation() }, "VALUES (1)"),
            (&Printed::DomainConstraint(base()), "CHECK ((VALUE > 0))"),
        ] {
            assert_eq!(parse(printed, text), Ok(()), "{text}");
        }
    }

    fn base() -> dbhaul_catalog::DomainBase {
        dbhaul_catalog::DomainBase { base_type: "integer".to_owned(), collation: None }
    }

    #[test]
    fn all_of_a_function_is_parsed() {
        let signature = |arguments: &str, body: Option<&str>| dbhaul_catalog::Signature {
            kind: dbhaul_catalog::kinds::FunctionKind::Function,
            arguments: arguments.to_owned(),
            result: Some("s.r".to_owned()),
            body: body.map(str::to_owned),
        };
        let left = Box::new(signature("a s.d[] DEFAULT '{1}'::s.d[]", None));
        let right = Box::new(signature("a integer", Some("RETURN '{1}'::s.e[]")));
        let printed = Printed::Function { part: FunctionPart::IdentityArguments, left, right };
        let types = |whose| -> Vec<String> {
            let parts = Tree::parse_parts(&printed, (whose, ServerVersion::of_major(VERSION))).unwrap();
            parts.iter().flat_map(Tree::types_of_users).collect()
        };
        assert_eq!(types(Whose::Left), ["s.d", "s.d", "s.r"]);
        assert_eq!(types(Whose::Right), ["s.r", "s.e"]);
    }

    #[test]
    fn a_constraint_is_one_action() {
        let printed = Printed::Constraint {
            relation: relation(),
            constraint_type: dbhaul_catalog::kinds::ConstraintType::Check,
        };
        let parse = |text: &str| Tree::parse(&printed, (text, ServerVersion::of_major(VERSION))).map(drop);
        assert_eq!(parse("CHECK ((a > 0))"), Ok(()));
        assert!(parse("CHECK ((a > 0)), ADD COLUMN b integer DEFAULT evil.f()").is_err());
    }

    #[test]
    fn parameters_are_in_parameters() {
        let signature = dbhaul_catalog::Signature {
            kind: dbhaul_catalog::kinds::FunctionKind::Procedure,
            arguments: String::new(),
            result: None,
            body: None,
        };
        let part = FunctionPart::Arguments;
        let printed =
            Printed::Function { part, left: Box::new(signature.clone()), right: Box::new(signature) };
        let check = |left, right| verdict(&printed, left, right);
        assert_eq!(check("a integer, INOUT b integer", "IN a integer, INOUT b integer"), TreeVerdict::Same);
        assert!(check("a integer DEFAULT 1", "a integer DEFAULT 2") == TreeVerdict::Different);
    }

    #[test]
    fn splices() {
        let on = |text, name| on_another(text, name, "x.\"T\"").map(|(text, _)| text);
        for (text, name, expected) in [
            (
                "CREATE INDEX i ON ONLY public.t USING btree (a)",
                None,
                "CREATE INDEX i ON ONLY x.\"T\" USING btree (a)",
            ),
            (
                "CREATE RULE r AS\n    ON INSERT TO \"a b\".t DO INSTEAD NOTHING",
                None,
                "CREATE RULE r AS\n    ON INSERT TO x.\"T\" DO INSTEAD NOTHING",
            ),
            (
                "CREATE STATISTICS s.n ON a, b FROM s.t",
                Some("x.n"),
                "CREATE STATISTICS x.n ON a, b FROM x.\"T\"",
            ),
            (
                "CREATE TRIGGER \"ON s.t\" BEFORE UPDATE ON s.t FOR EACH ROW EXECUTE FUNCTION f()",
                None,
                "CREATE TRIGGER \"ON s.t\" BEFORE UPDATE ON x.\"T\" FOR EACH ROW EXECUTE FUNCTION f()",
            ),
        ] {
            assert_eq!(on(text, name).as_deref(), Some(expected));
        }
        assert_eq!(on("SELECT 1", None), None);
    }
}
