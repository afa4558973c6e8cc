//! What on the target gets in the way of a run without refusing anything: told before it begins.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{DataEntry, EntryKind, Section, in_one_line, quote_identifier, quote_literal};
use dbhaul_postgres::{Error, Flight};
use futures::try_join;
use serde::Deserialize;

use super::Blocker;
use super::predict::wanted;
use super::queries::Facts;
use crate::ImportPlan;
use crate::plan::touched_tables::describe;

/// Of a list so many are named.
const SHOWN: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Advance {
    pub(super) blockers: Vec<Blocker>,
    pub(super) warnings: Vec<String>,
}

pub(super) async fn check(plan: &ImportPlan, flight: &Flight<'_>, facts: &Facts) -> Result<Advance, Error> {
    let (triggers, defaults, locks) =
        try_join!(triggers(plan, flight), default_privileges(plan, flight), locks(plan, flight))?;
    let mut advance = Advance::default();
    if facts.is_read_only && !plan.options.allow_read_only {
        advance.blockers.push(Blocker::ReadOnly);
    }
    if plan.options.disable_triggers && !facts.may_disable_triggers {
        advance.blockers.push(Blocker::MayNotDisableTriggers { role: facts.role.clone() });
    }
    advance.triggers(plan, triggers);
    advance.default_privileges(defaults, facts);
    advance.locks(locks);
    advance.forced_security(plan, facts);
    Ok(advance)
}

#[derive(Debug, Deserialize)]
struct TriggersRow {
    relation: String,
    triggers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct DefaultsRow {
    schema: Option<String>,
    kind: String,
}

#[derive(Debug, Deserialize)]
struct LockRow {
    relation: String,
    /// The process that holds it; none where a prepared transaction does.
    pid: Option<i32>,
    /// The name of that transaction.
    prepared: Option<String>,
    role: String,
    mode: String,
}

/// Triggers of tables that are there already, which fire for rows that are loaded.
async fn triggers(plan: &ImportPlan, flight: &Flight<'_>) -> Result<Vec<TriggersRow>, Error> {
    let loads_existing = |entry: &&dbhaul_catalog::TocEntry| match &entry.data {
        Some(DataEntry::Table(table)) => !table.created_by_toc || !plan.options.sections.pre_data,
        _ => false,
    };
    let names = wanted(plan).filter(loads_existing).filter_map(|entry| match &entry.data {
        Some(DataEntry::Table(table)) => Some(quote_literal(&table.destination().sql())),
        _ => None,
    });
    let names: BTreeSet<String> = names.collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // in the mode of a replica only these fire
    let states = if plan.options.disable_triggers { "'A', 'R'" } else { "'O', 'A'" };
    let sql = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation, \
           pg_catalog.array_agg(pg_catalog.quote_ident(t.tgname) ORDER BY t.tgname) AS triggers \
         FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS w(name) \
         JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal \
           AND t.tgenabled IN ({states}) AND t.tgtype & 4 <> 0 \
         GROUP BY 1 ORDER BY 1",
        names.into_iter().collect::<Vec<_>>().join(", ")
    );
    flight.query_json(&sql).await
}

/// Default privileges of the role that makes the objects, where they are to have those of the source.
async fn default_privileges(plan: &ImportPlan, flight: &Flight<'_>) -> Result<Vec<DefaultsRow>, Error> {
    if !plan.options.privileges || plan.options.clean || plan.options.resume {
        return Ok(Vec::new());
    }
    let made = || wanted(plan).filter(|entry| entry.section == Section::PreData);
    let schemas: BTreeSet<&str> = made().filter_map(|entry| entry.schema.as_deref()).collect();
    if made().next().is_none() {
        return Ok(Vec::new());
    }
    let sql = "SELECT n.nspname AS schema, CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' \
                 WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' \
                 WHEN 'L' THEN 'large objects' ELSE d.defaclobjtype::pg_catalog.text END AS kind \
               FROM pg_catalog.pg_default_acl d \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
               WHERE pg_catalog.pg_get_userbyid(d.defaclrole) = CURRENT_USER ORDER BY 1 NULLS FIRST, 2";
    let rows: Vec<DefaultsRow> = flight.query_json(sql).await?;
    let is_met = |row: &DefaultsRow| row.schema.as_deref().is_none_or(|schema| schemas.contains(schema));
    Ok(rows.into_iter().filter(is_met).collect())
}

