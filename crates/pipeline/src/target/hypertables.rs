//! What of a database with TimescaleDB is not copied, and how it is not.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, HypertableFeature, Hypertables, Object, QualifiedName, Selection, TIMESCALEDB, UntestedFeature,
    in_one_line,
};

use crate::{PipelineError, WriteOptions};

/// Reasons against a copy of what was selected.
///
/// # Errors
/// A pattern of the selection that cannot be read.
pub(crate) fn refused(catalog: &Catalog, selection: &Selection) -> Result<Vec<String>, PipelineError> {
    let Some(hypertables) = &catalog.hypertables else { return Ok(Vec::new()) };
    match has_extension(catalog) {
        false => Ok(without_extension(catalog, hypertables).into_iter().collect()),
        true => {
            let mut reasons: Vec<String> = hypertables.untested.iter().map(untested).collect();
            reasons.extend(torn(catalog, hypertables, selection)?);
            Ok(reasons)
        }
    }
}

/// Ways of writing that would not give a copy.
pub(crate) fn refused_ways(catalog: &Catalog, options: &WriteOptions) -> Vec<String> {
    if catalog.hypertables.is_none() || !has_extension(catalog) {
        return Vec::new();
    }
    let ways = [
        (
            options.clean,
            "--clean would drop the extension, which the same session cannot create again; restore into an empty \
             database",
        ),
        (
            options.allow_non_empty,
            "--allow-non-empty could mix its catalog with that of hypertables that are there already; restore into an \
             empty database",
        ),
    ];
    ways.into_iter().filter(|(asked, _)| *asked).map(|(_, reason)| reason.to_owned()).collect()
}

fn has_extension(catalog: &Catalog) -> bool {
    catalog.objects.iter().any(is_timescaledb)
}

fn is_timescaledb(object: &Object) -> bool {
    object.name == TIMESCALEDB && matches!(object.body, Body::Extension(_))
}

fn untested(UntestedFeature { feature, details }: &UntestedFeature) -> String {
    let details = in_one_line(&details.join(", "));
    let named = match feature {
        HypertableFeature::ForeignKeys => {
            return format!(
                "foreign keys refer to hypertables ({details}); in a restore these are empty tables whose rows are in \
                 their chunks, so that neither dbhaul nor pg_restore can make the keys; drop them before the copy, and \
                 add them on the target"
            );
        }
        HypertableFeature::UnendedRestore => {
            return "the database is in restoring mode, since a restore into it has not ended; end that with SELECT \
                    timescaledb_post_restore()"
                .to_owned();
        }
        HypertableFeature::Compression => "compression (the columnstore) or frozen chunks",
        HypertableFeature::TieredStorage => "tiered storage",
        HypertableFeature::ContinuousAggregates => "continuous aggregates",
        HypertableFeature::Jobs => "jobs or policies",
        HypertableFeature::ChunkSkipping => "chunk skipping",
        HypertableFeature::Tablespaces => "tablespaces attached to hypertables",
        HypertableFeature::Unknown => "parts of its catalog that dbhaul does not know",
    };
    format!(
        "the database uses {named} ({details}), which dbhaul has not been tested with; move it with pg_dump and \
         pg_restore as the manual of TimescaleDB says"
    )
}

/// Its tables without itself: a hypertable would be copied as an empty table.
fn without_extension(catalog: &Catalog, hypertables: &Hypertables) -> Option<String> {
    let selected = names(catalog, |object| matches!(object.body, Body::Table(_)));
    let table = hypertables.tables.iter().find(|table| selected.contains(table))?;
    Some(format!(
        "{} is a hypertable or a chunk of one, which is nothing without the extension and all of its tables; select the \
         whole database, or leave all hypertables out",
        in_one_line(&table.sql())
    ))
}

/// Itself without all that its catalog names.
fn torn(
    catalog: &Catalog,
    hypertables: &Hypertables,
    selection: &Selection,
) -> Result<Option<String>, PipelineError> {
    if !(selection.pre_data && selection.data && selection.post_data) {
        let reason = "its hypertables are made of definitions and of rows of its catalog, which only come together; \
                      leave out --section, --schema-only and --data-only, or leave out the extension and all hypertables";
        return Ok(Some(reason.to_owned()));
    }
    let configuration = catalog.objects.iter().find_map(|object| match &object.body {
        Body::Extension(extension) if is_timescaledb(object) => Some(&extension.configuration),
        _ => None,
    });
    let configuration = configuration.into_iter().flatten();
    let needed: Vec<QualifiedName> =
        configuration.map(|table| QualifiedName::new(&table.schema, &table.name)).collect();
    let without_data = selection.toc_options(catalog)?.without_data;
    let holds_rows = |object: &Object| matches!(object.body, Body::Table(_) | Body::Sequence(_));
    let filled = names(catalog, |object| holds_rows(object) && !without_data.contains(&object.id));
    let functions = names(catalog, |object| matches!(object.body, Body::Function(_)));
    let tables = needed.iter().chain(&hypertables.tables).filter(|name| !filled.contains(name));
    let functions = hypertables.functions.iter().filter(|name| !functions.contains(name));
    let missing = tables.chain(functions).next();
    Ok(missing.map(|name| {
        format!(
            "it needs {} with all that it holds, which the selection leaves out; select the whole database, or leave \
             the extension and all hypertables out",
            in_one_line(&name.sql())
        )
    }))
}

/// The names of some objects.
fn names(catalog: &Catalog, is_meant: impl Fn(&Object) -> bool) -> BTreeSet<QualifiedName> {
    let name = |object: &Object| QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
    catalog.objects.iter().filter(|object| is_meant(object)).map(name).collect()
}
