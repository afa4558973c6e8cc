//! The statements that make a table.

use super::options::{generic_options, storage_parameters};
use super::{Column, ExpressionPlace, NotNull, ReplicaIdentity, Table, TableKind};
use crate::quote_identifier;
use crate::render::Target;

impl Table {
    /// `CREATE TABLE`, with everything that it has syntax for.
    pub(super) fn create_statement(&self, name: &str, target: &Target) -> String {
        // A partitioned table holds no rows; since 18 it cannot be called unlogged either.
        let can_be = self.table_kind != TableKind::Partitioned || target.version.major() < 18;
        let unlogged = if self.unlogged && can_be { "UNLOGGED " } else { "" };
        let mut sql = format!("CREATE {unlogged}{} {name}", self.entry_kind());
        if let Some(of_type) = &self.of_type {
            sql.push_str(&format!(" OF {of_type}"));
        }
        let elements = self.elements(target);
        if !elements.is_empty() {
            sql.push_str(&format!(" (\n    {}\n)", elements.join(",\n    ")));
        } else if self.of_type.is_none() {
            sql.push_str(" (\n)");
        }
        for clause in self.clauses(target) {
            sql.push('\n');
            sql.push_str(&clause);
        }
        sql
    }

    /// Columns and constraints between the parentheses.
    fn elements(&self, target: &Target) -> Vec<String> {
        let columns = self.columns.iter().filter_map(|column| self.column_element(column, target));
        let check =
            |name: &str, definition: &str| format!("CONSTRAINT {} {definition}", quote_identifier(name));
        columns.chain(self.checks.iter().map(|one| check(&one.name, &one.definition))).collect()
    }

