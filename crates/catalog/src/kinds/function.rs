//! A function, procedure or window function.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Part, Render, Target};
use crate::setting::{names_role, setting_value};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_identifier, quote_literal};

/// A function, procedure or window function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Which of the three.
    pub kind: FunctionKind,
    /// Arguments with names, modes and defaults, as `pg_get_function_arguments` prints them.
    pub arguments: String,
    /// Arguments as `pg_get_function_identity_arguments` prints them.
    pub identity_arguments: String,
    /// Types of the input arguments, which tell it from others of its name.
    pub argument_types: Vec<String>,
    /// What follows `RETURNS`; `None` for procedures.
    pub result: Option<String>,
    /// The language, unquoted.
    pub language: String,
    /// What it does.
    pub source: FunctionSource,
    /// Types of its `TRANSFORM` clause.
    pub transforms: Vec<String>,
    /// Volatility.
    pub volatility: Volatility,
    /// `STRICT`.
    pub strict: bool,
    /// `SECURITY DEFINER`.
    pub security_definer: bool,
    /// `LEAKPROOF`.
    pub leakproof: bool,
    /// Parallel safety.
    pub parallel: ParallelSafety,
    /// `COST`, where it is not the language's default.
    pub cost: Option<String>,
    /// `ROWS`, where it is not the default.
    pub rows: Option<String>,
    /// The planner support function as SQL.
    pub support: Option<String>,
    /// Its `SET` clauses: name, value as `proconfig` stores it.
    pub settings: Vec<(String, String)>,
    /// Extensions that it is dropped with (`DEPENDS ON EXTENSION`).
    pub depends_on_extensions: Vec<String>,
}

/// `prokind`, aggregates left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FunctionKind {
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// A window function.
    Window,
}

/// `provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Volatility {
    /// The same result for ever.
    Immutable,
    /// The same result within a statement.
    Stable,
    /// Anything.
    Volatile,
}

/// `proparallel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParallelSafety {
    /// Runs anywhere.
    Safe,
    /// Runs in the leader.
    Restricted,
    /// Keeps a query from running in parallel.
    Unsafe,
}

impl ParallelSafety {
    /// The keyword, or `None` for the default.
    pub(super) fn keyword(self) -> Option<&'static str> {
        match self {
            ParallelSafety::Safe => Some("SAFE"),
            ParallelSafety::Restricted => Some("RESTRICTED"),
            ParallelSafety::Unsafe => None,
        }
    }
}

/// What a function does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum FunctionSource {
    /// Source text for the language's handler.
    Text {
        /// `prosrc`.
        text: String,
    },
    /// A symbol of a library.
    Library {
        /// `probin`.
        library: String,
        /// `prosrc`; may be empty.
        symbol: String,
    },
    /// A body in standard SQL, parsed when created (14 and later).
    SqlBody {
        /// As `pg_get_function_sqlbody` prints it.
        sql: String,
    },
}

impl FunctionSource {
    fn clause(&self) -> String {
        match self {
            FunctionSource::SqlBody { sql } => sql.clone(),
            FunctionSource::Text { text } => format!("AS {}", dollar_quote(text)),
            FunctionSource::Library { library, symbol } if symbol.is_empty() => {
                format!("AS {}", quote_literal(library))
            }
            FunctionSource::Library { library, symbol } => {
                format!("AS {}, {}", quote_literal(library), quote_literal(symbol))
            }
        }
    }
}

/// Quotes with the shortest dollar quote that does not occur in the text, tried
/// in the order of `pg_dump` (fe_utils/string_utils.c, appendStringLiteralDQ).
pub(crate) fn dollar_quote(text: &str) -> String {
    let mut delimiter = String::from("$");
    let mut suffix = "_XXXXXXX".chars().cycle();
    while text.contains(&delimiter) {
        delimiter.extend(suffix.next());
    }
    delimiter.push('$');
    format!("{delimiter}{text}{delimiter}")
}

impl Function {
    fn entry_kind(&self) -> EntryKind {
        match self.kind {
            FunctionKind::Procedure => EntryKind::Procedure,
            FunctionKind::Function | FunctionKind::Window => EntryKind::Function,
        }
    }

    /// The drafts where the function is part of a dependency loop through what it does: one with a text that
    /// no server can run, and its replacement by the real one.
    pub(crate) fn render_in_two_steps(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let text = "this function is still without its body".to_owned();
        let stub = Function { source: FunctionSource::Text { text }, ..self.clone() };
        let mut drafts = stub.render(object, target);
        let replace = self.create("CREATE OR REPLACE", &name);
        let drop = DropStatement {
            command: "CREATE OR REPLACE".to_owned(),
            object: stub.create("", &name).trim_start().to_owned(),
        };
        drafts.push(Draft {
            part: Part::After,
            drop: Some(drop),
            ..Draft::new(Section::PreData, self.entry_kind(), replace)
        });
        drafts
    }

