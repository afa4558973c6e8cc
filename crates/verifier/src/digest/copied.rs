//! The digest of a table from its rows as `COPY` prints them, for what no query may read, or can.

use dbhaul_catalog::{QualifiedName, quote_identifier};
use dbhaul_postgres::{self as postgres, Session};
use dbhaul_rows::{CopyFormat, CutParameters, Cutter, DigestSpec, RowDigest};

use super::DigestTask;

/// Rows are taken in and forgotten in runs of about so many bytes.
pub(crate) const RUN_BYTES: u64 = 256 << 10;

/// Reads a table by a `COPY` of itself, which a server does not plan, and makes sure that it is what the snapshot
/// saw.
pub(super) async fn copied(
    session: &Session,
    task: &DigestTask,
    table: &QualifiedName,
) -> Result<RowDigest, postgres::Error> {
    let odd = |error: dbhaul_rows::RowsError| task.answer_error(session, error.to_string());
    let mut cutter = Cutter::new(CutParameters::fixed(RUN_BYTES), &task.spec).map_err(odd)?;
    let mut copy = session.copy_out_checked(&copy_sql(table, &task.spec), table).await?;
    let mut run = Vec::new();
    while let Some(block) = copy.next_block().await? {
        cutter.push(&block, &mut run).map_err(odd)?;
        run.clear();
    }
    let digest = cutter.digest();
    cutter.finish().map_err(odd)?;
    Ok(digest)
}

/// The columns in the order in which they are hashed. A table that has none, or but generated ones, takes no list,
/// and `COPY` leaves the generated ones out.
pub(crate) fn copy_sql(table: &QualifiedName, spec: &DigestSpec) -> String {
    let names: Vec<String> = spec.columns.iter().map(|column| quote_identifier(&column.name)).collect();
    let list = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    format!("COPY {}{list} TO STDOUT {}", table.sql(), CopyFormat::Text.copy_out_options())
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::QualifiedName;
    use dbhaul_rows::{DigestColumn, DigestSpec, TextForm};

    use super::copy_sql;

    #[test]
    fn columns_are_read_as_they_are_hashed() {
        let table = QualifiedName::new("public", "Film");
        let sql = |names: &[&str]| {
            let columns = names.iter().map(|name| DigestColumn::new(*name, "integer")).collect();
            copy_sql(&table, &DigestSpec::new(columns, TextForm::Raw))
        };
        assert_eq!(sql(&["b", "A a"]), "COPY public.\"Film\" (b, \"A a\") TO STDOUT (FORMAT text)");
        assert_eq!(sql(&[]), "COPY public.\"Film\" TO STDOUT (FORMAT text)");
    }
}
