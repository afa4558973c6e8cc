//! Columns as a stored catalog has them: every property a field of its own, whoever has it.

use serde::{Deserialize, Serialize};

use super::options::stored_column_options;
use super::{Column, ColumnExpression, ColumnExtras, IdentityKind, NotNull};
use crate::{Acl, QualifiedName, SharedText};

/// The stored form of [`Column`], whose fields it has.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename = "Column")]
pub(super) struct StoredColumn {
    name: SharedText,
    type_name: SharedText,
    base_type_name: SharedText,
    base_type_kind: char,
    collation: Option<QualifiedName>,
    not_null: Option<Box<NotNull>>,
    default: Option<Box<ColumnExpression>>,
    identity: Option<IdentityKind>,
    storage: Option<String>,
    compression: Option<String>,
    statistics_target: Option<i32>,
    #[serde(deserialize_with = "stored_column_options")]
    options: Vec<String>,
    fdw_options: Vec<(String, String)>,
    is_local: bool,
    inherit_count: i32,
    acl: Option<Acl>,
    comment: Option<String>,
    security_labels: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drops_not_null: bool,
}

impl From<StoredColumn> for Column {
    fn from(stored: StoredColumn) -> Self {
        let extras = ColumnExtras {
            collation: stored.collation,
            storage: stored.storage,
            compression: stored.compression,
            statistics_target: stored.statistics_target,
            options: stored.options,
            fdw_options: stored.fdw_options,
            acl: stored.acl,
            comment: stored.comment,
            security_labels: stored.security_labels,
            drops_not_null: stored.drops_not_null,
        };
        Column {
            name: stored.name,
            type_name: stored.type_name,
            base_type_name: stored.base_type_name,
            base_type_kind: stored.base_type_kind,
            not_null: stored.not_null,
            default: stored.default,
            identity: stored.identity,
            is_local: stored.is_local,
            inherit_count: stored.inherit_count,
            extras: extras.boxed(),
        }
    }
}

impl From<Column> for StoredColumn {
    fn from(column: Column) -> Self {
        let extras = column.extras.map(|extras| *extras).unwrap_or_default();
        StoredColumn {
            name: column.name,
            type_name: column.type_name,
            base_type_name: column.base_type_name,
            base_type_kind: column.base_type_kind,
            collation: extras.collation,
            not_null: column.not_null,
            default: column.default,
            identity: column.identity,
            storage: extras.storage,
            compression: extras.compression,
            statistics_target: extras.statistics_target,
            options: extras.options,
            fdw_options: extras.fdw_options,
            is_local: column.is_local,
            inherit_count: column.inherit_count,
            acl: extras.acl,
            comment: extras.comment,
            security_labels: extras.security_labels,
            drops_not_null: extras.drops_not_null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Column;

    /// As backups have held columns from the first version on.
    const STORED: &str = concat!(
        r#"{"name":"a","type_name":"text","base_type_name":"text","base_type_kind":"b","#,
        r#""collation":{"schema":"pg_catalog","name":"C"},"#,
        r#""not_null":{"name":null,"no_inherit":false,"is_local":true,"not_valid":false},"#,
        r#""default":{"expression":"1","role":"default","place":"inline"},"identity":null,"#,
        r#""storage":"PLAIN","compression":"lz4","statistics_target":5,"options":["n_distinct=1"],"#,
        r#""fdw_options":[["o","v"]],"is_local":true,"inherit_count":0,"#,
        r#""acl":[{"grantee":null,"grantor":"o","privileges":"r"}],"comment":"c","#,
        r#""security_labels":[["p","l"]]}"#,
    );

    #[test]
    fn a_column_is_stored_as_it_always_was() {
        let column: Column = serde_json::from_str(STORED).unwrap();
        assert_eq!(column.extras().statistics_target, Some(5));
        assert_eq!(serde_json::to_string(&column).unwrap(), STORED);
    }

    #[test]
    fn what_the_server_keeps_for_itself_is_passed_over() {
        let stored = STORED.replace("n_distinct=1", r#"pg_attver=22159328","n_distinct=1"#);
        let column: Column = serde_json::from_str(&stored).unwrap();
        assert_eq!(column.extras().options, ["n_distinct=1"]);
        let alone: Column = serde_json::from_str(&STORED.replace("n_distinct=1", "pg_attver=7")).unwrap();
        assert!(alone.extras().options.is_empty());
    }

    #[test]
    fn a_plain_column_is_small() {
        let plain = r#"{"name":"a","type_name":"text","base_type_name":"text","base_type_kind":"b",
            "collation":null,"not_null":null,"default":null,"identity":null,"storage":null,"compression":null,
            "statistics_target":null,"options":[],"fdw_options":[],"is_local":true,"inherit_count":0,
            "acl":null,"comment":null,"security_labels":[]}"#;
        let column: Column = serde_json::from_str(plain).unwrap();
        assert_eq!(column.extras, None);
        assert!(size_of::<Column>() <= 88, "{} bytes", size_of::<Column>());
    }
}
