//! The ledger: which steps have been committed on the target.
//!
//! It lives in a schema of its own, which is recognised by its comment and never by its name:
//! the user may have a schema `dbhaul` as well.
//!
//! What it records of unlogged tables and sequences holds only as long as the target does not crash: then
//! they are empty again. So the ledger has an unlogged table too, `alive`, whose one row goes with them.

pub(crate) mod leftover;
pub(crate) mod unfinished;

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{QualifiedName, quote_identifier, quote_literal};
use dbhaul_postgres::{Error, Flight, Session};
use dbhaul_rows::{RowDigest, RowsError};
use serde::Deserialize;

/// How the comment of a ledger's schema begins; the run's identifier follows.
pub(crate) const MARK: &str = "dbhaul import ledger, run ";

/// A SQL condition on a row `space` of `pg_namespace` that is true for the schemas of ledgers.
///
/// A comment is soon made, and whoever owns a relation decides what reading it does: a view runs its owner's
/// functions as whoever reads it. So a ledger counts only if the role that asks, or a superuser, owns it, and if
/// its relations are tables with nothing on them that runs when they are read or written.
pub(crate) fn is_ledger_sql(space: &str) -> String {
    let is_trusted = |owner: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_roles trusted WHERE trusted.oid = {owner} \
             AND (trusted.rolsuper OR trusted.rolname = current_user))"
        )
    };
    format!(
        "({is_marked} AND {is_own} AND 3 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class part \
         WHERE part.relnamespace = {space}.oid AND part.relname IN ('run', 'step', 'alive') \
         AND part.relkind = 'r' AND NOT part.relhasrules AND NOT part.relhastriggers \
         AND NOT part.relrowsecurity AND {are_own}))",
        is_marked = is_marked_sql(space),
        is_own = is_trusted(&format!("{space}.nspowner")),
        are_own = is_trusted("part.relowner"),
    )
}

/// A SQL condition on a row `space` of `pg_namespace` that is true where the comment says that it is a ledger.
fn is_marked_sql(space: &str) -> String {
    format!(
        "coalesce(pg_catalog.starts_with(pg_catalog.obj_description({space}.oid, 'pg_namespace'), {}), false)",
        quote_literal(MARK)
    )
}

/// A ledger found on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundLedger {
    pub(crate) ledger: Ledger,
    /// What the run imports.
    pub(crate) fingerprint: String,
    /// The shape of its plan.
    pub(crate) shape: String,
    /// What the source must still be for the run to go on, as whoever began it wrote it down.
    pub(crate) source_state: Option<String>,
    /// How far its `--clean` is.
    pub(crate) clean: Clean,
}

/// How far a run is with dropping what it is going to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Clean {
    /// It drops nothing.
    #[default]
    None,
    /// Not all is dropped yet; whether drops say `IF EXISTS`.
    Begun { if_exists: bool },
    /// All is dropped: what is there now, the run has made.
    Done,
}

impl Clean {
    const NAMES: [(&'static str, Clean); 4] = [
        ("none", Clean::None),
        ("begun", Clean::Begun { if_exists: false }),
        ("begun if exists", Clean::Begun { if_exists: true }),
        ("done", Clean::Done),
    ];

    /// As the ledger has it.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, clean)| *clean == self).map_or("none", |(name, _)| name)
    }

    /// Nothing for a name that no version has written.
    fn of_name(name: &str) -> Option<Clean> {
        Self::NAMES.iter().find(|(other, _)| *other == name).map(|(_, clean)| *clean)
    }
}

/// What a new ledger says of its run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<'a> {
    /// What the run imports.
    pub(crate) fingerprint: &'a str,
    /// The shape of its plan.
    pub(crate) shape: &'a str,
    /// See [`FoundLedger::source_state`].
    pub(crate) source_state: Option<&'a str>,
    /// Whether it drops first.
    pub(crate) clean: Clean,
}

/// The ledger of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) schema: String,
    pub(crate) run: String,
}

/// What the ledger knows of steps that are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DoneSteps {
    steps: BTreeMap<String, DoneStep>,
}

/// What a step was committed with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DoneStep {
    /// Digest of the rows it loaded; that of no rows for steps without any.
    pub(crate) digest: RowDigest,
    /// What was left out of it, and why, as [`recorded`](crate::subject::recorded).
    pub(crate) left_out: Option<String>,
}

impl DoneSteps {
    /// What a step was committed with, if it was.
    pub(crate) fn get(&self, step: &str) -> Option<&DoneStep> {
        self.steps.get(step)
    }

    /// Forgets a step; whether it was known.
    pub(crate) fn remove(&mut self, step: &str) -> bool {
        self.steps.remove(step).is_some()
    }
}

