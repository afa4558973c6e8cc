//! A base type.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_literal};

/// A base type. Functions are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseType {
    /// `typlen`: bytes, -1 for a variable length, -2 for a C string.
    pub length: i32,
    /// `INPUT`.
    pub input: String,
    /// `OUTPUT`.
    pub output: String,
    /// `RECEIVE`.
    pub receive: Option<String>,
    /// `SEND`.
    pub send: Option<String>,
    /// `TYPMOD_IN`.
    pub modifier_input: Option<String>,
    /// `TYPMOD_OUT`.
    pub modifier_output: Option<String>,
    /// `ANALYZE`.
    pub analyze: Option<String>,
    /// `SUBSCRIPT` (14 and later).
    pub subscript: Option<String>,
    /// `COLLATABLE`.
    pub collatable: bool,
    /// `DEFAULT` as SQL.
    pub default: Option<String>,
    /// `ELEMENT`, the type that subscripts yield.
    pub element: Option<String>,
    /// `CATEGORY`, one character.
    pub category: String,
    /// `PREFERRED`.
    pub preferred: bool,
    /// `DELIMITER` of its arrays, one character.
    pub delimiter: String,
    /// `ALIGNMENT`: `char`, `int2`, `int4` or `double`.
    pub alignment: String,
    /// `STORAGE`: `plain`, `external`, `extended` or `main`.
    pub storage: String,
    /// `PASSEDBYVALUE`.
    pub by_value: bool,
}

impl BaseType {
    fn options(&self, target: &Target) -> Vec<String> {
        let length = if self.length == -1 { "variable".to_owned() } else { self.length.to_string() };
        let category = (self.category != "U").then(|| quote_literal(&self.category));
        let delimiter = (self.delimiter != ",").then(|| quote_literal(&self.delimiter));
        let subscript = self.subscript.clone().filter(|_| target.version.major() >= 14);
        let yes = |set: bool| set.then(|| "true".to_owned());
        let options = [
            ("INTERNALLENGTH", Some(length)),
            ("INPUT", Some(self.input.clone())),
            ("OUTPUT", Some(self.output.clone())),
            ("RECEIVE", self.receive.clone()),
            ("SEND", self.send.clone()),
            ("TYPMOD_IN", self.modifier_input.clone()),
            ("TYPMOD_OUT", self.modifier_output.clone()),
            ("ANALYZE", self.analyze.clone()),
            ("COLLATABLE", yes(self.collatable)),
            ("DEFAULT", self.default.clone()),
            ("SUBSCRIPT", subscript),
            ("ELEMENT", self.element.clone()),
            ("CATEGORY", category),
            ("PREFERRED", yes(self.preferred)),
            ("DELIMITER", delimiter),
            ("ALIGNMENT", Some(self.alignment.clone())),
            ("STORAGE", Some(self.storage.clone())),
        ];
        let mut options: Vec<String> = options
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name} = {value}")))
            .collect();
        options.extend(self.by_value.then(|| "PASSEDBYVALUE".to_owned()));
        options
    }
}

impl Render for BaseType {
    /// Its functions name the type, so a declaration
    /// of it and they come first. The same loop makes `DROP` impossible without `CASCADE`.
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let create = format!("CREATE TYPE {name} (\n    {}\n)", self.options(target).join(",\n    "));
        let drop = DropStatement { command: "DROP TYPE".to_owned(), object: format!("{name} CASCADE") };
        vec![Draft { drop: Some(drop), ..Draft::owned(Section::PreData, EntryKind::Type, &name, create) }]
    }
}

#[cfg(test)]
mod tests {
    use super::BaseType;
    use crate::kinds::{Body, sample};

    #[test]
    fn base_types() {
        let plain = BaseType {
            length: 4,
            input: "s.n_in".to_owned(),
            output: "s.n_out".to_owned(),
            receive: None,
            send: None,
            modifier_input: None,
            modifier_output: None,
            analyze: None,
            subscript: None,
            collatable: false,
            default: None,
            element: None,
            category: "U".to_owned(),
            preferred: false,
            delimiter: ",".to_owned(),
            alignment: "int4".to_owned(),
            storage: "plain".to_owned(),
            by_value: true,
        };
        let full = BaseType {
            length: -1,
            receive: Some("s.r".to_owned()),
            subscript: Some("array_subscript_handler".to_owned()),
            collatable: true,
            default: Some("'42'".to_owned()),
            element: Some("text".to_owned()),
            category: "S".to_owned(),
            preferred: true,
            delimiter: ";".to_owned(),
            by_value: false,
            ..plain.clone()
        };
        let start = "CREATE TYPE s.n (\n    INTERNALLENGTH";
        let functions = "    INPUT = s.n_in,\n    OUTPUT = s.n_out,\n";
        let end = "    ALIGNMENT = int4,\n    STORAGE = plain";
        for (body, expected) in [
            (plain, format!("{start} = 4,\n{functions}{end},\n    PASSEDBYVALUE\n);\n")),
            (
                full,
                format!(
                    "{start} = variable,\n{functions}    RECEIVE = s.r,\n    COLLATABLE = true,\n    \
                     DEFAULT = '42',\n    SUBSCRIPT = array_subscript_handler,\n    ELEMENT = text,\n    \
                     CATEGORY = 'S',\n    PREFERRED = true,\n    DELIMITER = ';',\n{end}\n);\n"
                ),
            ),
        ] {
            sample::check(true, Body::from(body), &expected);
        }
    }
}
