//! `migrate`: a database becomes another, without anything in between.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use async_trait::async_trait;
use dbhaul_catalog::{Difference, Identity, ServerVersion, Target};
use dbhaul_exporter::{ExportError, ExportPlan, Exporter};
use dbhaul_importer::{
    ChunkStream, EntrySegments, ImportPlan, SegmentRef, SegmentSource, SourceError, StatisticsStream,
    StatisticsWave,
};
use dbhaul_postgres::ErrorClass;
use dbhaul_rows::CutParameters;
use dbhaul_verifier::Report;
use futures::StreamExt;
use serde::Serialize;

use crate::dump::{PlannedTable, write_tables};
use crate::extensions;
use crate::left_out::left_out;
use crate::roles::RoleWork;
use crate::source::{LiveDatabase, build_toc, target_version};
use crate::statistics::{LiveStatistics, settle, unavailable};
use crate::target::{create_database, create_roles, import_error, import_options, run_import};
use crate::verify::verify_copy;
use crate::{Context, ImportSummary, MigrateRequest, PipelineError, RoleReport, Status};

/// Rows travel in pieces of this size: large enough that messages cost nothing,
/// small enough that a handful for each session are no memory.
const CHUNK_BYTES: u64 = 128 << 10;

/// A migration that is ready to run: snapshot taken, catalog read, nothing written.
pub struct Migrate {
    request: MigrateRequest,
    context: Context,
    source: LiveDatabase,
    export: Arc<ExportPlan>,
    import: ImportPlan,
    roles: RoleWork,
    plan: MigratePlan,
}

/// What a migration will do.
#[derive(Debug, Clone, Serialize)]
pub struct MigratePlan {
    /// The source, without secrets.
    pub source: String,
    /// The target, without secrets.
    pub target: String,
    /// The snapshot's time, by the source's clock.
    pub snapshot_time: String,
    /// Every table with its segments and expected bytes.
    pub tables: Vec<PlannedTable>,
    /// Whether digests are compared afterwards.
    pub verify: bool,
    /// What will be done about roles, where that is asked for.
    pub roles: Option<RoleReport>,
    /// Stages, steps and choices of the import, as text.
    pub import: String,
}

/// What a migration did.
#[derive(Debug, Clone, Serialize)]
pub struct MigrateReport {
    /// The source, without secrets.
    pub source: String,
    /// The target, without secrets.
    pub target: String,
    /// What was written.
    #[serde(flatten)]
    pub summary: ImportSummary,
    /// The comparison made afterwards, if it was asked for and everything was written.
    pub verification: Option<Report>,
    /// Seconds it took, with the verification.
    pub elapsed_seconds: f64,
}

impl MigrateReport {
    /// Failed, different, skipped or done.
    pub fn status(&self) -> Status {
        match (&self.verification, self.summary.status()) {
            (_, Status::Failed) => Status::Failed,
            (Some(report), Status::Done) if !report.is_equal() => Status::Different,
            (Some(report), Status::Skipped) if !self.explains(report) => Status::Different,
            (_, status) => status,
        }
    }

    /// Whether what was skipped can be all that differs: rows and sequences must be
    /// equal, and every object that differs must be one of those that were skipped.
    fn explains(&self, report: &Report) -> bool {
        let is_skipped = |difference: &Difference| {
            let (Difference::Missing { identity }
            | Difference::Extra { identity }
            | Difference::Different { identity, .. }) = difference;
            self.summary.skipped.iter().any(|skipped| names(&skipped.object, identity))
        };
        report.rows_are_equal()
            && report.sequences.is_empty()
            && report.schema.differences.iter().all(is_skipped)
    }
}

/// Whether the description of something skipped, `ACL public film` or
/// `INDEX public.film_title`, names this object: its schema and its name, each whole.
fn names(description: &str, identity: &Identity) -> bool {
    let is_edge = |neighbour: Option<char>| neighbour.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let has_whole = |word: &str| {
        !word.is_empty()
            && description.match_indices(word).any(|(at, _)| {
                is_edge(description[..at].chars().next_back())
                    && is_edge(description[at + word.len()..].chars().next())
            })
    };
    has_whole(&identity.name) && identity.schema.as_deref().is_none_or(has_whole)
}

