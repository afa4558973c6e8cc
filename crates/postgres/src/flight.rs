//! Queries that do not need each other's answers, sent together.
//!
//! Far from a server, waiting for answers is what a query costs. A [`Flight`] gathers what concurrent work asks,
//! until all of it waits; then everything goes out in one message and the answers come in one stream, in the
//! order of the questions. What the work asks next, with these answers, is the next message. So as many round
//! trips are made as there are answers that the next question needs, however many questions there are.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio_postgres::SimpleQueryStream;

use crate::error::{Error, Result};
use crate::json::{Rows, copy_sql};
use crate::session::{Core, Session};
use crate::statements::flight_length;

/// Concurrent queries over one session. See the module's documentation.
///
/// ```no_run
/// # async fn example(session: &dbhaul_postgres::Session) -> Result<(), dbhaul_postgres::Error> {
/// # #[derive(serde::Deserialize)] struct Named { name: String }
/// let flight = dbhaul_postgres::Flight::new(session);
/// let tables = flight.query_json::<Named>("SELECT relname AS name FROM pg_catalog.pg_class");
/// let roles = flight.query_json::<Named>("SELECT rolname AS name FROM pg_catalog.pg_roles");
/// let (tables, roles) = flight.run(async { futures::try_join!(tables, roles) }).await?; // one round trip
/// # drop((tables, roles)); Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Flight<'a> {
    session: &'a Session,
    asked: Mutex<Vec<Asked>>,
}

/// A query that waits to be sent.
#[derive(Debug)]
struct Asked {
    sql: String,
    answer: mpsc::Sender<Part>,
}

/// What comes back of a query.
#[derive(Debug)]
enum Part {
    Rows(Bytes),
    /// All rows have come.
    End,
    Failed(Error),
}

impl<'a> Flight<'a> {
    /// Over a session, which does nothing else meanwhile.
    pub fn new(session: &'a Session) -> Self {
        Flight { session, asked: Mutex::default() }
    }

    /// The session that the queries are sent over.
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// As [`Session::query_json`], together with what else is asked. Only within [`run`](Self::run) is anything
    /// sent.
    ///
    /// # Errors
    /// What the server says. Where one of the queries of a message fails, those behind it are not run.
    pub async fn query_json<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.query_json_each(sql, |value| values.push(value)).await?;
        Ok(values)
    }

    /// As [`query_json`](Self::query_json), with each row handed to `take` as it arrives.
    ///
    /// # Errors
    /// As [`query_json`](Self::query_json).
    pub async fn query_json_each<T: DeserializeOwned>(&self, sql: &str, take: impl FnMut(T)) -> Result<()> {
        let (answer, mut parts) = mpsc::channel(0);
        let mut rows = Rows::new(self.session.core(), sql, take);
        self.asked().push(Asked { sql: copy_sql(sql), answer });
        loop {
            match parts.next().await {
                Some(Part::Rows(block)) => rows.take(&block)?,
                Some(Part::End) => return Ok(()),
                Some(Part::Failed(error)) => return Err(error),
                None => return Err(self.unanswered(sql)),
            }
        }
    }

    /// Does work that asks, and sends together what all of it asks before it waits.
    ///
    /// Work that fails is not waited for: what is under way is stopped before the session's next operation.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let mut asked = match poll_fn(|cx| self.poll_asked(work.as_mut(), cx)).await {
                Either::Left(done) => return done,
                Either::Right(asked) => asked,
            };
            while !asked.is_empty() {
                let texts: Vec<&str> = asked.iter().map(|asked| asked.sql.as_str()).collect();
                let together: VecDeque<Asked> = asked.drain(..flight_length(&texts)).collect();
                if let Either::Left((done, _)) = select(work.as_mut(), pin!(self.send(together))).await {
                    return done;
                }
            }
        }
    }

    /// What the work comes to, or what it asks once all of it waits.
    fn poll_asked<T>(
        &self,
        work: Pin<&mut impl Future<Output = T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Either<T, Vec<Asked>>> {
        if let Poll::Ready(done) = work.poll(cx) {
            return Poll::Ready(Either::Left(done));
        }
        let mut asked = std::mem::take(&mut *self.asked());
        // nobody waits any more for what was given up
        asked.retain(|asked| !asked.answer.is_closed());
        if asked.is_empty() { Poll::Pending } else { Poll::Ready(Either::Right(asked)) }
    }

    fn unanswered(&self, sql: &str) -> Error {
        self.session.core().answer(sql, "none, since a query sent with it has failed")
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends queries in one message and hands out what comes back.
    async fn send(&self, mut waiting: VecDeque<Asked>) {
        let core = self.session.core();
        let message = waiting.iter().map(|asked| asked.sql.as_str()).collect::<Vec<_>>().join(";\n");
        let under_way = UnderWay { core, has_ended: false };
        let answered = core.run(hand_out(core, &message, &mut waiting)).await;
        under_way.end();
        // the last one is complete when the server says that the whole message is
        let Some(mut next) = waiting.pop_front() else { return };
        let part = match answered {
            Ok(true) if waiting.is_empty() => Part::End,
            Ok(_) => Part::Failed(core.answer(&next.sql, "no rows of a COPY")),
            Err(error) => Part::Failed(error),
        };
        let _ = next.answer.send(part).await;
    }
}

/// Hands rows to those who wait for them, in order, up to the last, whose end the caller tells; whether all rows of
/// the last one that waits have come.
async fn hand_out(
    core: &Core,
    message: &str,
    waiting: &mut VecDeque<Asked>,
) -> std::result::Result<bool, tokio_postgres::Error> {
    let blocks = core.link().tap().expect_copies();
    let answer = Box::pin(core.link().client().simple_query_raw(message).await?);
    let mut copies = Copies { blocks, answer, end: None };
    let (mut is_copying, mut is_complete) = (false, false);
    while let Some(block) = poll_fn(|cx| copies.poll_block(cx)).await? {
        let is_last = waiting.len() == 1;
        let Some(first) = waiting.front_mut() else { break };
        if !block.is_empty() {
            // whoever asked may have gone
            let _ = first.answer.send(Part::Rows(block)).await;
            continue;
        }
        is_copying = !is_copying;
        is_complete = !is_copying && !is_complete && is_last;
        if !is_copying && !is_last {
            let _ = first.answer.send(Part::End).await;
            waiting.pop_front();
        }
    }
    Ok(is_complete)
}

/// The blocks of several copies of one message. An empty one stands where a copy begins, and where it ends.
struct Copies {
    blocks: mpsc::Receiver<Bytes>,
    answer: Pin<Box<SimpleQueryStream>>,
    end: Option<std::result::Result<(), tokio_postgres::Error>>,
}

impl Copies {
    /// The next block; `None` when the server said that all statements are complete.
    fn poll_block(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<std::result::Result<Option<Bytes>, tokio_postgres::Error>> {
        loop {
            // what the driver says of a copy comes when its rows are here
            if let Poll::Ready(Some(block)) = self.blocks.poll_next_unpin(cx) {
                return Poll::Ready(Ok(Some(block)));
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(end.map(|()| None));
            }
            match ready!(self.answer.poll_next_unpin(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => self.end = Some(Err(error)),
                None => self.end = Some(Ok(())),
            }
        }
    }
}

/// A message whose answer is on its way. One that is dropped before its end has to be stopped.
struct UnderWay<'a> {
    core: &'a Core,
    has_ended: bool,
}

impl UnderWay<'_> {
    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.core.set_dangling();
        }
    }
}
