//! Replication at a limited rate (KIP-73): what leaders here send to followers of throttled partitions, and what
//! followers here fetch of them.
//!
//! Kafka's rules: only who is not in sync is made to wait, so a throttle never takes a replica out of the ISR; but what
//! in-sync replicas move of throttled partitions counts too, so the rate bounds all of their traffic. Which partitions
//! are throttled is a matter of their topics, how fast they go one of the broker.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::ReplicationQuotaConfig;
use crate::model::{BrokerId, Monotonic};
use crate::quota::{QuotaWindows, SampledRate};

/// Stands for "no bound" among the limits.
const UNLIMITED: u64 = u64::MAX;

/// One direction of a broker's throttled replication.
#[derive(Debug)]
pub struct ReplicationThrottle {
    /// Bytes per second.
    limit: AtomicU64,
    rate: Mutex<SampledRate>,
    /// How often a partition was left out for it.
    held_back: AtomicU64,
}

impl ReplicationThrottle {
    fn new(windows: QuotaWindows, limit: Option<u64>) -> Self {
        let (limit, rate) = (AtomicU64::new(limit.unwrap_or(UNLIMITED)), Mutex::new(SampledRate::since_first(windows)));
        Self { limit, rate, held_back: AtomicU64::new(0) }
    }

    fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    /// So many bytes of throttled partitions were moved.
    pub(super) fn record(&self, bytes: usize, now: Monotonic) {
        if bytes > 0 {
            self.rate().record(bytes as f64, now);
        }
    }

    /// How long, in milliseconds, who is not in sync has to wait; `None` while the rate is within its limit.
    pub(super) fn wait_ms(&self, now: Monotonic) -> Option<u64> {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == UNLIMITED {
            return None;
        }
        Some(self.rate().throttle_ms(limit as f64, now)).filter(|wait_ms| *wait_ms > 0)
    }

    /// A partition was left out because of this throttle.
    pub(super) fn on_held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that has been so.
    pub(super) fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Bytes per second of late.
    pub(super) fn bytes_per_second(&self, now: Monotonic) -> f64 {
        self.rate().rate(now)
    }

    fn rate(&self) -> MutexGuard<'_, SampledRate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both directions, and what stays within the broker.
#[derive(Debug)]
pub struct ReplicationThrottles {
    /// What leaders here send: `leader.replication.throttled.rate`.
    pub leader: ReplicationThrottle,
    /// What followers here fetch: `follower.replication.throttled.rate`.
    pub follower: ReplicationThrottle,
    /// What moves between data directories: `replica.alter.log.dirs.io.max.bytes.per.second`.
    pub mover: ReplicationThrottle,
}

impl ReplicationThrottles {
    pub(super) fn new(config: &ReplicationQuotaConfig) -> Self {
        let windows = QuotaWindows { num: config.window_num, size_ms: config.window_size_ms };
        let mover_windows = QuotaWindows { num: config.mover_window_num, size_ms: config.mover_window_size_ms };
        Self {
            leader: ReplicationThrottle::new(windows, config.leader_rate),
            follower: ReplicationThrottle::new(windows, config.follower_rate),
            mover: ReplicationThrottle::new(mover_windows, config.mover_rate),
        }
    }

    /// Puts changed limits in force.
    pub(super) fn set_limits(&self, config: &ReplicationQuotaConfig) {
        self.leader.set_limit(config.leader_rate);
        self.follower.set_limit(config.follower_rate);
        self.mover.set_limit(config.mover_rate);
    }
}

/// Which of a topic's replicas on one broker are throttled, as `leader.replication.throttled.replicas` or
/// `follower.replication.throttled.replicas` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThrottledReplicas {
    /// `*`.
    All,
    /// Those of these partitions.
    Of(BTreeSet<i32>),
}

impl ThrottledReplicas {
    /// From a list of `partition:broker`, of which those of `broker` matter here. What makes no sense is left out: it
    /// was refused when it was set.
    pub fn parse(items: &[String], broker: BrokerId) -> Self {
        if items.iter().any(|item| item == "*") {
            return Self::All;
        }
        let pairs = items.iter().filter_map(|item| item.split_once(':'));
        let here = pairs.filter(|(_, id)| id.trim().parse() == Ok(broker.0));
        Self::Of(here.filter_map(|(partition, _)| partition.trim().parse().ok()).collect())
    }

    /// True when the replica of this partition is among them.
    pub fn contains(&self, partition: i32) -> bool {
        match self {
            Self::All => true,
            Self::Of(partitions) => partitions.contains(&partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(items: &[&str]) -> ThrottledReplicas {
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        ThrottledReplicas::parse(&items, BrokerId(2))
    }

    #[test]
    fn only_this_brokers_replicas_are_throttled() {
        let some = throttled(&["0:1", "1:2", "3:2"]);
        assert_eq!([0, 1, 2, 3].map(|partition| some.contains(partition)), [false, true, false, true]);
        assert!(throttled(&["*"]).contains(7));
        assert!(!throttled(&[]).contains(0));
    }

    #[test]
    fn a_throttle_holds_back_from_its_limit_on_and_lets_go_again() {
        let limit = ReplicationQuotaConfig { leader_rate: Some(1_000), ..ReplicationQuotaConfig::default() };
        let throttles = ReplicationThrottles::new(&limit);
        let leader = &throttles.leader;
        leader.record(900, Monotonic(0));
        assert_eq!(leader.wait_ms(Monotonic(0)), None, "within the limit");
        leader.record(1_100, Monotonic(10));
        assert_eq!(leader.wait_ms(Monotonic(10)), Some(1_000), "twice the limit: two seconds' worth in one");
        assert_eq!(leader.wait_ms(Monotonic(2_000)), None);
        assert_eq!(throttles.follower.wait_ms(Monotonic(10)), None, "the directions do not share a limit");
    }

    #[test]
    fn without_a_limit_nobody_waits_and_a_limit_of_nothing_lets_nothing_through() {
        let throttles = ReplicationThrottles::new(&ReplicationQuotaConfig::default());
        let follower = &throttles.follower;
        follower.record(1 << 40, Monotonic(0));
        assert_eq!(follower.wait_ms(Monotonic(0)), None);
        throttles.set_limits(&ReplicationQuotaConfig { follower_rate: Some(0), ..Default::default() });
        assert!(follower.wait_ms(Monotonic(5)).is_some());
    }
}
