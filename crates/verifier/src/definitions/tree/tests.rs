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
        let text = |name: &str| format!("SELECT {name}a FROM {from} WHERE ({name}b > 1) ORDER BY {name}b");
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
    for text in ["lower(a) = 'x'::text", "t.a > 1", "a = ANY (ARRAY[1, 2]::bigint[])", "(a.b).c IS NULL"] {
        assert!(!tree(text), "{text}");
    }
}

#[test]
fn literals_without_a_type() {
    let tree = |text: &str| {
        let printed = Printed::Condition { relation: relation() };
        Tree::parse(&printed, (text, ServerVersion::of_major(VERSION))).unwrap()
    };
    for text in ["a = '{1}'", "'{1}'", "s.f('{1}')", "array_cat(a, '{1}')", "extract('day' FROM s.f('{1}'))"]
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
    let printed = Printed::Function { part, left: Box::new(signature.clone()), right: Box::new(signature) };
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
        ("CREATE STATISTICS s.n ON a, b FROM s.t", Some("x.n"), "CREATE STATISTICS x.n ON a, b FROM x.\"T\""),
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
