//! One pinned connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dbhaul_catalog::{QualifiedName, ServerVersion, quote_identifier};
use futures::FutureExt;
use futures::future::join_all;
use tokio_postgres::SimpleQueryMessage;
use tokio_util::sync::CancellationToken;

use crate::cancel::{self, Watched};
use crate::connect::{self, Startup};
use crate::copy_in::CopyIn;
use crate::copy_out::CopyOut;
use crate::error::{Error, Result, excerpt};
use crate::held;
use crate::link::Link;
use crate::pins::{self, SessionRole};
use crate::settings::ConnectSettings;

/// How a session is opened.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// What it is for.
    pub role: SessionRole,
    /// More settings to pin, as (name, value); those the server does not know are left out.
    pub extra_pins: Vec<(String, String)>,
}

impl From<SessionRole> for SessionOptions {
    fn from(role: SessionRole) -> Self {
        SessionOptions { role, extra_pins: Vec::new() }
    }
}

/// A column of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name, which another may have too.
    pub name: String,
    /// OID of its type.
    pub type_oid: u32,
    /// The type's modifier; -1 for none.
    pub modifier: i32,
}

/// What the server told about itself when the session was opened.
#[derive(Debug, Clone)]
struct Facts {
    version: ServerVersion,
    encoding: String,
    backend_pid: i32,
    is_in_recovery: bool,
    database: String,
    user: String,
}

/// One connection whose settings are pinned. See the crate's documentation.
///
/// All methods take `&self`, but one session does one thing at a time: calls
/// that overlap are done one after the other. Dropping a session closes its
/// socket at once, which rolls back what is open.
pub struct Session {
    core: Arc<Core>,
}

/// What a session shares with the streams it opened.
pub(crate) struct Core {
    link: Link,
    token: CancellationToken,
    facts: Facts,
    pub(crate) in_transaction: AtomicBool,
    /// A stream was dropped half-way: the server must be told before anything else.
    is_dangling: AtomicBool,
    /// Whether the session has the statement that [`held`] looks at tables with.
    has_check: AtomicBool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server()).field("facts", &self.core.facts).finish()
    }
}

impl Session {
    /// Connects, pins the settings of the role and verifies in a second
    /// transaction that they took and that it is still the same backend.
    ///
    /// Every later operation of the session watches `token`.
    ///
    /// # Errors
    /// [`Error::Connect`] names every host and why it failed; [`Error::Pin`] the
    /// setting that did not take; [`Error::Pooler`] a transaction pooler.
    pub async fn connect(
        settings: &ConnectSettings,
        options: impl Into<SessionOptions>,
        token: &CancellationToken,
    ) -> Result<Session> {
        let options = options.into();
        let (link, facts) = tokio::select! {
            biased;
            () = token.cancelled() => return Err(Error::Cancelled),
            opened = Box::pin(open(settings, &options)) => opened?,
        };
        let core = Core {
            link,
            token: token.clone(),
            facts,
            in_transaction: AtomicBool::new(false),
            is_dangling: AtomicBool::new(false),
            has_check: AtomicBool::new(false),
        };
        Ok(Session { core: Arc::new(core) })
    }

    /// `host:port/database as user`, for messages.
    pub fn server(&self) -> &str {
        self.core.link.server()
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.core.facts.version
    }

    /// The encoding of the database, as PostgreSQL names it: `UTF8`, `SQL_ASCII`, `LATIN1`.
    pub fn server_encoding(&self) -> &str {
        &self.core.facts.encoding
    }

    /// The process that serves this session.
    pub fn backend_pid(&self) -> i32 {
        self.core.facts.backend_pid
    }

    /// Whether the server was a standby when the session was opened.
    pub fn is_in_recovery(&self) -> bool {
        self.core.facts.is_in_recovery
    }

    /// `current_database()`.
    pub fn database(&self) -> &str {
        &self.core.facts.database
    }

