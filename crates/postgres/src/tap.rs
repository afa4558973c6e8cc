//! The rows of a `COPY ... TO STDOUT`, taken off the wire before the driver sees them.
//!
//! A server sends each row in a message of its own, and the driver would hand out
//! each message by itself, from another task, in reads of 8 KiB. The tap stands
//! between the socket and the driver: it reads much at once, takes the rows out of
//! their messages in place, and passes them on in blocks of many rows. The messages
//! around them that say that a copy begins and that its rows are over it takes out
//! as well, so that to the driver a copy is any statement of a simple query, which
//! costs one round trip and may have others after it. Whatever else there is reaches
//! the driver unchanged, and in particular that the copy is complete, or an error; but
//! what nobody here asks for after the login (changed parameters, which the driver would
//! collect for ever, and notifications) ends here.
//!
//! No message gets past the tap, and none is collected for the driver, before the
//! [`Guard`] has found its length to be possible.
//!
//! Source: PostgreSQL documentation, "Message Formats": a message is a type byte,
//! a big-endian 32-bit length that counts itself, and that many bytes less four.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use dbhaul_rows::SpareBuffers;
use futures::channel::mpsc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_util::io::poll_read_buf;

use crate::outgoing::{FLUSH, Outgoing};
use crate::wire::{Guard, HEADER_BYTES, OPENING_BYTES, READY_FOR_QUERY, WireError, row_bytes};

/// Space offered to one read while rows come in.
const COPY_READ_BYTES: usize = 256 << 10;
/// Space offered to one read otherwise.
const READ_BYTES: usize = 8 << 10;
/// Blocks that wait for their reader; beyond them the socket fills and the server waits.
const BLOCKS: usize = 2;

const COPY_OUT_RESPONSE: u8 = b'H';
const COPY_DONE: u8 = b'c';
const ERROR_RESPONSE: u8 = b'E';
const PARAMETER_STATUS: u8 = b'S';
const NOTIFICATION_RESPONSE: u8 = b'A';
const NOTICE_RESPONSE: u8 = b'N';

/// Where the rows of a copy go.
#[derive(Debug)]
struct Outlet {
    blocks: mpsc::Sender<Bytes>,
    /// Whether the copies behind it in the same message go there too.
    has_more: bool,
}

/// What the tap has to know of the next copy; shared by the tap and whoever starts copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct TapHandle {
    /// Where the rows of one out of the server go.
    next: Arc<Mutex<Option<Outlet>>>,
    /// Whether the statement that is executed next copies into it.
    is_copy_in: Arc<AtomicBool>,
    /// Whether the first queries are answered; until then little is accepted.
    is_settled: Arc<AtomicBool>,
}

impl TapHandle {
    /// The blocks of the copy that is started next, the first of them empty, which says that it has
    /// begun. They end when the server has sent the last row, or failed; which of the two, the driver knows.
    pub(crate) fn expect_copy(&self) -> mpsc::Receiver<Bytes> {
        self.expect(false)
    }

    /// The blocks of all copies of the message that is sent next. An empty one stands where a copy begins, and one
    /// where its rows are over.
    pub(crate) fn expect_copies(&self) -> mpsc::Receiver<Bytes> {
        self.expect(true)
    }

