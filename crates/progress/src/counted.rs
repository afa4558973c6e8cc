//! Numbers with their nouns.

/// A number with its noun, of which there may be one: `1 task`, `2 tasks`.
///
/// ```
/// use dbhaul_progress::counted;
///
/// assert_eq!(counted(1_u64, "task"), "1 task");
/// assert_eq!(counted(0_usize, "row"), "0 rows");
/// ```
pub fn counted(count: impl Into<Count>, noun: &str) -> String {
    let Count(count) = count.into();
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(u64);

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Count(count)
    }
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Count(count as u64)
    }
}

impl From<u32> for Count {
    fn from(count: u32) -> Self {
        Count(u64::from(count))
    }
}
