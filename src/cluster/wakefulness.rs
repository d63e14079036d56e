//! Whether this process has been suspended (SIGSTOP, a frozen container or virtual machine), and what it may say since.
//!
//! A broker that slept for longer than its session was fenced, and others have taken over what it led. When it wakes it
//! does not know that yet, and requests that waited in its sockets would be answered from before the sleep: with an
//! offset, say, that the new coordinator has let the group move past (invariant C1).
//!
//! ```text
//!   awake ──a tick comes too late──► in doubt ──a controller says how far the metadata is──► awake from that index on
//!     ▲                                 │ ▲                                                            │
//!     │                                 └─┴──────────── a tick comes too late ─────────────────────────┤
//!     └──────────────────────────── the image has applied the index ───────────────────────────────────┘
//! ```
//!
//! Why that is enough. While ticks come in time, the newest heartbeat is younger than a session, so nobody was elected in
//! this broker's place. After a sleep, the index is read by a question that was asked after the waking, and answered by a
//! controller whose leadership a majority confirmed later still: whatever any controller had committed until the waking
//! is covered. Answers to questions from before a later sleep carry the number of an earlier waking and do not count.
//!
//! A pure machine: time is an argument. It knows nothing of controllers that cannot be reached: a broker that was never
//! suspended goes on while there is no quorum, as in Kafka.

use crate::model::Monotonic;

/// A connection that answers no pings is closed by the controllers after four seconds, whatever the session.
const PATIENCE_MAX_MS: u64 = 2_000;

/// How late a tick may come: well before this broker can have been fenced. The last heartbeat may be older than the last
/// tick by `broker.heartbeat.interval.ms`, for which the other half of the session is left.
pub(super) fn patience_ms(session_timeout_ms: u64) -> u64 {
    (session_timeout_ms / 2).min(PATIENCE_MAX_MS)
}

/// What the ticks of this process tell.
#[derive(Clone, Debug)]
pub(super) struct Wakefulness {
    patience_ms: u64,
    last_tick: Monotonic,
    /// How often this process has woken: tells the questions apart.
    waking: u64,
    /// From which metadata index on this broker may act; `None` while that is being asked.
    awake_from: Option<i64>,
}

impl Wakefulness {
    /// A process that starts, and knows nothing that could be outdated.
    pub(super) fn new(patience_ms: u64, now: Monotonic) -> Self {
        Self { patience_ms, last_tick: now, waking: 0, awake_from: Some(0) }
    }

    /// The process runs. For how many milliseconds it did not, when that was too long.
    pub(super) fn on_tick(&mut self, now: Monotonic) -> Option<u64> {
        let slept_ms = Some(now.since_ms(self.last_tick)).filter(|_| self.is_overdue(now));
        if slept_ms.is_some() {
            self.waking += 1;
            self.awake_from = None;
        }
        self.last_tick = self.last_tick.max(now);
        slept_ms
    }

    /// The number of the waking about which the controllers are to be asked.
    pub(super) fn question(&self) -> Option<u64> {
        self.awake_from.is_none().then_some(self.waking)
    }

    /// The metadata had come to `metadata_index` after the `waking` of that number. False when a later one is in doubt.
    pub(super) fn on_index_read(&mut self, waking: u64, metadata_index: i64) -> bool {
        let settles = self.question() == Some(waking);
        if settles {
            self.awake_from = Some(metadata_index);
        }
        settles
    }

    /// Whether a request may be answered from what was known before it. Asked for each: a request that waited may be read
    /// before the first tick comes.
    pub(super) fn may_act(&self, now: Monotonic, applied_index: i64) -> bool {
        !self.is_overdue(now) && self.awake_from.is_some_and(|index| applied_index >= index)
    }

