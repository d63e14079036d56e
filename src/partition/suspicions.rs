//! Leaders that seem to be dead, as the followers here see it, before the controllers have found so.
//!
//! ```text
//!   the connection broke                    at once         a killed process closes its sockets
//!   a fetch is not answered when it must be  from then on    a process that hangs
//! ```
//!
//! Clients that ask for the leader are told meanwhile that there is none: they ask again within a fraction of a second,
//! where one that is sent to the dead leader once more waits for as long as its time-outs and timers take. Nothing else
//! is decided by it, and it passes: whoever cannot reach a leader that others can must not hide it for long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{BrokerId, Monotonic};

/// So long a leader is suspected at most; it takes an answer for it to be suspected again.
const SUSPICION_MS: u64 = 3_000;

/// What followers here last saw of one leader.
#[derive(Clone, Copy, Default, Debug)]
struct Contact {
    /// When the fetch under way must have been answered.
    answer_due: Option<Monotonic>,
    broken_at: Option<Monotonic>,
}

/// All leaders that are followed here.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    leaders: Mutex<BTreeMap<BrokerId, Contact>>,
}

impl Suspicions {
    /// A fetch was sent, and must be answered until then.
    pub fn on_asked(&self, leader: BrokerId, answer_due: Monotonic) {
        self.lock().entry(leader).or_default().answer_due = Some(answer_due);
    }

    /// The leader has answered.
    pub fn on_answered(&self, leader: BrokerId) {
        self.lock().remove(&leader);
    }

    /// The fetch under way was given up: what to fetch has changed.
    pub fn on_given_up(&self, leader: BrokerId) {
        if let Some(contact) = self.lock().get_mut(&leader) {
            contact.answer_due = None;
        }
    }

    /// The leader cannot be reached, or not any more.
    pub fn on_broken(&self, leader: BrokerId, now: Monotonic) {
        let mut leaders = self.lock();
        let contact = leaders.entry(leader).or_default();
        contact.answer_due = None;
        contact.broken_at.get_or_insert(now);
    }

    /// Who is suspected.
    pub fn suspected(&self, now: Monotonic) -> BTreeSet<BrokerId> {
        let lasts = |since: Monotonic| since <= now && now.since_ms(since) <= SUSPICION_MS;
        let is_suspected = |contact: &Contact| [contact.answer_due, contact.broken_at].into_iter().flatten().any(lasts);
        let leaders = self.lock();
        leaders.iter().filter(|(_, contact)| is_suspected(contact)).map(|(leader, _)| *leader).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BrokerId, Contact>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: BrokerId = BrokerId(3);

    fn is_suspected(suspicions: &Suspicions, ms: u64) -> bool {
        suspicions.suspected(Monotonic(ms)).contains(&LEADER)
    }

    #[test]
    fn a_broken_connection_is_suspicious_at_once_but_not_for_ever() {
        let suspicions = Suspicions::default();
        suspicions.on_asked(LEADER, Monotonic(1_200));
        assert!(!is_suspected(&suspicions, 500));
        suspicions.on_broken(LEADER, Monotonic(500));
        assert!(is_suspected(&suspicions, 500));
        // It stays broken, which is no news.
        suspicions.on_broken(LEADER, Monotonic(3_000));
        assert!(is_suspected(&suspicions, 3_500) && !is_suspected(&suspicions, 3_501));
        suspicions.on_answered(LEADER);
        suspicions.on_broken(LEADER, Monotonic(9_000));
        assert!(is_suspected(&suspicions, 9_000));
    }

    #[test]
    fn an_answer_that_is_overdue_is_suspicious_and_one_that_comes_clears_the_leader() {
        let suspicions = Suspicions::default();
        suspicions.on_asked(LEADER, Monotonic(1_200));
        assert!(!is_suspected(&suspicions, 1_199) && is_suspected(&suspicions, 1_200));
        suspicions.on_answered(LEADER);
        assert!(!is_suspected(&suspicions, 1_300));
    }

    #[test]
    fn a_fetch_that_was_given_up_is_not_overdue() {
        let suspicions = Suspicions::default();
        suspicions.on_asked(LEADER, Monotonic(1_200));
        suspicions.on_given_up(LEADER);
        assert!(!is_suspected(&suspicions, 5_000));
    }
}
