//! A rate over a sliding window of samples, as Kafka's quotas measure it.
//!
//! ```text
//!   sample   sample   sample   sample          num samples of size_ms each; the oldest falls out as a whole
//!   |--------|--------|--------|----->now      rate = sum of all / time since the oldest began
//! ```
//!
//! Until there are `num - 1` whole samples the missing ones count as time without anything: a client that has just come
//! may send a burst of `num - 1` samples' worth, and is slowed down after it.

use std::collections::VecDeque;

use crate::model::Monotonic;

/// Over how long a rate is measured: `quota.window.num` and `quota.window.size.seconds`, or their like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaWindows {
    /// Samples kept, at least one.
    pub num: usize,
    /// Length of one in milliseconds, at least one.
    pub size_ms: u64,
}

impl QuotaWindows {
    /// The most that can be recorded at once without exceeding a quota that nothing has been recorded against.
    pub fn burst(&self, quota: f64) -> f64 {
        quota * self.full_ms() / 1_000.0
    }

    /// The most that a bucket of tokens can hold: the quota of all samples.
    pub(super) fn whole_burst(&self, quota: f64) -> f64 {
        quota * (self.num.max(1) as u64 * self.size_ms) as f64 / 1_000.0
    }

    /// The least time that a rate is measured over.
    fn full_ms(&self) -> f64 {
        (self.num.saturating_sub(1).max(1) as u64 * self.size_ms) as f64
    }
}

