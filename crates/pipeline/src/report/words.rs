//! Numbers and errors as people read them.

/// Bytes with a binary unit: `17 B`, `1.5 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Seconds in the largest unit that fits: `45s`, `12m`, `7h`, `3d`.
pub fn format_age(seconds: i64) -> String {
    match seconds {
        // the clock of whoever wrote the date is ahead of ours
        ..0 => format!("in {}", format_age(seconds.saturating_neg())),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Names shown of many.
const SHOWN: usize = 8;

/// A line about some names, the first few of which it shows; `None` where there are none.
pub(crate) fn listed(what: &str, names: Vec<String>) -> Option<String> {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("{what}: {shown}")),
        (false, more) => Some(format!("{what}: {shown} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::{format_age, format_bytes, listed};

    #[test]
    fn lists_end_somewhere() {
        let names = |count: u32| (0..count).map(|number| number.to_string()).collect();
        assert_eq!(listed("a", names(0)), None);
        assert_eq!(listed("a", names(2)).as_deref(), Some("a: 0, 1"));
        assert_eq!(listed("a", names(10)).as_deref(), Some("a: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"));
    }

    #[test]
    fn units() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")] {
            assert_eq!(format_bytes(bytes), text);
        }
        for (seconds, text) in [(59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(format_age(seconds), text);
        }
    }
}
