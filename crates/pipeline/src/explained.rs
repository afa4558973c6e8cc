//! Whether what was skipped explains what differs.

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Identity, QualifiedName, quote_identifier};

/// Whether a function or operator takes arguments of a type that was skipped, so that it cannot be there:
/// the other half of an operator pair is made along with it and has no entry of its own.
pub(crate) fn is_of_skipped_type(description: &str, identity: &Identity) -> bool {
    let skipped_type = description.strip_prefix("TYPE ");
    skipped_type.is_some_and(|name| identity.discriminator.as_deref().is_some_and(|all| all.contains(name)))
}

/// Whether the description of something skipped, `ACL TABLE public.film` or
/// `INDEX public.film_title`, names this object: its schema and its name, each whole.
pub(crate) fn names(description: &str, schema: Option<&str>, name: &str) -> bool {
    let is_edge = |neighbour: Option<char>| neighbour.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let has_whole = |word: &str| {
        !word.is_empty()
            && description.match_indices(word).any(|(at, _)| {
                is_edge(description[..at].chars().next_back())
                    && is_edge(description[at + word.len()..].chars().next())
            })
    };
    let has = |name: &str| has_whole(name) || has_whole(&quote_identifier(name));
    has(name) && schema.is_none_or(has)
}

/// Sequences of identity columns whose tables were skipped, in part or whole: they have the owner of their
/// table, and no entry of their own that could name them.
pub(crate) fn identity_sequences(catalog: &Catalog, skipped: &[String]) -> Vec<String> {
    let is_skipped = |table: &QualifiedName| {
        skipped.iter().any(|description| names(description, Some(&table.schema), &table.name))
    };
    let of_skipped = catalog.objects.iter().filter(|object| match &object.body {
        Body::Sequence(sequence) => {
            let owner = sequence.owned_by.as_ref().filter(|owner| owner.identity.is_some());
            owner.is_some_and(|owner| is_skipped(&owner.table))
        }
        _ => false,
    });
    of_skipped.map(|object| object.identity().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn an_object_is_named_whole_or_not_at_all() {
        let check = |description: &str, schema: Option<&str>, name: &str, expected: bool| {
            assert_eq!(names(description, schema, name), expected, "{name} in {description}");
        };
        check("ACL public film", Some("public"), "film", true);
        check("INDEX public.film_title", Some("public"), "film_title", true);
        check("INDEX public.film_title", Some("public"), "film", false);
        check("ACL public film", Some("public"), "a", false);
        check("ACL other film", Some("public"), "film", false);
        check("FUNCTION public f(integer)", Some("public"), "f", true);
        check("SCHEMA - audit", None, "audit", true);
        check("TABLE \"a \"\"b\"\"\".c", Some("a \"b\""), "c", true);
    }
}
