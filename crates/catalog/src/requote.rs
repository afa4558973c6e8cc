//! Printed SQL with names quoted that became keywords after the server that printed it.
//!
//! A server quotes the names that are keywords to itself. What 15 prints as
//! `json_object` is the name of a column; 16 has that word in its grammar, and
//! reads the name only in quotes. Printed SQL has keywords in upper case and bare
//! names in lower case, so that a word of the list in lower case is a name.

mod tokens;

use std::borrow::Cow;

use self::tokens::{Token, tokens};
use crate::catalog::PartName;
use crate::kinds::{
    Aggregate, Body, CastMethod, Column, Domain, Function, FunctionMember, FunctionSource, OperatorMember,
    Table, ViewColumn,
};
use crate::{Catalog, Object, SharedText};

/// Words that `quote_ident` quotes from some major on, which is later than 13
/// (src/include/parser/kwlist.h).
pub const QUOTED_SINCE: [(&str, u32); 13] = [
    ("json", 17),
    ("json_array", 16),
    ("json_arrayagg", 16),
    ("json_exists", 17),
    ("json_object", 16),
    ("json_objectagg", 16),
    ("json_query", 17),
    ("json_scalar", 17),
    ("json_serialize", 17),
    ("json_table", 17),
    ("json_value", 17),
    ("merge_action", 17),
    ("system_user", 16),
];

/// The newest major whose keywords are known.
pub const NEWEST_MAJOR: u32 = 19;

impl Catalog {
    /// The catalog with its SQL as a server of a newer major reads it. A catalog of that major or a newer
    /// one, or one without such names, comes back as it is.
    pub(crate) fn quoted_for(&self, major: u32) -> Cow<'_, Catalog> {
        let quoting = Quoting::new(self.server_version.major(), major);
        if quoting.is_idle() {
            return Cow::Borrowed(self);
        }
        // Hardly a catalog has any such name, and it may be large.
        let objects = self.objects.iter().enumerate();
        let changed: Vec<(usize, Object)> =
            objects.filter_map(|(place, object)| Some((place, quoting.changed(object)?))).collect();
        let mut notes = self.notes.clone();
        if !quoting.notes(&mut notes) && changed.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut catalog = Catalog { notes, ..self.clone() };
        for (place, object) in changed {
            catalog.objects[place] = object;
        }
        Cow::Owned(catalog)
    }

    /// As [`quoted_for`](Self::quoted_for), in place.
    pub(crate) fn quote_for(&mut self, major: u32) {
        let quoting = Quoting::new(self.server_version.major(), major);
        if quoting.is_idle() {
            return;
        }
        for object in &mut self.objects {
            quoting.body(&mut object.body);
        }
        quoting.notes(&mut self.notes);
    }
}

/// A printed expression, query or statement, with names quoted that became keywords between the majors of the
/// server that printed it and of the one that is to read it.
#[must_use]
pub fn quoted_for_newer(sql: &str, printed_by: u32, read_by: u32) -> Cow<'_, str> {
    match Quoting::new(printed_by, read_by).quoted(sql, Form::Expression) {
        Some(quoted) => Cow::Owned(quoted),
        None => Cow::Borrowed(sql),
    }
}

/// As [`quoted_for_newer`], of types or arguments.
#[must_use]
pub fn quoted_types_for_newer(sql: &str, printed_by: u32, read_by: u32) -> Cow<'_, str> {
    match Quoting::new(printed_by, read_by).quoted(sql, Form::Types) {
        Some(quoted) => Cow::Owned(quoted),
        None => Cow::Borrowed(sql),
    }
}

/// How a text uses the name `json`, which is both a keyword and a type whose name stays bare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An expression, a query or a statement.
    Expression,
    /// A type, types, or arguments: names before types.
    Types,
}

/// Quotes the words that became keywords between two majors.
struct Quoting {
    words: Vec<&'static str>,
}

impl Quoting {
    fn new(from: u32, to: u32) -> Self {
        let words = QUOTED_SINCE.iter().filter(|(_, since)| from < *since && *since <= to);
        Quoting { words: words.map(|(word, _)| *word).collect() }
    }

    fn is_idle(&self) -> bool {
        self.words.is_empty()
    }

    /// The object with other SQL, if it has any.
    fn changed(&self, object: &Object) -> Option<Object> {
        let mut copy = object.clone();
        self.body(&mut copy.body).then_some(copy)
    }

    fn notes(&self, notes: &mut [crate::PartNotes]) -> bool {
        let addresses = notes.iter_mut().filter_map(|note| match &mut note.part {
            PartName::Address(address) => Some(address),
            PartName::TableConstraint(_) | PartName::Rule(_) => None,
        });
        any(addresses.map(|address| self.text(address, Form::Types)))
    }