impl Migrate {
    /// Opens the source, takes the snapshot, reads the catalog, asks the target
    /// for its version, and plans.
    ///
    /// # Errors
    /// If the source cannot be read whole or the target cannot be asked.
    pub async fn prepare(request: MigrateRequest, context: Context) -> Result<Self, PipelineError> {
        if request.options.resume {
            return Err(PipelineError::Request {
                problem: "a migration cannot be resumed: its snapshot is gone with the run that held it"
                    .to_owned(),
                help: "start again with --clean --if-exists, or with an empty target; \
                       to be able to resume, dump to a store and restore from it"
                    .to_owned(),
            });
        }
        let mut source = LiveDatabase::open(&request.source, &request.selection, "source", &context).await?;
        source.check_covered()?;
        let roles = RoleWork::of_live(&mut source, &request.options, &request.target, &context).await?;
        let version = target_version(&request.target, source.catalog.server_version, &context).await?;
        let toc = build_toc(&source.catalog, &request.selection, Target { version }, &source.sequences)?;
        let export = Arc::new(source.export_plan(&toc));
        let info = source.holder.info();
        let fingerprint = format!("snapshot {} of {}", info.transactions, request.source.describe());
        let mut options = import_options(&request.options, fingerprint, source.search_path.clone());
        options.tablespaces = source.catalog.tablespaces().into_iter().map(str::to_owned).collect();
        options.notes.extend(extensions::look(&source.catalog, &request.target, &context).await?);
        settle(&mut options, version, unavailable(&source.catalog, &request.selection));
        let import = dbhaul_importer::plan(toc, &entry_segments(&export), options)
            .map_err(|source| import_error(&request.target, source))?;
        let plan = MigratePlan {
            source: request.source.describe(),
            target: request.target.describe(),
            snapshot_time: info.taken_at.clone(),
            tables: PlannedTable::of(&export),
            verify: request.verify,
            roles: roles.foretell(&request.target, &context).await?,
            import: import.to_string(),
        };
        Ok(Migrate { request, context, source, export, import, roles, plan })
    }

    /// What will be done.
    pub fn plan(&self) -> &MigratePlan {
        &self.plan
    }

    /// Copies, and compares afterwards if that was asked for.
    ///
    /// # Errors
    /// If the target cannot take the database, or a server stayed away. Objects
    /// that failed alone are in the report.
    pub async fn execute(self) -> Result<MigrateReport, PipelineError> {
        let started = std::time::Instant::now();
        let catalog = &self.source.catalog;
        let (options, wanted) = (&self.request.options, &self.request.target);
        let roles =
            create_roles(&self.roles, &self.import, wanted, (options, catalog), &self.context).await?;
        let (target, mut unset) =
            create_database(&self.request.target, &self.request.options, catalog, &self.context).await?;
        let exporter = Exporter::new(
            Arc::clone(&self.export),
            self.request.source.clone(),
            Arc::clone(&self.source.holder),
            self.request.options.jobs,
            CutParameters::fixed(CHUNK_BYTES),
            self.context.cancel.clone(),
        );
        let statistics = self.source.statistics(&self.request.selection, &self.context)?;
        let exporter = Arc::new(ExportedSegments { exporter, statistics });
        let outcome = run_import(self.import, &target, Arc::clone(&exporter) as _, &self.context).await?;
        exporter.exporter.close().await;
        drop(exporter);
        unset.extend(left_out(&self.source.catalog));
        let summary = ImportSummary::new(&outcome, unset).with_roles(roles);
        let verification = if self.request.verify && outcome.failed.is_empty() {
            Some(Box::pin(verify_copy(&self.source, &target, &self.request, &outcome, &self.context)).await?)
        } else {
            None
        };
        self.source.release().await;
        Ok(MigrateReport {
            source: self.plan.source,
            target: target.describe(),
            summary,
            verification,
            elapsed_seconds: started.elapsed().as_secs_f64(),
        })
    }
}

