//! The kinds of objects, one file each: how a kind is read from the system
//! catalogs, in one set-based query where possible.

use crate::Error;
use crate::reader::Reader;

macro_rules! kinds {
    ($($module:ident)*) => {
        $(pub(crate) mod $module;)*

        /// Reads every kind, in an order that lets a kind look at those before it.
        pub(crate) async fn read_all(reader: &mut Reader<'_>) -> Result<(), Error> {
            $(
                tracing::debug!(kind = stringify!($module), "reading catalog");
                $module::read(reader).await?;
            )*
            Ok(())
        }
    };
}

kinds! {
    schema
    extension
    enum_type
    domain
    composite_type
    range_type
    base_type
    shell_type
    function
    aggregate
    language
    cast
    operator
    operator_class
    operator_family
    access_method
    conversion
    collation
    transform
    text_search_parser
    text_search_template
    text_search_dictionary
    text_search_configuration
    foreign_data_wrapper
    foreign_server
    user_mapping
    event_trigger
    publication
    subscription
    default_acl
    large_object
    table
    sequence
    view
    materialized_view
    column_default
    index
    constraint
    trigger
    rule
    policy
    statistics
}