#[derive(Deserialize)]
struct RunRow {
    run: String,
    fingerprint: String,
    shape: String,
    source_state: Option<String>,
    clean: String,
}

#[derive(Deserialize)]
struct CountRow {
    count: u64,
}

#[derive(Deserialize)]
struct StepRow {
    step: String,
    digest: Option<String>,
    left_out: Option<String>,
}

/// A SQL condition on the table of steps. The rows of a segment may be loaded under a search path of the
/// source's, and the ledger is written in the same transaction: its statements name all with schemas.
fn is_one_of(steps: &[String]) -> String {
    let list: Vec<String> = steps.iter().map(|step| quote_literal(step)).collect();
    format!("step OPERATOR(pg_catalog.=) ANY (ARRAY[{}]::pg_catalog.text[])", list.join(", "))
}

impl Ledger {
    /// Ledgers on the target, of any run.
    pub(crate) async fn find(session: &Session) -> Result<Vec<FoundLedger>, Error> {
        let flight = Flight::new(session);
        Box::pin(flight.run(Self::find_in(&flight))).await
    }

    /// As [`find`](Self::find), together with what else is asked.
    pub(crate) async fn find_in(flight: &Flight<'_>) -> Result<Vec<FoundLedger>, Error> {
        #[derive(Deserialize)]
        struct SchemaRow {
            schema: String,
        }
        let sql = format!(
            "SELECT n.nspname AS schema FROM pg_catalog.pg_namespace n WHERE {} ORDER BY 1",
            is_ledger_sql("n")
        );
        let mut found = Vec::new();
        for SchemaRow { schema } in flight.query_json(&sql).await? {
            let table = QualifiedName::new(&schema, "run").sql();
            let sql = format!("SELECT run, fingerprint, shape, source_state, clean FROM {table}");
            let rows: Vec<RunRow> = flight.query_json(&sql).await?;
            for row in rows {
                let clean = Clean::of_name(&row.clean).ok_or_else(|| Error::Answer {
                    server: flight.session().server().to_owned(),
                    problem: format!("a ledger that another version wrote: clean is {:?}", row.clean),
                    query: sql.clone(),
                })?;
                found.push(FoundLedger {
                    ledger: Ledger { schema: schema.clone(), run: row.run },
                    fingerprint: row.fingerprint,
                    shape: row.shape,
                    source_state: row.source_state,
                    clean,
                });
            }
        }
        Ok(found)
    }

