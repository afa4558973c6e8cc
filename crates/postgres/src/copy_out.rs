//! `COPY ... TO STDOUT` as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio_postgres::CopyOutStream;
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
}

enum State {
    Streaming {
        /// Rows, taken off the wire.
        blocks: mpsc::Receiver<Bytes>,
        /// How the copy ends.
        stream: Pin<Box<CopyOutStream>>,
        cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    },
    /// Finding out the reason of an error, or stopping the server.
    Ending(BoxFuture<'static, Error>),
    Ended,
}

impl CopyOut {
    pub(crate) async fn start(core: Arc<Core>, sql: &str) -> Result<Self> {
        let starting = async {
            let blocks = core.link().tap().expect_copy();
            core.link().client().copy_out(sql).await.map(|stream| (blocks, Box::pin(stream)))
        };
        let (blocks, stream) = core.run(starting).await?;
        let cancelled = Box::pin(core.token().clone().cancelled_owned());
        Ok(CopyOut { core, state: State::Streaming { blocks, stream, cancelled } })
    }

    /// The next block; `None` when the server said that the copy is complete.
    pub async fn next_block(&mut self) -> Result<Option<Bytes>> {
        self.next().await.transpose()
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
                State::Streaming { blocks, stream, cancelled } => match poll_block(blocks, stream, cx) {
                    Poll::Ready(_) if this.core.token().is_cancelled() => None,
                    Poll::Ready(item) => Some(item),
                    Poll::Pending => {
                        ready!(cancelled.poll_unpin(cx));
                        None
                    }
                },
            };
            match next {
                Some(Some(Ok(block))) => return Poll::Ready(Some(Ok(block))),
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

/// The next block, the driver's error, or `None` if the driver has seen the end of the copy.
fn poll_block(
    blocks: &mut mpsc::Receiver<Bytes>,
    stream: &mut Pin<Box<CopyOutStream>>,
    cx: &mut Context<'_>,
) -> Poll<Option<std::result::Result<Bytes, tokio_postgres::Error>>> {
    match ready!(blocks.poll_next_unpin(cx)) {
        Some(block) => Poll::Ready(Some(Ok(block))),
        // The rows are over; whether the copy is complete, the driver knows.
        None => stream.poll_next_unpin(cx),
    }
}

impl CopyOut {
    fn stop(&mut self) {
        let core = Arc::clone(&self.core);
        if let State::Streaming { stream, .. } = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Ending(stop(core, stream).boxed());
        }
    }
}

async fn stop(core: Arc<Core>, mut stream: Pin<Box<CopyOutStream>>) -> Error {
    cancel::request(core.link()).await;
    let drain = async { while let Some(Ok(_)) = stream.next().await {} };
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
