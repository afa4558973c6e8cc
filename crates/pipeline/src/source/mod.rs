//! A live database opened under one snapshot, with its catalog read.

pub(crate) mod lock_wait;
pub(crate) mod readable;
pub(crate) mod state;
pub(crate) mod throttle;
pub(crate) mod unplanned;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, DataEntry, EntryKind, Object, QualifiedName, RangeKey, Selection, TableData, Target, Toc,
    TocEntry, TocOptions, TornFamily,
};
use dbhaul_exporter::{DEFAULT_SEGMENT_BYTES, ExportPlan, PAGE_BYTES, TablePlan};
use dbhaul_introspect::{
    SequenceValue, StatisticsPlan, plan_code, range_keys, read_catalog, sequence_values,
};
use dbhaul_postgres::{ConnectSettings, Flight, Probe, Session, SessionRole, SnapshotHolder};
use dbhaul_rows::{DigestColumn, DigestSpec, TextForm};
use serde::Deserialize;

use crate::command::dump::store_trial::row_bytes;
use crate::hold::is_gone;
use crate::source::lock_wait::Waiting;
use crate::source::readable::Unreadable;
use crate::source::unplanned::unplanned;
use crate::statistics::LiveStatistics;
use crate::{Context, PipelineError};

/// Snapshots taken before giving up on a database whose tables are rewritten all the time.
pub(crate) const SNAPSHOT_ATTEMPTS: u32 = 5;

/// Ranges of a key that a table is cut into at most: to read one is to scan the whole table.
const MAX_KEY_RANGES: u64 = 8;

/// A database as of one instant.
pub(crate) struct LiveDatabase {
    pub(crate) settings: ConnectSettings,
    pub(crate) holder: Arc<SnapshotHolder>,
    /// What was selected of it.
    pub(crate) catalog: Catalog,
    /// Where its sequences stand: values of the moment, for sequences have no snapshot.
    pub(crate) sequences: Vec<SequenceValue>,
    /// What the role may not read.
    pub(crate) unreadable: Unreadable,
    /// `search_path` as the database's own settings have it, for what is created on a target and needs it.
    pub(crate) search_path: Option<String>,
    /// By what large tables are cut that cannot be cut by pages, by `pg_class` OID.
    pub(crate) range_keys: BTreeMap<u32, RangeKey>,
    /// Tables of which no query may be planned, by `pg_class` OID.
    unplanned: BTreeSet<u32>,
    /// `version()`.
    pub(crate) version_text: String,
}

impl LiveDatabase {
    /// Connects, takes a snapshot, reads the catalogs under it and locks the tables
    /// against what no snapshot withstands; `role` is "source" or "target" in messages.
    pub(crate) async fn open(
        settings: &ConnectSettings,
        selection: &Selection,
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let mut attempt = 1;
        loop {
            let live = Box::pin(Self::read(settings, selection, role, context)).await?;
            let changed = live.hold_tables(role, context).await?;
            if changed.is_empty() {
                return Ok(live);
            }
            live.release().await;
            if attempt == SNAPSHOT_ATTEMPTS {
                return Err(PipelineError::Unsteady { server: settings.describe(), tables: changed });
            }
            let tables = changed.join(", ");
            context.progress.warning(format!(
                "{tables} changed while the {role} was being opened; taking another snapshot"
            ));
            attempt += 1;
        }
    }

    /// As [`Self::open`], with no table locked: for definitions and positions alone.
    pub(crate) async fn read(
        settings: &ConnectSettings,
        selection: &Selection,
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let connecting = |source| PipelineError::server(format!("cannot connect to the {role}"), source);
        let holder = SnapshotHolder::open(settings, &context.cancel);
        let session = Session::connect(settings, SessionRole::Reader, &context.cancel);
        let (holder, session) = futures::try_join!(holder, session).map_err(connecting)?;
        Box::pin(Self::over(session, holder, settings, selection, role, context)).await
    }

    /// Reads the catalogs under a snapshot; its tables are not locked yet.
    pub(crate) async fn under(
        holder: SnapshotHolder,
        settings: &ConnectSettings,
        selection: &Selection,
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let connecting = |source| PipelineError::server(format!("cannot connect to the {role}"), source);
        let session =
            Session::connect(settings, SessionRole::Reader, &context.cancel).await.map_err(connecting)?;
        Box::pin(Self::over(session, holder, settings, selection, role, context)).await
    }

