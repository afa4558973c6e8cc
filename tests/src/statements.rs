//! What clients say to a server, taken from the bytes that pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Statements that passed, in the order of their arrival.
pub(crate) type Sent = Arc<Mutex<Vec<Statement>>>;

/// One message with statements: a simple query, one to be prepared, or one that was prepared and is bound
/// later, when the server may look up its names again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The number of its connection.
    pub connection: u64,
    /// Its text.
    pub sql: String,
}

/// One connection's client side, which is not encrypted (PostgreSQL documentation, "Message Formats").
pub(crate) struct Frontend {
    connection: u64,
    has_started: bool,
    /// Bytes of a message that is not complete.
    pending: Vec<u8>,
    /// Bytes to come of a message that is of no interest.
    skipped_bytes: usize,
    /// What passes is encrypted, or no protocol of PostgreSQL's.
    is_opaque: bool,
    /// The text of what is prepared under a name.
    prepared: HashMap<String, String>,
    /// What was prepared by the message before, if it was such a message.
    just_prepared: Option<String>,
    sent: Sent,
}

/// A server takes no longer message as the start of a session.
const LONGEST_START_BYTES: usize = 10_000;

/// Asks for encryption, which come before the start of a session and are refused or not.
const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

impl Frontend {
    pub(crate) fn new(connection: u64, sent: Sent) -> Self {
        Frontend {
            connection,
            has_started: false,
            pending: Vec::new(),
            skipped_bytes: 0,
            is_opaque: false,
            prepared: HashMap::new(),
            just_prepared: None,
            sent,
        }
    }

    /// Takes what has passed.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.is_opaque {
            return;
        }
        let skipped = self.skipped_bytes.min(bytes.len());
        self.skipped_bytes -= skipped;
        self.pending.extend_from_slice(&bytes[skipped..]);
        while self.take_message() {}
    }

    /// Whether there was a message.
    fn take_message(&mut self) -> bool {
        let tag_bytes = usize::from(self.has_started);
        let Some(length) = self.pending.get(tag_bytes..tag_bytes + 4) else { return false };
        let length = tag_bytes + u32::from_be_bytes(length.try_into().expect("they are four")) as usize;
        if !self.has_started && !(8..=LONGEST_START_BYTES).contains(&length) {
            self.is_opaque = true;
            self.pending = Vec::new();
            return false;
        }
        let is_wanted = !self.has_started || matches!(self.pending[0], b'Q' | b'P' | b'B');
        if !is_wanted {
            let here = length.min(self.pending.len());
            self.pending.drain(..here);
            self.skipped_bytes = length - here;
            return true;
        }
        if self.pending.len() < length {
            return false;
        }
        let message: Vec<u8> = self.pending.drain(..length).collect();
        if self.has_started {
            self.keep(&message);
        } else {
            let code = u32::from_be_bytes(message[4..8].try_into().expect("they are four"));
            self.has_started = !REQUESTS.contains(&code);
        }
        true
    }

    fn keep(&mut self, message: &[u8]) {
        let mut texts =
            message[5..].split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        let just_prepared = self.just_prepared.take();
        let sql = match message[0] {
            b'P' => {
                let (name, sql) = (text(), text());
                self.just_prepared = Some(name.clone());
                self.prepared.insert(name, sql.clone());
                sql
            }
            b'B' => {
                // a portal's name comes before that of the statement
                let (_, name) = (text(), text());
                match self.prepared.get(&name) {
                    Some(sql) if just_prepared.as_ref() != Some(&name) => sql.clone(),
                    _ => return,
                }
            }
            _ => text(),
        };
        let statement = Statement { connection: self.connection, sql };
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(statement);
    }
}

#[cfg(test)]
mod tests {
    use super::{Frontend, Sent};

    #[test]
    fn statements_are_found_however_bytes_are_cut() {
        let mut bytes = [&8_u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes()].concat();
        bytes.extend([&16_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0a\0\0"].concat());
        let mut message = |tag: u8, body: &[u8]| {
            bytes.push(tag);
            bytes.extend((4 + body.len() as u32).to_be_bytes());
            bytes.extend(body);
        };
        message(b'p', b"secret\0");
        message(b'Q', b"SELECT 1\0");
        message(b'd', b"Q rows\0");
        message(b'P', b"name\0SELECT 2\0\0\0");
        message(b'B', b"\0name\0\0\0\0\0\0\0");
        message(b'P', b"\0SELECT 3\0\0\0");
        message(b'B', b"\0name\0\0\0\0\0\0\0");
        for size in 1..bytes.len() {
            let sent = Sent::default();
            let mut frontend = Frontend::new(7, sent.clone());
            bytes.chunks(size).for_each(|piece| frontend.push(piece));
            let found: Vec<String> =
                sent.lock().unwrap().iter().map(|statement| statement.sql.clone()).collect();
            assert_eq!(found, ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 2"], "{size} bytes at a time");
        }
    }
}