    /// `current_user`, as which everything is done.
    pub fn user(&self) -> &str {
        &self.core.facts.user
    }

    /// The token that this session watches.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.core.token
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.core.link.is_closed()
    }

    /// Takes the warnings (SQLSTATE class 01) that the server has sent since they were last taken, 256 at
    /// most. `GRANT` by a role that may not grant, but holds some privilege, is a warning and no error.
    pub fn take_warnings(&self) -> Vec<crate::ServerError> {
        self.core.link.take_warnings()
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Pins one more setting and verifies that it took.
    ///
    /// # Errors
    /// [`Error::Pin`] if it reads back otherwise, [`Error::Server`] if the server refuses it.
    pub async fn pin(&self, name: &str, value: &str) -> Result<()> {
        let one = [(name.to_owned(), value.to_owned())];
        self.batch(&pins::pin_sql(&one)).await?;
        let rows = self.query_rows(&pins::verify_sql(&one)).await?;
        check_pins(self.server(), &rows)
    }

    /// Runs one statement over the extended protocol, so that an error keeps its
    /// position and a second statement is refused. Returns the number of rows affected.
    pub async fn execute(&self, sql: &str) -> Result<u64> {
        let client = self.core.link.client();
        self.core.run(client.execute_typed(sql, &[])).await
    }

    /// Runs any number of statements in one message. Outside a transaction they
    /// are one transaction, unless the text says otherwise. End transactions with
    /// [`commit`](Self::commit), which notices a failed one; a bare `COMMIT` does not.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        let client = self.core.link.client();
        self.core.run(client.batch_execute(sql)).await
    }

    /// Begins a transaction at READ COMMITTED.
    pub async fn begin(&self) -> Result<()> {
        self.begin_with(BEGIN).await
    }

    /// Begins a transaction at READ COMMITTED and runs statements in it, in one message.
    pub async fn begin_and(&self, sql: &str) -> Result<()> {
        self.begin_with(&format!("{BEGIN}; {sql}")).await
    }

    /// Begins a transaction that sees one snapshot throughout.
    pub async fn begin_repeatable_read(&self, is_read_only: bool) -> Result<()> {
        let access = if is_read_only { "READ ONLY" } else { "READ WRITE" };
        self.begin_with(&format!("{BEGIN_REPEATABLE_READ} {access}")).await
    }

    /// Begins a read-only transaction that sees one snapshot throughout, and runs statements in it, in one
    /// message. Where one of them fails the transaction is open and has failed.
    pub(crate) async fn begin_reading_and(&self, sql: &str) -> Result<()> {
        self.core.in_transaction.store(true, Ordering::Release);
        self.batch(&format!("{BEGIN_REPEATABLE_READ} READ ONLY; {sql}")).await
    }

    async fn begin_with(&self, sql: &str) -> Result<()> {
        self.batch(sql).await?;
        self.core.in_transaction.store(true, Ordering::Release);
        Ok(())
    }

    /// Commits. Not cancelled by the token once begun.
    ///
    /// A `COMMIT` in a failed transaction is a silent rollback for the server;
    /// here it is [`Error::Server`] with SQLSTATE 25P02. After
    /// [`Error::ConnectionLost`] the outcome is unknown: ask the ledger.
    pub async fn commit(&self) -> Result<()> {
        self.commit_after("SELECT 1").await // fails in a failed transaction, and COMMIT is not reached
    }

    /// Runs statements and [commits](Self::commit), in one message: nothing where one of them fails.
    pub async fn commit_after(&self, sql: &str) -> Result<()> {
        self.core.settle().await?;
        let result = self.core.link.client().batch_execute(&format!("{sql}; COMMIT")).await;
        match result {
            Ok(()) => {
                self.core.in_transaction.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) => Err(self.core.link.error(error).await),
        }
    }

    /// Rolls back. Works after a cancellation too.
    pub async fn rollback(&self) -> Result<()> {
        self.core.settle().await?;
        self.core.in_transaction.store(false, Ordering::Release);
        let first = self.core.link.client().batch_execute("ROLLBACK").await;
        let result = match first {
            // a cancel request that came late hit the rollback itself
            Err(error) if error.code().is_some_and(|code| code.code() == "57014") => {
                self.core.link.client().batch_execute("ROLLBACK").await
            }
            other => other,
        };
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(self.core.link.error(error).await),
        }
    }

    /// Runs statements (as [`batch`](Self::batch) does) in a transaction that is
    /// rolled back whatever happens, and returns what they gave.
    pub async fn try_and_roll_back(&self, sql: &str) -> Result<()> {
        // what begins the transaction is in the message with what is tried, which nothing of is run where it fails
        let messages = [format!("{BEGIN}; {sql}"), "ROLLBACK".to_owned()];
        let mut answers = self.query_rows_each(&messages).await?.into_iter();
        let (tried, rolled_back) = (answers.next(), answers.next());
        if !matches!(rolled_back, Some(Ok(_))) {
            self.rollback().await?;
        }
        tried.transpose().map(|_| ())
    }

    /// The rows of a query, each as its columns in text form, `None` for NULL.
    pub async fn query_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let client = self.core.link.client();
        let messages = self.core.run(client.simple_query(sql)).await?;
        text_rows(self.server(), sql, &messages)
    }

    /// What each of several messages gives, all sent before the answer to the first. One that fails keeps none
    /// behind it from being run: in a transaction, it is up to those to save it.
    pub(crate) async fn query_rows_each(&self, messages: &[String]) -> Result<Vec<Result<TextRows>>> {
        let client = self.core.link.client();
        let asked = messages.iter().map(|sql| client.simple_query(sql));
        let answers = Box::pin(self.core.run(join_all(asked).map(Ok))).await?;
        let mut given = Vec::with_capacity(answers.len());
        for (answer, sql) in answers.into_iter().zip(messages) {
            given.push(match answer {
                Ok(answer) => text_rows(self.server(), sql, &answer),
                Err(error) => Err(self.core.link.error(error).await),
            });
        }
        Ok(given)
    }

    /// The first column of every row, in text form. NULL is an error.
    pub async fn query_strings(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.query_rows(sql).await?;
        let firsts = rows.into_iter().map(|row| row.into_iter().next().flatten());
        firsts.map(|first| first.ok_or_else(|| self.core.answer(sql, "a NULL, or no column"))).collect()
    }

    /// The first column of the only row, in text form, `None` for NULL.
    ///
    /// # Errors
    /// [`Error::Answer`] unless there is exactly one row.
    pub async fn query_one_text(&self, sql: &str) -> Result<Option<String>> {
        let mut rows = self.query_rows(sql).await?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row.into_iter().next().flatten()),
            (None, _) => Err(self.core.answer(sql, "no row instead of one")),
            (Some(_), _) => Err(self.core.answer(sql, "several rows instead of one")),
        }
    }

    /// The names of the columns that a query gives. It is run, so it had better give no rows.
    ///
    /// # Errors
    /// [`Error::Answer`] if it is no query.
    pub async fn query_columns(&self, sql: &str) -> Result<Vec<String>> {
        let client = self.core.link.client();
        let messages = self.core.run(client.simple_query(sql)).await?;
        let columns = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::RowDescription(columns) => Some(columns),
            _ => None,
        });
        let columns = columns.ok_or_else(|| self.core.answer(sql, "no columns"))?;
        Ok(columns.iter().map(|column| column.name().to_owned()).collect())
    }

    /// The rows of a query, each as JSON object deserialised to `T` as it arrives.
    /// The query is wrapped in `row_to_json`, so its columns need distinct names.
    pub async fn query_json<T: serde::de::DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>> {
        let mut values = Vec::new();
        crate::json::query(Arc::clone(&self.core), sql, |value| values.push(value)).await?;
        Ok(values)
    }

    /// As [`query_json`](Self::query_json), with each row handed to `take` as it arrives.
    pub async fn query_json_each<T: serde::de::DeserializeOwned>(
        &self,
        sql: &str,
        take: impl FnMut(T),
    ) -> Result<()> {
        crate::json::query(Arc::clone(&self.core), sql, take).await
    }

    /// The columns that a query gives, without running it: the server only parses it, and refuses a second
    /// statement. What it reads stays locked against changes of definition until the transaction ends.
    pub async fn describe(&self, sql: &str) -> Result<Vec<ResultColumn>> {
        let client = self.core.link.client();
        let statement = self.core.run(client.prepare(sql)).await?;
        if !statement.params().is_empty() {
            return Err(self.core.answer(sql, "parameters, which nothing fills in"));
        }
        let column = |column: &tokio_postgres::Column| ResultColumn {
            name: column.name().to_owned(),
            type_oid: column.type_().oid(),
            modifier: column.type_modifier(),
        };
        Ok(statement.columns().iter().map(column).collect())
    }

    /// Starts `COPY ... TO STDOUT`.
    pub async fn copy_out(&self, sql: &str) -> Result<CopyOut> {
        CopyOut::start(Arc::clone(&self.core), sql).await
    }

    /// Starts `COPY ... TO STDOUT` of a table, and looks after it, in the same message, whether the table is
    /// what the snapshot saw: the stream ends with [`Error::TableChanged`] if it is not. The session must
    /// have imported the snapshot, in a transaction that is still open.
    pub async fn copy_out_checked(&self, sql: &str, table: &QualifiedName) -> Result<CopyOut> {
        self.prepare_check().await?;
        let sql = format!("{sql}; {}", held::check_sql(table));
        CopyOut::start_checked(Arc::clone(&self.core), &sql, table).await
    }

    /// Prepares the statement of [`held::check_sql`], once; it outlives transactions.
    pub(crate) async fn prepare_check(&self) -> Result<()> {
        if !self.core.has_check.load(Ordering::Acquire) {
            self.batch(&held::prepare_sql()).await?;
            self.core.has_check.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Starts `COPY ... FROM STDIN`.
    ///
    /// # Errors
    /// [`Error::NotInTransaction`] unless a transaction is open (see [`begin`](Self::begin)).
    pub async fn copy_in(&self, sql: &str) -> Result<CopyIn> {
        if !self.is_in_transaction().await? {
            return Err(Error::NotInTransaction { server: self.server().to_owned() });
        }
        CopyIn::start(Arc::clone(&self.core), sql).await
    }

    /// Whether a transaction is open, however it was begun: inside one, two
    /// statements see the same start of it.
    async fn is_in_transaction(&self) -> Result<bool> {
        if self.core.in_transaction.load(Ordering::Acquire) {
            return Ok(true);
        }
        let sql = "SELECT pg_catalog.now()";
        Ok(self.query_one_text(sql).await? == self.query_one_text(sql).await?)
    }

    /// Ends the connection in good order and waits for its end. Streams that are
    /// still open keep it until they are dropped.
    pub async fn close(self) -> Result<()> {
        match Arc::try_unwrap(self.core) {
            Ok(core) => core.link.close().await,
            Err(_) => Ok(()),
        }
    }
}

/// Rows in text form, each as its columns.
pub(crate) type TextRows = Vec<Vec<Option<String>>>;

impl Core {
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(crate) fn set_dangling(&self) {
        self.is_dangling.store(true, Ordering::Release);
    }

    pub(crate) fn answer(&self, sql: &str, problem: &str) -> Error {
        Error::Answer {
            server: self.link.server().to_owned(),
            problem: problem.to_owned(),
            query: excerpt(sql),
        }
    }

    /// Runs one operation of the driver under the token.
    pub(crate) async fn run<T>(
        &self,
        operation: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        cancel::check(&self.token)?;
        self.settle().await?;
        self.watch(operation).await
    }

    /// Like [`run`](Self::run), for a step of something that has begun.
    pub(crate) async fn watch<T>(
        &self,
        operation: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        match cancel::watch(&self.link, &self.token, operation).await {
            Watched::Ended(Ok(value)) => Ok(value),
            Watched::Ended(Err(error)) => Err(self.link.error(error).await),
            Watched::Stopped => Err(Error::Cancelled),
            Watched::Running => {
                self.set_dangling();
                Err(Error::Cancelled)
            }
        }
    }

    /// Ends what a dropped stream left running.
    async fn settle(&self) -> Result<()> {
        if !self.is_dangling.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        cancel::request(&self.link).await;
        match self.link.client().check_connection().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.link.error(error).await),
        }
    }
}