    /// As [`Self::under`], over a session that does nothing else.
    async fn over(
        session: Session,
        holder: SnapshotHolder,
        settings: &ConnectSettings,
        selection: &Selection,
        role: &str,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let reading = |source| PipelineError::server(format!("cannot read the {role}"), source);
        holder.import_into(&session).await.map_err(reading)?;
        if let Some(limit) = context.lock_wait {
            let limit = format!("SET LOCAL lock_timeout = '{}ms'", limit.as_millis());
            session.batch(&limit).await.map_err(reading)?;
        }
        let introspect = |source| PipelineError::Introspect { server: settings.describe(), source };
        // Sizes and definitions of a table wait for whoever has locked it.
        let waiting = Waiting::Process(session.backend_pid());
        let whole = lock_wait::with_news(read_catalog(&session), waiting, settings, context).await;
        let whole = match whole.map_err(introspect) {
            Ok(whole) => whole,
            Err(error) => return Err(lock_wait::named(error, settings, context).await),
        };
        let unreadable = Unreadable::find(Probe::new(&session)).await.map_err(reading)?;
        // Sequences are under no snapshot, and a transaction would keep a lock on each.
        session.commit().await.map_err(reading)?;
        let catalog = selection.narrow(whole)?;
        let mut names = sequences_of(&catalog);
        names.retain(|name| !unreadable.has(name));
        let flight = Flight::new(&session);
        let large = large_streams(&catalog);
        let asked = async {
            futures::try_join!(
                async { flight.query_json::<ServerText>(SERVER_TEXT_SQL).await.map_err(reading) },
                async { sequence_values(&flight, &names).await.map_err(introspect) },
                async { range_keys(&flight, &catalog, &large).await.map_err(introspect) },
                async { plan_code(&flight).await.map_err(introspect) },
            )
        };
        let (mut server_text, sequences, range_keys, code) = Box::pin(flight.run(asked)).await?;
        let ServerText { search_path, version_text } = server_text.pop().unwrap_or_default();
        let unplanned = unplanned(&session, &catalog, code).await.map_err(reading)?;
        session.close().await.map_err(reading)?;
        Ok(LiveDatabase {
            settings: settings.clone(),
            holder: Arc::new(holder),
            catalog,
            sequences,
            unreadable,
            search_path,
            range_keys,
            unplanned,
            version_text,
        })
    }

    /// Locks all tables that hold rows; returns those that are not what the snapshot
    /// has seen any more.
    pub(crate) async fn hold_tables(
        &self,
        role: &str,
        context: &Context,
    ) -> Result<Vec<String>, PipelineError> {
        if let Some(limit) = context.lock_wait {
            let limiting = |source| PipelineError::server("cannot limit the wait for locks", source);
            self.holder.limit_lock_waits(limit).await.map_err(limiting)?;
        }
        let tables = self.tables_with_rows();
        let locking = self.holder.hold_tables(&tables);
        let waiting = Waiting::Process(self.holder.backend_pid());
        match lock_wait::with_news(locking, waiting, &self.settings, context).await {
            Ok(changed) => Ok(changed),
            // between the look at it and its lock
            Err(error) if is_gone(&error) => Ok(vec![error.to_string()]),
            Err(source) => {
                let error = PipelineError::server(format!("cannot lock the tables of the {role}"), source);
                Err(lock_wait::named(error, &self.settings, context).await)
            }
        }
    }

