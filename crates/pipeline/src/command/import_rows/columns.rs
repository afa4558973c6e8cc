//! Rows of Parquet and Arrow files.

use std::fs::File;

use dbhaul_columns::{ColumnsError, Encoder, FileColumn, FileReader};
use dbhaul_progress::Task;
use dbhaul_rows::CopyFormat;

use super::Import;
use crate::PipelineError;
use crate::command::export::{RowFormat, in_background};

/// What the lines of a COPY are here.
const COUNTED: &str = "whose rows are counted as lines below";

pub(super) async fn copy(
    import: &mut Import<'_>,
    format: RowFormat,
    task: &Task,
) -> Result<(u64, Vec<String>), PipelineError> {
    let path = import.file.to_owned();
    let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
    let opened = opened.map_err(|error| PipelineError::Worker {
        what: "the reader".to_owned(),
        reason: error.to_string(),
    })?;
    let file = opened.map_err(import.unreadable())?;
    let action = format!("cannot read {}", import.file.display());
    let mut reader = in_background(&action, move || match format {
        RowFormat::Arrow => FileReader::arrow(file),
        _ => FileReader::parquet(file),
    })
    .await?;
    let of_file =
        reader.columns().map_err(|source| PipelineError::Columns { action: action.clone(), source })?;
    let names: Vec<String> = of_file.iter().map(|column| column.name.clone()).collect();
    let matched = import.matched(&names)?;
    let pairs =
        || of_file.iter().zip(&matched).filter_map(|(column, target)| Some((column, target.as_ref()?)));
    let is_binary = pairs().all(|(column, target)| column.is_binary_for(&target.pg_type));
    let copy_format = if is_binary { CopyFormat::Binary } else { CopyFormat::Text };
    let targets: Vec<_> = pairs().map(|(_, target)| target).collect();
    let columns: Vec<FileColumn> =
        pairs().map(|(column, target)| column.clone().for_target(&target.pg_type)).collect();
    let refused = import.refused(COUNTED);
    let sql = import.copy_sql(&targets, copy_format.copy_in_options(false));
    let mut copy = import.session.copy_in(&sql).await.map_err(&refused)?;
    let mut encoder = Encoder::new(columns, copy_format);
    let mut seen_rows = 0;
    loop {
        let (worked, more) = in_background(&action, move || next_rows(reader, encoder)).await?;
        (reader, encoder) = worked;
        let Some(rows) = more else { break };
        let copied_bytes = rows.len() as u64;
        copy.send(rows.into()).await.map_err(&refused)?;
        task.advance(encoder.rows() - seen_rows, copied_bytes);
        seen_rows = encoder.rows();
    }
    let mut rest = Vec::new();
    let sent_rows = encoder.finish(&mut rest);
    copy.send(rest.into()).await.map_err(&refused)?;
    let row_count = copy.finish().await.map_err(&refused)?;
    if row_count != sent_rows {
        let problem = format!("{sent_rows} rows were sent, and the server took {row_count}");
        return Err(import.misfit(problem));
    }
    Ok((row_count, targets.iter().map(|column| column.name.clone()).collect()))
}

type Worked = ((FileReader, Encoder), Option<Vec<u8>>);

/// The rows of the next batch.
fn next_rows(mut reader: FileReader, mut encoder: Encoder) -> Result<Worked, ColumnsError> {
    let Some(batch) = reader.next_batch()? else { return Ok(((reader, encoder), None)) };
    let mut rows = Vec::new();
    encoder.encode(&batch, &mut rows)?;
    Ok(((reader, encoder), Some(rows)))
}
