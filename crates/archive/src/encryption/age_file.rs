//! age files: whole ones, and parts of long ones.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use age::secrecy::ExposeSecret;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient};
use bytes::Bytes;

use super::Secret;

/// The header of a pack's age file and the nonce behind it are no longer: one stanza for the key, and one that the
/// crate adds at random.
pub(crate) const MAX_HEADER_BYTES: u64 = 1024;
/// Plain bytes of a block of age's stream.
const BLOCK_BYTES: u64 = 64 << 10;
/// The tag behind each block.
const TAG_BYTES: u64 = 16;
const STORED_BLOCK_BYTES: u64 = BLOCK_BYTES + TAG_BYTES;

/// Encrypts bytes to one recipient.
pub(crate) fn encrypt(recipient: &dyn Recipient, plain: &[u8]) -> Result<Vec<u8>, String> {
    let encryptor =
        Encryptor::with_recipients(std::iter::once(recipient)).map_err(|error| error.to_string())?;
    let stored_bytes = plain.len() + (plain.len() / BLOCK_BYTES as usize + 1) * TAG_BYTES as usize;
    let mut stored = Vec::with_capacity(stored_bytes + MAX_HEADER_BYTES as usize);
    let mut writer = encryptor.wrap_output(&mut stored).map_err(|error| error.to_string())?;
    writer.write_all(plain).and_then(|()| writer.finish().map(drop)).map_err(|error| error.to_string())?;
    Ok(stored)
}

/// Why an age file could not be opened, in words of ours: those of the crate ask for a language first.
pub(super) fn reason(error: &DecryptError) -> String {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => {
            "it is encrypted to another key".to_owned()
        }
        DecryptError::DecryptionFailed => "it cannot be decrypted with this key".to_owned(),
        DecryptError::ExcessiveWork { required, .. } => {
            format!("its passphrase is hashed with the work factor {required}, which is too much")
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => "it is not an age file".to_owned(),
        DecryptError::InvalidMac => "its header is not what was written".to_owned(),
        DecryptError::Io(error) => io_reason(error),
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        io::ErrorKind::InvalidData => "its bytes are not what was encrypted".to_owned(),
        _ => error.to_string(),
    }
}

/// The plain bytes of a whole age file, if they are no more than `max_bytes`.
pub(crate) fn decrypt(identity: &dyn Identity, stored: &[u8], max_bytes: u64) -> Result<Vec<u8>, String> {
    let decryptor = Decryptor::new_buffered(stored).map_err(|error| reason(&error))?;
    let reader = decryptor.decrypt(std::iter::once(identity)).map_err(|error| reason(&error))?;
    let mut plain = Vec::with_capacity(stored.len());
    reader.take(max_bytes + 1).read_to_end(&mut plain).map_err(|error| io_reason(&error))?;
    match plain.len() as u64 > max_bytes {
        true => Err(format!("it holds more than {max_bytes} bytes")),
        false => Ok(plain),
    }
}

/// As [`decrypt`], for text that is a secret.
pub(super) fn decrypt_secret(
    identity: &dyn Identity,
    stored: &[u8],
    max_bytes: u64,
) -> Result<Secret, String> {
    let plain = decrypt(identity, stored, max_bytes)?;
    let text = String::from_utf8(plain).map_err(|_| "it holds no text".to_owned())?;
    Ok(Secret::new(text))
}

/// What to read of an age file of `stored_bytes` to have a range of its plain bytes, whatever the length of its
/// header; beside it the first [`MAX_HEADER_BYTES`] are needed.
pub(crate) fn stored_range(stored_bytes: u64, plain: &Range<u64>) -> Range<u64> {
    let start = (plain.start / BLOCK_BYTES).saturating_mul(STORED_BLOCK_BYTES);
    let blocks = plain.end.div_ceil(BLOCK_BYTES).max(plain.start / BLOCK_BYTES + 1);
    let end = blocks.saturating_mul(STORED_BLOCK_BYTES).saturating_add(MAX_HEADER_BYTES);
    start.min(stored_bytes)..end.min(stored_bytes)
}

