//! How a member comes from what it owns to what it shall own.
//!
//! ```text
//!                 nothing to give up, nothing to wait for
//!    ┌──────────────────────────────────────────────────────────────┐
//!    │                                                              ▼
//!  Stable ── has to give up ──▶ UnrevokedPartitions ── has ──▶ (target epoch) ── others own some ─┐
//!    ▲                                                              │                            ▼
//!    └──────────────────────── all are free ────────────────────────┴────────── UnreleasedPartitions
//! ```
//!
//! A member keeps its epoch until it has given up everything it must; only then it gets the epoch of its target,
//! and what is free of it.

use crate::group::{AssignedPartitions, CurrentAssignment, MemberState, Partitions};
use crate::model::TopicId;

/// Where a member shall come.
pub(super) struct Goal<'a> {
    /// The group epoch that the target was made for.
    pub epoch: i32,
    /// What it shall own.
    pub target: &'a Partitions,
    /// What it says it owns; none when it says nothing about it.
    pub owned: Option<&'a Partitions>,
}

/// The member's next step. `is_free` tells whether nobody else owns a partition.
pub(super) fn next(
    current: &CurrentAssignment,
    goal: &Goal<'_>,
    is_free: impl Fn(&(TopicId, i32)) -> bool,
) -> CurrentAssignment {
    match current.state {
        MemberState::Stable if current.epoch == goal.epoch => current.clone(),
        MemberState::UnrevokedPartitions if still_owns(&current.revoking, goal.owned) => current.clone(),
        // It has left its epoch behind, even if there is more to give up.
        MemberState::UnrevokedPartitions => advance(current, current.epoch + 1, goal, is_free),
        _ => advance(current, current.epoch, goal, is_free),
    }
}

fn advance(
    current: &CurrentAssignment,
    epoch: i32,
    goal: &Goal<'_>,
    is_free: impl Fn(&(TopicId, i32)) -> bool,
) -> CurrentAssignment {
    let (mut assigned, revoking): (AssignedPartitions, AssignedPartitions) = current
        .assigned
        .iter()
        .map(|(partition, epoch)| (*partition, *epoch))
        .partition(|(p, _)| goal.target.contains(p));
    if !revoking.is_empty() && still_owns(&revoking, goal.owned) && !mutant!("revocation-not-waited-for") {
        let state = MemberState::UnrevokedPartitions;
        return CurrentAssignment { epoch, previous_epoch: previous(current, epoch), state, assigned, revoking };
    }
    let missing: Vec<_> = goal.target.iter().filter(|partition| !assigned.contains_key(partition)).collect();
    let waits = missing.iter().any(|partition| !is_free(partition));
    assigned.extend(missing.into_iter().filter(|partition| is_free(partition)).map(|p| (*p, goal.epoch)));
    CurrentAssignment {
        epoch: goal.epoch,
        previous_epoch: previous(current, goal.epoch),
        state: if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable },
        assigned,
        revoking: AssignedPartitions::new(),
    }
}

/// The epoch that a member may come with because it has not had our answer.
fn previous(current: &CurrentAssignment, epoch: i32) -> i32 {
    if current.epoch == epoch { current.previous_epoch } else { current.epoch }
}

/// A member that says nothing about what it owns has given up nothing.
fn still_owns(revoking: &AssignedPartitions, owned: Option<&Partitions>) -> bool {
    owned.is_none_or(|owned| revoking.keys().any(|partition| owned.contains(partition)))
}