    fn column_element(&self, column: &Column, target: &Target) -> Option<String> {
        let not_null = column.not_null.as_ref().filter(|not_null| not_null.is_early());
        if !self.prints(column) {
            let local = not_null.filter(|not_null| not_null.is_local && has_not_null_elements(target))?;
            return Some(local.table_element(&column.name));
        }
        let expression = column.inline_expression();
        let not_null = not_null.filter(|not_null| not_null.is_local || self.is_made_alone());
        if self.of_type.is_some() && expression.is_none() && not_null.is_none() {
            return None;
        }
        let mut sql = quote_identifier(&column.name);
        if self.of_type.is_none() {
            sql.push_str(&format!(" {}", column.type_name));
        }
        sql.push_str(&expression.unwrap_or_default());
        if let Some(not_null) = not_null {
            sql.push_str(&format!(" {}", not_null.column_clause()));
        }
        if let Some(collation) = column.extras().collation.as_ref().filter(|_| self.of_type.is_none()) {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        Some(sql)
    }

    /// What follows the parentheses, in the order of the grammar.
    fn clauses(&self, target: &Target) -> Vec<String> {
        let mut clauses = Vec::new();
        if !self.inherits.is_empty() && !self.inherits_later {
            let parents: Vec<String> = self.inherits.iter().map(ToString::to_string).collect();
            clauses.push(format!("INHERITS ({})", parents.join(", ")));
        }
        clauses.extend(self.partition_key.as_ref().map(|key| format!("PARTITION BY {key}")));
        if let Some(foreign) = &self.foreign {
            clauses.push(format!("SERVER {}", quote_identifier(&foreign.server)));
            if !foreign.options.is_empty() {
                clauses.push(format!("OPTIONS ({})", generic_options(&foreign.options)));
            }
        }
        // A partitioned table can only say which access method its partitions get since 17.
        let keeps_method = self.table_kind != TableKind::Partitioned || target.version.major() >= 17;
        if let Some(method) = self.access_method.as_ref().filter(|_| keeps_method) {
            clauses.push(format!("USING {}", quote_identifier(method)));
        }
        let parameters =
            [storage_parameters(&self.options, ""), storage_parameters(&self.toast_options, "toast.")];
        let parameters: Vec<&str> =
            parameters.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        if !parameters.is_empty() {
            clauses.push(format!("WITH ({})", parameters.join(", ")));
        }
        clauses.extend(self.tablespace.as_ref().map(|name| format!("TABLESPACE {}", quote_identifier(name))));
        clauses
    }

    /// What only `ALTER TABLE` has syntax for.
    pub(super) fn alter_statements(&self, name: &str, target: &Target) -> Vec<String> {
        let command = self.entry_kind();
        let mut statements: Vec<String> = Vec::new();
        for column in &self.columns {
            let alter =
                format!("ALTER {command} ONLY {name} ALTER COLUMN {}", quote_identifier(&column.name));
            if self.sets_not_null(column, target) {
                statements.push(format!("{alter} SET NOT NULL"));
            }
            statements.extend(column_alterations(column).into_iter().map(|what| format!("{alter} {what}")));
        }
        match self.replica_identity {
            ReplicaIdentity::Nothing => {
                statements.push(format!("ALTER TABLE ONLY {name} REPLICA IDENTITY NOTHING"));
            }
            ReplicaIdentity::Full => {
                statements.push(format!("ALTER TABLE ONLY {name} REPLICA IDENTITY FULL"))
            }
            ReplicaIdentity::Default | ReplicaIdentity::Index => {}
        }
        if self.force_row_security {
            statements.push(format!("ALTER TABLE ONLY {name} FORCE ROW LEVEL SECURITY"));
        }
        statements
    }

    /// Whether a `NOT NULL` of its own in a column that only a parent defines takes a statement.
    fn sets_not_null(&self, column: &Column, target: &Target) -> bool {
        let is_own = |not_null: &NotNull| not_null.is_local && not_null.is_early();
        !self.prints(column)
            && !has_not_null_elements(target)
            && column.not_null.as_ref().is_some_and(|not_null| is_own(not_null))
    }
}

/// Whether `CREATE TABLE` takes `NOT NULL` for a column that it does not define.
fn has_not_null_elements(target: &Target) -> bool {
    target.version.major() >= 18
}

/// What follows `ALTER COLUMN name` for everything `CREATE TABLE` does not say.
fn column_alterations(column: &Column) -> Vec<String> {
    let extras = column.extras();
    let behind = column.default.as_ref().filter(|default| default.place == ExpressionPlace::Behind);
    let mut alterations = Vec::new();
    alterations.extend(extras.drops_not_null.then(|| "DROP NOT NULL".to_owned()));
    alterations.extend(behind.map(|default| format!("SET DEFAULT {}", default.expression)));
    alterations.extend(storage_alterations(
        extras.statistics_target,
        extras.storage.as_deref(),
        extras.compression.as_deref(),
        &extras.options,
    ));
    if !extras.fdw_options.is_empty() {
        alterations.push(format!("OPTIONS ({})", generic_options(&extras.fdw_options)));
    }
    alterations
}

/// What follows `ALTER COLUMN name` for a stored column of a table or materialized view.
pub(crate) fn storage_alterations(
    statistics_target: Option<i32>,
    storage: Option<&str>,
    compression: Option<&str>,
    options: &[String],
) -> Vec<String> {
    let mut alterations = Vec::new();
    alterations.extend(statistics_target.map(|target| format!("SET STATISTICS {target}")));
    alterations.extend(storage.map(|storage| format!("SET STORAGE {storage}")));
    alterations.extend(compression.map(|method| format!("SET COMPRESSION {method}")));
    if !options.is_empty() {
        alterations.push(format!("SET ({})", storage_parameters(options, "")));
    }
    alterations
}

#[cfg(test)]
mod tests {
    use super::super::{
        Column, ColumnExpression, ColumnExtras, ExpressionPlace, ExpressionRole, ForeignSource, InlineCheck,
        NotNull, PartitionOf, ReplicaIdentity, Table, TableKind,
    };
    use crate::kinds::{Body, sample};
    use crate::{QualifiedName, SharedText};

    fn column(name: &str, type_name: &str) -> Column {
        Column {
            name: name.into(),
            type_name: type_name.into(),
            base_type_name: type_name.into(),
            base_type_kind: 'b',
            not_null: None,
            default: None,
            identity: None,
            is_local: true,
            inherit_count: 0,
            extras: None,
        }
    }

    fn expression(text: &str, role: ExpressionRole, place: ExpressionPlace) -> Option<Box<ColumnExpression>> {
        Some(Box::new(ColumnExpression { expression: text.into(), role, place }))
    }

