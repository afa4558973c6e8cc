//! Definitions parsed by a server: created in a transaction that is rolled back, and read back.
//!
//! The transaction makes a schema of its own and in it an empty copy of each table that a definition is on,
//! under the table's name. User tables are locked as by a query that reads them, and none is touched that has
//! rows. What comes out of a catalog is sent as one statement a message, so that no text can end the
//! transaction.

use std::collections::BTreeMap;

use dbhaul_catalog::{
    Decision, Printed, QualifiedName, ServerVersion, Unsettled, quote_identifier, quote_literal,
};
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionRole};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use super::tree::{self, Tree, TreeVerdict};
use super::trial::{self, Trial, Whose};

/// Definitions that one transaction creates: each takes some locks until its savepoint is rolled back, and
/// some transaction numbers.
const SLICE: usize = 64;

/// How often texts are printed anew: what is parsed once may be printed otherwise, what is parsed twice not.
const ROUNDS: usize = 2;

/// A server that may be asked.
pub(super) struct Scratch {
    session: Session,
    schema: String,
    source: ServerVersion,
    may_run_functions: bool,
}

/// An empty relation with the columns of another.
#[derive(Debug, Default)]
struct Copy {
    /// Whether a column of it is of a type that is not the server's own.
    has_foreign_types: bool,
}

/// What a server made of the two texts of one definition.
enum Outcome {
    Printed(String, String),
    Refused(String),
}

