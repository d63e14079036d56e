//! Which segments have outlived `retention.ms` and `retention.bytes`. Decides only.

use crate::model::{Offset, Wall};

use super::LogConfig;

/// What is known of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// One past its last offset.
    pub next_offset: Offset,
    /// Its bytes.
    pub size: u64,
    /// Its largest timestamp; `None` without one.
    pub max_timestamp: Option<i64>,
}

/// How many of the oldest `segments` may go. Never one that is empty, and never one that reaches above the high
/// watermark: followers need it still. A segment without a timestamp does not age.
pub fn deletable(segments: &[SegmentFacts], config: &LogConfig, high_watermark: Offset, now: Wall) -> usize {
    if !config.cleanup_policy.delete {
        return 0;
    }
    let committed = |segment: &&SegmentFacts| segment.size > 0 && segment.next_offset <= high_watermark;
    let committed = segments.iter().take_while(committed).count();
    let by_time = segments.iter().take_while(|segment| is_old(segment, config, now)).count();
    committed.min(by_time.max(by_size(segments, config)))
}

fn is_old(segment: &SegmentFacts, config: &LogConfig, now: Wall) -> bool {
    config.retention_ms >= 0
        && segment.max_timestamp.is_some_and(|newest| now.0.saturating_sub(newest) > config.retention_ms)
}

/// As many as leave at least `retention.bytes`.
fn by_size(segments: &[SegmentFacts], config: &LogConfig) -> usize {
    let Ok(retention_bytes) = u64::try_from(config.retention_bytes) else { return 0 };
    let mut left: u64 = segments.iter().map(|segment| segment.size).sum();
    let superfluous = |segment: &&SegmentFacts| {
        let enough = left - segment.size >= retention_bytes;
        left -= segment.size;
        enough
    };
    segments.iter().take_while(superfluous).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::CleanupPolicy;

    /// Ten offsets and 100 bytes each; the n-th is from time 1,000 n on.
    fn segments(count: i64) -> Vec<SegmentFacts> {
        (1..=count).map(|n| SegmentFacts { next_offset: 10 * n, size: 100, max_timestamp: Some(1_000 * n) }).collect()
    }

    fn config(retention_ms: i64, retention_bytes: i64) -> LogConfig {
        LogConfig { retention_ms, retention_bytes, ..LogConfig::default() }
    }

    #[test]
    fn by_time() {
        let count = |retention_ms, now| deletable(&segments(3), &config(retention_ms, -1), 30, Wall(now));
        assert_eq!([count(500, 1_500), count(500, 1_501), count(500, 3_000), count(500, 9_000)], [0, 1, 2, 3]);
        assert_eq!(count(-1, i64::MAX), 0);
        assert_eq!(count(0, 1_000), 0);
    }

    #[test]
    fn by_size() {
        let count = |retention_bytes| deletable(&segments(3), &config(-1, retention_bytes), 30, Wall(0));
        assert_eq!([count(-1), count(300), count(250), count(200), count(199), count(0)], [0, 0, 0, 1, 1, 3]);
    }

    #[test]
    fn not_above_the_high_watermark() {
        let count = |high_watermark| deletable(&segments(3), &config(0, -1), high_watermark, Wall(9_000));
        assert_eq!([count(0), count(9), count(10), count(29), count(30)], [0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_young_or_timeless_segment_keeps_the_older_rule_from_going_on() {
        let mut facts = segments(3);
        facts[1].max_timestamp = None;
        assert_eq!(deletable(&facts, &config(0, -1), 30, Wall(9_000)), 1);
        let empty = SegmentFacts { next_offset: 0, size: 0, max_timestamp: None };
        assert_eq!(deletable(&[empty], &config(0, 0), 30, Wall(9_000)), 0);
    }

    #[test]
    fn compacted_logs_are_kept() {
        let policy = CleanupPolicy { delete: false, compact: true };
        let config = LogConfig { cleanup_policy: policy, ..config(0, 0) };
        assert_eq!(deletable(&segments(3), &config, 30, Wall(9_000)), 0);
    }
}
