//! Features that came with a later major than the target's.

use std::collections::BTreeMap;

use super::{Loss, Losses};
use crate::kinds::{
    Body, Constraint, ConstraintType, ExpressionRole, Function, FunctionSource, Publication,
    SubscriptionDefinition, Table,
};
use crate::{Catalog, Identity, Object, ServerVersion, quote_identifier};

/// Storage parameters of tables by the major that brought them, none older than 13.
const STORAGE_PARAMETERS: [(&str, u32); 4] = [
    ("vacuum_max_eager_freeze_failure_rate", 18),
    ("autovacuum_vacuum_max_threshold", 18),
    ("autovacuum_parallel_workers", 19),
    ("log_autoanalyze_min_duration", 19),
];

/// Whether an older server needs no statement for an object: there the `NOT NULL` is the column's.
pub(super) fn comes_of_itself(object: &Object, version: ServerVersion) -> bool {
    let is_one = |constraint: &Constraint| {
        constraint.validated_later && constraint.constraint_type == ConstraintType::NotNull
    };
    matches!(&object.body, Body::Constraint(constraint) if is_one(constraint)) && version.major() < 18
}

/// Why an object cannot be on a server of this version at all.
pub(super) fn unknown(object: &Object, version: ServerVersion) -> Option<String> {
    let major = version.major();
    let since = |since: u32, what: &str| (major < since).then(|| format!("PostgreSQL {major} has no {what}"));
    match &object.body {
        Body::Constraint(constraint) => {
            let says = |words: &str| outside_quotes(&constraint.definition, words).is_some();
            let kind = constraint.constraint_type;
            if says(" NOT ENFORCED") {
                since(18, "NOT ENFORCED constraints; they do not check rows in either case")
            } else if says(" WITHOUT OVERLAPS") || kind == ConstraintType::ForeignKey && says("PERIOD ") {
                since(18, "temporal constraints; rows that would violate one are no longer refused")
            } else if kind == ConstraintType::NotNull && says(" NOT VALID") {
                since(18, "NOT NULL constraints that are not valid; NULLs can come in")
            } else if kind == ConstraintType::NotNull && !constraint.separate {
                since(
                    18,
                    "names of NOT NULL constraints and comments on them; the column is NOT NULL all the same",
                )
            } else {
                None
            }
        }
        Body::Publication(publication) if !publication.except_tables.is_empty() => {
            since(19, "publications of all tables except some; without that it would publish more")
        }
        Body::Publication(publication) if publication.all_sequences && !publication.all_tables => {
            since(19, "publications of sequences")
        }
        Body::Subscription(subscription)
            if subscription.definition.as_ref().is_some_and(|definition| definition.server.is_some()) =>
        {
            since(19, "subscriptions that connect by a foreign server")
        }
        Body::View(view) if view.options.iter().any(|option| option.starts_with("security_invoker")) => {
            since(
                15,
                "views that run with the rights of the querying role; without that it could show more rows",
            )
        }
        _ => None,
    }
}

