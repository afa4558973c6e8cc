//! PostgreSQL's 64-bit extended hash of a byte string.

/// The 64-bit hash that PostgreSQL's `hashtextextended(text COLLATE "C", seed)` computes of a text's bytes.
///
/// Source: PostgreSQL `src/common/hashfn.c`, `hash_bytes_extended` (Bob Jenkins' lookup3 with
/// PostgreSQL's own initial value), little-endian path; unchanged from 11 to 18. The server's
/// `int8` seed and result are the same bits read as signed. Only the low 32 bits of the length take
/// part, as there; PostgreSQL values are shorter than 2^30 bytes.
///
/// ```
/// assert_eq!(dbhaul_rows::hash_bytes_extended(b"", 0) as i64, -6939563903564495251);
/// ```
#[must_use]
pub fn hash_bytes_extended(bytes: &[u8], seed: u64) -> u64 {
    let mut state = State::new(bytes.len(), seed);
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        state.block(block);
    }
    state.add_tail(blocks.remainder());
    state.finish()
}

/// [`hash_bytes_extended`] of the first `count` bytes. Where more bytes lie behind them the last ones are read
/// with these and masked, not told apart by how many they are: fields are short, and what a processor
/// guesses wrong of their lengths takes longer than their hashes.
#[inline]
pub(crate) fn hash_front(bytes: &[u8], count: usize, seed: u64) -> u64 {
    let mut state = State::new(count, seed);
    let (mut rest, mut left) = (bytes, count);
    while left >= 12 {
        state.block(&rest[..12]);
        rest = &rest[12..];
        left -= 12;
    }
    match rest.first_chunk::<16>() {
        Some(window) => {
            let tail = u128::from_le_bytes(*window) & ((1 << (8 * left)) - 1);
            state.add(tail as u32, (tail >> 32) as u32, ((tail >> 64) as u32) << 8);
        }
        None => state.add_tail(&rest[..left]),
    }
    state.finish()
}

/// The little-endian 32-bit word at `at` of a 12-byte block.
#[inline(always)]
fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// The little-endian word of the first four bytes, or of the fewer that are left, and the rest. No call
/// of memcpy here: fields are short, and this is where their time goes.
#[inline(always)]
fn leading_word(bytes: &[u8]) -> (u32, &[u8]) {
    match *bytes {
        [a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]), rest),
        [a, b, c] => (u32::from_le_bytes([a, b, c, 0]), &[]),
        [a, b] => (u32::from_le_bytes([a, b, 0, 0]), &[]),
        [a] => (u32::from(a), &[]),
        [] => (0, &[]),
    }
}

/// [`hash_bytes_extended`] of bytes that come in parts, given how many they will be.
#[derive(Debug)]
pub(crate) struct StreamingHash {
    state: State,
    /// Less than a block.
    pending: Vec<u8>,
    /// How many of the next bytes do not count.
    skipped_bytes: usize,
}

impl StreamingHash {
    pub(crate) fn new(total_bytes: usize, seed: u64) -> Self {
        Self { state: State::new(total_bytes, seed), pending: Vec::with_capacity(12), skipped_bytes: 0 }
    }

    /// Leaves out the first bytes that come; they are none of the total.
    pub(crate) fn skipping(mut self, bytes: usize) -> Self {
        self.skipped_bytes = bytes;
        self
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let skipped = self.skipped_bytes.min(bytes.len());
        self.skipped_bytes -= skipped;
        let mut bytes = &bytes[skipped..];
        if !self.pending.is_empty() {
            let (first, rest) = bytes.split_at((12 - self.pending.len()).min(bytes.len()));
            self.pending.extend_from_slice(first);
            bytes = rest;
            if self.pending.len() < 12 {
                return;
            }
            self.state.block(&self.pending);
            self.pending.clear();
        }
        let mut blocks = bytes.chunks_exact(12);
        for block in &mut blocks {
            self.state.block(block);
        }
        self.pending.extend_from_slice(blocks.remainder());
    }

    pub(crate) fn finish(&self) -> u64 {
        let mut state = self.state;
        state.add_tail(&self.pending);
        state.finish()
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    #[inline(always)]
    fn new(total_bytes: usize, seed: u64) -> Self {
        let initial = 0x9e37_79b9_u32.wrapping_add(total_bytes as u32).wrapping_add(3_923_095);
        let mut state = State { a: initial, b: initial, c: initial };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    /// Takes 12 bytes.
    #[inline(always)]
    fn block(&mut self, block: &[u8]) {
        self.add(word(block, 0), word(block, 4), word(block, 8));
        self.mix();
    }

    #[inline(always)]
    fn add(&mut self, a: u32, b: u32, c: u32) {
        self.a = self.a.wrapping_add(a);
        self.b = self.b.wrapping_add(b);
        self.c = self.c.wrapping_add(c);
    }

    /// Adds the last 0 to 11 bytes. The lowest byte of `c` is left out: it is reserved for the length.
    #[inline(always)]
    fn add_tail(&mut self, tail: &[u8]) {
        let (a, tail) = leading_word(tail);
        let (b, tail) = leading_word(tail);
        let (c, _) = leading_word(tail);
        self.add(a, b, c << 8);
    }

    #[inline(always)]
    fn mix(&mut self) {
        let Self { mut a, mut b, mut c } = *self;
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = Self { a, b, c };
    }

    #[inline(always)]
    fn finish(self) -> u64 {
        let Self { mut a, mut b, mut c } = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        c = (c ^ b).wrapping_sub(b.rotate_left(24));
        (u64::from(b) << 32) | u64::from(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_a_field_do_not_count() {
        let bytes: Vec<u8> = (0..100_u32).map(|at| (at * 37 % 256) as u8).collect();
        for seed in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            for end in 0..=bytes.len() {
                for count in 0..=end {
                    let expected = hash_bytes_extended(&bytes[..count], seed);
                    assert_eq!(hash_front(&bytes[..end], count, seed), expected, "{count} of {end}");
                }
            }
        }
    }
}
