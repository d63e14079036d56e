//! Which replicas here are to move to another data directory, and which of them somebody is moving (KIP-113).
//!
//! ```text
//!   wish ──▶ under way ──▶ taken by a thread ──▶ done        another wish, the end of the replica, and the failure of
//!               ▲                 │                          the target end a move wherever it is; a thread that has
//!               └── put back ◀────┘                          taken it sees that and drops its copy
//! ```
//!
//! Pure. The copies are made by `mover`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::log::CopyProgress;
use crate::model::TopicPartition;

/// A replica that is to move.
#[derive(Clone, Debug)]
pub(super) struct Move {
    /// Which data directory it moves to.
    pub(super) target: usize,
    /// How far it is.
    pub(super) progress: Arc<CopyProgress>,
    ended: Arc<AtomicBool>,
    not_before: Option<Instant>,
}

impl Move {
    fn to(target: usize) -> Self {
        Self { target, progress: Arc::default(), ended: Arc::default(), not_before: None }
    }

    /// True once nobody wants it any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ended, &other.ended)
    }
}

/// What follows from the wish that a replica be in a certain directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It is there, or on its way.
    Nothing,
    /// It is there, and on its way to another one, which it shall not reach.
    End,
    /// It is to begin a move, whatever it was doing.
    Begin,
}

/// All moves of a broker.
#[derive(Debug, Default)]
pub(super) struct Moves {
    under_way: BTreeMap<TopicPartition, Move>,
    /// Those that a thread is at, perhaps with a move that has been ended.
    taken: BTreeSet<TopicPartition>,
}

impl Moves {
    /// What is to be done for a replica that is in the directory `current` to be in `wanted`.
    pub(super) fn step(&self, partition: &TopicPartition, current: usize, wanted: usize) -> Step {
        match self.under_way.get(partition).map(|moving| moving.target) {
            Some(target) if target == wanted => Step::Nothing,
            Some(_) if current == wanted => Step::End,
            None if current == wanted => Step::Nothing,
            _ => Step::Begin,
        }
    }

    /// Begins a move, in place of any other.
    pub(super) fn begin(&mut self, partition: &TopicPartition, target: usize) {
        self.end(partition);
        self.under_way.insert(partition.clone(), Move::to(target));
    }

    /// Ends a move; the directory in which its copy is to be given up, unless a thread sees to that.
    pub(super) fn end(&mut self, partition: &TopicPartition) -> Option<usize> {
        let moving = self.under_way.remove(partition)?;
        moving.ended.store(true, Ordering::Release);
        (!self.taken.contains(partition)).then_some(moving.target)
    }

    /// Ends the moves to a directory that has failed.
    pub(super) fn end_all_to(&mut self, target: usize) {
        let to_it = self.under_way.iter().filter(|(_, moving)| moving.target == target);
        let partitions: Vec<TopicPartition> = to_it.map(|(partition, _)| partition.clone()).collect();
        for partition in partitions {
            self.end(&partition);
        }
    }

    /// Where a replica is moving to.
    pub(super) fn target(&self, partition: &TopicPartition) -> Option<usize> {
        self.under_way.get(partition).map(|moving| moving.target)
    }

    /// All moves under way.
    pub(super) fn all(&self) -> impl Iterator<Item = (&TopicPartition, &Move)> {
        self.under_way.iter()
    }

    /// The next move for a thread, of the replicas that are `ready`. To be given back with [`Moves::put_back`].
    pub(super) fn take(
        &mut self,
        now: Instant,
        ready: impl Fn(&TopicPartition) -> bool,
    ) -> Option<(TopicPartition, Move)> {
        let is_due = |moving: &Move| moving.not_before.is_none_or(|time| time <= now);
        let free = |(partition, moving): &(&TopicPartition, &Move)| {
            !self.taken.contains(*partition) && is_due(moving) && ready(partition)
        };
        let (partition, moving) = self.under_way.iter().find(free)?;
        let found = (partition.clone(), moving.clone());
        self.taken.insert(found.0.clone());
        Some(found)
    }

    /// The thread is done with it: for good, or until `again`.
    pub(super) fn put_back(&mut self, partition: &TopicPartition, moving: &Move, again: Option<Instant>) {
        self.taken.remove(partition);
        if let Some(here) = self.under_way.get_mut(partition)
            && here.is(moving)
        {
            match again {
                Some(_) => here.not_before = again,
                None => drop(self.under_way.remove(partition)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn a_wish_begins_replaces_or_ends_a_move() {
        let mut moves = Moves::default();
        assert_eq!((moves.step(&name(0), 0, 0), moves.step(&name(0), 0, 1)), (Step::Nothing, Step::Begin));
        moves.begin(&name(0), 1);
        let steps = [0, 1, 2].map(|wanted| moves.step(&name(0), 0, wanted));
        assert_eq!(steps, [Step::End, Step::Nothing, Step::Begin]);
        assert_eq!(moves.end(&name(0)), Some(1), "its copy is nobody's");
        assert_eq!((moves.end(&name(0)), moves.all().count()), (None, 0));
    }

    #[test]
    fn one_thread_at_a_time_moves_a_replica_and_sees_when_nobody_wants_it() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        moves.begin(&name(0), 1);
        assert!(moves.take(now, |_| false).is_none(), "it is not there yet");
        let (partition, first) = moves.take(now, |_| true).unwrap();
        assert!(moves.take(now, |_| true).is_none());
        assert_eq!(moves.end(&partition), None, "the thread gives the copy up");
        assert!(first.is_ended());
        moves.begin(&partition, 2);
        assert!(moves.take(now, |_| true).is_none(), "the thread is still at it");
        moves.put_back(&partition, &first, None);
        let (_, second) = moves.take(now, |_| true).unwrap();
        assert_eq!((second.target, second.is_ended()), (2, false), "what has ended does not end the next one");
        moves.put_back(&partition, &second, Some(now + Duration::from_secs(1)));
        assert!(moves.take(now, |_| true).is_none(), "later");
        assert!(moves.take(now + Duration::from_secs(1), |_| true).is_some());
        moves.put_back(&partition, &second, None);
        assert_eq!(moves.all().count(), 0);
    }

    #[test]
    fn moves_to_a_failed_directory_end_and_no_others() {
        let mut moves = Moves::default();
        for (partition, target) in [(0, 1), (1, 2), (2, 1)] {
            moves.begin(&name(partition), target);
        }
        moves.end_all_to(1);
        assert_eq!([0, 1, 2].map(|partition| moves.target(&name(partition))), [None, Some(2), None]);
    }
}