/// The data rows among the messages of a simple query.
fn text_rows(server: &str, sql: &str, messages: &[SimpleQueryMessage]) -> Result<TextRows> {
    let mut rows = Vec::new();
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let column = |index| row.try_get(index).map(|text| text.map(str::to_owned));
        let row = (0..row.len()).map(column).collect::<std::result::Result<Vec<_>, _>>();
        rows.push(row.map_err(|_| Error::NotUtf8 { server: server.to_owned(), query: excerpt(sql) })?);
    }
    Ok(rows)
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

pub(crate) const BEGIN_REPEATABLE_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

const FACTS_SQL: &str = "SELECT pg_catalog.current_setting('server_version_num'), \
     pg_catalog.current_setting('server_encoding'), pg_catalog.pg_backend_pid(), \
     pg_catalog.pg_is_in_recovery(), pg_catalog.current_database(), current_user";

/// Sessions that may end in a row, while they are opened, without a word of the server's.
const MOST_UNSAID: u32 = 2;

/// Connects and pins. Where the defaults of the database or the role end the session before it has pinned
/// its own settings, once more with a startup packet that goes before them. What a server says at the end of a session may
/// be lost with the connection, if something of ours was still on its way: then it is asked to say it again.
async fn open(settings: &ConnectSettings, options: &SessionOptions) -> Result<(Link, Facts)> {
    let mut startup = Startup::default();
    let mut ended: Option<Error> = None;
    let mut unsaid_count = 0;
    let began = std::time::Instant::now();
    loop {
        let opened = match connect::open(settings, &startup).await {
            Ok(link) => pin_in_time(&link, options, settings).await.map(|facts| (link, facts)),
            Err(error) => Err(error),
        };
        let error = match opened {
            Ok(opened) => {
                opened.0.tap().settle();
                return Ok(opened);
            }
            Err(error) => error,
        };
        // who has not answered for the whole of that time would not do so the next time
        let has_time = settings.connect_timeout.is_none_or(|limit| began.elapsed() < limit);
        let is_unsaid = error.is_connection_lost() && error.sqlstate().is_none();
        if is_unsaid && has_time && unsaid_count < MOST_UNSAID {
            unsaid_count += 1;
            continue;
        }
        match startup.after(&error) {
            Some(next) => (startup, ended) = (next, Some(error)),
            // what stands before the server takes no options: then the limit is what has to be known
            None if matches!(error, Error::Connect(_)) => return Err(ended.unwrap_or(error)),
            None => return Err(error),
        }
    }
}