    fn local(name: Option<&str>) -> Option<Box<NotNull>> {
        Some(Box::new(NotNull { name: name.map(str::to_owned), is_local: true, ..NotNull::default() }))
    }

    fn table(columns: Vec<Column>) -> Table {
        Table {
            table_kind: TableKind::Ordinary,
            unlogged: false,
            columns,
            checks: Vec::new(),
            of_type: None,
            inherits: Vec::new(),
            partition_of: None,
            partition_key: None,
            options: Vec::new(),
            toast_options: Vec::new(),
            access_method: None,
            tablespace: None,
            row_security: false,
            force_row_security: false,
            replica_identity: ReplicaIdentity::Default,
            foreign: None,
            field_order: None,
            inherits_later: false,
            undeclared_columns: Vec::new(),
        }
    }

    #[track_caller]
    fn check(table: Table, expected: &str) {
        sample::check(true, Body::from(table), expected);
    }

    #[test]
    fn a_table_without_columns() {
        check(table(Vec::new()), "CREATE TABLE s.n (\n);\n");
    }

    #[test]
    fn every_clause_of_an_ordinary_table() {
        let columns = vec![
            Column { not_null: local(None), ..column("id", "integer") },
            Column {
                default: expression("'x'::text", ExpressionRole::Default, ExpressionPlace::Inline),
                extras: ColumnExtras {
                    collation: Some(QualifiedName::new("pg_catalog", "C")),
                    ..ColumnExtras::default()
                }
                .boxed(),
                not_null: Some(Box::new(NotNull { no_inherit: true, ..*local(Some("Filled")).unwrap() })),
                ..column("Name", "text")
            },
            Column {
                default: expression("(id * 2)", ExpressionRole::Stored, ExpressionPlace::Inline),
                ..column("twice", "integer")
            },
            Column {
                default: expression("(id * 3)", ExpressionRole::Virtual, ExpressionPlace::Inline),
                ..column("thrice", "integer")
            },
            Column {
                default: expression(
                    "nextval('s.q'::regclass)",
                    ExpressionRole::Default,
                    ExpressionPlace::Separate,
                ),
                ..column("later", "bigint")
            },
        ];
        let check_a = InlineCheck { name: "a".to_owned(), definition: "CHECK ((id > 0))".to_owned() };
        check(
            Table {
                unlogged: true,
                checks: vec![check_a],
                access_method: Some("columnar".to_owned()),
                options: vec!["fillfactor=70".to_owned()],
                toast_options: vec!["autovacuum_enabled=false".to_owned()],
                tablespace: Some("fast".to_owned()),
                replica_identity: ReplicaIdentity::Full,
                row_security: true,
                force_row_security: true,
                ..table(columns)
            },
            r#"CREATE UNLOGGED TABLE s.n (
    id integer NOT NULL,
    "Name" text DEFAULT 'x'::text CONSTRAINT "Filled" NOT NULL NO INHERIT COLLATE pg_catalog."C",
    twice integer GENERATED ALWAYS AS ((id * 2)) STORED,
    thrice integer GENERATED ALWAYS AS ((id * 3)),
    later bigint,
    CONSTRAINT a CHECK ((id > 0))
)
USING columnar
WITH (fillfactor=70, toast.autovacuum_enabled='false')
TABLESPACE fast;
ALTER TABLE ONLY s.n REPLICA IDENTITY FULL;
ALTER TABLE ONLY s.n FORCE ROW LEVEL SECURITY;
ALTER TABLE s.n ENABLE ROW LEVEL SECURITY;
"#,
        );
    }

    #[test]
    fn what_only_alter_column_can_say() {
        let extras = ColumnExtras {
            statistics_target: Some(90),
            storage: Some("EXTERNAL".to_owned()),
            compression: Some("pglz".to_owned()),
            options: vec!["n_distinct=10".to_owned()],
            ..ColumnExtras::default()
        };
        let columns = vec![Column { extras: extras.boxed(), ..column("a", "text") }];
        check(
            table(columns),
            "CREATE TABLE s.n (\n    a text\n);\n\
             ALTER TABLE ONLY s.n ALTER COLUMN a SET STATISTICS 90;\n\
             ALTER TABLE ONLY s.n ALTER COLUMN a SET STORAGE EXTERNAL;\n\
             ALTER TABLE ONLY s.n ALTER COLUMN a SET COMPRESSION pglz;\n\
             ALTER TABLE ONLY s.n ALTER COLUMN a SET (n_distinct=10);\n",
        );
    }