/// Takes from an object of a source what an older target does not know.
pub(super) fn weaken(
    object: &mut Object,
    name: &Identity,
    (source, target): (ServerVersion, ServerVersion),
    losses: &mut Losses,
) {
    let major = target.major();
    let on = |what: &str| format!("{what} on PostgreSQL {major}");
    match &mut object.body {
        Body::Table(table) => weaken_table(table, name, major, losses),
        Body::Index(index) if major < 15 => {
            if let Some(definition) = without(&index.definition, " NULLS NOT DISTINCT") {
                index.definition = definition;
                losses.add(name, on("created without NULLS NOT DISTINCT: rows with equal NULLs can come in"));
            }
        }
        Body::Constraint(constraint) if major < 15 => {
            if let Some(definition) = without(&constraint.definition, " NULLS NOT DISTINCT") {
                constraint.definition = definition;
                if let Some(index) = &mut constraint.index
                    && let Some(definition) = without(&index.index_definition, " NULLS NOT DISTINCT")
                {
                    index.index_definition = definition;
                }
                losses.add(name, on("created without NULLS NOT DISTINCT: rows with equal NULLs can come in"));
            }
        }
        Body::Collation(collation) if major < 16 => {
            if let Some(rules) = collation.rules.take() {
                losses.add(
                    name,
                    on(&format!("created without its rules {rules:?}, so that it sorts differently")),
                );
            }
        }
        Body::Function(function) if major < 14 => {
            if let Some(text) = body_text(function) {
                function.source = FunctionSource::Text { text };
                losses.add(
                    name,
                    on("its body is kept as text, so that PostgreSQL does not track what it uses"),
                );
            }
        }
        Body::RangeType(range) if major < 14 && source.major() >= 14 => {
            losses.add(name, on(&format!("created without its multirange type {}", range.multirange)));
        }
        Body::BaseType(base) if major < 14 && base.subscript.is_some() => {
            base.subscript = None;
            losses.add(name, on("created without its SUBSCRIPT function"));
        }
        Body::Domain(domain) if major < 17 => {
            if domain.not_null_comment.take().is_some() {
                losses.add(name, on("NOT NULL without its comment, since it has no name"));
            }
            if let Some(constraint) = domain.not_null_name.take() {
                let constraint = quote_identifier(&constraint);
                losses.add(name, on(&format!("NOT NULL without its name {constraint}, which is not kept")));
            }
        }
        Body::Schema(_)
            if object.owner.as_deref() == Some("pg_database_owner") && major < 15 && source.major() >= 15 =>
        {
            losses.add(name, on("keeps its owner and privileges granted by it"));
        }
        Body::Sequence(sequence) if major < 15 && sequence.unlogged => {
            sequence.unlogged = false;
            losses.add(name, on("logged, since sequences cannot be UNLOGGED"));
        }
        Body::Publication(publication) => weaken_publication(publication, name, major, losses),
        Body::ForeignDataWrapper(wrapper) if major < 19 => {
            if let Some(function) = wrapper.connection.take() {
                losses.add(name, on(&format!("created without CONNECTION {function}")));
            }
        }
        Body::Aggregate(aggregate) if major < 19 => {
            if let Some(function) = aggregate.support.take() {
                losses.add(name, on(&format!("created without SUPPORT {function}")));
            }
        }
        Body::Subscription(subscription) => {
            if let Some(definition) = &mut subscription.definition {
                weaken_subscription(definition, name, (source.major(), major), losses);
            }
        }
        _ => {}
    }
}

fn weaken_table(table: &mut Table, name: &Identity, major: u32, losses: &mut Losses) {
    let on = |what: String| format!("{what} on PostgreSQL {major}");
    let options = [&mut table.options, &mut table.toast_options];
    for option in options.into_iter().flat_map(|options| take_unknown(options, major)) {
        losses.add(name, on(format!("created without the storage parameter {option}")));
    }
    if major < 17 && table.partition_key.is_some() && table.access_method.take().is_some() {
        losses.add(name, on("created without an access method for its partitions".to_owned()));
    }
    if major >= 18 {
        return;
    }
    for column in &mut table.columns {
        if let Some(expression) = &mut column.default
            && expression.role == ExpressionRole::Virtual
        {
            expression.role = ExpressionRole::Stored;
            losses.add(name, on(format!("column {} is generated STORED instead of VIRTUAL", column.name)));
        }
        let Some(not_null) = &mut column.not_null else { continue };
        if not_null.no_inherit {
            not_null.no_inherit = false;
            losses.add(name, on(format!("children inherit NOT NULL of column {}", column.name)));
        }
        if not_null.not_valid {
            column.not_null = None;
            losses.add(name, on(format!("column {} without its NOT NULL, which is not valid", column.name)));
        } else if not_null.validated_later {
            // Here its parent has none that it could come with.
            not_null.validated_later = false;
            not_null.is_local = true;
        }
    }
    table.checks.retain(|check| {
        let is_enforced = outside_quotes(&check.definition, " NOT ENFORCED").is_none();
        if !is_enforced {
            losses.add(
                name,
                on(format!("created without the constraint {}, which is NOT ENFORCED", check.name)),
            );
        }
        is_enforced
    });
}

/// Takes the options that came later out of a list of `name=value`.
fn take_unknown(options: &mut Vec<String>, major: u32) -> Vec<String> {
    let is_unknown = |option: &String| {
        let name = option.split('=').next().unwrap_or_default();
        STORAGE_PARAMETERS.iter().any(|(known, since)| *known == name && major < *since)
    };
    let (unknown, known) = std::mem::take(options).into_iter().partition(is_unknown);
    *options = known;
    unknown
}

fn weaken_publication(publication: &mut Publication, name: &Identity, major: u32, losses: &mut Losses) {
    if major < 18 && publication.generated_columns {
        publication.generated_columns = false;
        losses.add(name, format!("created without publish_generated_columns on PostgreSQL {major}"));
    }
    if major < 19 && publication.all_sequences {
        publication.all_sequences = false;
        losses.add(name, format!("created without ALL SEQUENCES on PostgreSQL {major}"));
    }
}