    fn is_overdue(&self, now: Monotonic) -> bool {
        now.since_ms(self.last_tick) > self.patience_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE_MS: u64 = 1_500;
    const INDEX: i64 = 40;

    fn at(ms: u64) -> Monotonic {
        Monotonic(10_000 + ms)
    }

    fn awake() -> Wakefulness {
        Wakefulness::new(PATIENCE_MS, at(0))
    }

    #[test]
    fn ticks_in_time_leave_no_doubt() {
        let mut broker = awake();
        for tick in (1_500..60_000).step_by(1_500) {
            assert_eq!(broker.on_tick(at(tick)), None);
            assert!(broker.may_act(at(tick + 1_500), 0), "whatever the image");
        }
        assert_eq!(broker.question(), None);
    }

    #[test]
    fn a_request_that_comes_before_the_first_tick_is_refused() {
        let broker = awake();
        assert!(broker.may_act(at(1_500), INDEX));
        assert!(!broker.may_act(at(1_501), INDEX));
        assert_eq!(broker.question(), None, "a tick asks");
    }

    #[test]
    fn a_request_that_comes_after_the_first_tick_is_refused() {
        let mut broker = awake();
        assert_eq!(broker.on_tick(at(7_000)), Some(7_000));
        assert_eq!(broker.question(), Some(1));
        assert!(!broker.may_act(at(7_000), INDEX));
        assert_eq!(broker.on_tick(at(7_100)), None);
        assert!(!broker.may_act(at(7_100), INDEX), "ticks alone settle nothing");
    }

    #[test]
    fn the_image_must_reach_the_index_that_was_read_after_the_waking() {
        let mut broker = awake();
        broker.on_tick(at(7_000));
        assert!(broker.on_index_read(1, INDEX));
        assert_eq!(broker.question(), None);
        assert!(!broker.may_act(at(7_010), INDEX - 1));
        assert!(broker.may_act(at(7_010), INDEX));
        assert!(broker.may_act(at(7_010), INDEX + 1));
    }

    #[test]
    fn an_answer_from_before_a_later_sleep_does_not_count() {
        let mut broker = awake();
        broker.on_tick(at(7_000));
        broker.on_tick(at(20_000));
        assert!(!broker.on_index_read(1, INDEX));
        assert!(!broker.may_act(at(20_010), INDEX));
        assert!(broker.on_index_read(2, INDEX));
        assert!(broker.may_act(at(20_010), INDEX));
    }

    #[test]
    fn an_answer_that_waited_through_a_later_sleep_settles_nothing() {
        let mut broker = awake();
        broker.on_tick(at(7_000));
        // It is read before the tick that notices the sleep.
        broker.on_index_read(1, INDEX);
        assert!(!broker.may_act(at(20_000), INDEX));
        assert_eq!(broker.on_tick(at(20_000)), Some(13_000));
        assert!(!broker.may_act(at(20_000), INDEX));
        assert_eq!(broker.question(), Some(2));
    }

    #[test]
    fn an_answer_that_comes_twice_changes_nothing() {
        let mut broker = awake();
        assert!(!broker.on_index_read(0, INDEX), "nobody asked");
        assert!(broker.may_act(at(0), 0));
        broker.on_tick(at(7_000));
        broker.on_index_read(1, INDEX);
        assert!(!broker.on_index_read(1, INDEX + 100));
        assert!(broker.may_act(at(7_010), INDEX));
    }

    /// Two threads may read the clock in one order and come here in the other.
    #[test]
    fn a_time_before_the_last_tick_is_no_sleep_and_takes_nothing_back() {
        let mut broker = awake();
        broker.on_tick(at(1_000));
        assert_eq!(broker.on_tick(at(900)), None);
        assert!(broker.may_act(at(800), 0));
        assert!(broker.may_act(at(2_500), 0));
        assert!(!broker.may_act(at(2_501), 0));
    }

    #[test]
    fn a_sleep_is_noticed_before_the_broker_can_be_fenced() {
        for session_timeout_ms in [2, 1_000, 3_000, 9_000, 60_000] {
            assert!(patience_ms(session_timeout_ms) <= session_timeout_ms / 2);
            assert!(patience_ms(session_timeout_ms) <= PATIENCE_MAX_MS);
        }
    }
}
