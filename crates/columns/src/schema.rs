//! The columns of a table, and the Arrow schema that they make.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_schema::extension::{Json, Uuid};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::pg_type::Decimal;
use crate::{ColumnsError, PgType};

/// Keys of a field's metadata.
pub(crate) const TYPE_KEY: &str = "dbhaul:type";
pub(crate) const KIND_KEY: &str = "dbhaul:kind";
pub(crate) const COMPANION_KEY: &str = "dbhaul:companion";
pub(crate) const COMPANION_OF_KEY: &str = "dbhaul:companion_of";
const MODIFIER_KEY: &str = "dbhaul:typmod";
const COLLATION_KEY: &str = "dbhaul:collation";
const GENERATED_KEY: &str = "dbhaul:generated";
const COMMENT_KEY: &str = "comment";
/// Key of a file's metadata, whose value is a [`FileMetadata`] as JSON.
pub(crate) const FILE_KEY: &str = "dbhaul";

/// A column of a table or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub pg_type: PgType,
    /// Its type as SQL, modifiers included: `numeric(10,2)`, `public.mood`.
    pub type_sql: String,
    /// `pg_attribute.atttypmod`; -1 for none.
    pub modifier: i32,
    /// The collation, qualified, where it has one that is not its type's.
    pub collation: Option<String>,
    /// Whether it may be NULL.
    pub is_nullable: bool,
    /// Whether the server computes it.
    pub is_generated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// The columns of a table or query, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumns {
    /// The table, qualified and quoted; `None` for a query.
    pub table: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// The columns.
    pub columns: Vec<Column>,
}

/// What a file says of where its rows came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// Version of this description.
    pub format: u32,
    /// The table, qualified and quoted; none for a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The table's columns.
    pub columns: Vec<ColumnMetadata>,
}

/// The same of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMetadata {
    /// Its name.
    pub name: String,
    /// Its type as SQL.
    pub r#type: String,
    /// `pg_attribute.atttypmod`; -1 for none.
    pub typmod: i32,
    /// Its collation, where it is not the type's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// The column that says what this one cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub companion: Option<String>,
}

impl TableColumns {
    /// Whether a COPY of these columns may be binary, which keeps every bit of every value.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.columns.iter().all(|column| column.pg_type.is_binary())
    }

    /// The names of the columns that say what others cannot, in the order of these, `None` for those that need none.
    fn companions(&self) -> Vec<Option<String>> {
        let mut taken: BTreeSet<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let mut companion = |column: &Column| {
            let mut name = format!("{}__pg", column.name);
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        };
        self.columns.iter().map(|column| column.pg_type.has_companion().then(|| companion(column))).collect()
    }

    /// The Arrow schema: each column, and behind it its companion where it needs one.
    ///
    /// # Errors
    /// [`ColumnsError::Schema`] if there are no columns, or two of one name.
    pub fn arrow_schema(&self) -> Result<SchemaRef, ColumnsError> {
        self.check_names()?;
        let mut fields = Vec::new();
        for (column, companion) in self.columns.iter().zip(self.companions()) {
            fields.push(column.field(companion.as_deref()));
            if let Some(name) = companion {
                let metadata = HashMap::from([(COMPANION_OF_KEY.to_owned(), column.name.clone())]);
                fields.push(Field::new(name, DataType::Utf8, true).with_metadata(metadata));
            }
        }
        let metadata = self.comment.iter().map(|comment| (COMMENT_KEY.to_owned(), comment.clone()));
        Ok(Arc::new(Schema::new(fields).with_metadata(metadata.collect::<HashMap<_, _>>())))
    }

    /// Refuses columns that no file tells apart.
    pub(crate) fn check_names(&self) -> Result<(), ColumnsError> {
        let schema = |problem| ColumnsError::Schema { problem };
        if self.columns.is_empty() {
            return Err(schema("there are no columns to write".to_owned()));
        }
        let mut seen = BTreeSet::new();
        match self.columns.iter().find(|column| !seen.insert(&column.name)) {
            None => Ok(()),
            Some(twice) => {
                let problem =
                    format!("two columns are called {:?}: give each a name of its own (AS)", twice.name);
                Err(schema(problem))
            }
        }
    }

    /// What a file says of these columns.
    #[must_use]
    pub fn metadata(&self) -> FileMetadata {
        let column = |(column, companion): (&Column, Option<String>)| ColumnMetadata {
            name: column.name.clone(),
            r#type: column.type_sql.clone(),
            typmod: column.modifier,
            collation: column.collation.clone(),
            companion,
        };
        let columns = self.columns.iter().zip(self.companions()).map(column).collect();
        FileMetadata { format: 1, table: self.table.clone(), columns }
    }
}

impl Column {
    fn field(&self, companion: Option<&str>) -> Field {
        let entries = [
            (TYPE_KEY, Some(self.type_sql.clone())),
            (KIND_KEY, kind(&self.pg_type).map(str::to_owned)),
            (MODIFIER_KEY, (self.modifier != -1).then(|| self.modifier.to_string())),
            (COLLATION_KEY, self.collation.clone()),
            (GENERATED_KEY, self.is_generated.then(|| "true".to_owned())),
            (COMPANION_KEY, companion.map(str::to_owned)),
            (COMMENT_KEY, self.comment.clone()),
        ];
        let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let is_nullable = self.is_nullable || companion.is_some();
        let field = Field::new(&self.name, data_type(&self.pg_type), is_nullable);
        with_extension(field.with_metadata(entries.collect::<HashMap<_, _>>()), &self.pg_type)
    }
}

/// What tells types apart that stand in the same Arrow type.
fn kind(pg_type: &PgType) -> Option<&'static str> {
    match pg_type {
        PgType::Oid => Some("oid"),
        PgType::Jsonb => Some("jsonb"),
        PgType::Interval => Some("interval"),
        PgType::Numeric(typmod) if !PgType::decimal(*typmod).is_declared => Some("numeric"),
        PgType::Array(element, _) => kind(element),
        _ => None,
    }
}

fn with_extension(field: Field, pg_type: &PgType) -> Field {
    match pg_type {
        PgType::Json | PgType::Jsonb => field.with_extension_type(Json::default()),
        PgType::Uuid => field.with_extension_type(Uuid),
        _ => field,
    }
}

/// The Arrow type of a column.
pub(crate) fn data_type(pg_type: &PgType) -> DataType {
    match pg_type {
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Oid => DataType::UInt32,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Numeric(typmod) => match PgType::decimal(*typmod) {
            Decimal { precision: precision @ ..=38, scale, .. } => DataType::Decimal128(precision, scale),
            Decimal { precision, scale, .. } => DataType::Decimal256(precision, scale),
        },
        PgType::Text | PgType::Json | PgType::Jsonb | PgType::Other => DataType::Utf8,
        PgType::Bytea => DataType::Binary,
        PgType::Date => DataType::Date32,
        PgType::Time => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::Interval => DataType::Struct(interval_fields()),
        PgType::Uuid => DataType::FixedSizeBinary(16),
        PgType::Enum(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        PgType::Array(element, _) => DataType::List(Arc::new(element_field(element))),
    }
}

/// The field of a list's elements. An enum's are plain text there.
pub(crate) fn element_field(element: &PgType) -> Field {
    let data_type = match element {
        PgType::Enum(_) => DataType::Utf8,
        element => data_type(element),
    };
    with_extension(Field::new("element", data_type, true), element)
}

/// The parts of an interval, which stand for themselves: a month has no fixed number of days.
pub(crate) fn interval_fields() -> Fields {
    Fields::from(vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("microseconds", DataType::Int64, false),
    ])
}
