//! Judges that share nothing with dbhaul: the newest `pg_dump`, and hashes computed by the server itself.

use std::collections::BTreeMap;

use crate::Server;
use crate::server::output;

/// Tables with rows of their own, each with the query that sums it up as `name|count:sum`.
///
/// The alias is long because a column of the same name would win over the whole-row reference.
/// A line break in a name is shown as `\n`. `ONLY` keeps rows of children with the children. Schema `dbhaul`
/// holds the ledger, not user data.
const TABLES: &str = "
SELECT format(
    'SELECT %L || ''|'' || count(*) || '':'' || coalesce(sum(hashtextextended(dbhaul_whole_row::text, 0)), 0) FROM ONLY %I.%I AS dbhaul_whole_row',
    replace(format('%I.%I', n.nspname, c.relname), chr(10), '\\n'), n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'dbhaul') AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 1";

const SEQUENCES: &str = "
SELECT format('SELECT %L || ''|'' || last_value || '':'' || is_called FROM %I.%I',
    replace(format('sequence %I.%I', n.nspname, c.relname), chr(10), '\\n'), n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'dbhaul')
  AND n.nspname NOT LIKE 'pg\\_%'";

const LARGE_OBJECTS: &str = "
SELECT 'large object ' || oid || '|' || length(lo_get(oid)) || ':' || hashtextextended(encode(lo_get(oid), 'hex'), 0)
FROM pg_largeobject_metadata";

/// Settings under which values print alike on every server.
const PINNED: &str = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 \
                      -c bytea_output=hex -c lc_monetary=C -c statement_timeout=0";

impl Server {
    /// What the newest `pg_dump --schema-only` says of a database, without the lines that differ by
    /// chance (`\restrict` keys) or that only name versions, and without dbhaul's own ledger.
    pub fn pg_dump_schema(&self, db: &str) -> String {
        let dump = self.pg_dump(db, &["--schema-only", "--exclude-schema=dbhaul"]);
        dump.split_inclusive('\n').filter(|line| !is_noise(line)).collect()
    }

    /// The lines of `pg_dump --data-only --inserts`, sorted. For small databases.
    pub fn pg_dump_inserts_sorted(&self, db: &str) -> Vec<String> {
        let dump = self.pg_dump(db, &["--data-only", "--inserts", "--exclude-schema=dbhaul"]);
        let mut lines: Vec<String> =
            dump.split('\n').filter(|line| !is_noise(line)).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// For each table, materialized view, sequence and large object its content in short: for tables
    /// `count:sum` of a 64-bit hash of each row's text.
    pub fn sql_digest(&self, db: &str) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        // Each of the first two yields queries, one a cell, that psql runs in their turn.
        let script = format!("{TABLES} \\gexec\n{SEQUENCES} \\gexec\n{LARGE_OBJECTS};\n");
        for line in self.run_pinned(db, &script).lines() {
            let (name, digest) = line.rsplit_once('|').expect("every query yields name|digest");
            digests.insert(name.to_owned(), digest.to_owned());
        }
        digests
    }

    /// Copies a database with `pg_dump | psql` into a new database of `target`: what a move by hand would
    /// yield. Across majors, what `target` says of this copy is what it must say of dbhaul's.
    pub fn copy_by_pg_dump(&self, db: &str, target: &Server, copy: &str) {
        self.copy_by_pg_dump_with(db, target, copy, &[]);
    }

    /// The same with options for `pg_dump`.
    pub fn copy_by_pg_dump_with(&self, db: &str, target: &Server, copy: &str, options: &[&str]) {
        target.create_db(copy);
        let options = [&["--exclude-schema=dbhaul"], options].concat();
        let script: String = self
            .pg_dump(db, &options)
            .split_inclusive('\n')
            // pg_dump 18 sends a setting that servers before 17 do not know.
            .filter(|line| *line != "SET transaction_timeout = 0;\n")
            .collect();
        let file = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
        std::fs::write(file.path(), script).expect("the temporary directory is writable");
        target.psql_file(copy, file.path(), &[]);
    }

    fn run_pinned(&self, db: &str, script: &str) -> String {
        let file = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
        std::fs::write(file.path(), script).expect("the temporary directory is writable");
        let mut psql = self.client("psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", db, "-f"])
            .arg(file.path())
            .env("PGOPTIONS", PINNED);
        output(&mut psql).unwrap_or_else(|error| panic!("digest of {db} on {}: {error}", self.major()))
    }

    fn pg_dump(&self, db: &str, options: &[&str]) -> String {
        let dump = output(self.client("pg_dump").args(options).args(["-d", db]))
            .unwrap_or_else(|error| panic!("pg_dump of {db} on {}: {error}", self.major()));
        if !dump.contains(SERVERS_OWN) {
            return dump;
        }
        without_servers_own(&dump)
    }
}

/// How an option begins that servers of November 2026 keep on every column. Their own `pg_dump` passes it
/// over; the newest, packaged before, does not.
const SERVERS_OWN: &str = "pg_attver=";

/// A dump without options that the server keeps for itself. Names may hold line breaks, so a statement is
/// found from its end: `ALTER TABLE ... ALTER COLUMN ... SET (pg_attver=1);`.
fn without_servers_own(dump: &str) -> String {
    const SET: &str = " SET (";
    let mut kept = String::with_capacity(dump.len());
    let mut rest = dump;
    while let Some(at) = rest.find(SERVERS_OWN) {
        let set = rest[..at].rfind(SET).expect("an option is in a list that is set");
        // behind one that was dropped the next one is at the start; behind `DEPENDS ON EXTENSION` of a
        // materialized view pg_dump ends no line
        let ends = ["\nALTER ", ";ALTER "].map(|end| rest[..set].rfind(end));
        let start = ends.into_iter().flatten().max().map_or(0, |end| end + 1);
        let end = at + rest[at..].find(");\n").expect("a statement ends a line") + ");\n".len();
        let options = rest[set + SET.len()..end].trim_end_matches(");\n");
        let others: Vec<&str> =
            options.split(", ").filter(|option| !option.starts_with(SERVERS_OWN)).collect();
        kept.push_str(&rest[..start]);
        if !others.is_empty() {
            kept.push_str(&format!("{}{SET}{});\n", &rest[start..set], others.join(", ")));
        }
        rest = &rest[end..];
    }
    kept + rest
}

fn is_noise(line: &str) -> bool {
    ["\\restrict ", "\\unrestrict ", "-- Dumped from database version", "-- Dumped by pg_dump version"]
        .iter()
        .any(|start| line.starts_with(start))
}
