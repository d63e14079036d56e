//! A bucket of tokens, by which Kafka's quota on metadata changes is measured (KIP-599).
//!
//! ```text
//!   tokens
//!   burst |----.         .---       refilled at the quota per second, never above num × size of a window
//!         |     \      ./
//!       0 |------\---./------->     what is done takes its tokens out even when there are too few;
//!         |       \./               while the bucket is below 0, nothing more may be done
//! ```
//!
//! So however much is done at once, it is paid for afterwards, which a rate over samples would forget with the sample.

use super::rate::QuotaWindows;
use crate::model::Monotonic;

/// What may be done at once, and what has been done in advance.
#[derive(Clone, PartialEq, Debug)]
pub struct TokenBucket {
    windows: QuotaWindows,
    tokens: f64,
    refilled: Monotonic,
}

impl TokenBucket {
    /// A full bucket: nothing has been done of late.
    pub fn full(windows: QuotaWindows, quota: f64, now: Monotonic) -> Self {
        Self { windows, tokens: windows.whole_burst(quota), refilled: now }
    }

    /// The tokens that are in it `now`, with a quota of so many per second; below 0 when more has been done than was
    /// there.
    pub fn tokens(&mut self, quota: f64, now: Monotonic) -> f64 {
        let refill = quota * now.since_ms(self.refilled) as f64 / 1_000.0;
        self.tokens = (self.tokens + refill).min(self.windows.whole_burst(quota));
        self.refilled = now;
        self.tokens
    }

    /// So much has been done.
    pub fn take(&mut self, amount: f64) {
        self.tokens -= amount;
    }

    /// True when it is like a new one: there is nothing to remember.
    pub fn is_full(&mut self, quota: f64, now: Monotonic) -> bool {
        self.tokens(quota, now) >= self.windows.whole_burst(quota)
    }
}

/// How long, in milliseconds, it takes until a bucket with so many tokens is at 0 again, at `quota` tokens a second.
pub fn refill_ms(tokens: f64, quota: f64) -> u64 {
    (-tokens / quota * 1_000.0).max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of KIP-599: 5 a second, 100 samples of a second.
    const WINDOWS: QuotaWindows = QuotaWindows { num: 100, size_ms: 1_000 };
    const QUOTA: f64 = 5.0;

    fn full() -> TokenBucket {
        TokenBucket::full(WINDOWS, QUOTA, Monotonic(0))
    }

    #[test]
    fn a_burst_beyond_the_window_is_paid_for_afterwards_and_no_longer() {
        let mut bucket = full();
        assert_eq!(bucket.tokens(QUOTA, Monotonic(0)), 500.0);
        bucket.take(560.0);
        let tokens = bucket.tokens(QUOTA, Monotonic(0));
        assert_eq!((tokens, refill_ms(tokens, QUOTA)), (-60.0, 12_000));
        assert_eq!(refill_ms(bucket.tokens(QUOTA, Monotonic(5_000)), QUOTA), 7_000);
        assert_eq!(bucket.tokens(QUOTA, Monotonic(12_000)), 0.0);
        assert_eq!(refill_ms(0.0, QUOTA), 0, "at 0 something may be done again");
    }

    #[test]
    fn no_more_gathers_than_a_window_lets_through() {
        let mut bucket = full();
        bucket.take(1.0);
        assert!(!bucket.is_full(QUOTA, Monotonic(199)));
        assert!(bucket.is_full(QUOTA, Monotonic(200)));
        assert_eq!(bucket.tokens(QUOTA, Monotonic(1_000_000)), 500.0);
    }

    #[test]
    fn a_changed_quota_counts_from_now_on() {
        let mut bucket = full();
        bucket.take(600.0);
        assert_eq!(bucket.tokens(QUOTA, Monotonic(0)), -100.0);
        assert_eq!(bucket.tokens(50.0, Monotonic(1_000)), -50.0, "a greater one refills faster");
        assert_eq!(bucket.tokens(1.0, Monotonic(1_000_000)), 100.0, "a smaller one holds less");
    }

    #[test]
    fn whoever_does_more_than_the_quota_and_waits_comes_out_at_the_quota() {
        let (mut bucket, mut now, mut done) = (full(), Monotonic(0), 0.0);
        while now < Monotonic(1_000_000) {
            let tokens = bucket.tokens(QUOTA, now);
            now = now.plus_ms(refill_ms(tokens, QUOTA));
            bucket.tokens(QUOTA, now);
            bucket.take(17.0);
            done += 17.0;
        }
        // The burst, and five a second.
        assert!((5_500.0..5_550.0).contains(&done), "{done}");
    }
}
