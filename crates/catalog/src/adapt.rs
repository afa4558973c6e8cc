//! What of a catalog a target cannot take as it is: changed or taken out, and listed.
//!
//! Only losses that are known beforehand are here: a setting that the target lacks, a feature that came
//! with a later major. Whatever else an older server does not understand it refuses, and whoever sends the
//! statements finds that out.

mod older;

use std::collections::BTreeSet;

use crate::kinds::Body;
use crate::{Catalog, Object, ObjectId, ServerVersion};

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
}

/// Something that an object will not have on the target, or that will not be there at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The object, as [`Identity`](crate::Identity) prints it.
    pub object: String,
    /// What is lost, and why.
    pub what: String,
}

/// Changes a catalog into one that the target takes; returns what is lost by it, in the order of objects.
///
/// A catalog for a target that has everything comes back as it was.
pub fn adapt(catalog: &mut Catalog, target: &TargetFacts) -> Vec<Loss> {
    let mut losses = Losses::default();
    let mut dropped: Vec<ObjectId> = Vec::new();
    let source = catalog.server_version;
    let is_older = target.version.major() < source.major();
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none()) {
        let name = object.identity().to_string();
        settings(object, &name, target, &mut losses);
        compression(object, &name, target, &mut losses);
        if !is_older {
            continue;
        }
        if let Some(reason) = older::unknown(object, target.version) {
            losses.add(&name, format!("left out: {reason}"));
            dropped.push(object.id);
        } else {
            older::weaken(object, &name, (source, target.version), &mut losses);
        }
    }
    older::maintain(catalog, target.version, &mut losses);
    catalog.objects.retain(|object| !dropped.contains(&object.id));
    losses.list
}

#[derive(Default)]
struct Losses {
    list: Vec<Loss>,
}

impl Losses {
    fn add(&mut self, object: &str, what: impl Into<String>) {
        self.list.push(Loss { object: object.to_owned(), what: what.into() });
    }
}

/// `SET` clauses of functions whose settings the target does not know.
fn settings(object: &mut Object, name: &str, target: &TargetFacts, losses: &mut Losses) {
    let Body::Function(function) = &mut object.body else { return };
    function.settings.retain(|(setting, value)| {
        let is_known = setting.contains('.') || target.settings.contains(&setting.to_ascii_lowercase());
        if !is_known {
            losses
                .add(name, format!("made without SET {setting} TO {value}: the target has no such setting"));
        }
        is_known
    });
    if function.leakproof && !target.may_be_leakproof {
        function.leakproof = false;
        losses.add(name, "made without LEAKPROOF, which only a superuser may say");
    }
}

fn compression(object: &mut Object, name: &str, target: &TargetFacts, losses: &mut Losses) {
    let Body::Table(table) = &mut object.body else { return };
    for column in &mut table.columns {
        let cannot = |method: &mut String| target.version.major() < 14 || method == "lz4" && !target.has_lz4;
        let Some(extras) = &mut column.extras else { continue };
        if let Some(method) = extras.compression.take_if(cannot) {
            let what = format!("column {} without COMPRESSION {method}, which the target lacks", column.name);
            losses.add(name, what);
        }
    }
}
