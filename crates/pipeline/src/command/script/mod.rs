//! `dump --format sql` and `backup export`: a database becomes one SQL script.
//!
//! The script holds what `psql` needs to make the database again, in the order of
//! the TOC: settings, drops, definitions, rows in `COPY` blocks as they stream, and
//! the rest. It ends with the line that `pg_dump` ends with, and only if all of it
//! was written. A run that fails writes a statement that fails, and none that says
//! it is complete.

mod output;
mod refusable;
mod rows;

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{
    Adaptation, Catalog, NEWEST_MAJOR, Section, StatementProblem, Target, Toc, TocEntry, changes_up_to,
    check_single, connect_command, copy_header, database_create, end_of_restore, forbidden_statement,
    in_one_line, quote_identifier, render_drops, render_entry, render_preamble, render_statement, title,
};
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::{Phase, counted};
use serde::Serialize;

use crate::command::backups::StoredBackup;
use crate::output_file::FileCompression;
use crate::output_place::OutputPlace;
use crate::report::import::write_named;
use crate::report::left_out::left_out;
use crate::report::rows_left_out::{left_out_as_asked, write_left_out};
use crate::sides::check_side;
use crate::source::throttle::{Throttle, ThrottleOptions};
use crate::source::{LiveDatabase, build_toc_of, check_families, tables_in_vain};
use crate::target::extensions;
use crate::target::{tell_losses, write_losses};
use crate::{
    BackupRef, Context, NamedReason, PipelineError, Selection, Status, StoreUrl, WriteOptions, format_bytes,
};
use output::Sink;
use refusable::refusable;
use rows::Rows;

/// Asks for a script.
#[derive(Debug, Clone)]
pub struct ScriptRequest {
    /// What is written down.
    pub source: ScriptSource,
    /// Which objects.
    pub selection: Selection,
    /// How.
    pub options: ScriptOptions,
}

/// Where a script's contents come from.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a command has one or two of them")]
pub enum ScriptSource {
    /// A live database.
    Live(ConnectSettings),
    /// A backup.
    Backup {
        /// The store.
        store: StoreUrl,
        /// Which backup.
        backup: BackupRef,
        /// Only backups of this database count for [`BackupRef::Latest`].
        database: Option<String>,
    },
}

/// What a script does beside making the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptOptions {
    /// Drop what will be created first.
    pub clean: bool,
    /// Use `IF EXISTS` with `clean`.
    pub if_exists: bool,
    /// Create the database, named as the source's, and go on in it.
    pub create: bool,
    /// The newest major that it is for [default: the newest that is known].
    pub target_version: Option<u32>,
    /// How much of a live source it may take.
    pub throttle: ThrottleOptions,
    /// How the whole script is compressed, if it is.
    pub compression: Option<FileCompression>,
}

/// A script that is ready to be written: snapshot taken or backup checked, nothing written.
pub struct Script {
    request: ScriptRequest,
    context: Context,
    /// Keeps the snapshot.
    live: Option<LiveDatabase>,
    catalog: Catalog,
    toc: Toc,
    rows: Rows,
    plan: ScriptPlan,
}

/// What will be written.
#[derive(Debug, Clone, Serialize)]
pub struct ScriptPlan {
    /// The source, without secrets.
    pub source: String,
    /// The server's version.
    pub server_version: String,
    /// The snapshot's time.
    pub snapshot_time: String,
    /// TOC entries that hold definitions.
    pub definition_count: usize,
    /// Tables whose rows are written.
    pub table_count: usize,
    /// The majors that the script is for, in words.
    pub target_versions: String,
    /// Objects that cannot be carried.
    pub left_out: Vec<NamedReason>,
    /// What is not written as it is, so that the script fits those majors.
    pub losses: Vec<NamedReason>,
    /// What the server that runs the script may refuse, for what is not in it.
    pub refusable: Vec<NamedReason>,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
    /// What is not as one would expect, though nothing is lost.
    pub notes: Vec<String>,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct ScriptReport {
    /// The source, without secrets.
    pub source: String,
    /// Where the script is.
    pub place: String,
    /// Tables whose rows it holds.
    pub table_count: usize,
    /// Rows, those of large objects apart.
    pub row_count: u64,
    /// Bytes of the script.
    pub script_bytes: u64,
    /// Objects that are not in it, or not as they are, each with the reason.
    pub skipped: Vec<NamedReason>,
    /// Seconds it took.
    pub elapsed_seconds: f64,
}

impl ScriptReport {
    /// Done, or skipped if something could not be carried; a script that fails is an error.
    pub fn status(&self) -> Status {
        if self.skipped.is_empty() { Status::Done } else { Status::Skipped }
    }
}

impl Script {
    /// Opens the source, takes the snapshot or checks the backup, and plans.
    ///
    /// # Errors
    /// If the source cannot be read whole, or its name cannot stand in a script.
    pub async fn prepare(request: ScriptRequest, context: Context) -> Result<Self, PipelineError> {
        let script = match &request.source {
            ScriptSource::Live(settings) => {
                Box::pin(check_side(("source", settings), &context)).await?;
                let live = LiveDatabase::open(settings, &request.selection, "source", &context).await?;
                live.check_covered()?;
                live.check_readable(&request.selection)?;
                let throttle = Throttle::start(request.options.throttle, settings, &context).await?;
                Self::of_live(live, settings.clone(), throttle, request, context)?
            }
            ScriptSource::Backup { store, backup, database } => {
                let stored =
                    StoredBackup::open(store, backup, database.as_deref(), &request.selection, &context)
                        .await?;
                if request.selection.data {
                    stored.repository.require_rows()?;
                }
                Self::of_backup(stored, request, context)?
            }
        };
        script.connect_command()?;
        script.check_statements()?;
        extensions::check(&script.catalog, &script.request.selection)?;
        let ScriptOptions { clean, create, .. } = script.request.options;
        // with --create it drops the database
        let ways = WriteOptions { clean: clean && !create, ..WriteOptions::default() };
        extensions::none_of(extensions::refused_ways(&script.catalog, &ways))?;
        Ok(script)
    }

