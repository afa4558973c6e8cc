//! `COPY ... TO STDOUT` as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dbhaul_catalog::QualifiedName;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryStream};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::cancel;
use crate::error::{Error, Result};
use crate::session::Core;

/// How long the server may go on sending after a cancel request.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// The data of a `COPY ... TO STDOUT`: a stream of blocks that end anywhere, as
/// large as what was there to be read at once, of up to about 256 KiB.
///
/// Nothing is buffered beyond the socket's and two blocks: a slow reader slows the
/// server down. The stream ends with `None` only when the server
/// said that the copy is complete; after an error nothing more comes. Dropping it
/// earlier has the session's next operation stop the server first, and fails an
/// open transaction.
pub struct CopyOut {
    core: Arc<Core>,
    state: State,
    /// The table that a statement after the copy looks at.
    checked: Option<QualifiedName>,
}

enum State {
    Streaming {
        /// Rows, taken off the wire.
        blocks: mpsc::Receiver<Bytes>,
        /// How the copy ends, and what comes after it.
        answer: Pin<Box<SimpleQueryStream>>,
        cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    },
    /// Finding out the reason of an error, or stopping the server.
    Ending(BoxFuture<'static, Error>),
    Ended,
}

impl CopyOut {
    /// Starts a copy; waits until the server has begun to send, or refused.
    pub(crate) async fn start(core: Arc<Core>, sql: &str) -> Result<Self> {
        let starting = async {
            let mut blocks = core.link().tap().expect_copy();
            let mut answer = Box::pin(core.link().client().simple_query_raw(sql).await?);
            let has_begun = poll_fn(|cx| poll_begin(&mut blocks, &mut answer, cx)).await?;
            Ok(has_begun.then_some((blocks, answer)))
        };
        let begun = core.run(starting).await?;
        let (blocks, answer) = begun.ok_or_else(|| core.answer(sql, "no rows of a COPY"))?;
        let cancelled = Box::pin(core.token().clone().cancelled_owned());
        Ok(CopyOut { core, state: State::Streaming { blocks, answer, cancelled }, checked: None })
    }

    /// As [`start`](Self::start), for a copy and a query of one message, where every row of the query says
    /// that `table` is not what it was.
    pub(crate) async fn start_checked(core: Arc<Core>, sql: &str, table: &QualifiedName) -> Result<Self> {
        let mut copy = Self::start(core, sql).await?;
        copy.checked = Some(table.clone());
        Ok(copy)
    }

    /// The next block; `None` when the server said that the copy is complete.
    pub async fn next_block(&mut self) -> Result<Option<Bytes>> {
        self.next().await.transpose()
    }
}

/// Whether the server has begun to send rows; `false` at the end of an answer without a copy.
fn poll_begin(
    blocks: &mut mpsc::Receiver<Bytes>,
    answer: &mut Pin<Box<SimpleQueryStream>>,
    cx: &mut Context<'_>,
) -> Poll<std::result::Result<bool, tokio_postgres::Error>> {
    loop {
        if let Poll::Ready(Some(_)) = blocks.poll_next_unpin(cx) {
            return Poll::Ready(Ok(true));
        }
        match ready!(answer.poll_next_unpin(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Ready(Ok(false)),
        }
    }
}

impl Stream for CopyOut {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let this = &mut *self;
            let next = match &mut this.state {
                State::Ended => return Poll::Ready(None),
                State::Ending(ending) => {
                    let error = ready!(ending.poll_unpin(cx));
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                State::Streaming { blocks, answer, cancelled } => match poll_block(blocks, answer, cx) {
                    Poll::Ready(_) if this.core.token().is_cancelled() => None,
                    Poll::Ready(item) => Some(item),
                    Poll::Pending => {
                        ready!(cancelled.poll_unpin(cx));
                        None
                    }
                },
            };
            match next {
                Some(Some(Ok(Part::Block(block)))) => return Poll::Ready(Some(Ok(block))),
                Some(Some(Ok(Part::RowAfter))) => self.report_change(),
                Some(Some(Err(error))) => {
                    let core = Arc::clone(&self.core);
                    self.state = State::Ending(async move { core.link().error(error).await }.boxed());
                }
                Some(None) => self.state = State::Ended,
                None => self.stop(),
            }
        }
    }
}

/// What arrives of a copy and the query after it.
enum Part {
    /// Rows of the copy.
    Block(Bytes),
    /// A row of the query after it.
    RowAfter,
}

/// The next part, the driver's error, or `None` if the driver has seen the end of the whole answer.
fn poll_block(
    blocks: &mut mpsc::Receiver<Bytes>,
    answer: &mut Pin<Box<SimpleQueryStream>>,
    cx: &mut Context<'_>,
) -> Poll<Option<std::result::Result<Part, tokio_postgres::Error>>> {
    if let Some(block) = ready!(blocks.poll_next_unpin(cx)) {
        return Poll::Ready(Some(Ok(Part::Block(block))));
    }
    // The rows are over; whether the copy is complete, the driver knows.
    loop {
        match ready!(answer.poll_next_unpin(cx)) {
            Some(Ok(SimpleQueryMessage::Row(_))) => return Poll::Ready(Some(Ok(Part::RowAfter))),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
    }
}

impl CopyOut {
    fn stop(&mut self) {
        let core = Arc::clone(&self.core);
        if let State::Streaming { answer, .. } = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Ending(stop(core, answer).boxed());
        }
    }

    /// Ends with the error that the table is not what it was, when the rest of the answer has come.
    fn report_change(&mut self) {
        let server = self.core.link().server().to_owned();
        let table = self.checked.as_ref().map(QualifiedName::sql).unwrap_or_default();
        if let State::Streaming { answer, .. } = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Ending(drained(answer, Error::TableChanged { server, table }).boxed());
        }
    }
}

async fn drained(mut answer: Pin<Box<SimpleQueryStream>>, error: Error) -> Error {
    while let Some(Ok(_)) = answer.next().await {}
    error
}

async fn stop(core: Arc<Core>, mut answer: Pin<Box<SimpleQueryStream>>) -> Error {
    cancel::request(core.link()).await;
    let drain = async { while let Some(Ok(_)) = answer.next().await {} };
    if tokio::time::timeout(DRAIN_PATIENCE, drain).await.is_err() {
        core.set_dangling();
    }
    Error::Cancelled
}

impl Drop for CopyOut {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended) {
            self.core.set_dangling();
        }
    }
}

impl std::fmt::Debug for CopyOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOut").field("server", &self.core.link().server()).finish_non_exhaustive()
    }
}