    /// Whether anything was changed.
    fn text(&self, sql: &mut String, form: Form) -> bool {
        let quoted = self.quoted(sql, form);
        let is_changed = quoted.is_some();
        if let Some(quoted) = quoted {
            *sql = quoted;
        }
        is_changed
    }

    fn shared(&self, sql: &mut SharedText, form: Form) -> bool {
        let quoted = self.quoted(sql, form);
        let is_changed = quoted.is_some();
        if let Some(quoted) = quoted {
            *sql = quoted.into();
        }
        is_changed
    }

    /// `None` where the text stays as it is.
    fn quoted(&self, sql: &str, form: Form) -> Option<String> {
        // Most texts have none of the words, and seeing that is cheap.
        if self.is_idle() || !self.words.iter().any(|word| sql.contains(word)) {
            return None;
        }
        let tokens = tokens(sql);
        let mut quoted = String::with_capacity(sql.len() + 8);
        for (place, token) in tokens.iter().enumerate() {
            let around = (place.checked_sub(1).and_then(|before| tokens.get(before)), tokens.get(place + 1));
            match self.words.contains(&token.text) && (token.text != "json" || !is_type(around, form)) {
                true => quoted.push_str(&format!("{}\"{}\"", token.space, token.text)),
                false => quoted.extend([token.space, token.text]),
            }
        }
        (quoted != sql).then_some(quoted)
    }

    fn body(&self, body: &mut Body) -> bool {
        use Form::{Expression, Types};
        let expression = |sql: &mut String| self.text(sql, Expression);
        let types = |sql: &mut String| self.text(sql, Types);
        let types_of = |sqls: &mut [&mut String]| any(sqls.iter_mut().map(|sql| self.text(sql, Types)));
        let types_if =
            |sqls: Vec<&mut Option<String>>| any(sqls.into_iter().flatten().map(|sql| self.text(sql, Types)));
        match body {
            Body::Table(table) => self.table(table),
            Body::View(view) => any([expression(&mut view.definition), self.view_columns(&mut view.columns)]),
            Body::MaterializedView(view) => {
                any([expression(&mut view.definition), self.view_columns(&mut view.columns)])
            }
            Body::Function(function) => self.function(function),
            Body::Aggregate(aggregate) => self.aggregate(aggregate),
            Body::Domain(domain) => self.domain(domain),
            Body::CompositeType(composite) => {
                any(composite.attributes.iter_mut().map(|attribute| types(&mut attribute.type_name)))
            }
            Body::RangeType(range) => any([
                types_of(&mut [&mut range.subtype, &mut range.multirange]),
                types_if(vec![
                    &mut range.operator_class,
                    &mut range.canonical,
                    &mut range.subtype_difference,
                ]),
            ]),
            Body::BaseType(base) => any([
                types_of(&mut [&mut base.input, &mut base.output]),
                types_if(vec![&mut base.receive, &mut base.send, &mut base.modifier_input]),
                types_if(vec![&mut base.modifier_output, &mut base.analyze, &mut base.subscript]),
                types_if(vec![&mut base.element]),
                any(base.default.iter_mut().map(expression)),
            ]),
            Body::ColumnDefault(default) => self.shared(&mut default.expression, Expression),
            Body::Index(index) => {
                any([expression(&mut index.definition), any(index.predicate.iter_mut().map(expression))])
            }
            Body::Constraint(constraint) => any([
                expression(&mut constraint.definition),
                any(constraint.index.iter_mut().map(|index| expression(&mut index.index_definition))),
            ]),
            Body::Trigger(trigger) => expression(&mut trigger.definition),
            Body::Rule(rule) => expression(&mut rule.definition),
            Body::Policy(policy) => {
                any(policy.using.iter_mut().chain(&mut policy.with_check).map(expression))
            }
            Body::Statistics(statistics) => expression(&mut statistics.definition),
            Body::Publication(publication) => {
                any(publication.tables.iter_mut().flat_map(|table| &mut table.condition).map(expression))
            }
            Body::Operator(operator) => any([
                types_if(vec![&mut operator.function, &mut operator.left_type, &mut operator.right_type]),
                types_if(vec![&mut operator.restrict, &mut operator.join]),
                types_if(vec![&mut operator.commutator, &mut operator.negator]),
            ]),
            Body::OperatorClass(class) => any([
                types(&mut class.type_name),
                types_if(vec![&mut class.storage_type]),
                self.members(&mut class.operators, &mut class.functions),
            ]),
            Body::OperatorFamily(family) => self.members(&mut family.operators, &mut family.functions),
            Body::Cast(cast) => any([
                types_of(&mut [&mut cast.source, &mut cast.target]),
                match &mut cast.method {
                    CastMethod::Function { function } => types(function),
                    CastMethod::InOut | CastMethod::Binary => false,
                },
            ]),
            Body::Transform(transform) => any([
                types(&mut transform.type_name),
                types_if(vec![&mut transform.from_sql, &mut transform.to_sql]),
            ]),
            Body::Conversion(conversion) => types(&mut conversion.function),
            Body::EventTrigger(trigger) => types(&mut trigger.function),
            Body::AccessMethod(method) => types(&mut method.handler),
            Body::Language(language) => any([
                types(&mut language.handler),
                types_if(vec![&mut language.inline, &mut language.validator]),
            ]),
            Body::ForeignDataWrapper(wrapper) => types_if(vec![&mut wrapper.handler, &mut wrapper.validator]),
            Body::TextSearchParser(parser) => any([
                types_of(&mut [&mut parser.start, &mut parser.get_token, &mut parser.end]),
                types_of(&mut [&mut parser.lexeme_types]),
                types_if(vec![&mut parser.headline]),
            ]),
            Body::TextSearchTemplate(template) => {
                any([types(&mut template.lexize), types_if(vec![&mut template.init])])
            }
            Body::TextSearchDictionary(dictionary) => types(&mut dictionary.template),
            Body::TextSearchConfiguration(configuration) => any([
                types(&mut configuration.parser),
                any(configuration.mappings.iter_mut().flat_map(|one| &mut one.dictionaries).map(types)),
            ]),
            // Their texts are names, options and connection strings.
            Body::Schema(_)
            | Body::Extension(_)
            | Body::EnumType(_)
            | Body::ShellType(_)
            | Body::Collation(_)
            | Body::ForeignServer(_)
            | Body::UserMapping(_)
            | Body::Subscription(_)
            | Body::DefaultAcl(_)
            | Body::LargeObject(_)
            | Body::Sequence(_) => false,
        }
    }