impl Default for QuotaWindows {
    /// Kafka's: eleven samples of a second.
    fn default() -> Self {
        Self { num: 11, size_ms: 1_000 }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Sample {
    start: Monotonic,
    total: f64,
}

/// What has been recorded of late, per second.
#[derive(Clone, PartialEq, Debug)]
pub struct SampledRate {
    windows: QuotaWindows,
    samples: VecDeque<Sample>,
    /// Samples that are missing yet count as time without anything.
    counts_missing: bool,
}

impl SampledRate {
    /// Nothing has been recorded.
    pub fn new(windows: QuotaWindows) -> Self {
        Self { windows, samples: VecDeque::new(), counts_missing: true }
    }

    /// Nothing has been recorded, and what is missing does not count: the rate is that since the first record, over one
    /// sample at least. Kafka measures replication so (its SimpleRate), where a burst is what a throttle must prevent.
    pub fn since_first(windows: QuotaWindows) -> Self {
        Self { counts_missing: false, ..Self::new(windows) }
    }

    /// `amount` happened `now`. Negative amounts take back what did not happen after all.
    pub fn record(&mut self, amount: f64, now: Monotonic) {
        self.forget_old(now);
        let begins = |sample: &Sample| now.since_ms(sample.start) >= self.windows.size_ms;
        if self.samples.back().is_none_or(begins) {
            self.samples.push_back(Sample { start: now, total: 0.0 });
        }
        while self.samples.len() > self.windows.num.max(1) {
            self.samples.pop_front();
        }
        if let Some(sample) = self.samples.back_mut() {
            sample.total += amount;
        }
    }

    /// Amounts per second.
    pub fn rate(&mut self, now: Monotonic) -> f64 {
        self.forget_old(now);
        let total: f64 = self.samples.iter().map(|sample| sample.total).sum();
        total * 1_000.0 / self.window_ms(now)
    }

    /// How long, in milliseconds, nothing may be recorded for the rate to come down to `quota` per second; 0 when it is
    /// not above. A quota of 0 has no such time: then it is the whole window.
    pub fn throttle_ms(&mut self, quota: f64, now: Monotonic) -> u64 {
        let excess = self.rate(now) - quota;
        if excess <= 0.0 {
            return 0;
        }
        let window_ms = self.window_ms(now);
        let wait = if quota > 0.0 { excess / quota * window_ms } else { window_ms };
        wait.round() as u64
    }

    /// True when nothing that was recorded still counts: there is nothing to remember.
    pub fn is_idle(&mut self, now: Monotonic) -> bool {
        self.forget_old(now);
        self.samples.is_empty()
    }

    fn forget_old(&mut self, now: Monotonic) {
        let age_max = self.windows.num.max(1) as u64 * self.windows.size_ms;
        while self.samples.front().is_some_and(|sample| now.since_ms(sample.start) >= age_max) {
            self.samples.pop_front();
        }
    }

    /// Since the oldest sample began, and the whole samples that are missing before it.
    fn window_ms(&self, now: Monotonic) -> f64 {
        let elapsed = self.samples.front().map_or(0, |oldest| now.since_ms(oldest.start));
        let (size_ms, whole) = (self.windows.size_ms.max(1), self.windows.num.saturating_sub(1) as u64);
        let missing = if self.counts_missing { whole.saturating_sub(elapsed / size_ms) * size_ms } else { 0 };
        ((elapsed + missing) as f64).max(size_ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: QuotaWindows = QuotaWindows { num: 11, size_ms: 1_000 };

    fn exceeds(rate: &mut SampledRate, quota: f64, now: Monotonic) -> bool {
        rate.rate(now) > quota
    }

    #[test]
    fn a_steady_stream_has_its_own_rate() {
        let mut rate = SampledRate::new(WINDOWS);
        for at in 0..300 {
            rate.record(100.0, Monotonic(at * 100));
        }
        let measured = rate.rate(Monotonic(29_900));
        assert!((950.0..=1_050.0).contains(&measured), "{measured}");
    }

    #[test]
    fn a_burst_of_a_window_is_let_through_and_a_byte_more_is_not() {
        let mut rate = SampledRate::new(WINDOWS);
        rate.record(WINDOWS.burst(50.0), Monotonic(7));
        assert_eq!(rate.throttle_ms(50.0, Monotonic(7)), 0);
        rate.record(50.0, Monotonic(7));
        assert!(exceeds(&mut rate, 50.0, Monotonic(7)));
        assert_eq!(rate.throttle_ms(50.0, Monotonic(7)), 1_000);
    }

    #[test]
    fn whoever_waits_as_told_is_within_the_quota_again() {
        let mut rate = SampledRate::new(WINDOWS);
        rate.record(1_200.0, Monotonic(0));
        let wait = rate.throttle_ms(100.0, Monotonic(0));
        assert_eq!(wait, 2_000);
        // The window grows only once it is whole, as Kafka's does; by then the wait is over and the rate is no higher.
        assert!(rate.rate(Monotonic(wait)) <= 120.0);
        assert!(!exceeds(&mut rate, 100.0, Monotonic(11_000)));
    }

    #[test]
    fn a_client_that_always_waits_comes_out_at_its_quota() {
        let mut rate = SampledRate::new(WINDOWS);
        let (mut now, mut sent) = (Monotonic(0), 0.0);
        while now < Monotonic(120_000) {
            rate.record(5_000.0, now);
            sent += 5_000.0;
            now = now.plus_ms(rate.throttle_ms(10_000.0, now).max(1));
        }
        let per_second = sent / 120.0;
        assert!((9_500.0..=11_000.0).contains(&per_second), "{per_second}");
    }

    #[test]
    fn without_the_missing_samples_there_is_no_burst() {
        let mut rate = SampledRate::since_first(WINDOWS);
        rate.record(1_500.0, Monotonic(0));
        assert_eq!(rate.rate(Monotonic(500)), 1_500.0, "over one sample at least");
        assert_eq!(rate.rate(Monotonic(3_000)), 500.0);
        assert!(exceeds(&mut rate, 1_000.0, Monotonic(500)) && !exceeds(&mut rate, 1_000.0, Monotonic(1_500)));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut rate = SampledRate::new(WINDOWS);
        rate.record(1e9, Monotonic(0));
        assert!(!rate.is_idle(Monotonic(10_999)));
        assert!(rate.is_idle(Monotonic(11_000)));
        assert_eq!(rate.rate(Monotonic(11_000)), 0.0);
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let mut rate = SampledRate::new(WINDOWS);
        rate.record(500.0, Monotonic(0));
        rate.record(-500.0, Monotonic(1));
        assert_eq!(rate.throttle_ms(1.0, Monotonic(1)), 0);
    }

    #[test]
    fn a_quota_of_nothing_waits_for_the_whole_window() {
        let mut rate = SampledRate::new(WINDOWS);
        assert_eq!(rate.throttle_ms(0.0, Monotonic(0)), 0);
        rate.record(1.0, Monotonic(0));
        assert_eq!(rate.throttle_ms(0.0, Monotonic(0)), 10_000);
    }

    #[test]
    fn a_single_sample_is_a_window_too() {
        let mut rate = SampledRate::new(QuotaWindows { num: 1, size_ms: 2_000 });
        rate.record(300.0, Monotonic(0));
        assert_eq!(rate.rate(Monotonic(1_000)), 150.0);
        assert!(rate.is_idle(Monotonic(2_000)));
    }
}
