//! The kinds of objects, one file each: the model of the kind and how it is
//! written as DDL.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::{EntryKind, Object};

#[cfg(test)]
mod sample;

macro_rules! kinds {
    ($($module:ident $name:ident $kind:ident $doc:literal)*) => {
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
            pub fn kind(&self) -> EntryKind {
                match self { $(Body::$name(body) => body.kind().unwrap_or(EntryKind::$kind),)* }
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
    schema Schema Schema "A schema."
    extension Extension Extension "An installed extension."
    enum_type EnumType Type "An enum type."
    domain Domain Domain "A domain."
    composite_type CompositeType Type "A stand-alone composite type."
    range_type RangeType Type "A range type."
    base_type BaseType Type "A base type."
    shell_type ShellType ShellType "A type that is only declared."
    function Function Function "A function, procedure or window function."
    aggregate Aggregate Aggregate "An aggregate function."
    language Language ProceduralLanguage "A procedural language."
    cast Cast Cast "A cast between two types."
    operator Operator Operator "An operator."
    operator_class OperatorClass OperatorClass "An operator class."
    operator_family OperatorFamily OperatorFamily "An operator family."
    access_method AccessMethod AccessMethod "An access method."
    conversion Conversion Conversion "An encoding conversion."
    collation Collation Collation "A collation."
    transform Transform Transform "A transform of a type for a language."
    text_search_parser TextSearchParser TextSearchParser "A text search parser."
    text_search_template TextSearchTemplate TextSearchTemplate "A text search template."
    text_search_dictionary TextSearchDictionary TextSearchDictionary "A text search dictionary."
    text_search_configuration TextSearchConfiguration TextSearchConfiguration "A text search configuration."
    foreign_data_wrapper ForeignDataWrapper ForeignDataWrapper "A foreign-data wrapper."
    foreign_server ForeignServer Server "A foreign server."
    user_mapping UserMapping UserMapping "A user mapping."
    event_trigger EventTrigger EventTrigger "An event trigger."
    publication Publication Publication "A publication."
    subscription Subscription Subscription "A subscription."
    default_acl DefaultAcl DefaultAcl "Default privileges."
    large_object LargeObject LargeObject "A large object."
    table Table Table "A table: ordinary, partitioned or foreign."
    sequence Sequence Sequence "A sequence."
    view View View "A view."
    materialized_view MaterializedView MaterializedView "A materialized view."
    column_default ColumnDefault Default "A column default or generation expression."
    index Index Index "An index."
    constraint Constraint Constraint "A constraint of a table."
    trigger Trigger Trigger "A trigger."
    rule Rule Rule "A rewrite rule other than a view's own."
    policy Policy Policy "A row-security policy."
    statistics Statistics Statistics "Extended statistics."
}
