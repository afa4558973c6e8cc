//! Cutting a table by ranges of an integer column, where it cannot be cut by its pages.
//!
//! Whatever the statistics say, the ranges hold every row exactly once: the first has no beginning, the last
//! no end, each begins where the one before it ends, and NULLs have a segment of their own. Statistics that
//! are wrong make uneven segments, and nothing worse. Each range is read by a scan of the whole table, never
//! through the index, since an index may be broken; so there had better be few.

use dbhaul_catalog::RangeKey;

use crate::{Segment, SegmentRange};

/// Cuts a table of `total_bytes` into ranges of a key of about `segment_bytes`. Nothing, if it is too small
/// for two segments or if too little is known of the key's values.
pub(crate) fn split_keys(key: &RangeKey, total_bytes: u64, segment_bytes: u64) -> Option<Vec<Segment>> {
    let count = total_bytes.div_ceil(segment_bytes.max(1));
    if count < 2 {
        return None;
    }
    let share = 1.0 / count as f64;
    let points = points(key, share);
    let (bounds, weights) = bounds(&points, share);
    if bounds.is_empty() {
        return None;
    }
    let range = |(index, weight): (usize, f64)| Segment {
        range: SegmentRange::Keys {
            column: key.column.clone(),
            from: index.checked_sub(1).and_then(|before| bounds.get(before)).copied(),
            to: bounds.get(index).copied(),
        },
        estimated_bytes: (total_bytes as f64 * weight) as u64,
    };
    let mut segments: Vec<Segment> = weights.into_iter().enumerate().map(range).collect();
    if key.is_nullable {
        segments.push(Segment {
            range: SegmentRange::NullKeys { column: key.column.clone() },
            estimated_bytes: (total_bytes as f64 * key.null_fraction) as u64,
        });
    }
    Some(segments)
}

/// Where the rows are: values in ascending order, each with the share of rows between the one before it and
/// itself. A bucket of the histogram that is more than a segment is taken apart evenly.
fn points(key: &RangeKey, share: f64) -> Vec<(i64, f64)> {
    let common: Vec<(i64, f64)> =
        key.common_values.iter().copied().zip(key.common_fractions.iter().copied()).collect();
    let common_share: f64 = common.iter().map(|(_, weight)| weight).sum();
    let buckets = key.histogram.len().saturating_sub(1).max(1) as f64;
    let weight = ((1.0 - key.null_fraction - common_share) / buckets).max(0.0);
    let parts = (2.0 * weight / share).ceil().clamp(1.0, 1e6) as i128;
    let mut points = common;
    for ends in key.histogram.windows(2) {
        let (low, high) = (i128::from(ends[0]), i128::from(ends[1]));
        for part in 1..=parts {
            // between two values of this type, so it is one
            let value = i64::try_from(low + (high - low) * part / parts).unwrap_or(ends[1]);
            points.push((value, weight / parts as f64));
        }
    }
    points.sort_by_key(|(value, _)| *value);
    points
}

/// Values at which segments begin, ascending, each once; and the share of rows of each segment.
fn bounds(points: &[(i64, f64)], share: f64) -> (Vec<i64>, Vec<f64>) {
    let (mut bounds, mut weights, mut open) = (Vec::new(), Vec::new(), 0.0);
    for &(value, weight) in points {
        let is_due = open >= share * 0.999 || open >= share * 0.499 && open + weight > share * 1.5;
        if is_due && bounds.last().is_none_or(|last| *last < value) {
            bounds.push(value);
            weights.push(std::mem::take(&mut open));
        }
        open += weight;
    }
    weights.push(open);
    (bounds, weights)
}

