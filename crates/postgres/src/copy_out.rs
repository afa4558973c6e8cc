//! `COPY ... TO STDOUT` as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio_postgres::CopyOutStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::cancel;
use crate::error::{Error, Result};
use crate::session::Core;

/// How long the server may go on sending after a cancel request.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// How many blocks pass between two looks at the token.
const BLOCKS_PER_LOOK: u32 = 1024;

/// The data of a `COPY ... TO STDOUT`: a stream of blocks as the server sends
/// them, in text format one row each, `\n` included.
///
/// Nothing is buffered beyond the socket's and the driver's few blocks: a slow
/// reader slows the server down. The stream ends with `None` only when the server
/// said that the copy is complete; after an error nothing more comes. Dropping it
/// earlier has the session's next operation stop the server first, and fails an
/// open transaction.
pub struct CopyOut {
    core: Arc<Core>,
    state: State,
}

enum State {
    Streaming {
        stream: Pin<Box<CopyOutStream>>,
        cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
        blocks: u32,
    },
    /// Finding out the reason of an error, or stopping the server.
    Ending(BoxFuture<'static, Error>),
    Ended,
}

impl CopyOut {
    pub(crate) async fn start(core: Arc<Core>, sql: &str) -> Result<Self> {
        let stream = core.run(core.link().client().copy_out(sql)).await?;
        let cancelled = Box::pin(core.token().clone().cancelled_owned());
        Ok(CopyOut { core, state: State::Streaming { stream: Box::pin(stream), cancelled, blocks: 0 } })
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
                // one block is one row: looking at the token has a price, so only now and then
                State::Streaming { stream, cancelled, blocks } => match stream.poll_next_unpin(cx) {
                    Poll::Ready(item) => {
                        *blocks = blocks.wrapping_add(1);
                        let is_time = *blocks % BLOCKS_PER_LOOK == 0;
                        if is_time && this.core.token().is_cancelled() { None } else { Some(item) }
                    }
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