    /// The tables that hold rows, those that take longest to read first: if not all can be
    /// locked, it is those that should be.
    pub(crate) fn tables_with_rows(&self) -> Vec<QualifiedName> {
        let objects = self.catalog.objects.iter();
        let mut tables: Vec<_> = objects
            .filter(|object| matches!(&object.body, Body::Table(table) if table.holds_rows()))
            .map(|object| {
                let size = self.catalog.relation_sizes.get(&object.id.oid).copied().unwrap_or_default();
                (size.heap_pages * PAGE_BYTES + size.toast_bytes, object)
            })
            .collect();
        tables.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        tables
            .into_iter()
            .map(|(_, object)| QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name))
            .collect()
    }

    /// Fails, naming them, if the database holds objects that the model does not cover.
    pub(crate) fn check_covered(&self) -> Result<(), PipelineError> {
        if self.catalog.uncovered.is_empty() {
            return Ok(());
        }
        Err(PipelineError::Uncovered {
            database: self.settings.describe(),
            objects: self.catalog.uncovered.iter().map(|object| object.description.clone()).collect(),
        })
    }

    /// What will be read for the entries of a TOC of this catalog.
    pub(crate) fn export_plan(&self, toc: &Toc) -> ExportPlan {
        let tables = toc.entries.iter().filter_map(|entry| match entry.data.as_ref()? {
            DataEntry::Table(table) => Some(self.table_plan(entry, table)),
            DataEntry::LargeObjects => {
                Some(TablePlan::large_objects(entry.id, &large_object_oids(&self.catalog)))
            }
        });
        ExportPlan { tables: tables.collect() }
    }

    /// What the selected rows are expected to take on the server.
    pub(crate) fn row_bytes(&self, selection: &Selection) -> Result<u64, PipelineError> {
        let target = Target { version: self.catalog.server_version };
        let toc = toc_of(&self.catalog, &selection.toc_options(&self.catalog)?, target)?;
        Ok(row_bytes(&self.export_plan(&toc)))
    }

    fn table_plan(&self, entry: &TocEntry, table: &TableData) -> TablePlan {
        let size = entry.object.and_then(|id| self.catalog.relation_sizes.get(&id.oid)).copied();
        let plan = TablePlan::table(
            entry.id,
            table.clone(),
            digest_spec(table, &self.catalog.database.encoding),
            size.unwrap_or_default(),
            self.catalog.server_version,
            DEFAULT_SEGMENT_BYTES,
        );
        if entry.object.is_some_and(|id| self.unplanned.contains(&id.oid)) {
            return plan.unplanned();
        }
        match entry.object.and_then(|id| self.range_keys.get(&id.oid)) {
            Some(key) => {
                let segment_bytes = DEFAULT_SEGMENT_BYTES.max(plan.estimated_bytes() / MAX_KEY_RANGES);
                plan.cut_by_key(key, segment_bytes)
            }
            None => plan,
        }
    }

    /// Planner statistics of what was selected.
    pub(crate) fn statistics(
        &self,
        selection: &Selection,
        context: &Context,
    ) -> Result<LiveStatistics, PipelineError> {
        let without_data = selection.toc_options(&self.catalog)?.without_data;
        let plan = StatisticsPlan::new(&self.catalog, &without_data);
        Ok(LiveStatistics::new(&self.settings, &self.holder, plan, context))
    }

    /// Tables of which no query may be planned, by `pg_class` OID.
    pub(crate) fn unplanned(&self) -> &BTreeSet<u32> {
        &self.unplanned
    }

    /// Lets the snapshot go. Whether that worked no longer matters: all that was
    /// to be read under it has been read.
    pub(crate) async fn release(self) {
        if let Ok(holder) = Arc::try_unwrap(self.holder) {
            let _ = holder.release().await;
        }
    }
}

/// Tables of more than one segment that cannot be cut by pages: a range of TIDs is a scan of the
/// whole table before 14, and other access methods have no TIDs to rely on.
fn large_streams(catalog: &Catalog) -> Vec<u32> {
    let has_tid_ranges = catalog.server_version.major() >= 14;
    let is_stream = |object: &&dbhaul_catalog::Object| match &object.body {
        Body::Table(table) => table.holds_rows() && !(has_tid_ranges && table.has_tids()),
        _ => false,
    };
    let is_large = |oid: &u32| {
        let size = catalog.relation_sizes.get(oid);
        size.is_some_and(|size| size.heap_pages * PAGE_BYTES + size.toast_bytes > DEFAULT_SEGMENT_BYTES)
    };
    catalog.objects.iter().filter(is_stream).map(|object| object.id.oid).filter(is_large).collect()
}

/// Texts that a server has of its own.
#[derive(Default, Deserialize)]
struct ServerText {
    /// The database's own `search_path`, else the server's default.
    search_path: Option<String>,
    version_text: String,
}

const SERVER_TEXT_SQL: &str = "SELECT pg_catalog.version() AS version_text, \
     (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path') AS search_path";