    fn of_live(
        live: LiveDatabase,
        settings: ConnectSettings,
        throttle: Throttle,
        request: ScriptRequest,
        context: Context,
    ) -> Result<Self, PipelineError> {
        check_families(&live.catalog, &request.selection)?;
        let mut options = request.selection.toc_options(&live.catalog)?;
        options.up_to_major = Some(newest_major(&request.options, &live.catalog)?);
        let target = Target { version: live.catalog.server_version };
        let toc = build_toc_of(&live.catalog, &options, target, &live.sequences)?;
        let rows = Rows::of_live(&live, settings, &toc, throttle, &context);
        let (source, time) = (live.settings.describe(), live.holder.info().taken_at.clone());
        let plan = plan(source, live.version_text.clone(), time, (&live.catalog, &toc), &request)?;
        let catalog = live.catalog.clone();
        Ok(Script { request, context, live: Some(live), catalog, toc, rows, plan })
    }

    fn of_backup(
        stored: StoredBackup,
        request: ScriptRequest,
        context: Context,
    ) -> Result<Self, PipelineError> {
        let toc = stored.toc(&request.selection, newest_major(&request.options, &stored.catalog)?)?;
        let source = format!("backup {} in {}", stored.manifest.id, stored.repository.describe());
        let (version, time) =
            (stored.manifest.source.server_version.clone(), stored.manifest.snapshot_time.to_string());
        let plan = plan(source, version, time, (&stored.catalog, &toc), &request)?;
        let rows = Rows::of_backup(&stored, &toc)?;
        Ok(Script { request, context, live: None, catalog: stored.catalog, toc, rows, plan })
    }

    /// A script is text, in which a definition could end its statement and begin another, or a command of
    /// psql's. So what comes from a store or a server is read first as psql reads it.
    fn check_statements(&self) -> Result<(), PipelineError> {
        let refused = |object: &str, problem: &StatementProblem| PipelineError::Request {
            problem: format!("{} cannot be written as SQL: {problem}", in_one_line(object)),
            help: "find out who wrote this definition; --exclude-table, --exclude-schema and the like leave \
                   it out"
                .to_owned(),
        };
        if let Some((entry, problem)) = forbidden_statement(&self.toc) {
            return Err(refused(&format!("{} {}", entry.kind, entry.name), &problem));
        }
        let database = &self.catalog.database;
        let statements = database_create(database, &Target { version: self.catalog.server_version });
        statements.iter().try_for_each(|statement| {
            check_single(statement)
                .map_err(|problem| refused(&format!("DATABASE {}", database.name), &problem))
        })
    }

    /// What will be written.
    pub fn plan(&self) -> &ScriptPlan {
        &self.plan
    }