    fn table(&self, table: &mut Table) -> bool {
        any([
            any(table.columns.iter_mut().map(|column| self.column(column))),
            any(table.checks.iter_mut().map(|check| self.text(&mut check.definition, Form::Expression))),
            any(table.of_type.iter_mut().map(|name| self.text(name, Form::Types))),
            any(table.partition_key.iter_mut().map(|key| self.text(key, Form::Expression))),
            any(table.partition_of.iter_mut().map(|of| self.text(&mut of.bound, Form::Expression))),
        ])
    }

    fn column(&self, column: &mut Column) -> bool {
        any([
            self.shared(&mut column.type_name, Form::Types),
            self.shared(&mut column.base_type_name, Form::Types),
            any(column.default.iter_mut().map(|one| self.shared(&mut one.expression, Form::Expression))),
        ])
    }

    fn view_columns(&self, columns: &mut [ViewColumn]) -> bool {
        any(columns.iter_mut().map(|column| self.text(&mut column.type_name, Form::Types)))
    }

    fn function(&self, function: &mut Function) -> bool {
        let Function { arguments, identity_arguments, argument_types, transforms, result, support, .. } =
            function;
        let types = [arguments, identity_arguments].into_iter().chain(argument_types).chain(transforms);
        let types = types.chain(result).chain(support);
        any([
            any(types.map(|sql| self.text(sql, Form::Types))),
            match &mut function.source {
                FunctionSource::SqlBody { sql } => self.text(sql, Form::Expression),
                FunctionSource::Text { .. } | FunctionSource::Library { .. } => false,
            },
        ])
    }

    fn aggregate(&self, aggregate: &mut Aggregate) -> bool {
        let Aggregate { arguments, identity_arguments, argument_types, state, moving, .. } = aggregate;
        let inverse = moving.as_mut().map(|moving| (&mut moving.state, &mut moving.inverse));
        let (moving, inverse) = inverse.unzip();
        let states = [Some(state), moving].into_iter().flatten().flat_map(|state| {
            let last = state.final_function.as_mut().map(|last| &mut last.function);
            [&mut state.transition, &mut state.type_name].into_iter().chain(last)
        });
        let functions = [&mut aggregate.combine, &mut aggregate.serialize, &mut aggregate.deserialize];
        let texts = [arguments, identity_arguments].into_iter().chain(argument_types).chain(states);
        let texts = texts.chain(inverse).chain(functions.into_iter().flatten());
        any(texts.chain(&mut aggregate.sort_operator).map(|sql| self.text(sql, Form::Types)))
    }

