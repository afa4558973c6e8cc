//! What of a catalog a target cannot take as it is: changed or taken out, and listed.
//!
//! Only losses that are known beforehand are here: a setting that the target lacks, a feature that came
//! with a later major. Whatever else an older server does not understand it refuses, and whoever sends the
//! statements finds that out.

mod expressions;
mod newer;
mod not_null;

pub(crate) use self::not_null::chosen_name;
mod older;
mod options;
mod order;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub use self::expressions::{InlineExpression, doubtful_expressions, set_apart};
pub use self::options::{StorageParameter, doubtful_parameters};
pub use self::order::as_made;
use crate::kinds::Body;
use crate::{Catalog, Identity, Object, ObjectId, ServerVersion};

/// What a target is and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// Its version.
    pub version: ServerVersion,
    /// Names of its settings in lower case, those with a dot left out: any may be set.
    pub settings: BTreeSet<String>,
    /// Whether the server compresses with lz4.
    pub has_lz4: bool,
    /// Whether the role may call functions leakproof.
    pub may_be_leakproof: bool,
    /// Those of [`doubtful_parameters`] that it refuses.
    pub refused_parameters: BTreeSet<StorageParameter>,
}

/// Something that an object will not have on the target, or that will not be there at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The objects: one, or all that lose the same.
    pub objects: Vec<Identity>,
    /// What is lost, and why.
    pub what: String,
}

impl Loss {
    /// The objects, as [`Identity`] prints each.
    pub fn names(&self) -> String {
        self.objects.iter().map(Identity::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// What became of a catalog for a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adaptation {
    /// What is lost, in the order of objects.
    pub losses: Vec<Loss>,
    /// What is not as one would expect, though nothing is lost.
    pub notes: Vec<String>,
}

/// Changes a catalog into one that the target takes; returns what is lost by it and what is to be told.
///
/// A catalog for a target that has everything comes back as it was.
pub fn adapt(catalog: &mut Catalog, target: &TargetFacts) -> Adaptation {
    let mut losses = Losses::default();
    let mut dropped: Vec<ObjectId> = Vec::new();
    let source = catalog.server_version;
    let is_older = target.version.major() < source.major();
    not_null::nullable_again(catalog, target.version);
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none()) {
        let name = object.identity();
        settings(object, &name, target, &mut losses);
        compression(object, &name, target, &mut losses);
        options::take(object, &name, &target.refused_parameters, &mut losses);
        if !is_older {
            continue;
        }
        if older::comes_of_itself(object, target.version) {
            dropped.push(object.id);
        } else if let Some(reason) = older::unknown(object, target.version) {
            losses.add(&name, format!("left out: {reason}"));
            dropped.push(object.id);
        } else {
            older::weaken(object, &name, (source, target.version), &mut losses);
        }
    }
    older::maintain(catalog, target.version, &mut losses);
    catalog.quote_for(target.version.major());
    catalog.objects.retain(|object| !dropped.contains(&object.id));
    with_cow(catalog, order::part_from_parents);
    order::keep(catalog, &mut losses);
    newer::unlogged(catalog, target.version, &mut losses);
    not_null::nullable_children(catalog, target.version, &mut losses);
    let mut adaptation = Adaptation { losses: losses.list, notes: Vec::new() };
    with_cow(catalog, |catalog| newer::multiranges(catalog, target.version, &mut adaptation.notes));
    not_null::name_in_domains(catalog, target.version, &mut adaptation);
    not_null::name_in_tables(catalog, target.version, &mut adaptation);
    adaptation
}

/// Changes a catalog of one's own by what is written for one that may be borrowed.
fn with_cow(catalog: &mut Catalog, change: impl FnOnce(&mut Cow<'_, Catalog>)) {
    let empty = Catalog::empty(catalog.server_version);
    let mut owned = Cow::Owned(std::mem::replace(catalog, empty));
    change(&mut owned);
    *catalog = owned.into_owned();
}

/// Names of the settings that functions set, in lower case, those with a dot left out.
pub fn settings_of_functions(catalog: &Catalog) -> BTreeSet<String> {
    let functions = catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Function(function) => Some(function),
        _ => None,
    });
    let names = functions.flat_map(|function| &function.settings).map(|(name, _)| name.to_ascii_lowercase());
    names.filter(|name| !name.contains('.')).collect()
}

/// The catalog as every server from its own major to `newest` takes it, as far as there is a way to write that.
pub(crate) fn for_majors_up_to(catalog: &Catalog, newest: u32) -> Cow<'_, Catalog> {
    let mut adapted = catalog.quoted_for(newest);
    adapt_up_to(&mut adapted, newest);
    adapted
}

/// What a script of a catalog for servers from its own major to `newest` changes.
pub fn changes_up_to(catalog: &Catalog, newest: u32) -> Adaptation {
    adapt_up_to(&mut Cow::Borrowed(catalog), newest)
}