/// What to read of an age file of `stored_bytes` to have so many of its last plain bytes.
pub(crate) fn stored_tail(stored_bytes: u64, tail_bytes: u64) -> Range<u64> {
    let blocks = (tail_bytes / BLOCK_BYTES).saturating_add(2);
    stored_bytes.saturating_sub(blocks.saturating_mul(STORED_BLOCK_BYTES))..stored_bytes
}

/// Parts of an age file.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    stored_bytes: u64,
    /// Each with the place where it starts.
    parts: Vec<(u64, Bytes)>,
    place: u64,
}

impl Parts {
    /// A file of this size of which these parts were read, each with its start.
    pub(crate) fn new(stored_bytes: u64, parts: Vec<(u64, Bytes)>) -> Self {
        Self { stored_bytes, parts, place: 0 }
    }

    /// The length of the header with the nonce: of what is not a part of the stream.
    fn header_bytes(&self) -> Result<u64, String> {
        let first = self.parts.iter().find(|(start, _)| *start == 0).ok_or("its beginning was not read")?;
        let head = &first.1[..first.1.len().min(MAX_HEADER_BYTES as usize)];
        let mac = head.windows(5).position(|bytes| bytes == b"\n--- ").ok_or("it is not an age file")?;
        let line = head[mac + 1..].iter().position(|byte| *byte == b'\n').ok_or("it is not an age file")?;
        Ok((mac + 1 + line + 1 + 16) as u64)
    }

    /// Bytes of the plain file. They are what was written if its last block can be decrypted as the last.
    pub(crate) fn plain_bytes(&self) -> Result<u64, String> {
        let stream = self.stored_bytes.checked_sub(self.header_bytes()?).ok_or("it is cut off")?;
        let blocks = stream.div_ceil(STORED_BLOCK_BYTES).max(1);
        stream.checked_sub(blocks * TAG_BYTES).ok_or_else(|| "it is cut off".to_owned())
    }

    /// A range of the plain bytes.
    pub(crate) fn decrypt(&self, identity: &dyn Identity, range: Range<u64>) -> Result<Vec<u8>, String> {
        let range_bytes = range.end.saturating_sub(range.start) as usize;
        if range_bytes == 0 {
            return Ok(Vec::new());
        }
        // The crate would panic behind the end.
        if range.end > self.plain_bytes()? {
            return Err("it is cut off".to_owned());
        }
        let decryptor = Decryptor::new(self.clone()).map_err(|error| reason(&error))?;
        let mut reader = decryptor.decrypt(std::iter::once(identity)).map_err(|error| reason(&error))?;
        let mut plain = vec![0; range_bytes];
        let block = range.start / BLOCK_BYTES * BLOCK_BYTES;
        // To the start of a block the crate goes only after it has read the last one; to a place in it, at once.
        let mut seek = |place| reader.seek(SeekFrom::Start(place));
        if block > 0 {
            seek(block + 1).map_err(|error| io_reason(&error))?;
        }
        seek(range.start).map_err(|error| io_reason(&error))?;
        reader.read_exact(&mut plain).map_err(|error| io_reason(&error))?;
        Ok(plain)
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place >= self.stored_bytes || buffer.is_empty() {
            return Ok(0);
        }
        let here =
            |(start, bytes): &&(u64, Bytes)| (*start..*start + bytes.len() as u64).contains(&self.place);
        let Some((start, bytes)) = self.parts.iter().find(here) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        let rest = &bytes[(self.place - start) as usize..];
        let now = rest.len().min(buffer.len());
        buffer[..now].copy_from_slice(&rest[..now]);
        self.place += now as u64;
        Ok(now)
    }
}

impl Seek for Parts {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        let place = match place {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.stored_bytes.checked_add_signed(by),
        };
        self.place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.place)
    }
}

/// The text of an identity, which keys are derived from.
pub(crate) fn derive(context: &str, identity: &age::x25519::Identity) -> [u8; 32] {
    blake3::derive_key(context, identity.to_string().expose_secret().as_bytes())
}
