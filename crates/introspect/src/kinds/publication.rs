//! Reads publications with their tables and schemas.

use dbhaul_catalog::{Class, QualifiedName};
use dbhaul_catalog::kinds::{Body, Publication, PublicationTable};
use serde::Deserialize;

use crate::Error;
use crate::header::Header;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    all_tables: bool,
    all_sequences: bool,
    insert: bool,
    update: bool,
    delete: bool,
    truncate: bool,
    via_partition_root: bool,
    generated_columns: bool,
    tables: Option<Vec<PublicationTable>>,
    except_tables: Option<Vec<QualifiedName>>,
    schemas: Vec<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("publications", &sql).await? {
        let operations = [
            ("insert", row.insert),
            ("update", row.update),
            ("delete", row.delete),
            ("truncate", row.truncate),
        ];
        let operations = operations.into_iter().filter(|(_, published)| *published);
        let body = Body::from(Publication {
            all_tables: row.all_tables,
            all_sequences: row.all_sequences,
            operations: operations.map(|(name, _)| name.to_owned()).collect(),
            via_partition_root: row.via_partition_root,
            generated_columns: row.generated_columns,
            tables: row.tables.unwrap_or_default(),
            except_tables: row.except_tables.unwrap_or_default(),
            schemas: row.schemas,
        });
        reader.push(row.header.object("publications", Class::PG_PUBLICATION, body)?);
    }
    Ok(())
}

/// Row filters, column lists and schemas came with 15, generated columns with 18, sequences and exceptions
/// with 19.
fn query(major: u32) -> String {
    let (columns, condition, schemas) = if major >= 15 {
        (
            "(SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum)
              FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs))",
            "pg_catalog.pg_get_expr(r.prqual, r.prrelid)",
            "ARRAY(SELECT n.nspname FROM pg_catalog.pg_publication_namespace pn
                   JOIN pg_catalog.pg_namespace n ON n.oid = pn.pnnspid
                   WHERE pn.pnpubid = p.oid ORDER BY n.nspname)",
        )
    } else {
        ("NULL", "NULL", "ARRAY[]::text[]")
    };
    let generated = if major >= 18 { "p.pubgencols = 's'" } else { "false" };
    let (sequences, is_exception) = if major >= 19 { ("p.puballsequences", "r.prexcept") } else { ("false", "false") };
    let tables = |value: &str, condition: &str| {
        format!(
            "(SELECT pg_catalog.json_agg({value} ORDER BY n.nspname, c.relname)
              FROM pg_catalog.pg_publication_rel r
              JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE r.prpubid = p.oid AND {condition})"
        )
    };
    let table = format!(
        "pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname, 'columns', {columns},
             'condition', {condition})"
    );
    let tables_in = tables(&table, &format!("NOT {is_exception}"));
    let tables_but =
        tables("pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)", is_exception);
    format!(
        "SELECT p.oid::int8 AS oid, p.pubname AS name, pg_catalog.pg_get_userbyid(p.pubowner) AS owner,
                p.puballtables AS all_tables, {sequences} AS all_sequences, p.pubinsert AS insert, p.pubupdate AS update,
                p.pubdelete AS delete, p.pubtruncate AS truncate, p.pubviaroot AS via_partition_root,
                {generated} AS generated_columns, {schemas} AS schemas,
                {tables_in} AS tables, {tables_but} AS except_tables
         FROM pg_catalog.pg_publication p"
    )
}