fn adapt_up_to(catalog: &mut Cow<'_, Catalog>, newest: u32) -> Adaptation {
    let mut losses = Losses::default();
    order::part_from_parents(catalog);
    order::keep(catalog, &mut losses);
    if newest >= newer::ALL_PARENTS_LOGGED && newer::has_unlogged_parents(catalog) {
        // the first major that makes a difference is the one to be named
        let first = ServerVersion::of_major(newer::ALL_PARENTS_LOGGED);
        newer::unlogged(catalog.to_mut(), first, &mut losses);
    }
    let mut adaptation = Adaptation { losses: losses.list, notes: Vec::new() };
    newer::multiranges(catalog, ServerVersion::of_major(newest), &mut adaptation.notes);
    if not_null::may_clash(catalog) {
        let newest = ServerVersion::of_major(newest);
        not_null::name_in_domains(catalog.to_mut(), newest, &mut adaptation);
        not_null::name_in_tables(catalog.to_mut(), newest, &mut adaptation);
    }
    adaptation
}

#[derive(Default)]
struct Losses {
    list: Vec<Loss>,
}

impl Losses {
    fn add(&mut self, object: &Identity, what: impl Into<String>) {
        self.list.push(Loss { objects: vec![object.clone()], what: what.into() });
    }
}

/// Settings that no function may set from 16 on (`GUC_NO_RESET` in src/backend/utils/misc/guc_tables.c).
const NOT_IN_FUNCTIONS: [&str; 4] =
    ["seed", "transaction_deferrable", "transaction_isolation", "transaction_read_only"];

/// `SET` clauses of functions whose settings the target does not know, or lets no function set.
fn settings(object: &mut Object, name: &Identity, target: &TargetFacts, losses: &mut Losses) {
    let Body::Function(function) = &mut object.body else { return };
    function.settings.retain(|(setting, value)| {
        let lower = setting.to_ascii_lowercase();
        let reason = if !lower.contains('.') && !target.settings.contains(&lower) {
            "the target has no such setting"
        } else if target.version.major() >= 16 && NOT_IN_FUNCTIONS.contains(&lower.as_str()) {
            "no function may set it since version 16"
        } else {
            return true;
        };
        losses.add(name, format!("created without SET {setting} TO {value}: {reason}"));
        false
    });
    if function.leakproof && !target.may_be_leakproof {
        function.leakproof = false;
        losses.add(name, "created without LEAKPROOF, which only a superuser may say");
    }
}

fn compression(object: &mut Object, name: &Identity, target: &TargetFacts, losses: &mut Losses) {
    let cannot = |method: &mut String| target.version.major() < 14 || method == "lz4" && !target.has_lz4;
    let mut add = |column: &str, method: String| {
        losses.add(name, format!("column {column} without COMPRESSION {method}, which the target lacks"));
    };
    match &mut object.body {
        Body::Table(table) => {
            for column in &mut table.columns {
                let Some(extras) = &mut column.extras else { continue };
                if let Some(method) = extras.compression.take_if(cannot) {
                    add(&column.name, method);
                }
            }
        }
        Body::MaterializedView(view) => {
            for column in &mut view.columns {
                if let Some(method) = column.compression.take_if(cannot) {
                    add(&column.name, method);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{TargetFacts, adapt};
    use crate::kinds::{Body, MaterializedView, ReplicaIdentity, ViewColumn};
    use crate::{Catalog, Class, Object, ObjectId, ServerVersion};

    fn materialized_view() -> Catalog {
        let column = ViewColumn {
            name: "v".to_owned(),
            type_name: "text".to_owned(),
            collation: None,
            storage: None,
            compression: Some("lz4".to_owned()),
            statistics_target: None,
            options: Vec::new(),
            acl: None,
            comment: None,
            security_labels: Vec::new(),
        };
        let view = MaterializedView {
            definition: " SELECT v FROM t".to_owned(),
            columns: vec![column],
            unlogged: false,
            options: Vec::new(),
            toast_options: Vec::new(),
            access_method: None,
            tablespace: None,
            replica_identity: ReplicaIdentity::Default,
            populated: true,
            depends_on_extensions: Vec::new(),
            undeclared_columns: Vec::new(),
        };
        let object = Object {
            id: ObjectId::new(Class::PG_CLASS, 16_384),
            schema: Some("public".into()),
            name: "mv".to_owned(),
            owner: None,
            acl: None,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body: Body::from(view),
        };
        Catalog { objects: vec![object], ..Catalog::empty(ServerVersion::of_major(15)) }
    }

    #[test]
    fn a_materialized_view_is_made_without_a_compression_that_the_target_lacks() {
        let losses = |has_lz4: bool| {
            let mut catalog = materialized_view();
            let version = ServerVersion::of_major(18);
            let facts = TargetFacts {
                version,
                settings: BTreeSet::new(),
                has_lz4,
                may_be_leakproof: true,
                refused_parameters: BTreeSet::new(),
            };
            let losses = adapt(&mut catalog, &facts).losses;
            let Body::MaterializedView(view) = &catalog.objects[0].body else { unreachable!("it is one") };
            assert_eq!(view.columns[0].compression.is_some(), has_lz4);
            losses
        };
        assert!(losses(true).is_empty());
        let [loss]: [super::Loss; 1] = losses(false).try_into().unwrap();
        assert_eq!(loss.names(), "MATERIALIZED VIEW public.mv");
        assert_eq!(loss.what, "column v without COMPRESSION lz4, which the target lacks");
    }
}
