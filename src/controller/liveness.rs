//! Who is alive: a broker's sessions as this voter sees them, and when silence means fenced (invariant D8).
//!
//! A pure machine: time is an argument. Every voter keeps the sessions, since brokers talk to all of them; only
//! the leader acts on them, so a new leader already knows who is alive. Fencing is always safe, so two kinds of
//! silence lead to it:
//!
//! ```text
//!   no heartbeat for session_timeout_ms                      (a hung or unreachable broker)
//!   control stream broken and not reopened for grace_ms      (a killed process closes its sockets at once)
//! ```
//!
//! Never decides anything about metadata: it names brokers, the leader submits FenceBroker for them.

use std::collections::BTreeMap;

use crate::model::{BrokerEpoch, BrokerId, Monotonic};

/// How long silence may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessLimits {
    /// `broker.session.timeout.ms`: a broker silent for so long is fenced.
    pub session_timeout_ms: u64,
    /// How long a broker may take to come back after its control stream broke.
    pub grace_ms: u64,
}

/// Names one control stream of a broker; streams opened later have greater numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamNumber(pub u64);

/// One broker's session.
#[derive(Clone, Debug)]
struct Session {
    broker_epoch: BrokerEpoch,
    last_heard: Monotonic,
    /// The newest stream; older ones no longer speak for the broker.
    stream: Option<StreamNumber>,
    /// When the newest stream broke; cleared by whatever the broker says next.
    broken_since: Option<Monotonic>,
    applied_index: i64,
}

/// The sessions of all brokers heard of.
#[derive(Debug)]
pub struct Liveness {
    limits: LivenessLimits,
    sessions: BTreeMap<BrokerId, Session>,
    /// When `overdue` was to be asked again at the latest; see `forgive_own_pause`.
    expected_at: Option<Monotonic>,
}

impl Liveness {
    /// No sessions yet.
    pub fn new(limits: LivenessLimits) -> Self {
        Self { limits, sessions: BTreeMap::new(), expected_at: None }
    }

    /// The broker spoke: on `stream`, or by registering when there is none yet. What an earlier epoch says, or an
    /// earlier stream of the same epoch, keeps nothing alive.
    pub fn on_heard(
        &mut self,
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
        stream: Option<StreamNumber>,
        applied_index: i64,
        now: Monotonic,
    ) {
        if let Some(session) = self.sessions.get_mut(&broker) {
            if session.broker_epoch > broker_epoch {
                return;
            }
            if session.broker_epoch == broker_epoch {
                if stream < session.stream {
                    return;
                }
                session.stream = stream;
                session.last_heard = now;
                session.broken_since = None;
                session.applied_index = session.applied_index.max(applied_index);
                return;
            }
        }
        let session = Session { broker_epoch, last_heard: now, stream, broken_since: None, applied_index };
        self.sessions.insert(broker, session);
    }

    /// The control stream ended. Counts only when it is the newest of the current epoch.
    pub fn on_stream_broken(
        &mut self,
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
        stream: StreamNumber,
        now: Monotonic,
    ) {
        if let Some(session) = self.sessions.get_mut(&broker)
            && session.broker_epoch == broker_epoch
            && session.stream == Some(stream)
        {
            session.broken_since = Some(now);
        }
    }

    /// Which of the `unfenced` brokers (with their epochs in the image) have been silent for too long. One that
    /// this voter never heard of gets a whole session timeout from now.
    pub fn overdue(
        &mut self,
        unfenced: impl IntoIterator<Item = (BrokerId, BrokerEpoch)>,
        now: Monotonic,
    ) -> Vec<(BrokerId, BrokerEpoch)> {
        self.forgive_own_pause(now);
        let mut overdue = Vec::new();
        let mut next: Option<Monotonic> = None;
        for (broker, broker_epoch) in unfenced {
            let known = self.sessions.get(&broker).is_some_and(|session| session.broker_epoch >= broker_epoch);
            if !known {
                self.on_heard(broker, broker_epoch, None, 0, now);
            }
            let deadline = self.deadline(&self.sessions[&broker]);
            if deadline <= now {
                overdue.push((broker, broker_epoch));
            } else {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            }
        }
        self.expected_at = next;
        overdue
    }

    /// This voter does not act on the sessions any more; how long nobody asked says nothing then.
    pub fn stand_down(&mut self) {
        self.expected_at = None;
    }