/// The condition of a segment from one key to before another.
pub(crate) fn keys_condition(column: &str, from: Option<i64>, to: Option<i64>) -> String {
    let column = dbhaul_catalog::quote_identifier(column);
    let bound = |operator: &str, value: i64| {
        format!("{column} OPERATOR(pg_catalog.{operator}) '{value}'::pg_catalog.int8")
    };
    let conditions: Vec<String> =
        from.map(|value| bound(">=", value)).into_iter().chain(to.map(|value| bound("<", value))).collect();
    match conditions.is_empty() {
        true => format!("WHERE {column} IS NOT NULL"),
        false => format!("WHERE {}", conditions.join(" AND ")),
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::RangeKey;

    use super::{keys_condition, split_keys};
    use crate::SegmentRange;

    /// The bounds, if the segments hold every value once.
    #[track_caller]
    fn check(key: &RangeKey, segments: u64) -> Vec<i64> {
        let Some(cut) = split_keys(key, segments * 100, 100) else { return Vec::new() };
        let mut next = None;
        let mut bounds = Vec::new();
        let (mut has_end, mut null_segments) = (false, 0);
        for (index, segment) in cut.iter().enumerate() {
            match &segment.range {
                SegmentRange::Keys { from, to, column } => {
                    assert_eq!((*from, index == 0, column.as_str()), (next, from.is_none(), "id"));
                    assert!(!has_end && from.is_none_or(|from| to.is_none_or(|to| from < to)));
                    (next, has_end) = (*to, to.is_none());
                    bounds.extend(*to);
                }
                SegmentRange::NullKeys { .. } => null_segments += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(has_end);
        assert_eq!(null_segments, usize::from(key.is_nullable));
        bounds
    }

    fn key(histogram: &[i64], common: &[(i64, f64)], null_fraction: f64) -> RangeKey {
        RangeKey {
            column: "id".to_owned(),
            is_nullable: null_fraction > 0.0,
            null_fraction,
            histogram: histogram.to_vec(),
            common_values: common.iter().map(|(value, _)| *value).collect(),
            common_fractions: common.iter().map(|(_, share)| *share).collect(),
        }
    }

    #[test]
    fn ranges_hold_every_value_once() {
        assert_eq!(check(&key(&[1, 25, 50, 75, 100], &[], 0.0), 4), [37, 62, 87]);
        assert_eq!(check(&key(&[-100, 0, 100], &[], 0.2), 2).len(), 1);
        // finer than the histogram
        assert!(check(&key(&[0, 1_000_000], &[], 0.0), 64).len() >= 60);
        // the whole range of a bigint
        assert!(check(&key(&[i64::MIN, 0, i64::MAX], &[], 0.0), 8).len() >= 6);
    }

    #[test]
    fn a_value_of_most_rows_stands_alone() {
        let bounds = check(&key(&[1, 100, 200], &[(60, 0.9)], 0.0), 20);
        assert_eq!(bounds[..2], [60, 100]);
    }

    #[test]
    fn what_is_not_known_is_not_cut() {
        assert!(check(&key(&[], &[], 0.0), 10).is_empty());
        assert!(check(&key(&[7], &[], 1.0), 10).is_empty());
        assert!(check(&key(&[], &[(7, 1.0)], 0.0), 10).is_empty());
        assert!(check(&key(&[1, 100], &[], 0.0), 1).is_empty());
    }

    #[test]
    fn odd_statistics_lose_nothing() {
        let (low, high) = (i64::MIN, i64::MAX);
        for histogram in
            [vec![low, low, high, high], vec![high, low], vec![0; 50], vec![high - 1, high], vec![low]]
        {
            for common in [vec![], vec![(low, 0.5), (high, 0.7)], vec![(0, f64::NAN)], vec![(3, -1.0)]] {
                for segments in [1, 2, 3, 17, 1000] {
                    for null_fraction in [0.0, 0.5, 1.0] {
                        check(&key(&histogram, &common, null_fraction), segments);
                    }
                }
            }
        }
    }

    #[test]
    fn conditions() {
        let id = "\"I d\" OPERATOR(pg_catalog.";
        let low = format!("{id}>=) '-9223372036854775808'::pg_catalog.int8");
        let high = format!("{id}<) '5'::pg_catalog.int8");
        assert_eq!(keys_condition("I d", Some(i64::MIN), Some(5)), format!("WHERE {low} AND {high}"));
        assert_eq!(keys_condition("I d", None, Some(5)), format!("WHERE {high}"));
        assert_eq!(keys_condition("I d", None, None), "WHERE \"I d\" IS NOT NULL");
    }
}
