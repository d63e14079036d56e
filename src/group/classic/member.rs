//! One member of a classic group.

use bytes::Bytes;

use crate::group::{Protocol, Token};
use crate::model::Monotonic;

/// A member that has been admitted (a pending one has only an id, see [`super::ClassicGroup`]).
#[derive(Clone, Debug)]
pub(in crate::group) struct Member {
    /// Given out by the coordinator.
    pub member_id: String,
    /// Set for a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// From its last JoinGroup.
    pub client_id: String,
    /// From its last JoinGroup.
    pub client_host: String,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long others wait for it to join again.
    pub rebalance_timeout_ms: i32,
    /// What it supports, best first. Written only through [`super::members::Members`], which counts them.
    pub protocols: Vec<Protocol>,
    /// What the leader gave it; empty until the generation is stable.
    pub assignment: Bytes,
    /// Its JoinGroup that waits for the others. Written only through [`super::members::Members`].
    pub awaiting_join: Option<Token>,
    /// Its SyncGroup that waits for the leader's assignment.
    pub awaiting_sync: Option<Token>,
    /// True until its first rebalance completes: its JoinGroup may time out, since it cannot send heartbeats.
    pub is_new: bool,
    /// When it is given up unless it is heard of; none while its silence is our own doing.
    pub session_deadline: Option<Monotonic>,
    /// When it joined the rebalance in progress.
    pub joined_at: Option<Monotonic>,
}

impl Member {
    /// True when it brings the same protocols in the same order as before.
    pub fn matches(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    /// What it says for `protocol`; empty when it does not know that protocol.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|known| known.name == protocol).map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// Starts the clock for its next sign of life.
    pub fn restart_session(&mut self, now: Monotonic) -> Monotonic {
        let deadline = now.plus_ms(u64::try_from(self.session_timeout_ms).unwrap_or_default());
        self.session_deadline = Some(deadline);
        deadline
    }
}

/// Bytes of these protocols in memory, names included.
pub(super) fn metadata_bytes(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len()).sum()
}
