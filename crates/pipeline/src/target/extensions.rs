//! Extensions of a source that need a person's attention: of another version on the target, or with
//! ways of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dbhaul_catalog::kinds::{Body, Extension};
use dbhaul_catalog::{
    Catalog, Class, EXTENSION_OF_SERVER, Object, ObjectId, Selection, TIMESCALEDB, quote_literal,
};
use dbhaul_importer::{ExtensionMember, ExtensionMembers};
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionRole};
use serde::Deserialize;

use crate::target::hypertables;
use crate::{Context, NamedReason, PipelineError, WriteOptions};

/// How many dependants a message names.
const SHOWN: usize = 5;

/// Extensions that are carried, but of which a person should know something.
const NOTED: [(&str, &str); 5] = [
    (
        "postgis_topology",
        "the rows of topology.topology and topology.layer come along; see that each topology's schema is \
         selected too, and run topology.ValidateTopology afterwards",
    ),
    (
        "pg_partman",
        "its configuration comes along; keep run_maintenance from running on either side until both are \
         compared, for it makes and drops partitions",
    ),
    (
        "pg_cron",
        "it must be preloaded on the target, in the database that cron.database_name names; its jobs come \
         along and run there as soon as they are loaded",
    ),
    (
        "pgmq",
        "its queues are tables that it makes itself, as members of the extension; their messages do not \
         come along",
    ),
    (
        TIMESCALEDB,
        "from the beginning of a run to its end the target is in restoring mode, in which its hypertables are plain \
         tables; the jobs that it brings itself come along as the target's installation has them",
    ),
];

/// An extension and what to know of it.
pub(crate) fn noted(catalog: &Catalog) -> Vec<NamedReason> {
    known(catalog, &NOTED)
}

/// Extensions that are refused, each with the reason.
///
/// # Errors
/// A pattern of the selection that cannot be read.
pub(crate) fn refused(catalog: &Catalog, selection: &Selection) -> Result<Vec<NamedReason>, PipelineError> {
    let of_timescaledb = |reason| NamedReason { object: format!("EXTENSION {TIMESCALEDB}"), reason };
    Ok(hypertables::refused(catalog, selection)?.into_iter().map(of_timescaledb).collect())
}

/// Ways of writing in which an extension cannot be copied, each with the reason.
pub(crate) fn refused_ways(catalog: &Catalog, options: &WriteOptions) -> Vec<NamedReason> {
    let of_timescaledb = |reason| NamedReason { object: format!("EXTENSION {TIMESCALEDB}"), reason };
    hypertables::refused_ways(catalog, options).into_iter().map(of_timescaledb).collect()
}

/// Fails, naming it, on an extension that is refused.
///
/// # Errors
/// [`PipelineError::Request`].
pub(crate) fn check(catalog: &Catalog, selection: &Selection) -> Result<(), PipelineError> {
    none_of(refused(catalog, selection)?)
}

/// Fails with the first of these reasons.
pub(crate) fn none_of(refused: Vec<NamedReason>) -> Result<(), PipelineError> {
    match refused.into_iter().next() {
        None => Ok(()),
        Some(NamedReason { object, reason }) => {
            Err(PipelineError::Request { problem: format!("{object} cannot be copied"), help: reason })
        }
    }
}

/// What a person should know of the extensions before a copy of them is made on a target.
///
/// # Errors
/// [`PipelineError::Request`] on an extension that is refused; if the target cannot be asked.
pub(crate) async fn look(
    catalog: &Catalog,
    (selection, options): (&Selection, &WriteOptions),
    target: &ConnectSettings,
    context: &Context,
) -> Result<Vec<String>, PipelineError> {
    check(catalog, selection)?;
    none_of(refused_ways(catalog, options))?;
    let asking = |source| PipelineError::server("cannot ask the target for its extensions", source);
    let session = Session::connect(target, SessionRole::Loader, &context.cancel).await.map_err(asking)?;
    let mut notes = other_versions(catalog, &session).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    notes.extend(
        noted(catalog).into_iter().map(|NamedReason { object, reason }| format!("{object}: {reason}")),
    );
    Ok(notes)
}

fn known(catalog: &Catalog, list: &[(&str, &str)]) -> Vec<NamedReason> {
    let named = |object: &Object| {
        let (_, reason) = list.iter().find(|(name, _)| *name == object.name)?;
        Some(NamedReason { object: format!("EXTENSION {}", object.sql_name()), reason: (*reason).to_owned() })
    };
    extensions(catalog).filter_map(|(object, _)| named(object)).collect()
}

fn extensions(catalog: &Catalog) -> impl Iterator<Item = (&Object, &Extension)> {
    catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Extension(extension) => Some((object, extension.as_ref())),
        _ => None,
    })
}