fn entry_segments(export: &ExportPlan) -> Vec<EntrySegments> {
    let entry = |table: &dbhaul_exporter::TablePlan| EntrySegments {
        entry: table.entry,
        segment_bytes: table.segments.iter().map(|segment| segment.estimated_bytes).collect(),
    };
    export.tables.iter().map(entry).collect()
}

/// Segments of a live database, for the importer.
struct ExportedSegments {
    exporter: Exporter,
    statistics: LiveStatistics,
}

impl ExportedSegments {
    fn source_error(segment: SegmentRef, table: &str, error: ExportError) -> SourceError {
        let class = match &error {
            ExportError::Copy { source, .. } | ExportError::Session { source, .. } => source.class(),
            ExportError::Cancelled => ErrorClass::Cancelled,
            _ => ErrorClass::Permanent,
        };
        SourceError {
            segment,
            table: table.to_owned(),
            transient: class == ErrorClass::Transient,
            message: "cannot read its rows from the source".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

#[async_trait]
impl SegmentSource for ExportedSegments {
    async fn open(&self, segment: SegmentRef) -> Result<ChunkStream, SourceError> {
        let name = self.exporter.table(segment.entry).map(|table| table.name()).unwrap_or_default();
        let opened = self.exporter.open_segment(segment.entry, segment.segment).await;
        let stream = opened.map_err(|error| Self::source_error(segment, &name, error))?;
        Ok(stream.map(move |chunk| chunk.map_err(|e| Self::source_error(segment, &name, e))).boxed())
    }

    async fn statistics(&self, wave: StatisticsWave) -> StatisticsStream {
        self.statistics.stream(wave)
    }

    fn server_version(&self) -> ServerVersion {
        self.statistics.server_version()
    }
}

impl Display for MigratePlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "migrate {}", self.source)?;
        writeln!(f, "  into {}", self.target)?;
        writeln!(f, "  as of {}", self.snapshot_time)?;
        write_tables(f, &self.tables)?;
        if let Some(roles) = &self.roles {
            write!(f, "  roles:")?;
            roles.write_plan(f)?;
            writeln!(f)?;
        }
        write!(f, "{}", self.import)?;
        if self.verify { write!(f, "\nafterwards: digests of every table compared") } else { Ok(()) }
    }
}

impl Display for MigrateReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = match self.status() {
            Status::Failed | Status::Different => "migration INCOMPLETE",
            _ => "migrated",
        };
        writeln!(f, "{word}: {} into {}, in {:.1} s", self.source, self.target, self.elapsed_seconds)?;
        write!(f, "{}", self.summary)?;
        if let Some(schema) = &self.summary.ledger_schema {
            write!(f, "\n  the ledger stays in schema {schema}; --clean --if-exists starts over")?;
        }
        match &self.verification {
            Some(report) => write!(f, "\n\n{report}"),
            None => write!(f, "\n  not verified"),
        }
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::Identity;

    use super::names;

    #[test]
    fn an_object_is_named_whole_or_not_at_all() {
        let check = |description: &str, schema: Option<&str>, name: &str, expected: bool| {
            let identity = Identity {
                kind: "TABLE".into(),
                schema: schema.map(str::to_owned),
                name: name.into(),
                discriminator: None,
            };
            assert_eq!(names(description, &identity), expected, "{name} in {description}");
        };
        check("ACL public film", Some("public"), "film", true);
        check("INDEX public.film_title", Some("public"), "film_title", true);
        check("INDEX public.film_title", Some("public"), "film", false);
        check("ACL public film", Some("public"), "a", false);
        check("ACL other film", Some("public"), "film", false);
        check("FUNCTION public f(integer)", Some("public"), "f", true);
        check("SCHEMA - audit", None, "audit", true);
    }
}