    /// When `overdue` should be asked again: the earliest moment at which one of the brokers seen there can become
    /// overdue. None when there are none.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.expected_at
    }

    /// Highest metadata index that the broker said it has applied, in this epoch.
    pub fn applied_index(&self, broker: BrokerId, broker_epoch: BrokerEpoch) -> Option<i64> {
        self.sessions
            .get(&broker)
            .filter(|session| session.broker_epoch == broker_epoch)
            .map(|session| session.applied_index)
    }

    /// When the broker spoke last, in this epoch.
    pub fn last_heard(&self, broker: BrokerId, broker_epoch: BrokerEpoch) -> Option<Monotonic> {
        let session = self.sessions.get(&broker).filter(|session| session.broker_epoch == broker_epoch);
        session.map(|session| session.last_heard)
    }

    fn deadline(&self, session: &Session) -> Monotonic {
        let silent = session.last_heard.plus_ms(self.limits.session_timeout_ms);
        match session.broken_since {
            Some(since) => silent.min(since.plus_ms(self.limits.grace_ms)),
            None => silent,
        }
    }

    /// A voter that was paused itself cannot tell silence from its own deafness: heartbeats may still wait in its
    /// sockets. When it wakes more than half a session late, everybody gets the lost time back.
    fn forgive_own_pause(&mut self, now: Monotonic) {
        let Some(expected_at) = self.expected_at else { return };
        if now.since_ms(expected_at) <= self.limits.session_timeout_ms / 2 {
            return;
        }
        for session in self.sessions.values_mut() {
            session.last_heard = now;
            session.broken_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LivenessLimits = LivenessLimits { session_timeout_ms: 3_000, grace_ms: 300 };
    const ONE: BrokerId = BrokerId(1);
    const EPOCH: BrokerEpoch = BrokerEpoch(7);
    const STREAM: Option<StreamNumber> = Some(StreamNumber(1));

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms)
    }

    fn heard(at_ms: u64) -> Liveness {
        let mut liveness = Liveness::new(LIMITS);
        liveness.on_heard(ONE, EPOCH, STREAM, 0, at(at_ms));
        liveness
    }

    #[test]
    fn silence_for_a_session_timeout_is_overdue() {
        let mut liveness = heard(1_000);
        assert!(liveness.overdue([(ONE, EPOCH)], at(3_999)).is_empty());
        assert_eq!(liveness.next_deadline(), Some(at(4_000)));
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(4_000)), [(ONE, EPOCH)]);
    }

    #[test]
    fn a_heartbeat_extends_the_session() {
        let mut liveness = heard(0);
        liveness.on_heard(ONE, EPOCH, STREAM, 12, at(2_900));
        assert!(liveness.overdue([(ONE, EPOCH)], at(5_000)).is_empty());
        assert_eq!(liveness.applied_index(ONE, EPOCH), Some(12));
        assert_eq!(liveness.last_heard(ONE, EPOCH), Some(at(2_900)));
        assert_eq!(liveness.last_heard(ONE, BrokerEpoch(8)), None);
    }

    #[test]
    fn a_broken_stream_is_overdue_after_the_grace_time() {
        let mut liveness = heard(0);
        liveness.on_stream_broken(ONE, EPOCH, StreamNumber(1), at(100));
        assert!(liveness.overdue([(ONE, EPOCH)], at(399)).is_empty());
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(400)), [(ONE, EPOCH)]);
    }

    #[test]
    fn a_stream_reopened_in_time_saves_the_session_and_the_old_streams_end_is_ignored() {
        let mut liveness = heard(0);
        liveness.on_stream_broken(ONE, EPOCH, StreamNumber(1), at(100));
        liveness.on_heard(ONE, EPOCH, Some(StreamNumber(2)), 0, at(200));
        liveness.on_stream_broken(ONE, EPOCH, StreamNumber(1), at(250));
        assert!(liveness.overdue([(ONE, EPOCH)], at(1_000)).is_empty());
    }

    #[test]
    fn an_old_epoch_keeps_nothing_alive() {
        let mut liveness = heard(0);
        liveness.on_heard(ONE, BrokerEpoch(3), Some(StreamNumber(9)), 0, at(2_900));
        liveness.on_stream_broken(ONE, BrokerEpoch(3), StreamNumber(9), at(2_900));
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(3_000)), [(ONE, EPOCH)]);
    }

    #[test]
    fn a_new_epoch_starts_a_session_of_its_own() {
        let mut liveness = heard(0);
        liveness.on_stream_broken(ONE, EPOCH, StreamNumber(1), at(10));
        liveness.on_heard(ONE, BrokerEpoch(9), None, 0, at(20));
        assert!(liveness.overdue([(ONE, BrokerEpoch(9))], at(2_000)).is_empty());
        assert_eq!(liveness.applied_index(ONE, EPOCH), None);
    }

    #[test]
    fn a_new_leader_gives_brokers_it_never_heard_a_whole_session() {
        let mut liveness = Liveness::new(LIMITS);
        assert!(liveness.overdue([(ONE, EPOCH)], at(50_000)).is_empty());
        assert_eq!(liveness.next_deadline(), Some(at(53_000)));
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(53_000)), [(ONE, EPOCH)]);
    }

    #[test]
    fn a_voter_that_slept_fences_nobody_for_it() {
        let mut liveness = heard(0);
        assert!(liveness.overdue([(ONE, EPOCH)], at(10)).is_empty());
        assert!(liveness.overdue([(ONE, EPOCH)], at(60_000)).is_empty(), "the silence was our own");
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(63_000)), [(ONE, EPOCH)]);
    }

    #[test]
    fn a_new_leader_knows_at_once_who_died_before_it_led() {
        let mut liveness = heard(0);
        assert!(liveness.overdue([(ONE, EPOCH)], at(10)).is_empty());
        liveness.stand_down();
        assert_eq!(liveness.overdue([(ONE, EPOCH)], at(60_000)), [(ONE, EPOCH)]);
    }

    #[test]
    fn fenced_brokers_have_no_deadline() {
        let mut liveness = heard(0);
        assert!(liveness.overdue([], at(10_000)).is_empty());
        assert_eq!(liveness.next_deadline(), None);
    }
}
