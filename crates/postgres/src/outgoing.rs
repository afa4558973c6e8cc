//! What goes to a server, as far as it has to be changed on its way.
//!
//! The driver ends the statement that starts a `COPY ... FROM STDIN` with a Sync, and its rows with another. A
//! server that has begun to read rows skips the first. One that fails before that (there is no such table, it may
//! not be written, a trigger for the statement raises an error) answers both, and the second answer would be taken
//! for that to the next request: from then on each request would get the answer to the one before, a commit among
//! them. So the first goes out as a Flush, as libpq has it: then there is one Sync for each answer, whatever fails.
//!
//! Source: PostgreSQL documentation, "COPY Operations" and "Extended Query"; src/backend/tcop/postgres.c,
//! `SocketBackend` and `ignore_till_sync`; src/interfaces/libpq/fe-exec.c, `PQsendQueryGuts`.

use crate::wire::HEADER_BYTES;

/// The type byte of a Flush.
pub(crate) const FLUSH: u8 = b'H';
const EXECUTE: u8 = b'E';
const SYNC: u8 = b'S';

/// Follows the messages to a server after the login, wherever they are cut into pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outgoing {
    /// How many bytes of the header of the message at hand have gone.
    header_bytes: usize,
    /// Its length, as far as that has gone.
    length: u32,
    /// How many bytes of its body are to come.
    body_bytes: usize,
    /// Whether the last statement that was executed is a `COPY ... FROM STDIN` whose Sync is to come.
    has_copy: bool,
}

impl Outgoing {
    /// The place of the Sync behind the statement that starts a copy, if it is among these bytes. `is_copy_in` says
    /// that the next statement to be executed is one.
    pub(crate) fn early_sync(mut self, bytes: &[u8], is_copy_in: bool) -> Option<usize> {
        self.walk(bytes, is_copy_in).1
    }

    /// Notes that these bytes have gone; whether the statement that starts the copy is among them.
    pub(crate) fn advance(&mut self, bytes: &[u8], is_copy_in: bool) -> bool {
        self.walk(bytes, is_copy_in).0
    }

    fn walk(&mut self, bytes: &[u8], mut is_copy_in: bool) -> (bool, Option<usize>) {
        let (mut has_begun, mut early_sync, mut place) = (false, None, 0);
        while let Some(&byte) = bytes.get(place) {
            if self.body_bytes > 0 {
                let taken = self.body_bytes.min(bytes.len() - place);
                self.body_bytes -= taken;
                place += taken;
                continue;
            }
            match (self.header_bytes, byte) {
                (0, EXECUTE) if is_copy_in => {
                    (is_copy_in, has_begun, self.has_copy) = (false, true, true);
                }
                (0, SYNC) if self.has_copy => {
                    self.has_copy = false;
                    early_sync = Some(place);
                }
                (0, _) => {}
                _ => self.length = self.length << 8 | u32::from(byte),
            }
            self.header_bytes += 1;
            if self.header_bytes == HEADER_BYTES {
                // the length counts itself
                self.body_bytes = (self.length as usize).saturating_sub(HEADER_BYTES - 1);
                (self.header_bytes, self.length) = (0, 0);
            }
            place += 1;
        }
        (has_begun, early_sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// What becomes of `bytes` in pieces of `piece_bytes`, where the first statement executed may be a copy.
    fn sent(bytes: &[u8], piece_bytes: usize, mut is_copy_in: bool) -> Vec<u8> {
        let (mut outgoing, mut sent) = (Outgoing::default(), Vec::new());
        for piece in bytes.chunks(piece_bytes) {
            let mut changed = piece.to_vec();
            if let Some(place) = outgoing.early_sync(piece, is_copy_in) {
                changed[place] = FLUSH;
            }
            is_copy_in &= !outgoing.advance(piece, is_copy_in);
            sent.extend(changed);
        }
        sent
    }

    #[test]
    fn only_the_sync_that_starts_a_copy_is_a_flush() {
        let prepare = [message(b'P', b"s\0COPY t FROM STDIN\0"), message(b'S', b"")].concat();
        // bodies that look like messages
        let bind = message(b'B', b"ES\0\0\0\x04S");
        let execute = message(b'E', b"\0\0\0\0\0");
        let rows = [message(b'd', b"S\0\0\0\x04"), message(b'c', b""), message(b'S', b"")].concat();
        let next = [bind.clone(), execute.clone(), message(b'S', b"")].concat();
        let before = [prepare, bind, execute].concat();
        let bytes = [&before[..], &message(b'S', b""), &rows, &next].concat();
        let expected = [&before[..], &message(b'H', b""), &rows, &next].concat();
        for piece_bytes in [1, 2, 3, 7, 1000] {
            assert_eq!(sent(&bytes, piece_bytes, true), expected, "in pieces of {piece_bytes}");
            assert_eq!(sent(&bytes, piece_bytes, false), bytes, "in pieces of {piece_bytes}");
        }
    }
}
