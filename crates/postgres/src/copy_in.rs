//! `COPY ... FROM STDIN` as a sink.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::CopyInSink;

use crate::cancel;
use crate::error::Result;
use crate::session::Core;

/// The most that is sent in one message.
const MESSAGE_BYTES: usize = 1 << 20;

/// Feeds a `COPY ... FROM STDIN`.
///
/// Dropping it aborts: the server is told that the copy failed, and the
/// transaction around it with it. Only [`finish`](Self::finish) completes the
/// copy, and only the session's `commit` makes its rows last.
pub struct CopyIn {
    core: Arc<Core>,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl CopyIn {
    pub(crate) async fn start(core: Arc<Core>, sql: &str) -> Result<Self> {
        let (client, tap) = (core.link().client(), core.link().tap());
        let statement = core.run(client.prepare(sql)).await?;
        let starting = async {
            tap.expect_copy_in();
            client.copy_in(&statement).await
        };
        let sink = core.watch(starting).await?;
        Ok(CopyIn { core, sink: Box::pin(sink) })
    }

    /// Sends bytes; they need not end at a row's end. Returns when the driver has
    /// room for more, so a slow server slows the sender down. The server reports
    /// bad rows only at the end, in [`finish`](Self::finish).
    pub async fn send(&mut self, mut block: Bytes) -> Result<()> {
        // the driver copies what it is given: a value of a gigabyte would be there twice
        while block.len() > MESSAGE_BYTES {
            self.send_message(block.split_to(MESSAGE_BYTES)).await?;
        }
        self.send_message(block).await
    }

    async fn send_message(&mut self, message: Bytes) -> Result<()> {
        cancel::check(self.core.token())?;
        self.core.watch(self.sink.feed(message)).await
    }

    /// Completes the copy. Returns the number of rows that the server took.
    pub async fn finish(mut self) -> Result<u64> {
        cancel::check(self.core.token())?;
        self.core.watch(self.sink.as_mut().finish()).await
    }
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn").field("server", &self.core.link().server()).finish_non_exhaustive()
    }
}