    /// The names of roles that its `SET` clauses have.
    pub(crate) fn roles_set(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|(name, value)| names_role(name, value)).map(|(_, value)| value.as_str())
    }

    /// The names of roles that its `SET` clauses have, to be changed.
    pub(crate) fn roles_set_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.settings.iter_mut().filter_map(|(name, value)| names_role(name, value).then_some(value))
    }

    fn create(&self, command: &str, name: &str) -> String {
        let mut sql = format!("{command} {} {name}({})", self.entry_kind(), self.arguments);
        if let Some(result) = &self.result {
            sql.push_str(&format!(" RETURNS {result}"));
        }
        sql.push_str(&format!("\n    LANGUAGE {}", quote_identifier(&self.language)));
        if !self.transforms.is_empty() {
            let types: Vec<String> = self.transforms.iter().map(|name| format!("FOR TYPE {name}")).collect();
            sql.push_str(&format!(" TRANSFORM {}", types.join(", ")));
        }
        sql.push_str(&self.attributes());
        for (name, value) in &self.settings {
            sql.push_str(&format!("\n    SET {} TO {}", quote_identifier(name), setting_value(name, value)));
        }
        sql.push_str(&format!("\n    {}", self.source.clause()));
        sql
    }

    /// Everything between the language and the settings.
    fn attributes(&self) -> String {
        let mut sql = String::new();
        let volatility = match self.volatility {
            Volatility::Immutable => " IMMUTABLE",
            Volatility::Stable => " STABLE",
            Volatility::Volatile => "",
        };
        for (present, text) in [
            (self.kind == FunctionKind::Window, " WINDOW"),
            (true, volatility),
            (self.strict, " STRICT"),
            (self.security_definer, " SECURITY DEFINER"),
            (self.leakproof, " LEAKPROOF"),
        ] {
            if present {
                sql.push_str(text);
            }
        }
        for (word, value) in [
            ("COST", self.cost.as_deref()),
            ("ROWS", self.rows.as_deref()),
            ("SUPPORT", self.support.as_deref()),
            ("PARALLEL", self.parallel.keyword()),
        ] {
            if let Some(value) = value {
                sql.push_str(&format!(" {word} {value}"));
            }
        }
        sql
    }
}

impl Render for Function {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let kind = self.entry_kind();
        let name = object.sql_name();
        let signature = format!("{name}({})", self.identity_arguments);
        let mut draft = Draft::owned(Section::PreData, kind, &signature, self.create("CREATE", &name));
        draft.create.extend(self.depends_on_extensions.iter().map(|extension| {
            format!("ALTER {kind} {signature} DEPENDS ON EXTENSION {}", quote_identifier(extension))
        }));
        vec![draft]
    }

    fn kind(&self) -> Option<EntryKind> {
        Some(self.entry_kind())
    }

    fn discriminator(&self) -> Option<String> {
        Some(format!("({})", self.argument_types.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, FunctionKind, FunctionSource, ParallelSafety, Volatility, dollar_quote};
    use crate::kinds::{Body, sample};

    fn plain() -> Function {
        Function {
            kind: FunctionKind::Function,
            arguments: "a integer DEFAULT 1, OUT b text".to_owned(),
            identity_arguments: "a integer, OUT b text".to_owned(),
            argument_types: vec!["integer".to_owned()],
            result: Some("text".to_owned()),
            language: "plpgsql".to_owned(),
            source: FunctionSource::Text { text: "begin end".to_owned() },
            transforms: Vec::new(),
            volatility: Volatility::Volatile,
            strict: false,
            security_definer: false,
            leakproof: false,
            parallel: ParallelSafety::Unsafe,
            cost: None,
            rows: None,
            support: None,
            settings: Vec::new(),
            depends_on_extensions: Vec::new(),
        }
    }

    #[track_caller]
    fn check(function: Function, expected: &str) {
        sample::check(true, Body::from(function), expected);
    }

    #[test]
    fn functions() {
        check(
            plain(),
            "CREATE FUNCTION s.n(a integer DEFAULT 1, OUT b text) RETURNS text\n    LANGUAGE plpgsql\n    \
             AS $$begin end$$;\n",
        );
        let everything = Function {
            kind: FunctionKind::Window,
            transforms: vec!["bytea".to_owned(), "s.t".to_owned()],
            volatility: Volatility::Stable,
            strict: true,
            security_definer: true,
            leakproof: true,
            parallel: ParallelSafety::Restricted,
            cost: Some("7".to_owned()),
            rows: Some("3".to_owned()),
            support: Some("s.support".to_owned()),
            settings: vec![
                ("search_path".to_owned(), "a, \"B c\"".to_owned()),
                ("my.var".to_owned(), "x'".to_owned()),
            ],
            depends_on_extensions: vec!["hstore".to_owned()],
            ..plain()
        };
        check(
            everything,
            "CREATE FUNCTION s.n(a integer DEFAULT 1, OUT b text) RETURNS text\n    LANGUAGE plpgsql \
             TRANSFORM FOR TYPE bytea, FOR TYPE s.t WINDOW STABLE STRICT SECURITY DEFINER LEAKPROOF COST 7 \
             ROWS 3 SUPPORT s.support PARALLEL RESTRICTED\n    SET search_path TO 'a', 'B c'\n    SET \
             \"my.var\" TO 'x'''\n    AS $$begin end$$;\n\
             ALTER FUNCTION s.n(a integer, OUT b text) DEPENDS ON EXTENSION hstore;\n",
        );
    }

    #[test]
    fn sources() {
        let procedure = Function {
            kind: FunctionKind::Procedure,
            arguments: String::new(),
            result: None,
            language: "sql".to_owned(),
            source: FunctionSource::SqlBody { sql: "BEGIN ATOMIC\nEND".to_owned() },
            ..plain()
        };
        check(procedure, "CREATE PROCEDURE s.n()\n    LANGUAGE sql\n    BEGIN ATOMIC\nEND;\n");
        let library = Function {
            language: "c".to_owned(),
            arguments: String::new(),
            source: FunctionSource::Library { library: "$libdir/x".to_owned(), symbol: "f".to_owned() },
            ..plain()
        };
        check(library, "CREATE FUNCTION s.n() RETURNS text\n    LANGUAGE c\n    AS '$libdir/x', 'f';\n");
    }

    #[test]
    fn dollar_quotes() {
        for (text, expected) in
            [("a", "$$a$$"), ("a$b", "$_$a$b$_$"), ("$_$", "$_X$$_$$_X$"), ("", "$$$$")]
        {
            assert_eq!(dollar_quote(text), expected);
        }
    }
}