/// Locks on what `--clean` drops.
async fn locks(plan: &ImportPlan, flight: &Flight<'_>) -> Result<Vec<LockRow>, Error> {
    if !plan.options.clean {
        return Ok(Vec::new());
    }
    let dropped = plan.drops.iter().filter_map(|id| plan.entry(*id).ok());
    let relations = dropped.filter(|entry| {
        matches!(
            entry.kind,
            EntryKind::Table
                | EntryKind::ForeignTable
                | EntryKind::View
                | EntryKind::MaterializedView
                | EntryKind::Sequence
        )
    });
    let names: Vec<String> = relations
        .filter_map(|entry| {
            let name = dbhaul_catalog::QualifiedName::new(entry.schema.as_deref()?, &entry.name);
            Some(quote_literal(&name.sql()))
        })
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation, l.pid, l.mode, \
           coalesce(a.usename, p.owner, '')::pg_catalog.text AS role, p.gid AS prepared \
         FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS w(name) \
         JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_locks l ON l.relation = c.oid AND l.granted \
           AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() \
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         LEFT JOIN LATERAL ( \
           SELECT p.gid, p.owner FROM pg_catalog.pg_locks x \
           JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid \
           WHERE x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction LIMIT 1) p ON l.pid IS NULL \
         WHERE a.backend_type IS DISTINCT FROM 'autovacuum worker' ORDER BY 1, 2, 3",
        names.join(", ")
    );
    flight.query_json(&sql).await
}

impl Advance {
    /// Triggers that fire for rows that are loaded, or fire always.
    fn triggers(&mut self, plan: &ImportPlan, rows: Vec<TriggersRow>) {
        for TriggersRow { relation, triggers } in rows {
            let triggers = in_one_line(&triggers.join(", "));
            let relation = in_one_line(&relation);
            match plan.options.disable_triggers {
                true => self.blockers.push(Blocker::FiresAlways { relation, triggers }),
                false => self.warnings.push(format!(
                    "table {relation} has triggers that fire for each row loaded, and may change rows or write \
                     elsewhere: {triggers}; --disable-triggers keeps them and foreign keys out of it"
                )),
            }
        }
    }

    /// Default privileges give objects more or less than they had on the source.
    fn default_privileges(&mut self, rows: Vec<DefaultsRow>, facts: &Facts) {
        let places: Vec<String> = rows
            .into_iter()
            .map(|DefaultsRow { schema, kind }| match schema {
                Some(schema) => format!("{kind} in schema {}", in_one_line(&quote_identifier(&schema))),
                None => kind,
            })
            .collect();
        if places.is_empty() {
            return;
        }
        let more = if places.len() > SHOWN { ", ..." } else { "" };
        self.warnings.push(format!(
            "role {} has default privileges on the target, which the objects that it creates get besides those of the \
             source: {}{more}; the run ends with 4 where they differ; ALTER DEFAULT PRIVILEGES ... REVOKE them first, \
             or give --no-privileges",
            in_one_line(&quote_identifier(&facts.role)),
            places[..places.len().min(SHOWN)].join(", ")
        ));
    }

    /// `--clean` waits for whoever holds a lock on what it drops. A prepared transaction ends only when somebody ends it.
    fn locks(&mut self, rows: Vec<LockRow>) {
        let (prepared, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.prepared.is_some());
        let mut locked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for LockRow { relation, prepared, .. } in prepared {
            locked.entry(prepared.unwrap_or_default()).or_default().insert(relation);
        }
        self.blockers.extend(locked.into_iter().map(|(name, relations)| {
            let relations = relations.into_iter().map(|relation| in_one_line(&relation)).collect();
            Blocker::LockedByPrepared { name, relations }
        }));
        let more = rows.len().saturating_sub(SHOWN);
        for LockRow { relation, pid, role, mode, .. } in rows.into_iter().take(SHOWN) {
            let holder = match pid {
                Some(pid) => format!("process {pid} of role {role:?}"),
                None => "a transaction".to_owned(),
            };
            self.warnings.push(format!(
                "--clean drops {}, which {holder} holds a lock on ({mode}): the drop waits until that transaction ends",
                in_one_line(&relation)
            ));
        }
        if more > 0 {
            self.warnings
                .push(format!("{more} more locks are held by other sessions on objects that --clean drops"));
        }
    }

    /// A table with forced row security does not show all its rows to its owner either, so that a comparison
    /// cannot count them.
    fn forced_security(&mut self, plan: &ImportPlan, facts: &Facts) {
        if facts.bypasses_security {
            return;
        }
        let forces = |statement: &String| {
            statement.starts_with("ALTER TABLE ") && statement.ends_with(" FORCE ROW LEVEL SECURITY")
        };
        let forced =
            wanted(plan).filter(|entry| entry.kind == EntryKind::Table && entry.create.iter().any(forces));
        let names: Vec<String> = forced.map(|entry| in_one_line(&describe(entry))).collect();
        if names.is_empty() {
            return;
        }
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        self.warnings.push(format!(
            "role {:?} is subject to FORCE ROW LEVEL SECURITY, so that the rows of these cannot be verified and \
             the run ends with 4 unless rows are not compared: {}{more}; ALTER ROLE {} BYPASSRLS",
            facts.role,
            names[..names.len().min(SHOWN)].join(", "),
            quote_identifier(&facts.role)
        ));
    }
}