    fn expect(&self, has_more: bool) -> mpsc::Receiver<Bytes> {
        let (blocks, receiver) = mpsc::channel(BLOCKS);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Outlet { blocks, has_more });
        receiver
    }

    /// Says that the statement executed next is a `COPY ... FROM STDIN`; see [`Outgoing`].
    pub(crate) fn expect_copy_in(&self) {
        self.is_copy_in.store(true, Ordering::Release);
    }

    /// Says that the first queries are answered: from now on answers are as long as what is asked for.
    pub(crate) fn settle(&self) {
        self.is_settled.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Outlet> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream to a server whose copied rows go another way.
#[derive(Debug)]
pub(crate) struct Tap<S> {
    inner: S,
    handle: TapHandle,
    sorter: Sorter,
    outgoing: Outgoing,
}

impl<S> Tap<S> {
    /// A tap on a stream from its first byte on.
    pub(crate) fn new(inner: S, handle: TapHandle, guard: Guard) -> Self {
        Tap { inner, handle, sorter: Sorter::new(guard), outgoing: Outgoing::default() }
    }
}

/// Tells rows from what is for the driver.
#[derive(Debug)]
struct Sorter {
    /// Refuses what no server sends.
    guard: Guard,
    /// Bytes from the server that went nowhere yet.
    unsorted: BytesMut,
    /// Size of the buffer of `unsorted`, once rows came, with what was split off it.
    buffer_bytes: usize,
    spares: SpareBuffers,
    /// Bytes of the answers to the first queries.
    opening_bytes: usize,
    /// How many of the next bytes are for the driver.
    driver_bytes: usize,
    /// How many of the next bytes are for nobody.
    dropped_bytes: usize,
    /// How many of the next bytes belong to the row message that has begun.
    row_bytes: usize,
    /// Where rows go while a copy runs.
    rows: Option<Outlet>,
    /// Where those of the next copy of the same message go.
    next_rows: Option<Outlet>,
    /// Rows on their way.
    block: Option<Bytes>,
}

impl Sorter {
    fn new(guard: Guard) -> Self {
        Sorter {
            guard,
            unsorted: BytesMut::new(),
            buffer_bytes: 0,
            spares: SpareBuffers::default(),
            opening_bytes: 0,
            driver_bytes: 0,
            dropped_bytes: 0,
            row_bytes: 0,
            rows: None,
            next_rows: None,
            block: None,
        }
    }

    /// Decides on the bytes at the front; whether there was anything to decide.
    fn sort(&mut self, handle: &TapHandle) -> Result<bool, WireError> {
        let Some(first) = self.unsorted.first() else { return Ok(false) };
        if self.guard.takes_tls_answer(*first)? {
            self.driver_bytes = 1;
            return Ok(true);
        }
        if self.rows.is_some() && self.gather_rows() {
            return Ok(true);
        }
        let was_open = self.guard.is_open();
        let Some((kind, message_bytes)) = self.guard.admit(&self.unsorted)? else { return Ok(false) };
        let is_dropped = match kind {
            COPY_OUT_RESPONSE => self.begin_copy(handle),
            COPY_DONE => self.end_copy(),
            ERROR_RESPONSE | READY_FOR_QUERY => {
                (self.rows, self.next_rows) = (None, None);
                false
            }
            PARAMETER_STATUS | NOTIFICATION_RESPONSE => was_open,
            _ => false,
        };
        // the driver collects an answer until it is whole; notices are not collected
        if was_open && !is_dropped && kind != NOTICE_RESPONSE && !handle.is_settled.load(Ordering::Acquire) {
            self.opening_bytes = self.opening_bytes.saturating_add(message_bytes);
            if self.opening_bytes > OPENING_BYTES {
                return Err(WireError::EndlessOpening { limit_bytes: OPENING_BYTES });
            }
        }
        match is_dropped {
            true => self.dropped_bytes = message_bytes,
            false => self.driver_bytes = message_bytes,
        }
        Ok(true)
    }

    /// Takes the rows that come now, and says so with an empty block; whether anybody waits for them.
    fn begin_copy(&mut self, handle: &TapHandle) -> bool {
        self.rows = self.next_rows.take().or_else(|| handle.take());
        self.block = self.rows.is_some().then(Bytes::new);
        self.rows.is_some()
    }

    /// Ends the rows that somebody waits for, with an empty block where more copies may follow.
    fn end_copy(&mut self) -> bool {
        let Some(outlet) = self.rows.take() else { return false };
        if outlet.has_more {
            self.next_rows = Some(outlet);
            self.block = Some(Bytes::new());
        }
        true
    }

    /// Takes all rows at the front out of their messages, in place, into one block;
    /// whether there were any.
    fn gather_rows(&mut self) -> bool {
        let (mut read, mut written) = (0, 0);
        loop {
            let taken = self.row_bytes.min(self.unsorted.len() - read);
            self.unsorted.copy_within(read..read + taken, written);
            (read, written) = (read + taken, written + taken);
            self.row_bytes -= taken;
            match row_bytes(&self.unsorted[read..]) {
                Some(row_bytes) if self.row_bytes == 0 => {
                    self.row_bytes = row_bytes;
                    read += HEADER_BYTES;
                }
                _ => break,
            }
        }
        if read == 0 {
            return false;
        }
        let block = self.unsorted.split_to(written).freeze();
        self.unsorted.advance(read - written);
        self.block = (!block.is_empty()).then_some(block);
        true
    }

    /// Hands the block on, once there is room for it. One that nobody waits for any more is dropped.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.block.is_none() {
            return Poll::Ready(());
        }
        if let Some(Outlet { blocks, .. }) = self.rows.as_mut().or(self.next_rows.as_mut())
            && ready!(blocks.poll_ready(cx)).is_ok()
            && let Some(block) = self.block.take()
        {
            // It was ready just now; if its reader went away since, the rows are wanted no more.
            let _ = blocks.start_send(block);
        }
        self.block = None;
        Poll::Ready(())
    }

    /// Makes room for one read.
    fn make_room(&mut self) {
        let room_bytes = self.unsorted.capacity() - self.unsorted.len();
        if self.rows.is_none() && room_bytes < READ_BYTES / 4 {
            self.unsorted.reserve(READ_BYTES);
        }
        if self.rows.is_some() && room_bytes < COPY_READ_BYTES / 4 {
            let mut fresh = self.spares.take(self.unsorted.len() + COPY_READ_BYTES);
            fresh.extend_from_slice(&self.unsorted);
            let fresh_bytes = fresh.capacity();
            let full = std::mem::replace(&mut self.unsorted, fresh);
            self.spares.keep(full, std::mem::replace(&mut self.buffer_bytes, fresh_bytes));
        }
    }

    /// Forgets what is for nobody, as far as it is there.
    fn drop_front(&mut self) {
        let dropped = self.dropped_bytes.min(self.unsorted.len());
        self.unsorted.advance(dropped);
        self.dropped_bytes -= dropped;
    }

    /// Gives the driver what is its own.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let given = self.driver_bytes.min(self.unsorted.len()).min(buffer.remaining());
        buffer.put_slice(&self.unsorted[..given]);
        self.unsorted.advance(given);
        self.driver_bytes -= given;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let sorter = &mut this.sorter;
        loop {
            ready!(sorter.poll_deliver(cx));
            if sorter.driver_bytes > 0 && !sorter.unsorted.is_empty() {
                sorter.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if sorter.dropped_bytes > 0 && !sorter.unsorted.is_empty() {
                sorter.drop_front();
                continue;
            }
            let is_undecided = sorter.driver_bytes == 0 && sorter.dropped_bytes == 0;
            if is_undecided && sorter.sort(&this.handle).map_err(WireError::into_io)? {
                continue;
            }
            sorter.make_room();
            if ready!(poll_read_buf(Pin::new(&mut this.inner), cx, &mut sorter.unsorted))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let inner = Pin::new(&mut this.inner);
        // what goes out before is not framed as messages are
        if !this.sorter.guard.is_open() {
            return inner.poll_write(cx, bytes);
        }
        let is_copy_in = this.handle.is_copy_in.load(Ordering::Acquire);
        let written_bytes = match this.outgoing.early_sync(bytes, is_copy_in) {
            None => ready!(inner.poll_write(cx, bytes))?,
            Some(place) => ready!(inner.poll_write(cx, &[&bytes[..place], &[FLUSH]].concat()))?,
        };
        if this.outgoing.advance(&bytes[..written_bytes], is_copy_in) {
            this.handle.is_copy_in.store(false, Ordering::Release);
        }
        Poll::Ready(Ok(written_bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tap<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Encrypts a tapped stream: the tap moves from the bytes on the wire to what they say.
pub(crate) struct TappedTls<C>(pub(crate) C);

impl<S, C> TlsConnect<Tap<S>> for TappedTls<C>
where
    S: Send + 'static,
    C: TlsConnect<S, Error = io::Error> + 'static,
    C::Future: Send,
{
    type Stream = Tap<C::Stream>;
    type Error = io::Error;
    type Future = futures::future::BoxFuture<'static, io::Result<Self::Stream>>;

    fn connect(self, stream: Tap<S>) -> Self::Future {
        let Tap { inner, handle, sorter, .. } = stream;
        // Whoever could put them there would have them taken for something that came encrypted.
        if !sorter.unsorted.is_empty() {
            return Box::pin(async { Err(WireError::BytesBeforeTls.into_io()) });
        }
        let connecting = self.0.connect(inner);
        Box::pin(async move { Ok(Tap::new(connecting.await?, handle, sorter.guard.encrypted())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::settings::RequireAuth;

    /// What lets us in.
    fn login() -> Vec<u8> {
        [message(b'R', &[0; 4]), message(b'S', b"a\0b\0"), message(b'Z', b"I")].concat()
    }

    /// A tap whose server has let us in.
    async fn open<S: AsyncRead + Unpin>(stream: S, handle: TapHandle) -> Tap<impl AsyncRead + Unpin> {
        let login = login();
        let bytes = login.len();
        let stream = AsyncReadExt::chain(std::io::Cursor::new(login), stream);
        let mut tap = Tap::new(stream, handle, Guard::new(false, RequireAuth::default()));
        tap.read_exact(&mut vec![0; bytes]).await.unwrap();
        tap
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// What the driver and the reader of rows get of `bytes`, sent in pieces of `piece_bytes`.
    async fn sorted(bytes: Vec<u8>, piece_bytes: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut server, client) = tokio::io::duplex(piece_bytes);
        let handle = TapHandle::default();
        let rows = handle.expect_copy();
        let mut tap = open(client, handle).await;
        let sending = async move { server.write_all(&bytes).await };
        let reading = async move {
            let mut driver = Vec::new();
            tap.read_to_end(&mut driver).await.map(|_| driver)
        };
        let (sent, driver, blocks) = tokio::join!(sending, reading, rows.collect::<Vec<_>>());
        sent.unwrap();
        (driver.unwrap(), blocks.concat())
    }

    #[tokio::test]
    async fn rows_leave_the_stream_and_all_else_stays() {
        let before = [message(b'1', b""), message(b'2', b"")].concat();
        let begin = message(b'H', &[0, 0, 2, 0, 0, 0, 0]);
        let long = vec![b'x'; 700_000];
        let copied =
            [message(b'd', b"1\n"), message(b'd', b""), message(b'N', b"careful"), message(b'd', &long)];
        let done = message(b'c', b"");
        let after = [message(b'C', b"COPY 4\0"), message(b'Z', b"I")].concat();
        // Without a copy of its own a row message is the driver's.
        let stray = message(b'd', b"stray");
        let bytes = [&before[..], &begin, &copied.concat(), &done, &after, &stray].concat();
        let expected = [&before[..], &copied[2], &after, &stray].concat();
        for piece_bytes in [1, 3, 7, 4096, 1 << 20] {
            let (driver, rows) = sorted(bytes.clone(), piece_bytes).await;
            assert_eq!(driver, expected, "in pieces of {piece_bytes}");
            assert_eq!(rows, [b"1\n", &long[..]].concat(), "in pieces of {piece_bytes}");
        }
    }

    #[tokio::test]
    async fn an_empty_block_says_that_a_copy_has_begun() {
        let (mut server, client) = tokio::io::duplex(64);
        let handle = TapHandle::default();
        let mut rows = handle.expect_copy();
        let mut tap = open(client, handle).await;
        let bytes = [message(b'H', &[0, 0, 0]), message(b'c', b""), message(b'C', b"COPY 0\0")].concat();
        server.write_all(&bytes).await.unwrap();
        drop(server);
        let mut driver = Vec::new();
        tap.read_to_end(&mut driver).await.unwrap();
        assert_eq!(driver, message(b'C', b"COPY 0\0"));
        assert_eq!((rows.next().await, rows.next().await), (Some(Bytes::new()), None));
    }

    #[tokio::test]
    async fn a_copy_that_nobody_expects_is_the_drivers() {
        let bytes = [message(b'H', &[0, 0, 0]), message(b'd', b"1\n"), message(b'c', b"")].concat();
        let (mut server, client) = tokio::io::duplex(64);
        server.write_all(&bytes).await.unwrap();
        drop(server);
        let mut driver = Vec::new();
        open(client, TapHandle::default()).await.read_to_end(&mut driver).await.unwrap();
        assert_eq!(driver, bytes);
    }

    #[tokio::test]
    async fn an_answer_about_tls_is_one_byte() {
        for first in [b'S', b'N'] {
            // It arrives alone, and must not wait for more.
            let (mut server, client) = tokio::io::duplex(64);
            let mut tap = Tap::new(client, TapHandle::default(), Guard::new(true, RequireAuth::default()));
            server.write_all(&[first]).await.unwrap();
            assert_eq!(tap.read_u8().await.unwrap(), first);
            server.write_all(&login()).await.unwrap();
            drop(server);
            let mut driver = Vec::new();
            tap.read_to_end(&mut driver).await.unwrap();
            assert_eq!(driver, login());
        }
    }

    #[tokio::test]
    async fn what_nobody_asks_for_ends_here() {
        let (mut server, client) = tokio::io::duplex(64);
        let mut tap = open(client, TapHandle::default()).await;
        let rest = message(b'C', b"SET\0");
        let bytes = [message(b'S', b"a\0c\0"), message(b'A', b"0000x\0y\0"), rest.clone()].concat();
        server.write_all(&bytes).await.unwrap();
        drop(server);
        let mut driver = Vec::new();
        tap.read_to_end(&mut driver).await.unwrap();
        assert_eq!(driver, rest);
    }

    /// The reason why the tap ends a connection that sends this after the login.
    async fn refusal(bytes: Vec<u8>, piece_bytes: usize) -> WireError {
        let (mut server, client) = tokio::io::duplex(piece_bytes);
        let handle = TapHandle::default();
        let rows = handle.expect_copy();
        let mut tap = open(client, handle).await;
        let sending = tokio::spawn(async move { server.write_all(&bytes).await });
        let reading = async move {
            let error = tap.read_to_end(&mut Vec::new()).await.unwrap_err();
            WireError::find(&error).cloned().unwrap()
        };
        let (refused, _) = tokio::join!(reading, rows.collect::<Vec<_>>());
        sending.abort();
        refused
    }

    #[tokio::test]
    async fn an_impossible_length_ends_a_connection_in_a_copy_too() {
        let begin = [message(b'H', &[0, 0, 0]), message(b'd', b"1\n")].concat();
        for kind in [b'd', b'D', b'C', b'N', b'S', b'A', b'?'] {
            for length in [-1_i32, 0, 3, i32::MAX] {
                let header = [&[kind], &length.to_be_bytes()[..]].concat();
                for bytes in [header.clone(), [begin.clone(), header].concat()] {
                    for piece_bytes in [1, 64] {
                        let refused = refusal(bytes.clone(), piece_bytes).await;
                        let is_long = matches!(refused, WireError::TooLong { .. });
                        assert_eq!(is_long, length == i32::MAX, "{refused}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn copies_of_one_message_are_told_apart() {
        let (mut server, client) = tokio::io::duplex(1 << 10);
        let handle = TapHandle::default();
        let rows = handle.expect_copies();
        let mut tap = open(client, handle.clone()).await;
        let begin = message(b'H', &[0, 0, 0]);
        let end = [message(b'c', b""), message(b'C', b"COPY 1\0")].concat();
        let copy = |row: &[u8]| [begin.clone(), message(b'd', row), end.clone()].concat();
        let empty = [begin.clone(), end.clone()].concat();
        let failed =
            [begin.clone(), message(b'd', b"3\n"), message(b'E', b"\0"), message(b'Z', b"T")].concat();
        let bytes = [copy(b"1\n"), empty, copy(b"2\n"), failed, begin.clone()].concat();
        let sending = async move { server.write_all(&bytes).await };
        let reading = async move {
            let mut driver = Vec::new();
            tap.read_to_end(&mut driver).await.map(|_| driver)
        };
        let (_, driver, blocks) = tokio::join!(sending, reading, rows.collect::<Vec<_>>());
        assert_eq!(blocks, [&b""[..], b"1\n", b"", b"", b"", b"", b"2\n", b"", b"", b"3\n"]);
        // what comes after the end of the message is for nobody who waited for its rows
        let done = message(b'C', b"COPY 1\0");
        let ended = [message(b'E', b"\0"), message(b'Z', b"T"), begin].concat();
        assert_eq!(driver.unwrap(), [done.clone(), done.clone(), done, ended].concat());
        assert!(handle.take().is_none());
    }

    #[tokio::test]
    async fn rows_that_nobody_reads_any_more_do_not_stop_the_driver() {
        let (mut server, client) = tokio::io::duplex(64);
        let handle = TapHandle::default();
        drop(handle.expect_copy());
        let mut tap = open(client, handle).await;
        let bytes = [message(b'H', &[0, 0, 0]), message(b'd', &[7; 100_000]), message(b'E', b"\0")].concat();
        let sending = tokio::spawn(async move { server.write_all(&bytes).await });
        let mut driver = Vec::new();
        tap.read_to_end(&mut driver).await.unwrap();
        sending.await.unwrap().unwrap();
        assert_eq!(driver, message(b'E', b"\0"));
    }

    /// Messages of servers, some of them broken, and bytes that are none.
    fn stream() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let kind = proptest::sample::select(b"HddddcCZESAND1?\0".to_vec());
        let whole = (kind, proptest::collection::vec(any::<u8>(), 0..300));
        let part = prop_oneof![
            9 => whole.prop_map(|(kind, body)| message(kind, &body)),
            1 => proptest::collection::vec(any::<u8>(), 0..12),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    /// What the driver and the reader of rows get, and the most that the tap has kept.
    async fn outcome(bytes: Vec<u8>, piece_bytes: usize) -> (Option<Vec<u8>>, Vec<u8>, usize) {
        let (mut server, client) = tokio::io::duplex(piece_bytes);
        let handle = TapHandle::default();
        let rows = handle.expect_copy();
        let login = login();
        let stream = AsyncReadExt::chain(std::io::Cursor::new(login.clone()), client);
        let mut tap = Tap::new(stream, handle, Guard::new(false, RequireAuth::default()));
        let sending = async move { drop(server.write_all(&bytes).await) };
        let reading = async move {
            let (mut driver, mut kept_bytes, mut buffer) = (Vec::new(), 0, [0; 97]);
            loop {
                let read = tap.read(&mut buffer).await;
                kept_bytes = kept_bytes.max(tap.sorter.unsorted.capacity());
                match read {
                    Ok(0) => return (Some(driver), kept_bytes),
                    Ok(count) => driver.extend_from_slice(&buffer[..count]),
                    Err(_) => return (None, kept_bytes),
                }
            }
        };
        let ((), (driver, kept_bytes), blocks) = tokio::join!(sending, reading, rows.collect::<Vec<_>>());
        (driver.map(|driver| driver[login.len()..].to_vec()), blocks.concat(), kept_bytes)
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: if std::env::var_os("DBHAUL_LONG").is_some() { 25_600 } else { 256 },
            rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_129),
            failure_persistence: None,
            ..proptest::test_runner::Config::default()
        })]

        /// However a stream comes, whole or byte by byte, the same goes to the same, or it is refused; and little of
        /// it is kept.
        #[test]
        fn any_stream_is_sorted_the_same_in_any_pieces(bytes in stream(), piece_bytes in 1_usize..400) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (whole, pieces) = runtime.block_on(async {
                (outcome(bytes.clone(), 1 << 20).await, outcome(bytes, piece_bytes).await)
            });
            proptest::prop_assert_eq!(whole.0.is_some(), pieces.0.is_some());
            if whole.0.is_some() {
                proptest::prop_assert_eq!((whole.0, whole.1), (pieces.0, pieces.1));
            }
            proptest::prop_assert!(whole.2.max(pieces.2) <= 4 * COPY_READ_BYTES);
        }
    }
}