    fn domain(&self, domain: &mut Domain) -> bool {
        let checks = domain.constraints.iter_mut().map(|check| &mut check.definition);
        any([
            self.text(&mut domain.base_type, Form::Types),
            any(domain.default.iter_mut().chain(checks).map(|sql| self.text(sql, Form::Expression))),
        ])
    }

    fn members(&self, operators: &mut [OperatorMember], functions: &mut [FunctionMember]) -> bool {
        let operators =
            operators.iter_mut().flat_map(|one| [Some(&mut one.operator), one.sort_family.as_mut()]);
        let functions = functions
            .iter_mut()
            .flat_map(|one| [&mut one.left_type, &mut one.right_type, &mut one.function].map(Some));
        any(operators.chain(functions).flatten().map(|sql| self.text(sql, Form::Types)))
    }
}

/// Whether any is true, with all of them looked at.
fn any(changes: impl IntoIterator<Item = bool>) -> bool {
    changes.into_iter().fold(false, |any, change| any | change)
}

/// Whether the word `json` between two tokens is the type, whose name no server quotes.
fn is_type((before, after): (Option<&Token<'_>>, Option<&Token<'_>>), form: Form) -> bool {
    let is_part_of_name = |token: Option<&Token<'_>>| token.is_some_and(|token| token.text == ".");
    if is_part_of_name(before) || is_part_of_name(after) {
        return false;
    }
    let names_what_follows = after.is_some_and(Token::is_name);
    match before.map(|token| token.text) {
        Some("::" | "SETOF" | "RETURNING" | "RETURNS") => true,
        Some("IN" | "OUT" | "INOUT" | "VARIADIC") => !names_what_follows,
        // A column with its type, or an argument with its own.
        _ if before.is_some_and(Token::is_name) => true,
        _ => form == Form::Types && !names_what_follows,
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, QUOTED_SINCE, Quoting};

    #[track_caller]
    fn check(form: Form, sql: &str, expected: &str) {
        let quoting = Quoting::new(13, 18);
        let quoted = quoting.quoted(sql, form).unwrap_or_else(|| sql.to_owned());
        assert_eq!(quoted, expected);
        assert_eq!(quoting.quoted(&quoted, form), None, "quoted twice");
    }

    #[test]
    fn names_in_expressions() {
        for (sql, expected) in [
            (" SELECT t.json,\n    json_value AS x", " SELECT t.\"json\",\n    \"json_value\" AS x"),
            ("(old.system_user = 'system_user'::text)", "(old.\"system_user\" = 'system_user'::text)"),
            ("E'it\\'s json_value' || json_value", "E'it\\'s json_value' || \"json_value\""),
            ("f(json => '{}'::json)", "f(\"json\" => '{}'::json)"),
            ("'{}'::json[]", "'{}'::json[]"),
            ("FROM s.f() t(json json, json_table json)", "FROM s.f() t(\"json\" json, \"json_table\" json)"),
            ("JSON_VALUE(a RETURNING json)", "JSON_VALUE(a RETURNING json)"),
            ("\"json_value\" \"a\"\" json_value\"", "\"json_value\" \"a\"\" json_value\""),
            ("my_json_value json_value$ json_values", "my_json_value json_value$ json_values"),
            ("größe_json json_value", "größe_json \"json_value\""),
            ("$1 + json_value", "$1 + \"json_value\""),
            ("json_object('{}'::text[])", "\"json_object\"('{}'::text[])"),
        ] {
            check(Form::Expression, sql, expected);
        }
    }

    #[test]
    fn names_before_types() {
        for (sql, expected) in [
            ("json", "json"),
            ("json[]", "json[]"),
            ("s.json", "s.\"json\""),
            ("json.t", "\"json\".t"),
            ("json json, json", "\"json\" json, json"),
            ("OUT json jsonb, OUT json, VARIADIC json[]", "OUT \"json\" jsonb, OUT json, VARIADIC json[]"),
            ("TABLE(json_scalar text, json json)", "TABLE(\"json_scalar\" text, \"json\" json)"),
            ("SETOF json", "SETOF json"),
            ("a json DEFAULT '{}'::json", "a json DEFAULT '{}'::json"),
            ("json_table, s.json_table", "\"json_table\", s.\"json_table\""),
        ] {
            check(Form::Types, sql, expected);
        }
    }

    #[test]
    fn only_what_is_new_to_the_target() {
        let words = |from, to| Quoting::new(from, to).words;
        assert!(words(17, 18).is_empty() && words(18, 13).is_empty() && words(13, 15).is_empty());
        assert_eq!(words(15, 16).len(), 5);
        assert!(words(16, 17).contains(&"json") && !words(16, 17).contains(&"system_user"));
        assert!(QUOTED_SINCE.iter().all(|(word, since)| *since > 18 || crate::keywords::must_quote(word)));
    }
}