    #[test]
    fn a_child_leaves_to_its_parents_what_is_theirs() {
        let inherited = Column { is_local: false, inherit_count: 1, ..column("a", "integer") };
        let columns = vec![
            inherited.clone(),
            Column { name: "b".into(), not_null: local(Some("nn")), ..inherited.clone() },
            Column {
                name: "c".into(),
                default: expression("NULL", ExpressionRole::Default, ExpressionPlace::Behind),
                ..inherited
            },
            Column {
                not_null: Some(Box::default()),
                default: expression("(a * 2)", ExpressionRole::Stored, ExpressionPlace::Inherited),
                inherit_count: 1,
                ..column("d", "integer")
            },
        ];
        check(
            Table {
                inherits: vec![QualifiedName::new("s", "p"), QualifiedName::new("t", "P2")],
                ..table(columns)
            },
            "CREATE TABLE s.n (\n    CONSTRAINT nn NOT NULL b,\n    d integer\n)\nINHERITS (s.p, t.\"P2\");\n\
             ALTER TABLE ONLY s.n ALTER COLUMN c SET DEFAULT NULL;\n",
        );
    }

    #[test]
    fn a_partition_is_made_alone_and_attached() {
        let column =
            Column { is_local: false, not_null: Some(Box::default()), ..column("logdate", "date") };
        let bound = "FOR VALUES FROM ('2006-02-01') TO ('2006-03-01')".to_owned();
        check(
            Table {
                partition_of: Some(PartitionOf { parent: QualifiedName::new("s", "m"), bound }),
                ..table(vec![column])
            },
            "CREATE TABLE s.n (\n    logdate date NOT NULL\n);\n\
             ALTER TABLE ONLY s.m ATTACH PARTITION s.n FOR VALUES FROM ('2006-02-01') TO ('2006-03-01');\n",
        );
    }

    #[test]
    fn a_partitioned_table_is_never_unlogged() {
        check(
            Table {
                table_kind: TableKind::Partitioned,
                unlogged: true,
                partition_key: Some("HASH (a)".to_owned()),
                ..table(vec![column("a", "s.colors")])
            },
            "CREATE TABLE s.n (\n    a s.colors\n)\nPARTITION BY HASH (a);\n",
        );
    }

    #[test]
    fn a_typed_table_names_only_columns_that_say_more() {
        let columns = vec![column("a", "integer"), Column { not_null: local(None), ..column("b", "text") }];
        check(
            Table { of_type: Some("s.pair".to_owned()), ..table(columns) },
            "CREATE TABLE s.n OF s.pair (\n    b NOT NULL\n);\n",
        );
        check(
            Table { of_type: Some("s.pair".to_owned()), ..table(vec![column("a", "integer")]) },
            "CREATE TABLE s.n OF s.pair;\n",
        );
    }

    #[test]
    fn a_foreign_table() {
        let options = vec![("schema_name".to_owned(), "x1".to_owned())];
        let fdw_options = vec![("column_name".to_owned(), "col'1".to_owned())];
        let extras = ColumnExtras { fdw_options, ..ColumnExtras::default() }.boxed();
        check(
            Table {
                table_kind: TableKind::Foreign,
                foreign: Some(ForeignSource { server: "s1".to_owned(), options }),
                ..table(vec![Column { extras, ..column("c1", "integer") }])
            },
            "CREATE FOREIGN TABLE s.n (\n    c1 integer\n)\nSERVER s1\nOPTIONS (schema_name 'x1');\n\
             ALTER FOREIGN TABLE ONLY s.n ALTER COLUMN c1 OPTIONS (column_name 'col''1');\n",
        );
    }

    #[test]
    fn generated_columns_do_not_travel() {
        let generated = Column {
            default: expression("1", ExpressionRole::Stored, ExpressionPlace::Inline),
            ..column("g", "integer")
        };
        let table = table(vec![column("a", "integer"), generated, column("b", "text")]);
        let names: Vec<SharedText> = table.data_columns().into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(table.has_tids());
    }
}