/// Within `connect_timeout`: a pooler that has no server to give lets everybody in and answers nobody.
async fn pin_in_time(link: &Link, options: &SessionOptions, settings: &ConnectSettings) -> Result<Facts> {
    let pinning = pin(link, options, settings.role.as_deref());
    let Some(limit) = settings.connect_timeout else { return pinning.await };
    match tokio::time::timeout(limit, pinning).await {
        Ok(facts) => facts,
        Err(_) => {
            let reason = format!("no answer to the first query within {} s", limit.as_secs());
            Err(Error::lost(link.server(), reason, None))
        }
    }
}

/// Pins, takes on the role and verifies. Several messages, sent together: each is a transaction of its
/// own, so a transaction pooler may well serve them from two backends. Those behind the first run also
/// where it has failed, and so rely on no search path.
async fn pin(link: &Link, options: &SessionOptions, role: Option<&str>) -> Result<Facts> {
    let pins = pins::settings(options.role, &options.extra_pins);
    let first = format!("{}; SELECT pg_catalog.pg_backend_pid()", pins::first_sql(&pins));
    let verify = pins::verify_sql(&pins);
    let client = link.client();
    let all = futures::future::join4(
        client.simple_query(&first),
        set_role(link, role),
        client.simple_query(&verify),
        client.simple_query(FACTS_SQL),
    );
    let (first_answer, role_answer, verify_answer, facts_answer) = all.await;
    let first_rows = text_rows(link.server(), &first, &described(link, first_answer).await?)?;
    role_answer?;
    let verify_rows = text_rows(link.server(), &verify, &described(link, verify_answer).await?)?;
    let facts_rows = text_rows(link.server(), FACTS_SQL, &described(link, facts_answer).await?)?;
    let facts = read_facts(link.server(), facts_rows)?;
    let first_pid = first_rows.last().and_then(|row| row.first()).cloned().flatten();
    if first_pid != Some(facts.backend_pid.to_string()) {
        let evidence = "two transactions of one connection ran in two server processes".to_owned();
        return Err(Error::Pooler { server: link.server().to_owned(), evidence });
    }
    check_pins(link.server(), &verify_rows)?;
    Ok(facts)
}

