//! Flags and filter files that say which objects are meant.

use std::path::Path;

use dbhaul_pipeline::{Selection, Tablespaces};

use super::UsageError;
use crate::args::{SectionName, SelectionArgs};

/// What the flags select, with the patterns of filter files.
///
/// # Errors
/// A filter file that cannot be read or used.
pub(super) fn selection(args: &SelectionArgs) -> Result<Selection, UsageError> {
    let wants = |section, left_out: bool| match args.sections.as_slice() {
        [] => !left_out,
        sections => sections.contains(&section),
    };
    let large_objects = match (args.large_objects, args.no_large_objects) {
        (false, false) => None,
        (wanted, _) => Some(wanted),
    };
    let mut selection = Selection {
        schemas: args.schemas.clone(),
        exclude_schemas: args.exclude_schemas.clone(),
        tables: args.tables.clone(),
        tables_and_children: args.tables_and_children.clone(),
        exclude_tables: args.exclude_tables.clone(),
        exclude_tables_and_children: args.exclude_tables_and_children.clone(),
        exclude_table_data: args.exclude_table_data.clone(),
        exclude_table_data_and_children: args.exclude_table_data_and_children.clone(),
        extensions: args.extensions.clone(),
        exclude_extensions: args.exclude_extensions.clone(),
        foreign_data: args.foreign_data.clone(),
        pre_data: wants(SectionName::PreData, args.data_only),
        data: wants(SectionName::Data, args.schema_only),
        post_data: wants(SectionName::PostData, args.data_only),
        owners: args.owners,
        privileges: args.privileges,
        comments: args.comments,
        security_labels: args.security_labels,
        policies: args.policies,
        publications: args.publications,
        subscriptions: args.subscriptions,
        large_objects,
        with_dependencies: args.with_dependencies,
        tablespaces: Tablespaces {
            none: args.no_tablespaces,
            map: args.tablespace_map.iter().cloned().collect(),
        },
        ..Selection::default()
    };
    for file in &args.filters {
        add_filter(&mut selection, file)?;
    }
    Ok(selection)
}

fn add_filter(selection: &mut Selection, file: &Path) -> Result<(), UsageError> {
    let is_stdin = file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let text = match is_stdin {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| UsageError::new(format!("--filter: cannot read {name}: {error}")))?;
    let added = selection.add_filter(&text);
    added.map_err(|error| UsageError::new(format!("--filter: {name}, {error}")))
}