/// How a table's rows are hashed, wherever they are.
pub(crate) fn digest_spec(table: &TableData, encoding: &str) -> DigestSpec {
    let columns = table.columns.iter().map(|column| DigestColumn::new(&column.name, &column.base_type_name));
    DigestSpec::new(columns.collect(), TextForm::for_server_encoding(encoding))
}

/// The TOC of a catalog for a target, with the positions of its sequences.
pub(crate) fn build_toc(
    catalog: &Catalog,
    selection: &Selection,
    target: Target,
    sequences: &[SequenceValue],
) -> Result<Toc, PipelineError> {
    build_toc_of(catalog, &selection.toc_options(catalog)?, target, sequences)
}

/// Fails where rows would go through a partitioned table to partitions that are left behind: a hash that
/// this database has for itself says where they belong, so that any of them may.
pub(crate) fn check_families(catalog: &Catalog, selection: &Selection) -> Result<(), PipelineError> {
    let loses = |family: &&TornFamily| family.has_root && !family.left_out.is_empty();
    let Some(family) = catalog.torn_families.iter().find(loses) else { return Ok(()) };
    if !(selection.pre_data && selection.data) {
        return Ok(());
    }
    let left_out: Vec<String> = family.left_out.iter().map(QualifiedName::sql).collect();
    let (root, left_out) = (family.root.sql(), left_out.join(", "));
    Err(PipelineError::Request {
        problem: format!(
            "{left_out} is left out, but rows of other partitions of {root} may belong there on the target: it \
             is partitioned by a hash that differs from database to database"
        ),
        help: format!(
            "leave out its rows alone with --exclude-table-data, or all of {root} with \
             --exclude-table-and-children"
        ),
    })
}

/// As [`build_toc`], with options of the caller's.
pub(crate) fn build_toc_of(
    catalog: &Catalog,
    options: &TocOptions,
    target: Target,
    sequences: &[SequenceValue],
) -> Result<Toc, PipelineError> {
    let mut toc = toc_of(catalog, options, target)?;
    let values: HashMap<&QualifiedName, &SequenceValue> =
        sequences.iter().map(|value| (&value.sequence, value)).collect();
    for entry in toc.entries.iter_mut().filter(|entry| entry.kind == EntryKind::SequenceSet) {
        let name = QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name);
        match values.get(&name) {
            Some(value) => entry.create = vec![set_sequence_sql(value)],
            None => {
                let reason = "its position was not read".to_owned();
                return Err(PipelineError::damaged(format!("sequence {name}"), reason));
            }
        }
    }
    Ok(toc)
}

/// Tables that a target will refuse, since no statements make what their columns name before them, in words.
pub(crate) fn tables_in_vain(catalog: &Catalog, target: Target) -> Result<Vec<String>, PipelineError> {
    let tables = Toc::tables_in_vain(catalog, &target)
        .map_err(|source| PipelineError::Toc { database: catalog.database.name.clone(), source })?;
    let words = |(table, needed): (dbhaul_catalog::Identity, dbhaul_catalog::Identity)| {
        format!(
            "{table} cannot be restored: the expression of a generated column names {needed}, which only statements \
             behind the table's make"
        )
    };
    Ok(tables.into_iter().map(words).collect())
}

/// A TOC whose entries for positions of sequences are still to be filled.
pub(crate) fn toc_of(catalog: &Catalog, options: &TocOptions, target: Target) -> Result<Toc, PipelineError> {
    Toc::build(catalog, &target, options)
        .map_err(|source| PipelineError::Toc { database: catalog.database.name.clone(), source })
}

fn set_sequence_sql(value: &SequenceValue) -> String {
    let name = dbhaul_catalog::quote_literal(&value.sequence.sql());
    format!("SELECT pg_catalog.setval({name}, {}, {})", value.last_value, value.is_called)
}

/// The sequences of a catalog whose position is carried.
pub(crate) fn sequences_of(catalog: &Catalog) -> Vec<QualifiedName> {
    let name = |object: &Object| QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
    catalog.carried_sequences().map(name).collect()
}

/// OIDs of the large objects, ascending.
pub(crate) fn large_object_oids(catalog: &Catalog) -> Vec<u32> {
    let objects = catalog.objects.iter().filter(|object| matches!(object.body, Body::LargeObject(_)));
    let mut oids: Vec<u32> = objects.map(|object| object.id.oid).collect();
    oids.sort_unstable();
    oids
}
