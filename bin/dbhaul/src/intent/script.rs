//! Requests that end in an SQL script.

use std::path::Path;

use dbhaul_pipeline::{FileCompression, ScriptOptions, ScriptRequest, ScriptSource};

use super::rows::{compression_called, compression_of};
use super::selection::selection;
use super::sides::Places;
use super::{Environment, Job, Request, UsageError, backup_ref, job, throttle_options};
use crate::args::{
    Compress, CompressionName, DumpArgs, ExportArgs, LetterArgs, OutputArgs, ReportArgs, ScriptArgs,
};

/// `dump --format sql`.
pub(super) fn of_dump(args: DumpArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    if args.store.store.is_some() {
        return Err(UsageError::new("--store is where --format store goes; a script goes to --file"));
    }
    if args.keys.writer_key.is_some() || args.keys.store_fingerprint.is_some() {
        return Err(UsageError::new("--writer-key and --store-fingerprint are for --format store"));
    }
    if args.compression_helpers.is_some() {
        return Err(UsageError::new(
            "--compress-threads is for --format store; one thread compresses a script",
        ));
    }
    if args.parent.is_some() || args.full {
        return Err(UsageError::new("--parent and --full are for --format store; a script has all rows"));
    }
    if args.jobs.is_some_and(|jobs| jobs > 1) {
        return Err(UsageError::new("--jobs is for --format store: the rows of a script have one order"));
    }
    if args.roles.roles.is_some() {
        return Err(UsageError::new("--roles is for --format store: a script makes no roles"));
    }
    let letters = LetterArgs { dbname: args.letters.dbname.or(args.named_database), ..args.letters };
    let places = Places::new(environment).source(args.source.source, args.role).source_letters(&letters)?;
    let request = ScriptRequest {
        source: ScriptSource::Live(places.require_source()?),
        selection: selection(&args.selection)?,
        options: ScriptOptions { throttle: throttle_options(&args.throttle), ..options(&args.script) },
    };
    let how = (args.dry_run, args.compress);
    let job = finish(request, args.script, how, args.report, args.output, places)?;
    Ok(Job { lock_wait: args.throttle.lock_wait_timeout, ..job })
}

/// `backup export`.
pub(super) fn of_backup(args: ExportArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.store.store).reader_keys(&args.keys)?;
    let source = ScriptSource::Backup {
        store: places.require_store()?,
        backup: backup_ref(args.id.or(args.backup.backup).as_deref())?,
        database: args.backup.database,
    };
    let selection = selection(&args.selection)?;
    let request = ScriptRequest { source, selection, options: options(&args.script) };
    finish(request, args.script, (false, args.compress), args.report, args.output, places)
}

/// Refuses what only a script has where a backup is made.
pub(super) fn refuse_without_format(args: &ScriptArgs) -> Result<(), UsageError> {
    let given = [
        ("--file", args.file.is_some()),
        ("--clean", args.clean),
        ("--if-exists", args.if_exists),
        ("--create", args.create),
        ("--target-version", args.target_version.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            let way = if matches!(*flag, "--file" | "--target-version") {
                ""
            } else {
                ", or give it to `dbhaul restore`"
            };
            Err(UsageError::new(format!("{flag} belongs to a script: add --format sql{way}")))
        }
    }
}

fn options(args: &ScriptArgs) -> ScriptOptions {
    ScriptOptions {
        clean: args.clean,
        if_exists: args.if_exists,
        create: args.create,
        target_version: args.target_version,
        ..Default::default()
    }
}

fn finish(
    mut request: ScriptRequest,
    script: ScriptArgs,
    (dry_run, compress): (bool, Option<Compress>),
    report: ReportArgs,
    output: OutputArgs,
    places: Places<'_>,
) -> Result<Job, UsageError> {
    // `-` is standard output, as for other tools.
    let file = script.file.filter(|file| file.as_os_str() != "-");
    let by_name = || file.as_deref().and_then(|file| compression_of(file).1).map(FileCompression::from);
    request.options.compression = compress.map_or_else(|| Ok(by_name()), file_compression)?;
    if output.json && file.is_none() && !dry_run {
        return Err(UsageError::new(
            "the script goes to standard output, so --json has no place there: give --file, or --report x.json",
        ));
    }
    if let Some(file) = &file {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        if file.is_dir() || directory.is_some_and(|directory: &Path| !directory.is_dir()) {
            let file = file.display();
            return Err(UsageError::new(format!(
                "--file {file}: is a directory, or its parent does not exist"
            )));
        }
    }
    job(Request::Script(request, file), dry_run, Some(report), output, places)
}

/// The compression of a script. A level alone is of gzip, and 0 is none, as `pg_dump` has it.
fn file_compression(given: Compress) -> Result<Option<FileCompression>, UsageError> {
    let (method, level) = match given {
        Compress::Level(0) => return Ok(None),
        Compress::Level(level) => (CompressionName::Gzip, Some(level)),
        Compress::Method(method, level) => (method, level),
    };
    let Some(method) = compression_called(method) else {
        return Ok(None);
    };
    let compression = FileCompression { method, level };
    compression.check().map_err(|problem| UsageError::new(format!("--compress: {problem}")))?;
    Ok(Some(compression))
}
