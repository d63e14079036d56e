//! Rates and percentiles.

use std::time::Duration;

use serde::Serialize;

/// What a run came to.
#[derive(Serialize, Debug)]
pub(super) struct Figures {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) records_per_second: f64,
    pub(super) mebibytes_per_second: f64,
    /// Of a batch or a fetch, in milliseconds.
    pub(super) latency_ms: Percentiles,
}

#[derive(Serialize, Debug, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Figures {
    pub(super) fn of(records: u64, bytes: u64, elapsed: Duration, latencies: Vec<Duration>) -> Self {
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        Self {
            records,
            bytes,
            seconds,
            records_per_second: records as f64 / seconds,
            mebibytes_per_second: bytes as f64 / f64::from(1 << 20) / seconds,
            latency_ms: percentiles(latencies),
        }
    }

    pub(super) fn text(&self, what: &str) -> String {
        let Percentiles { p50, p95, p99, max } = self.latency_ms;
        format!(
            "{} records in {:.2} s: {:.0} records/s, {:.1} MiB/s\n{what}: p50 {p50:.2} ms, p95 {p95:.2} ms, p99 \
             {p99:.2} ms, max {max:.2} ms\n",
            self.records, self.seconds, self.records_per_second, self.mebibytes_per_second,
        )
    }
}

/// By the nearest rank.
fn percentiles(mut latencies: Vec<Duration>) -> Percentiles {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies.get(rank - 1).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    Percentiles { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let latencies = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(latencies), Percentiles { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 });
        assert_eq!(percentiles(Vec::new()).max, 0.0);
    }
}