    /// Writes the script. A file has its name only once it is complete.
    ///
    /// # Errors
    /// Whatever stopped it. What was written then ends in a statement that fails.
    pub async fn execute(self, output: OutputPlace) -> Result<ScriptReport, PipelineError> {
        let started = std::time::Instant::now();
        tell_losses(&self.plan.losses, &self.context);
        for NamedReason { object, reason } in &self.plan.refusable {
            self.context.progress.warning(format!("may fail: {}: {reason}", in_one_line(object)));
        }
        self.plan.notes.iter().for_each(|note| self.context.progress.notice(note));
        let mut sink = Sink::open(output, self.request.options.compression).await?;
        let cancel = self.context.cancel.clone();
        let written = cancel.run_until_cancelled(Box::pin(self.write(&mut sink))).await;
        let row_count = match written.unwrap_or(Err(PipelineError::Cancelled)) {
            Ok(row_count) => row_count,
            Err(error) => {
                error.stop(&self.context.progress);
                sink.abandon().await;
                return Err(error);
            }
        };
        let (place, script_bytes) = sink.commit().await?;
        self.rows.close().await;
        drop(self.rows);
        if let Some(live) = self.live {
            live.release().await;
        }
        Ok(ScriptReport {
            source: self.plan.source,
            place,
            table_count: self.plan.table_count,
            row_count,
            script_bytes,
            skipped: [self.plan.left_out, self.plan.losses].concat(),
            elapsed_seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Writes everything, the last line included; returns how many rows.
    async fn write(&self, sink: &mut Sink) -> Result<u64, PipelineError> {
        sink.text(&self.header()).await?;
        let ScriptOptions { clean, if_exists, create, .. } = self.request.options;
        if create {
            self.write_create(sink).await?;
        } else if clean {
            sink.text(&render_drops(&self.toc, if_exists)).await?;
            sink.text("\n").await?;
        }
        self.context.progress.phase_started(Phase::Data, Some(self.plan.table_count as u64), None);
        let mut row_count = 0;
        for entry in self.toc.in_script_order() {
            row_count += match &entry.data {
                Some(_) => self.write_rows(sink, entry).await?,
                None => {
                    sink.text(&render_entry(entry)).await?;
                    0
                }
            };
        }
        self.context.progress.phase_finished(Phase::Data);
        self.write_positions_again(sink).await?;
        if let Some((entry, sql)) = end_of_restore(&self.toc) {
            sink.text(&format!("{}{}\n", title(entry), render_statement(&sql))).await?;
        }
        let (rows, tables) = (counted(row_count, "row"), counted(self.plan.table_count, "table"));
        let end =
            format!("--\n-- {rows} of {tables}\n--\n\n--\n-- PostgreSQL database dump complete\n--\n\n");
        sink.text(&end).await?;
        Ok(row_count)
    }

    /// What came behind them may have moved sequences.
    async fn write_positions_again(&self, sink: &mut Sink) -> Result<(), PipelineError> {
        for entry in self.toc.positions_to_set_again() {
            sink.text(&render_entry(entry)).await?;
        }
        Ok(())
    }

    fn header(&self) -> String {
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        let mut header = format!(
            "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from: {}\n-- Dumped from database version: {}\n\
             -- Dumped by dbhaul {}, as of {}\n\
             -- For PostgreSQL {}\n",
            one_line(&self.plan.source),
            one_line(&self.plan.server_version),
            env!("CARGO_PKG_VERSION"),
            self.plan.snapshot_time,
            self.plan.target_versions,
        );
        for NamedReason { object, reason } in &self.plan.left_out {
            header.push_str(&format!("-- NOT in it: {}: {}\n", one_line(object), one_line(reason)));
        }
        for NamedReason { object, reason } in &self.plan.losses {
            header.push_str(&format!("-- CHANGED: {}: {}\n", one_line(object), one_line(reason)));
        }
        for NamedReason { object, reason } in &self.plan.refusable {
            header.push_str(&format!("-- MAY FAIL: {}: {}\n", one_line(object), one_line(reason)));
        }
        for NamedReason { object, reason } in &self.plan.left_out_as_asked {
            header.push_str(&format!("-- Left out, as asked: {}: {}\n", one_line(object), one_line(reason)));
        }
        for note in &self.plan.notes {
            header.push_str(&format!("-- Note: {}\n", one_line(note)));
        }
        header.push('\n');
        header + &self.preamble()
    }

    fn preamble(&self) -> String {
        let places = !self.request.selection.tablespaces.none;
        render_preamble(&self.catalog.database.encoding, places)
    }

    /// `CREATE DATABASE` and the way into it. What else belongs to the database is set
    /// from inside, where it no longer changes the session that restores.
    async fn write_create(&self, sink: &mut Sink) -> Result<(), PipelineError> {
        let ScriptOptions { clean, if_exists, .. } = self.request.options;
        let Selection { owners, privileges, comments, security_labels, .. } = self.request.selection;
        let mut database = self.catalog.database.clone();
        let name = quote_identifier(&database.name);
        database.acl = database.acl.filter(|_| privileges);
        database.comment = database.comment.filter(|_| comments);
        database.security_labels.retain(|_| security_labels);
        if clean {
            let drop = if if_exists { "DROP DATABASE IF EXISTS" } else { "DROP DATABASE" };
            sink.text(&format!("{drop} {name};\n\n")).await?;
        }
        let target = Target { version: self.catalog.server_version };
        let owner = format!("ALTER DATABASE {name} OWNER TO {}", quote_identifier(&database.owner));
        let mut statements = database_create(&database, &target).into_iter();
        let create = statements.next().unwrap_or_default();
        sink.text(&render_statement(&create)).await?;
        sink.text(&format!("\n{}\n{}", self.connect_command()?, self.preamble())).await?;
        for statement in statements.filter(|statement| owners || *statement != owner) {
            sink.text(&render_statement(&statement)).await?;
        }
        sink.text("\n").await
    }

    fn connect_command(&self) -> Result<String, PipelineError> {
        match connect_command(&self.catalog.database.name) {
            Some(command) => Ok(command),
            None if !self.request.options.create => Ok(String::new()),
            None => Err(PipelineError::Request {
                problem: format!(
                    "database {:?} has a line break in its name, which psql's \\connect cannot take",
                    self.catalog.database.name
                ),
                help: "leave out --create, and restore into a database that you have made".to_owned(),
            }),
        }
    }

    /// Writes the rows of one entry; returns how many, for tables.
    async fn write_rows(&self, sink: &mut Sink, entry: &TocEntry) -> Result<u64, PipelineError> {
        sink.text(&title(entry)).await?;
        match &entry.data {
            Some(dbhaul_catalog::DataEntry::Table(table)) => {
                let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                sink.begin_rows(&copy_header(table.destination(), &columns), columns.len()).await?;
                let row_count = self.rows.write_table(entry, sink).await?;
                sink.end_rows().await?;
                Ok(row_count)
            }
            _ => self.rows.write_large_objects(entry, sink).await.map(|()| 0),
        }
    }
}

/// The newest major that a script of a catalog is for.
fn newest_major(options: &ScriptOptions, catalog: &Catalog) -> Result<u32, PipelineError> {
    let (own, newest) = (catalog.server_version.major(), options.target_version);
    if let Some(newest) = newest.filter(|newest| !(own..=NEWEST_MAJOR.max(own)).contains(newest)) {
        return Err(PipelineError::Request {
            problem: format!("a script of a database of PostgreSQL {own} cannot be written for {newest}"),
            help: format!("give --target-version a major from {own} to {}", NEWEST_MAJOR.max(own)),
        });
    }
    Ok(newest.unwrap_or(NEWEST_MAJOR.max(own)))
}

fn plan(
    source: String,
    server_version: String,
    snapshot_time: String,
    (catalog, toc): (&Catalog, &Toc),
    request: &ScriptRequest,
) -> Result<ScriptPlan, PipelineError> {
    let newest = newest_major(&request.options, catalog)?;
    let Adaptation { losses, mut notes } = match request.selection.pre_data {
        true => changes_up_to(catalog, newest),
        false => Adaptation::default(),
    };
    if request.selection.pre_data {
        notes.extend(tables_in_vain(catalog, Target { version: catalog.server_version })?);
    }
    let own = catalog.server_version.major();
    let target_versions = match request.options.target_version {
        None => format!("{own} or newer"),
        Some(newest) if newest == own => own.to_string(),
        Some(newest) => format!("{own} to {newest}"),
    };
    let is_table = |entry: &&TocEntry| matches!(entry.data, Some(dbhaul_catalog::DataEntry::Table(_)));
    Ok(ScriptPlan {
        source,
        server_version,
        snapshot_time,
        target_versions,
        definition_count: toc.entries.iter().filter(|entry| entry.section != Section::Data).count(),
        table_count: toc.entries.iter().filter(is_table).count(),
        left_out: left_out(catalog),
        refusable: refusable(catalog, toc, &request.selection)?,
        left_out_as_asked: left_out_as_asked(catalog, &request.selection)?,
        losses: losses.into_iter().map(NamedReason::from).collect(),
        notes,
    })
}

impl Display for ScriptPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "write {} as SQL", self.source)?;
        writeln!(f, "  as of {}", self.snapshot_time)?;
        let definitions = counted(self.definition_count, "definition");
        writeln!(f, "  for PostgreSQL {}", self.target_versions)?;
        write_losses(f, &self.losses)?;
        write_left_out(f, &self.left_out_as_asked)?;
        write!(f, "  {definitions}, rows of {}", counted(self.table_count, "table"))?;
        write_named(f, "cannot be carried", &self.left_out)?;
        write_named(f, "may fail where the script is run", &self.refusable)
    }
}

impl Display for ScriptReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let size = format_bytes(self.script_bytes);
        writeln!(f, "script complete: {} in {}", self.source, self.place)?;
        write!(
            f,
            "  {}, {}, {size}, in {:.1} s",
            counted(self.table_count, "table"),
            counted(self.row_count, "row"),
            self.elapsed_seconds
        )?;
        write_named(f, "skipped", &self.skipped)
    }
}