/// As [`Subscription`](crate::kinds::Subscription) renders it: options stand there by the majors that have
/// them. What the source did not have either, it only behaves as if it had, is no loss.
fn weaken_subscription(
    definition: &mut SubscriptionDefinition,
    name: &Identity,
    (source, major): (u32, u32),
    losses: &mut Losses,
) {
    for (since, option, is_lost) in [
        (14, "binary", definition.binary),
        (14, "streaming", definition.streaming != "off"),
        (15, "two_phase", definition.two_phase),
        (15, "disable_on_error", definition.disable_on_error),
        (16, "password_required = false", !definition.password_required),
        (16, "run_as_owner = false", !definition.run_as_owner),
        (16, "origin", definition.origin != "any"),
        (17, "failover", definition.failover),
        (19, "retain_dead_tuples", definition.retain_dead_tuples),
        (19, "max_retention_duration", definition.max_retention_ms != 0),
        (19, "wal_receiver_timeout", definition.wal_receiver_timeout.is_some()),
    ] {
        if is_lost && major < since && source >= since {
            losses.add(name, format!("created without {option} on PostgreSQL {major}"));
        }
    }
    if major < 16 && definition.streaming == "parallel" {
        "on".clone_into(&mut definition.streaming);
        losses.add(name, format!("streaming = on instead of parallel on PostgreSQL {major}"));
    }
}

/// The privilege MAINTAIN came with 17. Owners have it of their nature; what others had is lost, told by role.
pub(super) fn maintain(catalog: &Catalog, version: ServerVersion, losses: &mut Losses) {
    if version.major() >= 17 || catalog.server_version.major() < 17 {
        return;
    }
    let mut by_role: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
    for object in &catalog.objects {
        if let Body::DefaultAcl(default) = &object.body {
            for item in default.granted.iter().filter(|item| item.privileges.contains('m')) {
                let role = item.grantee.clone().unwrap_or_else(|| "PUBLIC".to_owned());
                by_role.entry(role).or_default().push(object.identity());
            }
        }
        let items = object.acl.iter().flatten().filter(|item| item.privileges.contains('m'));
        let is_relation = matches!(object.body, Body::Table(_) | Body::View(_) | Body::MaterializedView(_));
        for item in items.filter(|item| is_relation && item.grantee.as_deref() != object.owner.as_deref()) {
            let role = item.grantee.clone().unwrap_or_else(|| "PUBLIC".to_owned());
            by_role.entry(role).or_default().push(object.identity());
        }
    }
    for (role, objects) in by_role {
        let what = format!("no MAINTAIN for {role} on PostgreSQL {}", version.major());
        losses.list.push(Loss { objects, what });
    }
}

/// The body of a function in standard SQL as text for `LANGUAGE sql`: what stands between `BEGIN ATOMIC` and
/// `END`, or what is returned. Its names are qualified, since the server has printed them so.
fn body_text(function: &Function) -> Option<String> {
    let FunctionSource::SqlBody { sql } = &function.source else { return None };
    let sql = sql.trim();
    if let Some(expression) = sql.strip_prefix("RETURN ") {
        return Some(format!("SELECT {expression}"));
    }
    let inner = sql.strip_prefix("BEGIN ATOMIC")?.strip_suffix("END")?;
    Some(inner.trim().to_owned())
}

/// A definition without some words.
fn without(definition: &str, words: &str) -> Option<String> {
    let at = outside_quotes(definition, words)?;
    Some(format!("{}{}", &definition[..at], &definition[at + words.len()..]))
}

/// Where words stand in a definition, identifiers and strings left out.
pub(super) fn outside_quotes(definition: &str, words: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    for (at, character) in definition.char_indices() {
        match quote {
            None if definition[at..].starts_with(words) => return Some(at),
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{outside_quotes, without};

    #[test]
    fn words_in_quotes_are_somebody_elses() {
        let words = " NULLS NOT DISTINCT";
        assert_eq!(
            without("CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT WHERE b", words).as_deref(),
            Some("CREATE UNIQUE INDEX i ON t (a) WHERE b")
        );
        assert_eq!(outside_quotes("CHECK (a <> 'it''s NULLS NOT DISTINCT')", words), None);
        assert_eq!(outside_quotes("UNIQUE (\"a NULLS NOT DISTINCT\")", words), None);
    }
}
