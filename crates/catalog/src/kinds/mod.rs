//! The kinds of objects, one file each: the model of the kind and how it is
//! written as DDL.

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::render::{Draft, Render, Target};

#[cfg(test)]
mod sample;

macro_rules! kinds {
    ($($module:ident $name:ident $kind:literal $doc:literal)*) => {
        $(mod $module;)*
        $(pub use $module::*;)*

        /// What is particular to an object's kind, each in a box of its own: a database has a
        /// few large objects, such as functions, and very many small ones, such as indexes.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "kebab-case")]
        pub enum Body {
            $(#[doc = $doc] $name(Box<$name>),)*
        }

        $(impl From<$name> for Body {
            fn from(body: $name) -> Self {
                Body::$name(Box::new(body))
            }
        })*

        impl Body {
            /// The kind as `pg_restore -l` prints it.
            pub fn kind(&self) -> &'static str {
                match self { $(Body::$name(body) => body.kind().unwrap_or($kind),)* }
            }

            /// What tells the object from others of its kind, schema and name.
            pub fn discriminator(&self) -> Option<String> {
                match self { $(Body::$name(body) => body.discriminator(),)* }
            }

            /// How `COMMENT ON` names an object that another's statement creates.
            pub(crate) fn inline_address(&self, object: &Object) -> Option<String> {
                match self { $(Body::$name(body) => body.inline_address(object),)* }
            }

            pub(crate) fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
                match self { $(Body::$name(body) => body.render(object, target),)* }
            }
        }
    };
}

kinds! {
    schema Schema "SCHEMA" "A schema."
    extension Extension "EXTENSION" "An installed extension."
    enum_type EnumType "TYPE" "An enum type."
    domain Domain "DOMAIN" "A domain."
    composite_type CompositeType "TYPE" "A stand-alone composite type."
    range_type RangeType "TYPE" "A range type."
    base_type BaseType "TYPE" "A base type."
    shell_type ShellType "SHELL TYPE" "A type that is only declared."
    function Function "FUNCTION" "A function, procedure or window function."
    aggregate Aggregate "AGGREGATE" "An aggregate function."
    language Language "PROCEDURAL LANGUAGE" "A procedural language."
    cast Cast "CAST" "A cast between two types."
    operator Operator "OPERATOR" "An operator."
    operator_class OperatorClass "OPERATOR CLASS" "An operator class."
    operator_family OperatorFamily "OPERATOR FAMILY" "An operator family."
    access_method AccessMethod "ACCESS METHOD" "An access method."
    conversion Conversion "CONVERSION" "An encoding conversion."
    collation Collation "COLLATION" "A collation."
    transform Transform "TRANSFORM" "A transform of a type for a language."
    text_search_parser TextSearchParser "TEXT SEARCH PARSER" "A text search parser."
    text_search_template TextSearchTemplate "TEXT SEARCH TEMPLATE" "A text search template."
    text_search_dictionary TextSearchDictionary "TEXT SEARCH DICTIONARY" "A text search dictionary."
    text_search_configuration TextSearchConfiguration "TEXT SEARCH CONFIGURATION" "A text search configuration."
    foreign_data_wrapper ForeignDataWrapper "FOREIGN DATA WRAPPER" "A foreign-data wrapper."
    foreign_server ForeignServer "SERVER" "A foreign server."
    user_mapping UserMapping "USER MAPPING" "A user mapping."
    event_trigger EventTrigger "EVENT TRIGGER" "An event trigger."
    publication Publication "PUBLICATION" "A publication."
    subscription Subscription "SUBSCRIPTION" "A subscription."
    default_acl DefaultAcl "DEFAULT ACL" "Default privileges."
    large_object LargeObject "BLOB" "A large object."
    table Table "TABLE" "A table: ordinary, partitioned or foreign."
    sequence Sequence "SEQUENCE" "A sequence."
    view View "VIEW" "A view."
    materialized_view MaterializedView "MATERIALIZED VIEW" "A materialized view."
    column_default ColumnDefault "DEFAULT" "A column default or generation expression."
    index Index "INDEX" "An index."
    constraint Constraint "CONSTRAINT" "A constraint of a table."
    trigger Trigger "TRIGGER" "A trigger."
    rule Rule "RULE" "A rewrite rule other than a view's own."
    policy Policy "POLICY" "A row-security policy."
    statistics Statistics "STATISTICS" "Extended statistics."
}
