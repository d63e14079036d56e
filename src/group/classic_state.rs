//! The states of a group under the classic protocol.

use std::fmt;

/// The state of a classic group. The transition table is in the head of `group`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// No members; there may be committed offsets.
    Empty,
    /// Members are asked to join (again); JoinGroups wait for each other.
    PreparingRebalance,
    /// All have joined; SyncGroups wait for the leader's assignment.
    CompletingRebalance,
    /// Everybody has, or may fetch, an assignment.
    Stable,
    /// Coordinated elsewhere; nothing may be decided here any more.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
