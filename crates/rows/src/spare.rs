//! Buffers that are filled again.

use std::collections::VecDeque;

use bytes::BytesMut;

/// Buffers that are kept at most. Whoever reads what was split off them is a few blocks behind.
const MAX_SPARES: usize = 4;

/// Bytes that are kept at most. A longer buffer was for one long row and is given back.
const MAX_SPARE_BYTES: usize = 8 << 20;

/// Buffers whose contents went on to somebody else, to be filled again when nobody reads these any more.
///
/// The pages of a fresh buffer are cleared by the kernel one by one when they are first touched, which
/// costs about as much as to copy rows into them.
///
/// ```
/// use dbhaul_rows::SpareBuffers;
/// let mut spares = SpareBuffers::default();
/// let mut buffer = spares.take(100);
/// buffer.extend_from_slice(b"rows");
/// let rows = buffer.split().freeze();
/// spares.keep(buffer, 100);
/// drop(rows);
/// assert!(spares.take(100).capacity() >= 100);
/// ```
#[derive(Debug, Default)]
pub struct SpareBuffers {
    /// With the size of each, what was split off it included; the oldest first.
    spares: VecDeque<(BytesMut, usize)>,
}

impl SpareBuffers {
    /// An empty buffer with room for at least `wanted_bytes`: one that was kept, if its contents are
    /// read no more, or a new one.
    pub fn take(&mut self, wanted_bytes: usize) -> BytesMut {
        for _ in 0..self.spares.len() {
            if let Some((mut spare, spare_bytes)) = self.spares.pop_front() {
                if spare.try_reclaim(wanted_bytes) {
                    return spare;
                }
                self.spares.push_back((spare, spare_bytes));
            }
        }
        BytesMut::with_capacity(wanted_bytes)
    }

    /// Keeps a buffer of `buffer_bytes` in all, what was split off it included. What is still in it is dropped.
    pub fn keep(&mut self, mut buffer: BytesMut, buffer_bytes: usize) {
        if buffer_bytes == 0 || buffer_bytes > MAX_SPARE_BYTES {
            return;
        }
        buffer.clear();
        self.spares.push_back((buffer, buffer_bytes));
        while self.spares.len() > MAX_SPARES || self.kept_bytes() > MAX_SPARE_BYTES {
            self.spares.pop_front();
        }
    }

    fn kept_bytes(&self) -> usize {
        self.spares.iter().map(|(_, spare_bytes)| spare_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_filled_again_only_when_nobody_reads_it() {
        let mut spares = SpareBuffers::default();
        let mut buffer = spares.take(1000);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(&[1; 600]);
        let first = buffer.split_to(400).freeze();
        spares.keep(buffer, 1000);
        let mut other = spares.take(1000);
        other.extend_from_slice(&[2; 1000]);
        assert_eq!(first, [1; 400][..], "what is read is not written over");
        assert_ne!(other.as_ptr(), place);
        drop(first);
        assert_eq!(spares.take(1000).as_ptr(), place, "its whole room is there again");
    }

    #[test]
    fn no_more_is_kept_than_needed() {
        let mut spares = SpareBuffers::default();
        spares.keep(BytesMut::with_capacity(MAX_SPARE_BYTES + 1), MAX_SPARE_BYTES + 1);
        assert!(spares.spares.is_empty());
        (0..10).for_each(|_| spares.keep(BytesMut::with_capacity(10), 10));
        assert_eq!(spares.spares.len(), MAX_SPARES);
        (0..10).for_each(|_| spares.keep(BytesMut::new(), MAX_SPARE_BYTES / 2));
        assert_eq!(spares.kept_bytes(), MAX_SPARE_BYTES);
    }
}
