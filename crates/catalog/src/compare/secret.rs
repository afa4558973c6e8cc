//! Values that may be passwords or keys, and are not shown.

use serde_json::{Value, json};

use super::conninfo::without_secrets;
use crate::shown::shown_value;
use crate::{EntryKind, Identity};

/// A value as it may be shown: that secrets differ is said, what they are is not.
pub(super) fn shown(identity: &Identity, path: &str, value: &Value) -> Value {
    match identity.kind {
        _ if is_secret(identity, path) => masked(value),
        EntryKind::ForeignTable => without_column_options(value),
        EntryKind::Subscription => without_password(path, value),
        EntryKind::Function | EntryKind::Procedure => without_secret_setting(path, value),
        _ => value.clone(),
    }
}

/// What a function sets, but for what may be a secret.
fn without_secret_setting(path: &str, value: &Value) -> Value {
    match (path.strip_prefix("body.settings."), value.as_str()) {
        (Some(name), Some(text)) if shown_value(name, text) != text => masked(value),
        _ => value.clone(),
    }
}

/// Where values may be passwords: that they differ is said, what they are is not.
fn is_secret(identity: &Identity, path: &str) -> bool {
    match identity.kind {
        // some wrappers have keys and whole connection strings among the options of servers and tables
        EntryKind::UserMapping | EntryKind::Server | EntryKind::ForeignDataWrapper => {
            path.starts_with("body.options")
        }
        EntryKind::ForeignTable => {
            path.starts_with("body.foreign.options") || path.split('.').any(|part| part == COLUMN_OPTIONS)
        }
        EntryKind::Database => path.starts_with("settings."),
        _ => false,
    }
}

/// What a subscription does, with the password of its connection masked.
fn without_password(path: &str, value: &Value) -> Value {
    const CONNECTION: &str = "connection";
    let shown =
        |value: &Value| value.as_str().map_or_else(|| masked(value), |text| json!(without_secrets(text)));
    match (path, value) {
        ("body.definition", Value::Object(fields)) => {
            let field = |(name, of): (&String, &Value)| {
                (name.clone(), if name == CONNECTION { shown(of) } else { of.clone() })
            };
            Value::Object(fields.iter().map(field).collect())
        }
        ("body.definition.connection", value) => shown(value),
        _ => value.clone(),
    }
}

/// Options of a column of a foreign table.
const COLUMN_OPTIONS: &str = "fdw_options";

/// A value without the options of columns in it.
fn without_column_options(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_column_options).collect(),
        Value::Object(fields) => {
            let field = |(name, of): (&String, &Value)| match name.as_str() {
                COLUMN_OPTIONS if of.as_array().is_none_or(|options| !options.is_empty()) => {
                    (name.clone(), masked(of))
                }
                _ => (name.clone(), without_column_options(of)),
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// That there is a value, but not which.
fn masked(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { json!("***") }
}
