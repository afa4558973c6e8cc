//! Names of what stands in a list: a person knows a column by its name, not by its place among those that are left.

use crate::kinds::Body;

/// The name of the column, attribute or constraint that a path has by its place in a list, if both sides have the same
/// there; the left's where it is the name that differs.
pub(super) fn part((left, right): (&Body, &Body), path: &[&str]) -> Option<String> {
    let ["body", list, place, below @ ..] = path else { return None };
    let place = place.parse().ok()?;
    let (here, there) = (name(left, list, place)?, name(right, list, place)?);
    (here == there || below == ["name"]).then(|| here.to_owned())
}

fn name<'a>(body: &'a Body, list: &str, place: usize) -> Option<&'a str> {
    match (body, list) {
        (Body::Table(table), "columns") => Some(table.columns.get(place)?.name.as_str()),
        (Body::Table(table), "checks") => Some(table.checks.get(place)?.name.as_str()),
        (Body::View(view), "columns") => Some(view.columns.get(place)?.name.as_str()),
        (Body::MaterializedView(view), "columns") => Some(view.columns.get(place)?.name.as_str()),
        (Body::CompositeType(composite), "attributes") => {
            Some(composite.attributes.get(place)?.name.as_str())
        }
        (Body::Domain(domain), "constraints") => Some(domain.constraints.get(place)?.name.as_str()),
        _ => None,
    }
}
