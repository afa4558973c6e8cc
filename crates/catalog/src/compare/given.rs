//! What every new database has: schema `public`, and extension plpgsql.
//!
//! A copy is made in a new database, which has both although the original may have dropped them, and an extension that
//! was made anew is an object of the catalog, while the one that `initdb` made is not.

use super::Difference;
use crate::kinds::Body;
use crate::{Catalog, EntryKind, Identity, Object};

/// The extension that `initdb` makes.
const PLPGSQL: &str = "plpgsql";

/// What of it the two sides of a comparison have.
pub(super) struct GivenOnBoth {
    /// Whether the right's `public` is as it was made, and empty.
    has_new_public: bool,
    /// Whether the left, and the right, has the server's own plpgsql.
    plpgsql: (Option<bool>, Option<bool>),
}

impl GivenOnBoth {
    pub(super) fn new(left: &Catalog, right: &Catalog) -> Self {
        GivenOnBoth {
            has_new_public: has_new_public(right),
            plpgsql: (left.database.given.plpgsql, right.database.given.plpgsql),
        }
    }

    /// Whether an object of the left's catalog that the right's has not is there all the same.
    pub(super) fn is_on_the_right(&self, object: &Object) -> bool {
        is_plpgsql(object) && self.plpgsql.1 == Some(true)
    }

    /// Whether an object that only the right's catalog has is no difference: the left has it too, or every new
    /// database does.
    pub(super) fn is_no_extra(&self, object: &Object) -> bool {
        is_plpgsql(object) && self.plpgsql.0 == Some(true) || is_public(object) && self.has_new_public
    }

    /// The server's own of the left that the right has dropped, and not made anew.
    pub(super) fn missing(&self, right_has: impl Fn(&Identity) -> bool) -> Option<Difference> {
        let identity = Identity {
            kind: EntryKind::Extension,
            schema: None,
            name: PLPGSQL.to_owned(),
            discriminator: None,
        };
        let is_missing = self.plpgsql == (Some(true), Some(false)) && !right_has(&identity);
        is_missing.then_some(Difference::Missing { identity })
    }
}

/// What the right has only because every new database has it, in words.
pub fn given_on_the_right(left: &Catalog, right: &Catalog) -> Vec<String> {
    let has = |catalog: &Catalog, is_it: fn(&Object) -> bool| catalog.objects.iter().any(is_it);
    let mut given = Vec::new();
    if has(right, is_public) && !has(left, is_public) && has_new_public(right) {
        given.push(
            "schema public on the right is empty, as in every new database; the left has none".to_owned(),
        );
    }
    let plpgsql = (left.database.given.plpgsql, right.database.given.plpgsql);
    if plpgsql == (Some(false), Some(true)) && !has(left, is_plpgsql) {
        given
            .push("extension plpgsql on the right is as in every new database; the left has none".to_owned());
    }
    given
}

/// Whether `public` is as it was made, with nothing in it.
fn has_new_public(catalog: &Catalog) -> bool {
    let places = catalog.uncovered.iter().filter_map(|object| object.place.as_ref()?.schema.as_deref());
    let schemas = catalog.objects.iter().filter_map(|object| object.schema.as_deref());
    catalog.database.given.public && !schemas.chain(places).any(|schema| schema == "public")
}

fn is_public(object: &Object) -> bool {
    matches!(object.body, Body::Schema(_)) && object.name == "public"
}

fn is_plpgsql(object: &Object) -> bool {
    matches!(object.body, Body::Extension(_)) && object.name == PLPGSQL
}