/// The members of a catalog's extensions that are relations, functions or types. Those of TimescaleDB change as it is
/// used.
pub(crate) fn members(catalog: &Catalog) -> Vec<ExtensionMembers> {
    let of = |name: &str, version: Option<&String>| ExtensionMembers {
        extension: name.to_owned(),
        version: version.cloned(),
        major: catalog.server_version.major(),
        members: Vec::new(),
    };
    let mut found = BTreeMap::from([(EXTENSION_OF_SERVER, of(EXTENSION_OF_SERVER, None))]);
    for (object, extension) in extensions(catalog).filter(|(object, _)| object.name != TIMESCALEDB) {
        found.insert(&object.name, of(&object.name, Some(&extension.version)));
    }
    for object in &catalog.objects {
        let Some(extension) = object.extension.as_deref().and_then(|name| found.get_mut(name)) else {
            continue;
        };
        if let Some(member) = member(object) {
            extension.members.push(member);
        }
    }
    found.into_values().filter(|extension| !extension.members.is_empty()).collect()
}

fn member(object: &Object) -> Option<ExtensionMember> {
    let holds_state = matches!(object.body, Body::Table(_) | Body::Sequence(_));
    let is_looked_at = matches!(
        object.body,
        Body::View(_)
            | Body::MaterializedView(_)
            | Body::Function(_)
            | Body::Aggregate(_)
            | Body::EnumType(_)
            | Body::Domain(_)
            | Body::CompositeType(_)
            | Body::RangeType(_)
            | Body::BaseType(_)
    );
    // a stand-alone composite type is a relation too
    let class = match object.body {
        Body::CompositeType(_) => Class::PG_TYPE,
        _ => object.id.class,
    };
    (holds_state || is_looked_at).then(|| ExtensionMember {
        class,
        schema: object.schema.as_deref().unwrap_or_default().to_owned(),
        name: object.name.clone(),
        holds_state,
        described: object.identity().to_string(),
    })
}

#[derive(Deserialize)]
struct Available {
    name: String,
    default_version: Option<String>,
    installed_version: Option<String>,
    versions: Vec<String>,
}

/// Extensions that will have another version on the target than on the source, with some of what rests
/// on each. One that the target does not offer at all is not among them, and one that must be of the same version: the
/// importer blocks on these.
///
/// # Errors
/// If the target cannot be asked.
pub(crate) async fn other_versions(catalog: &Catalog, target: &Session) -> Result<Vec<String>, Error> {
    let names: Vec<String> = extensions(catalog).map(|(object, _)| quote_literal(&object.name)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT e.name, e.default_version, e.installed_version,
                ARRAY(SELECT v.version FROM pg_catalog.pg_available_extension_versions v WHERE v.name = e.name)
                  AS versions
         FROM pg_catalog.pg_available_extensions e WHERE e.name IN ({})",
        names.join(", ")
    );
    let rows: Vec<Available> = target.query_json(&sql).await?;
    let available: BTreeMap<String, Available> =
        rows.into_iter().map(|available| (available.name.clone(), available)).collect();
    let mut found = Vec::new();
    for (object, extension) in extensions(catalog).filter(|(object, _)| object.name != TIMESCALEDB) {
        let Some(available) = available.get(&object.name) else { continue };
        let found_version = available.installed_version.as_ref().or(available.default_version.as_ref());
        if let Some(version) = found_version.filter(|version| **version != extension.version) {
            found.push(message(catalog, object, extension, available, version));
        }
    }
    Ok(found)
}

fn message(
    catalog: &Catalog,
    object: &Object,
    extension: &Extension,
    available: &Available,
    version: &str,
) -> String {
    let name = object.sql_name();
    let source = &extension.version;
    let way_out = match (available.versions.contains(source), available.installed_version.is_some()) {
        (true, false) => format!("; to keep it, CREATE EXTENSION {name} VERSION '{source}' there first"),
        (true, true) => String::new(),
        (false, _) => format!("; {source} is not on offer there"),
    };
    let dependants = dependants(catalog, object);
    let more = if dependants.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<&str> = dependants.iter().take(SHOWN).map(String::as_str).collect();
    let needed = match shown.as_slice() {
        [] => String::new(),
        [one] => format!(" (1 object depends on it: {one})"),
        some => format!(" ({} objects depend on it: {}{more})", dependants.len(), some.join(", ")),
    };
    let order = match numbers(version).cmp(&numbers(source)) {
        std::cmp::Ordering::Less => "an older version",
        std::cmp::Ordering::Greater => "a newer version",
        std::cmp::Ordering::Equal => "another version",
    };
    format!("extension {name} {source} will be {version} there, {order}{way_out}{needed}")
}

/// The numbers in a version, for comparison; versions of extensions are free text.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Objects of the user's that depend on an extension or on a member of it.
fn dependants(catalog: &Catalog, extension: &Object) -> BTreeSet<String> {
    let objects: HashMap<ObjectId, &Object> =
        catalog.objects.iter().map(|object| (object.id, object)).collect();
    let is_of =
        |object: &Object| object.id == extension.id || object.extension.as_deref() == Some(&extension.name);
    let edges = catalog
        .dependencies
        .iter()
        .filter(|edge| objects.get(&edge.referenced).is_some_and(|object| is_of(object)));
    let dependants = edges.filter_map(|edge| objects.get(&edge.dependent));
    let own = dependants.filter(|object| object.extension.is_none() && !is_of(object));
    own.map(|object| object.identity().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(numbers("1.10") > numbers("1.9"));
        assert!(numbers("3.4.0dev") < numbers("3.4.1"));
        assert_eq!(numbers("unpackaged"), Vec::<u64>::new());
    }
}