impl Scratch {
    /// Opens a session for trials.
    ///
    /// # Errors
    /// Why the server cannot be asked, in words.
    pub(super) async fn open(
        settings: &ConnectSettings,
        source: ServerVersion,
        although_read_only: bool,
        token: &CancellationToken,
    ) -> Result<Self, String> {
        let session =
            Session::connect(settings, SessionRole::Loader, token).await.map_err(|error| in_words(&error))?;
        let schema = format!("dbhaul_scratch_{}", session.backend_pid());
        let scratch = Scratch { session, schema, source, may_run_functions: false };
        match scratch.refusal(although_read_only).await {
            Ok(None) => Ok(scratch),
            Ok(Some(reason)) => Err(reason),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// With or without definitions for which the server may run functions that they name.
    pub(super) fn running_functions(self, may_run_functions: bool) -> Self {
        Scratch { may_run_functions, ..self }
    }

    /// Why nothing may be created here, even for a moment.
    async fn refusal(&self, although_read_only: bool) -> Result<Option<String>, Error> {
        if self.session.is_in_recovery() {
            return Ok(Some("the target is a standby".to_owned()));
        }
        if self.session.version().major() < self.source.major() {
            return Ok(Some("the target is of an older major than the source".to_owned()));
        }
        if although_read_only {
            return Ok(None);
        }
        // The session itself is pinned to be writable.
        let sql = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'";
        if self.session.query_one_text(sql).await?.as_deref() == Some("on") {
            return Ok(Some("transactions on the target are read-only by default".to_owned()));
        }
        Ok(None)
    }

    /// Decides each definition, in the same order.
    pub(super) async fn decide(&self, unsettled: &[&Unsettled]) -> Result<Vec<Decision>, Error> {
        let mut decisions = Vec::with_capacity(unsettled.len());
        for slice in unsettled.chunks(SLICE) {
            decisions.extend(self.decide_slice(slice).await?);
        }
        Ok(decisions)
    }

    async fn decide_slice(&self, unsettled: &[&Unsettled]) -> Result<Vec<Decision>, Error> {
        self.session.begin().await?;
        let result = match self.prepare().await {
            Ok(None) => self.decide_prepared(unsettled).await,
            Ok(Some(reason)) => Ok(vec![Decision::NotVerified(reason); unsettled.len()]),
            Err(error) if error.sqlstate().is_some() => {
                Ok(vec![Decision::NotVerified(in_words(&error)); unsettled.len()])
            }
            Err(error) => Err(error),
        };
        self.session.rollback().await?;
        result
    }

    /// Makes the schema, and sees to it that no event trigger fires; returns why that cannot be.
    async fn prepare(&self) -> Result<Option<String>, Error> {
        // a table that another session has locked is not waited for
        self.session.execute("SET LOCAL lock_timeout = '10s'").await?;
        if let Some(triggers) = self.silence_event_triggers().await? {
            return Ok(Some(format!("event triggers would fire on the target: {triggers}")));
        }
        self.session.execute(&format!("CREATE SCHEMA {}", self.schema)).await?;
        Ok(None)
    }

    /// Keeps event triggers from firing, by settings of this transaction or by what it does and takes back; returns
    /// the names of those that would fire all the same.
    async fn silence_event_triggers(&self) -> Result<Option<String>, Error> {
        let sql = event_triggers_sql(self.session.version().major());
        let rows = self.session.query_rows(&sql).await?;
        let Some([fire, fire_in_replica, disable, may_turn_off, may_be_replica]) =
            rows.first().map(Vec::as_slice)
        else {
            return Ok(None);
        };
        let may = |answer: &Option<String>| answer.as_deref() == Some("t");
        if fire.is_none() {
            Ok(None)
        } else if may(may_turn_off) {
            self.session.execute("SET LOCAL event_triggers = off").await?;
            Ok(None)
        } else if may(may_be_replica) && fire_in_replica.is_none() {
            // no rows are written here, so that it silences nothing else
            self.session.execute("SET LOCAL session_replication_role = replica").await?;
            Ok(None)
        } else if let Some(disable) = disable {
            // no event trigger fires for this, and others see nothing of it
            self.session.batch(disable).await?;
            Ok(None)
        } else if may(may_be_replica) {
            Ok(fire_in_replica.clone())
        } else {
            Ok(fire.clone())
        }
    }

    async fn decide_prepared(&self, unsettled: &[&Unsettled]) -> Result<Vec<Decision>, Error> {
        let mut by_relation: BTreeMap<Option<QualifiedName>, Vec<usize>> = BTreeMap::new();
        for (at, one) in unsettled.iter().enumerate() {
            by_relation.entry(trial::relation(&one.printed, &one.right)).or_default().push(at);
        }
        let mut decided = BTreeMap::new();
        for (relation, places) in by_relation {
            self.session.execute("SAVEPOINT relation").await?;
            let copied = match &relation {
                Some(relation) => self.copy(relation).await,
                None => Ok(Copy::default()),
            };
            for at in places {
                let decision = match (&copied, unsettled.get(at)) {
                    (Ok(copy), Some(one)) => self.decide_one(one, copy).await?,
                    (Err(reason), _) => Decision::NotVerified(reason.clone()),
                    (Ok(_), None) => continue,
                };
                decided.insert(at, decision);
            }
            self.session.execute("ROLLBACK TO SAVEPOINT relation").await?;
        }
        Ok(decided.into_values().collect())
    }

    /// Makes an empty relation with the columns of another.
    async fn copy(&self, relation: &QualifiedName) -> Result<Copy, String> {
        let about = format!(
            "SELECT c.relkind, EXISTS (SELECT FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 \
             AND t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace) \
             FROM pg_catalog.pg_class c WHERE c.oid = {}::pg_catalog.regclass",
            quote_literal(&relation.sql())
        );
        let about = self.session.query_rows(&about).await.map_err(|error| in_words(&error))?;
        let Some([Some(kind), Some(has_foreign_types)]) = about.first().map(Vec::as_slice) else {
            return Err(format!("{relation} is not found on the target"));
        };
        let copy = format!("{}.{}", self.schema, quote_identifier(&relation.name));
        let sql = match kind.as_str() {
            "v" => format!("CREATE VIEW {copy} AS SELECT * FROM {relation}"),
            _ => format!("CREATE TABLE {copy} (LIKE {relation})"),
        };
        self.session.execute(&sql).await.map_err(|error| in_words(&error))?;
        Ok(Copy { has_foreign_types: has_foreign_types != "f" })
    }

    async fn decide_one(&self, unsettled: &Unsettled, copy: &Copy) -> Result<Decision, Error> {
        let Unsettled { printed, left, right, .. } = unsettled;
        let own = self.session.version();
        // What only this server's own parser reads may still be tried, if it cannot lock anything.
        for (text, whose, version) in [(left, Whose::Left, self.source), (right, Whose::Right, own)] {
            let tree = match Tree::parse(printed, (text, version)) {
                Ok(tree) => tree,
                Err(reason) => return Ok(Decision::NotVerified(reason)),
            };
            let parts = match Tree::parse_parts(printed, (whose, version)) {
                Ok(parts) => parts,
                Err(reason) => return Ok(Decision::NotVerified(reason)),
            };
            if tree.locks_tables() || parts.iter().any(Tree::locks_tables) {
                let reason = "creating it would block writes to tables";
                return Ok(Decision::NotVerified(reason.to_owned()));
            }
            if !self.may_run_functions && self.may_run(printed, &tree, &parts, copy).await? {
                let reason = "creating it could run functions of the target's users";
                return Ok(Decision::NotVerified(reason.to_owned()));
            }
        }
        let mut texts =
            (tree::quoted_words(printed, left, self.source, own.major()).into_owned(), right.clone());
        let mut reason = String::new();
        for _ in 0..ROUNDS {
            match self.print_anew(unsettled, &texts).await? {
                Outcome::Printed(one, two) => texts = (one, two),
                Outcome::Refused(why) => {
                    reason = why;
                    break;
                }
            }
            let is_same = texts.0 == texts.1
                || tree::compare(printed, (&texts.0, own), (&texts.1, own)) == TreeVerdict::Same;
            if is_same {
                return Ok(Decision::Same);
            }
        }
        Ok(if reason.is_empty() { Decision::Different } else { Decision::NotVerified(reason) })
    }

    /// Whether creating a definition could run what users have written: what is planned computes its constants, and
    /// whatever is parsed reads its literals. To read one of a type that holds a domain, as an array or a row does,
    /// runs the checks of the domain (`domain_in` in PostgreSQL's domains.c).
    async fn may_run(
        &self,
        printed: &Printed,
        tree: &Tree,
        parts: &[Tree],
        copy: &Copy,
    ) -> Result<bool, Error> {
        if !trial::is_only_parsed(printed) {
            return Ok(copy.has_foreign_types
                || tree.names_of_users()
                || parts.iter().any(Tree::names_of_users));
        }
        let read: Vec<&Tree> =
            std::iter::once(tree).chain(parts).filter(|tree| tree.has_literals()).collect();
        if read.iter().any(|tree| tree.has_bare_literals()) {
            return Ok(true);
        }
        let types: Vec<String> =
            read.iter().flat_map(|tree| tree.types_of_users()).map(|name| quote_literal(&name)).collect();
        if types.is_empty() {
            return Ok(false);
        }
        // an array is a base type that has elements
        let sql = format!(
            "SELECT 'holds' FROM pg_catalog.pg_type t WHERE t.oid IN \
             (SELECT pg_catalog.to_regtype(name) FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS name) \
             AND (t.typtype NOT IN ('b', 'e', 'p') OR t.typelem <> 0)",
            types.join(", ")
        );
        Ok(!self.session.query_strings(&sql).await?.is_empty())
    }

    /// Creates both texts, one after the other, and reads each back: one flight.
    async fn print_anew(&self, unsettled: &Unsettled, texts: &(String, String)) -> Result<Outcome, Error> {
        let trial = |text: &str, whose| {
            trial::trial(&unsettled.printed, text, whose, (&self.schema, self.session.version()))
        };
        let trials = match (trial(&texts.0, Whose::Left), trial(&texts.1, Whose::Right)) {
            (Ok(left), Ok(right)) => [left, right],
            (Err(reason), _) | (_, Err(reason)) => return Ok(Outcome::Refused(reason)),
        };
        let mut flight: Vec<BoxFuture<'_, Step>> = Vec::new();
        for trial in &trials {
            self.board(trial, &mut flight);
        }
        let mut steps = join_all(flight).await.into_iter();
        let mut prints = Vec::new();
        for (trial, side) in trials.iter().zip(["source", "target"]) {
            let steps: Vec<Step> = steps.by_ref().take(trial.creates.len() + 3).collect();
            match read_back(steps)? {
                Ok(print) => prints.push(print),
                Err(reason) => {
                    return Ok(Outcome::Refused(format!(
                        "the target does not take the {side}'s text: {reason}"
                    )));
                }
            }
        }
        let mut prints = prints.into_iter();
        Ok(match (prints.next(), prints.next()) {
            (Some(left), Some(right)) => Outcome::Printed(left, right),
            _ => Outcome::Refused("nothing was read back".to_owned()),
        })
    }

    /// Everything of one trial, in the order in which it is sent.
    fn board<'a>(&'a self, trial: &'a Trial, flight: &mut Vec<BoxFuture<'a, Step>>) {
        let execute = |sql: &'a str| self.session.execute(sql).map(|done| Step::Done(done.map(drop))).boxed();
        flight.push(execute("SAVEPOINT trial"));
        flight.extend(trial.creates.iter().map(|sql| execute(sql)));
        flight.push(self.session.query_one_text(&trial.read).map(Step::Read).boxed());
        flight.push(execute("ROLLBACK TO SAVEPOINT trial"));
    }
}

/// Asks which event triggers fire in this session, and which would if it were a replica's; what disables all of them
/// where its role may do that, as a superuser may; and whether it may turn all of them off (settable since 17) and
/// may call the session a replica's.
fn event_triggers_sql(major: u32) -> String {
    let may_set = |setting: &str| match major {
        15.. => format!("pg_catalog.has_parameter_privilege('{setting}', 'SET')"),
        _ => "pg_catalog.current_setting('is_superuser')::pg_catalog.bool".to_owned(),
    };
    let may_turn_off = if major >= 17 { may_set("event_triggers") } else { "false".to_owned() };
    let may_be_replica = may_set("session_replication_role");
    format!(
        "SELECT pg_catalog.string_agg(t.name, ', ') FILTER (WHERE t.enabled IN ('A', s.own)), \
         pg_catalog.string_agg(t.name, ', ') FILTER (WHERE t.enabled IN ('A', 'R')), \
         CASE WHEN pg_catalog.current_setting('is_superuser')::pg_catalog.bool THEN \
         pg_catalog.string_agg('ALTER EVENT TRIGGER ' OPERATOR(pg_catalog.||) t.name OPERATOR(pg_catalog.||) ' DISABLE', '; ') \
         FILTER (WHERE t.enabled OPERATOR(pg_catalog.<>) 'D') END, \
         {may_turn_off}, {may_be_replica} \
         FROM (SELECT CASE pg_catalog.current_setting('session_replication_role') \
         WHEN 'replica' THEN 'R' ELSE 'O' END AS own) s \
         CROSS JOIN (SELECT pg_catalog.quote_ident(evtname) AS name, evtenabled::pg_catalog.text AS enabled \
         FROM pg_catalog.pg_event_trigger WHERE evtevent <> 'login') t"
    )
}

/// The answer to one message of a trial.
enum Step {
    Done(Result<(), Error>),
    Read(Result<Option<String>, Error>),
}

/// What a trial printed, or why the server refused it; an error where the transaction or connection is gone.
fn read_back(steps: Vec<Step>) -> Result<Result<String, String>, Error> {
    let mut refused = None;
    let mut print = None;
    let last = steps.len().saturating_sub(1);
    for (at, step) in steps.into_iter().enumerate() {
        match step {
            Step::Done(Ok(())) => {}
            Step::Read(Ok(text)) => print = text,
            Step::Done(Err(error)) if at == 0 || at == last => return Err(error),
            Step::Done(Err(error)) | Step::Read(Err(error)) => {
                if error.sqlstate().is_none() && !matches!(error, Error::Answer { .. }) {
                    return Err(error);
                }
                // those that follow only say that the transaction has failed
                refused.get_or_insert_with(|| in_words(&error));
            }
        }
    }
    let print = print.map(|text| text.strip_suffix(';').map(str::to_owned).unwrap_or(text));
    Ok(match refused {
        Some(reason) => Err(reason),
        None => print.ok_or_else(|| "nothing was read back".to_owned()),
    })
}

/// An error with its causes, in one line.
fn in_words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    dbhaul_catalog::in_one_line(&words)
}