/// Takes on a role, if one is asked for. `SET` looks nothing up by the search path.
async fn set_role(link: &Link, role: Option<&str>) -> Result<()> {
    let Some(role) = role else { return Ok(()) };
    let sql = format!("SET ROLE {}", quote_identifier(role));
    match described(link, link.client().batch_execute(&sql).await).await {
        Err(Error::Server(cause)) => {
            Err(Error::Role { server: link.server().to_owned(), role: role.to_owned(), cause })
        }
        result => result,
    }
}

async fn described<T>(link: &Link, answer: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(error) => Err(link.error(error).await),
    }
}

fn check_pins(server: &str, rows: &[Vec<Option<String>>]) -> Result<()> {
    let unreadable = || Error::Answer {
        server: server.to_owned(),
        problem: "settings that cannot be read back".to_owned(),
        query: "pg_settings".to_owned(),
    };
    if rows.is_empty() {
        return Err(unreadable());
    }
    for row in rows {
        let [Some(setting), Some(wanted), raw, shown] = row.as_slice() else { return Err(unreadable()) };
        let found = raw.as_deref().unwrap_or("");
        if !pins::is_kept(setting, wanted, found, shown.as_deref().unwrap_or("")) {
            return Err(Error::Pin {
                server: server.to_owned(),
                setting: setting.clone(),
                wanted: wanted.clone(),
                found: found.to_owned(),
                advice: "; if a connection pooler stands before the server, connect to the direct port",
            });
        }
    }
    Ok(())
}

fn read_facts(server: &str, mut rows: Vec<Vec<Option<String>>>) -> Result<Facts> {
    let row: Vec<String> =
        rows.pop().unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect();
    let unreadable = |problem: &str| Error::Answer {
        server: server.to_owned(),
        problem: problem.to_owned(),
        query: excerpt(FACTS_SQL),
    };
    let [version, encoding, pid, recovery, database, user] = row.as_slice() else {
        return Err(unreadable("not the six columns asked for"));
    };
    Ok(Facts {
        version: ServerVersion(version.parse().map_err(|_| unreadable("a version that is no number"))?),
        encoding: encoding.clone(),
        backend_pid: pid.parse().map_err(|_| unreadable("a process that is no number"))?,
        is_in_recovery: recovery == "t",
        database: database.clone(),
        user: user.clone(),
    })
}
