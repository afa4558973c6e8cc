//! Requests that write or read a file of rows.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use dbhaul_pipeline::{Compression, ExportRequest, ExportRows, ImportRowsRequest, RowFormat};

use super::sides::Places;
use super::{Environment, Job, Request, UsageError, job, throttle_options};
use crate::args::{CompressionName, ExportRowsArgs, ImportRowsArgs, LetterArgs, RowFormatName};

/// `export`.
pub(super) fn export(args: ExportRowsArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let letters: &LetterArgs = &args.letters;
    let places = Places::new(environment).source(args.source.source, args.role).source_letters(letters)?;
    // `-` is standard output, as for other tools.
    let file = Some(args.output).filter(|file| file.as_os_str() != "-");
    let (format, compression) = forms(file.as_deref(), args.format, args.compress)?;
    match &file {
        None if args.messages.json => {
            return Err(UsageError::new(
                "the rows go to standard output, so --json has no place there: give --report x.json",
            ));
        }
        None if std::io::stdout().is_terminal() => {
            return Err(UsageError::new(
                "--output - is a terminal, which could obey what rows hold: give a file, or pipe it into a program",
            ));
        }
        None => {}
        Some(file) => check_writable(file)?,
    }
    let rows = match (args.table, args.query) {
        (Some(table), _) => ExportRows::Table(table),
        (None, query) => ExportRows::Query(query.unwrap_or_default()),
    };
    let throttle = throttle_options(&args.throttle);
    let request = ExportRequest { source: places.require_source()?, rows, format, compression, throttle };
    let job = job(Request::Export(request, file), false, Some(args.report), args.messages, places)?;
    Ok(Job { lock_wait: args.throttle.lock_wait_timeout, ..job })
}

/// `import`.
pub(super) fn import(args: ImportRowsArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places =
        Places::new(environment).target(args.target.target, args.role).target_letters(&args.letters)?;
    let (format, compression) = forms(Some(&args.file), args.format, args.compress)?;
    let (table, file) = (args.table, args.file);
    let request = ImportRowsRequest { target: places.require_target()?, table, file, format, compression };
    let job = job(Request::ImportRows(request), false, Some(args.report), args.messages, places)?;
    Ok(Job { lock_wait: args.lock_wait_timeout, ..job })
}

/// The compression of this name.
pub(super) fn compression_called(name: CompressionName) -> Option<Compression> {
    Some(match name {
        CompressionName::None => return None,
        CompressionName::Gzip => Compression::Gzip,
        CompressionName::Zstd => Compression::Zstd,
        CompressionName::Xz => Compression::Xz,
        CompressionName::Bzip2 => Compression::Bzip2,
        CompressionName::Lz4 => Compression::Lz4,
    })
}

fn check_writable(file: &Path) -> Result<(), UsageError> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    match file.is_dir() || directory.is_some_and(|directory| !directory.is_dir()) {
        false => Ok(()),
        true => {
            let file = file.display();
            Err(UsageError::new(format!("--output {file}: is a directory, or its parent does not exist")))
        }
    }
}

/// The format and the compression: as they are given, else as the name of the file says.
fn forms(
    file: Option<&Path>,
    format: Option<RowFormatName>,
    compression: Option<CompressionName>,
) -> Result<(RowFormat, Option<Compression>), UsageError> {
    let (rest, named) = match file.map(compression_of) {
        Some((rest, named)) => (Some(rest), named),
        None => (None, None),
    };
    let compression = match compression {
        None => named,
        Some(name) => compression_called(name),
    };
    let format = match format {
        Some(RowFormatName::Parquet) => Some(RowFormat::Parquet),
        Some(RowFormatName::Arrow) => Some(RowFormat::Arrow),
        Some(RowFormatName::Csv) => Some(RowFormat::Csv),
        Some(RowFormatName::Jsonl) => Some(RowFormat::JsonLines),
        None => rest.as_deref().and_then(format_of),
    };
    let format = format.ok_or_else(|| {
        UsageError::new(
            "the name of the file does not say its format: give --format parquet, arrow, csv or jsonl",
        )
    })?;
    let is_columns = matches!(format, RowFormat::Parquet | RowFormat::Arrow);
    if is_columns && compression.is_some() {
        let problem = "--compress is for csv and jsonl: Parquet and Arrow files are not compressed as a whole, since readers \
                       look into the middle of them";
        return Err(UsageError::new(problem));
    }
    Ok((format, compression))
}

/// The name without the ending of a compression, and which that is.
pub(super) fn compression_of(file: &Path) -> (PathBuf, Option<Compression>) {
    let compression = match ending(file).as_deref() {
        Some("gz") => Compression::Gzip,
        Some("zst" | "zstd") => Compression::Zstd,
        Some("xz") => Compression::Xz,
        Some("bz2") => Compression::Bzip2,
        Some("lz4") => Compression::Lz4,
        _ => return (file.to_owned(), None),
    };
    (file.with_extension(""), Some(compression))
}

fn format_of(file: &Path) -> Option<RowFormat> {
    Some(match ending(file)?.as_str() {
        "parquet" => RowFormat::Parquet,
        "arrow" => RowFormat::Arrow,
        "csv" => RowFormat::Csv,
        "jsonl" | "ndjson" => RowFormat::JsonLines,
        _ => return None,
    })
}

fn ending(file: &Path) -> Option<String> {
    Some(file.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_its_format_and_compression() {
        let named = |name: &str| forms(Some(Path::new(name)), None, None);
        assert_eq!(named("a.parquet"), Ok((RowFormat::Parquet, None)));
        assert_eq!(named("a.b/x.CSV.gz"), Ok((RowFormat::Csv, Some(Compression::Gzip))));
        assert_eq!(named("x.ndjson.zst"), Ok((RowFormat::JsonLines, Some(Compression::Zstd))));
        for name in ["x", "x.gz", "x.txt", "x.parquet.gz"] {
            assert!(named(name).is_err(), "{name}");
        }
        let to_stdout = forms(None, Some(RowFormatName::Csv), Some(CompressionName::Lz4));
        assert_eq!(to_stdout, Ok((RowFormat::Csv, Some(Compression::Lz4))));
        let plain = forms(Some(Path::new("x.csv.gz")), None, Some(CompressionName::None));
        assert_eq!(plain, Ok((RowFormat::Csv, None)));
        assert!(forms(None, None, None).is_err());
    }
}