    /// What is said of each schema whose comment calls it a ledger and that is not read as one: see
    /// [`is_ledger_sql`].
    pub(crate) async fn unread(flight: &Flight<'_>) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Row {
            schema: String,
            owner: String,
        }
        let sql = format!(
            "SELECT n.nspname AS schema, pg_catalog.pg_get_userbyid(n.nspowner) AS owner \
             FROM pg_catalog.pg_namespace n WHERE {} AND NOT {} ORDER BY 1",
            is_marked_sql("n"),
            is_ledger_sql("n")
        );
        let tell = |Row { schema, owner }: Row| {
            format!(
                "schema {} has the comment of a run's ledger and is not read as one: role {} owns it, or it holds \
                 something else than a ledger; to resume or clean up that run, connect as the role that began it",
                quote_identifier(&schema),
                quote_identifier(&owner)
            )
        };
        Ok(flight.query_json(&sql).await?.into_iter().map(tell).collect())
    }

    /// A name for a new ledger's schema: `dbhaul`, or `dbhaul_1` and so on where that is taken.
    pub(crate) fn free_schema(taken: &BTreeSet<String>) -> String {
        std::iter::once("dbhaul".to_owned())
            .chain((1_u32..).map(|number| format!("dbhaul_{number}")))
            .find(|name| !taken.contains(name))
            .unwrap_or_default()
    }

    /// Creates schema and tables, in one transaction, in which another run's ledger goes.
    pub(crate) async fn create(
        &self,
        session: &Session,
        beginning: Beginning<'_>,
        replaced: Option<&Ledger>,
    ) -> Result<(), Error> {
        let drop_replaced = replaced.map(|old| format!("{};\n", old.drop_sql())).unwrap_or_default();
        let create = self.create_sql(beginning);
        session
            .batch(&format!("BEGIN;\nSET LOCAL synchronous_commit TO on;\n{drop_replaced}{create};\nCOMMIT"))
            .await
    }

    /// Tries in a transaction that is rolled back whether a ledger can be made and dropped again: an event trigger of
    /// the target may refuse it.
    pub(crate) async fn rehearse(&self, session: &Session) -> Result<Option<Error>, Error> {
        let beginning = Beginning { fingerprint: "", shape: "", source_state: None, clean: Clean::None };
        let schema = quote_identifier(&self.schema);
        let drop = format!("DROP TABLE {schema}.step, {schema}.run, {schema}.alive; DROP SCHEMA {schema}");
        let create = self.create_sql(beginning);
        let refused = tried(session, &format!("BEGIN;\n{create};\n{drop};\nROLLBACK")).await?;
        if refused.is_none() || tried(session, &format!("BEGIN;\n{create};\nROLLBACK")).await?.is_some() {
            return Ok(refused);
        }
        // a library may refuse to drop anything as long as its extension is not there, which it is at the end
        let triggers = "SELECT evtname FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' LIMIT 1";
        let has_triggers = !session.query_strings(triggers).await?.is_empty();
        Ok(refused.filter(|_| has_triggers))
    }

    fn create_sql(&self, beginning: Beginning<'_>) -> String {
        let schema = quote_identifier(&self.schema);
        format!(
            "CREATE SCHEMA {schema};\n\
             COMMENT ON SCHEMA {schema} IS {comment};\n\
             CREATE TABLE {schema}.run (run {text} PRIMARY KEY, fingerprint {text} NOT NULL, shape {text} NOT NULL, \
             source_state {text}, clean {text} NOT NULL, \
             started_at {time} NOT NULL DEFAULT pg_catalog.now(), flushed_at {time}, \
             server_crashed boolean NOT NULL DEFAULT false \
             CONSTRAINT \"the target crashed: resume the run\" CHECK (NOT server_crashed));\n\
             CREATE UNLOGGED TABLE {schema}.alive (yes boolean NOT NULL);\n\
             INSERT INTO {schema}.alive VALUES (true);\n\
             INSERT INTO {schema}.run (run, fingerprint, shape, source_state, clean) \
             VALUES ({run}, {fingerprint}, {shape}, {source_state}, {clean});\n\
             CREATE TABLE {schema}.step (step {text} PRIMARY KEY, digest {text}, left_out {text}, \
             committed_at {time} NOT NULL DEFAULT pg_catalog.now())",
            text = "pg_catalog.text",
            time = "pg_catalog.timestamptz",
            comment = quote_literal(&format!("{MARK}{}", self.run)),
            run = quote_literal(&self.run),
            fingerprint = quote_literal(beginning.fingerprint),
            shape = quote_literal(beginning.shape),
            source_state = beginning.source_state.map_or("NULL".to_owned(), quote_literal),
            clean = quote_literal(beginning.clean.name()),
        )
    }

    /// Notes that all is dropped that was to be dropped.
    pub(crate) async fn end_clean(&self, session: &Session) -> Result<(), Error> {
        let table = QualifiedName::new(&self.schema, "run").sql();
        let done = quote_literal(Clean::Done.name());
        session.batch(&format!("UPDATE {table} SET clean = {done}")).await
    }

    /// Waits until everything committed so far is on the target's disk. Loading sessions do not wait
    /// for that themselves, so that a crash may take their last commits back.
    pub(crate) async fn flush(&self, session: &Session) -> Result<(), Error> {
        let table = QualifiedName::new(&self.schema, "run").sql();
        session.begin().await?;
        let sql = format!(
            "SET LOCAL synchronous_commit TO on; UPDATE {table} SET flushed_at = pg_catalog.clock_timestamp()"
        );
        session.batch(&sql).await?;
        session.commit().await
    }

    /// Whether the target has not crashed since the run began, or since [`Self::revive_sql`].
    pub(crate) async fn is_alive(&self, session: &Session) -> Result<bool, Error> {
        let table = QualifiedName::new(&self.schema, "alive").sql();
        Ok(!session.query_strings(&format!("SELECT 'yes' FROM {table}")).await?.is_empty())
    }

    /// The statement that ends the effect of a crash on [`Self::is_alive`].
    pub(crate) fn revive_sql(&self) -> String {
        format!("INSERT INTO {} VALUES (true)", QualifiedName::new(&self.schema, "alive").sql())
    }

    /// The statement that fails if the target has crashed.
    pub(crate) fn assert_alive_sql(&self) -> String {
        let schema = quote_identifier(&self.schema);
        format!("UPDATE {schema}.run SET server_crashed = NOT EXISTS (SELECT FROM {schema}.alive)")
    }

    /// The statement that forgets steps.
    pub(crate) fn forget_sql(&self, steps: &[String]) -> String {
        format!("DELETE FROM {} WHERE {}", self.step_table(), is_one_of(steps))
    }

    /// How many steps are committed.
    pub(crate) async fn done_step_count(&self, session: &Session) -> Result<u64, Error> {
        let sql = format!("SELECT pg_catalog.count(*) AS count FROM {}", self.step_table());
        let counts: Vec<CountRow> = session.query_json(&sql).await?;
        Ok(counts.first().map_or(0, |row| row.count))
    }

    /// All steps that are committed.
    pub(crate) async fn done_steps(&self, session: &Session) -> Result<DoneSteps, Error> {
        self.select(session, "true").await
    }

    /// Those of the given steps that are committed.
    pub(crate) async fn done_among(&self, session: &Session, steps: &[String]) -> Result<DoneSteps, Error> {
        self.select(session, &is_one_of(steps)).await
    }

    async fn select(&self, session: &Session, condition: &str) -> Result<DoneSteps, Error> {
        let sql = format!("SELECT step, digest, left_out FROM {} WHERE {condition}", self.step_table());
        let rows: Vec<StepRow> = session.query_json(&sql).await?;
        let mut done = DoneSteps::default();
        for row in rows {
            let digest = row.digest.as_deref().map(str::parse).transpose();
            let digest = digest.map_err(|problem: RowsError| Error::Answer {
                server: session.server().to_owned(),
                problem: problem.to_string(),
                query: sql.clone(),
            })?;
            let step = DoneStep { digest: digest.unwrap_or_default(), left_out: row.left_out };
            done.steps.insert(row.step, step);
        }
        Ok(done)
    }

    /// The statement that records a step and what was left out of it. A step that is there already makes
    /// it fail: then an earlier attempt was committed after all. While that attempt is open, it waits.
    pub(crate) fn claim_sql(&self, step: &str, left_out: Option<&str>) -> String {
        let left_out = left_out.map_or("NULL".to_owned(), quote_literal);
        format!(
            "INSERT INTO {} (step, left_out) VALUES ({}, {left_out})",
            self.step_table(),
            quote_literal(step)
        )
    }

    /// The statement that records several steps with all that is known of them. As with
    /// [`claim_sql`](Self::claim_sql), one that is there already makes it fail.
    pub(crate) fn claim_done_sql(&self, steps: &[(String, DoneStep)]) -> String {
        let text = |text: Option<&str>| text.map_or("NULL".to_owned(), quote_literal);
        let row = |(step, done): &(String, DoneStep)| {
            let digest = (done.digest != RowDigest::default()).then(|| done.digest.to_string());
            format!(
                "({}, {}, {})",
                quote_literal(step),
                text(digest.as_deref()),
                text(done.left_out.as_deref())
            )
        };
        let rows: Vec<String> = steps.iter().map(row).collect();
        format!("INSERT INTO {} (step, digest, left_out) VALUES {}", self.step_table(), rows.join(", "))
    }

    /// The statement that adds what a claimed step has loaded.
    pub(crate) fn digest_sql(&self, step: &str, digest: RowDigest) -> String {
        self.update_sql(step, "digest", &digest.to_string())
    }

    /// The statement that adds what had to be left out of a claimed step.
    pub(crate) fn left_out_sql(&self, step: &str, left_out: &str) -> String {
        self.update_sql(step, "left_out", left_out)
    }

    fn update_sql(&self, step: &str, column: &str, value: &str) -> String {
        let (table, value, step) = (self.step_table(), quote_literal(value), quote_literal(step));
        format!("UPDATE {table} SET {column} = {value} WHERE step OPERATOR(pg_catalog.=) {step}")
    }

    /// The statement that removes the ledger.
    pub(crate) fn drop_sql(&self) -> String {
        let schema = quote_identifier(&self.schema);
        format!("DROP TABLE IF EXISTS {schema}.step, {schema}.run, {schema}.alive; DROP SCHEMA {schema}")
    }

    fn step_table(&self) -> String {
        QualifiedName::new(&self.schema, "step").sql()
    }
}

/// The server's refusal of statements that end with a rollback.
async fn tried(session: &Session, sql: &str) -> Result<Option<Error>, Error> {
    match session.batch(sql).await {
        Ok(()) => Ok(None),
        Err(refused @ Error::Server(_)) => session.rollback().await.map(|()| Some(refused)),
        Err(lost) => Err(lost),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Clean, Ledger};

    #[test]
    fn the_users_own_schema_keeps_its_name() {
        let taken = ["dbhaul", "dbhaul_1"].map(str::to_owned);
        assert_eq!(Ledger::free_schema(&BTreeSet::new()), "dbhaul");
        assert_eq!(Ledger::free_schema(&BTreeSet::from(taken)), "dbhaul_2");
    }

    #[test]
    fn how_far_a_clean_is_survives_the_ledger() {
        for (name, clean) in Clean::NAMES {
            assert_eq!((clean.name(), Clean::of_name(name)), (name, Some(clean)));
        }
        assert_eq!(Clean::of_name("halfway"), None);
    }
}
