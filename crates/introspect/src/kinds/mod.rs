//! The kinds of objects, one file each: how a kind is read from the system
//! catalogs, in one set-based query where possible.

use dbhaul_catalog::Object;
use dbhaul_postgres::Flight;

use crate::Error;
use crate::reader::Reader;

macro_rules! kinds {
    ($($module:ident)*) => {
        $(pub(crate) mod $module;)*

        /// Reads every kind, all at once, and returns their objects in the order of the kinds.
        pub(crate) async fn read_all(flight: &Flight<'_>) -> Result<Vec<Object>, Error> {
            $(let mut $module = Reader::new(flight);)*
            futures::try_join!($(Box::pin($module::read(&mut $module))),*)?;
            let mut objects = Vec::new();
            $(objects.extend($module.into_objects());)*
            Ok(objects)
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
