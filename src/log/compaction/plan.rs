//! Which segments of a compacted log are worth cleaning. Decides only.

use crate::log::LogConfig;
use crate::log::retention::SegmentFacts;
use crate::model::{Offset, Wall};

/// What may be cleaned, and whether it should be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cleanable {
    /// The first segments, so many, may be cleaned.
    pub segments: usize,
    /// Share of their bytes that no cleaning has seen, 0 to 1.
    pub dirty_ratio: f64,
    /// `min.cleanable.dirty.ratio` or `max.compaction.lag.ms` asks for it.
    pub is_due: bool,
}

/// Looks at the `segments` of a log, oldest first. Those that reach above `first_uncleanable_offset` are left alone, and
/// so is everything after a segment with a record younger than `min.compaction.lag.ms`. What lies below
/// `first_dirty_offset` was cleaned before.
pub fn cleanable(
    segments: &[SegmentFacts],
    first_dirty_offset: Offset,
    first_uncleanable_offset: Offset,
    config: &LogConfig,
    now: Wall,
) -> Cleanable {
    let old_enough = |segment: &&SegmentFacts| {
        let age_ms = segment.max_timestamp.map(|newest| now.0.saturating_sub(newest));
        config.min_compaction_lag_ms <= 0 || age_ms.is_none_or(|age_ms| age_ms >= config.min_compaction_lag_ms)
    };
    let decided = |segment: &&SegmentFacts| segment.size > 0 && segment.next_offset <= first_uncleanable_offset;
    let count = segments.iter().take_while(decided).take_while(old_enough).count();
    let chosen = segments.get(..count).unwrap_or_default();
    let (clean, dirty) = chosen.split_at(chosen.partition_point(|segment| segment.next_offset <= first_dirty_offset));
    let bytes = |segments: &[SegmentFacts]| segments.iter().map(|segment| segment.size).sum::<u64>() as f64;
    let dirty_ratio = if dirty.is_empty() { 0.0 } else { bytes(dirty) / (bytes(clean) + bytes(dirty)) };
    let overdue = dirty.iter().filter_map(|segment| segment.max_timestamp).any(|newest| {
        config.max_compaction_lag_ms < i64::MAX && now.0.saturating_sub(newest) > config.max_compaction_lag_ms
    });
    let is_due = !dirty.is_empty() && (dirty_ratio > config.min_cleanable_dirty_ratio || overdue);
    Cleanable { segments: count, dirty_ratio, is_due }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten offsets and 100 bytes each; the newest record of the n-th is of time 1,000 n.
    fn segments(count: i64) -> Vec<SegmentFacts> {
        (1..=count).map(|n| SegmentFacts { next_offset: 10 * n, size: 100, max_timestamp: Some(1_000 * n) }).collect()
    }

    fn look(first_dirty_offset: Offset, first_uncleanable_offset: Offset, config: LogConfig) -> (usize, f64, bool) {
        let found = cleanable(&segments(4), first_dirty_offset, first_uncleanable_offset, &config, Wall(10_000));
        (found.segments, found.dirty_ratio, found.is_due)
    }

    #[test]
    fn nothing_is_cleaned_that_is_not_decided() {
        assert_eq!(look(0, 40, LogConfig::default()), (4, 1.0, true));
        assert_eq!(look(0, 39, LogConfig::default()), (3, 1.0, true));
        assert_eq!(look(0, 9, LogConfig::default()), (0, 0.0, false));
    }

    #[test]
    fn a_small_dirty_share_waits() {
        assert_eq!(look(10, 40, LogConfig::default()), (4, 0.75, true));
        assert_eq!(look(20, 40, LogConfig::default()), (4, 0.5, false));
        assert_eq!(look(40, 40, LogConfig::default()), (4, 0.0, false));
        let eager = LogConfig { min_cleanable_dirty_ratio: 0.0, ..LogConfig::default() };
        assert_eq!(look(30, 40, eager.clone()), (4, 0.25, true));
        assert_eq!(look(40, 40, eager), (4, 0.0, false));
    }

    #[test]
    fn young_records_wait_and_old_ones_do_not() {
        let patient = LogConfig { min_compaction_lag_ms: 7_500, ..LogConfig::default() };
        assert_eq!(look(0, 40, patient), (2, 1.0, true));
        let overdue = |max_compaction_lag_ms| LogConfig { max_compaction_lag_ms, ..LogConfig::default() };
        assert_eq!(look(30, 40, overdue(6_000)), (4, 0.25, false));
        assert_eq!(look(30, 40, overdue(5_999)), (4, 0.25, true));
    }
}
