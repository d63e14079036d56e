//! The in-sync replicas as the leader knows them, and the one change that may be in flight.
//!
//! ```text
//!                propose(add)                    propose(remove)
//!   Expanding <---------------- Committed ----------------> Shrinking
//!       |                          ^  ^                         |
//!       +------- decided ----------+  +-------- decided --------+
//! ```
//!
//! The *maximal* ISR is what the high watermark waits for: an expansion counts as soon as it is proposed, a
//! shrink only once it is decided. Whichever way the controller answers, or whenever, this is safe.

use std::collections::BTreeSet;

use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

/// A member of a proposed ISR with the broker epoch it fetched under. A retry carries the same epochs
/// (KIP-903): taking fresh ones would admit a broker that restarted in between.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IsrMember {
    /// The broker.
    pub broker_id: BrokerId,
    /// Its epoch when the proposal was made.
    pub broker_epoch: BrokerEpoch,
}

/// A change of the ISR that the controller is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrProposal {
    /// Matches the reply with the proposal; never reused within one leadership.
    pub request_id: u64,
    /// The epoch the proposer leads in.
    pub leader_epoch: LeaderEpoch,
    /// The state the change is based on (compare-and-set).
    pub partition_epoch: PartitionEpoch,
    /// The whole new ISR.
    pub isr: Vec<IsrMember>,
}

/// The committed ISR and the proposal in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Isr {
    committed: BTreeSet<BrokerId>,
    pending: Option<IsrProposal>,
}

impl Isr {
    pub fn new(committed: BTreeSet<BrokerId>) -> Self {
        Self { committed, pending: None }
    }

    pub fn committed(&self) -> &BTreeSet<BrokerId> {
        &self.committed
    }

    pub fn pending(&self) -> Option<&IsrProposal> {
        self.pending.as_ref()
    }

    /// Committed ∪ proposed.
    pub fn is_in_maximal(&self, id: BrokerId) -> bool {
        let proposed = self.pending.as_ref().is_some_and(|p| p.isr.iter().any(|member| member.broker_id == id));
        if mutant!("committed-isr-is-enough") {
            return self.committed.contains(&id);
        }
        if mutant!("shrink-counts-when-proposed") && self.pending.is_some() {
            return proposed;
        }
        self.committed.contains(&id) || proposed
    }

    /// Keeps `proposal` as the one in flight.
    pub fn propose(&mut self, proposal: IsrProposal) {
        assert!(self.pending.is_none(), "proposal {proposal:?} while {:?} is in flight", self.pending);
        self.pending = Some(proposal);
    }

    /// The controller has decided on `isr`; whatever was in flight is settled by it.
    pub fn decided(&mut self, isr: BTreeSet<BrokerId>) {
        self.committed = isr;
        self.pending = None;
    }

    /// The proposal with this id was refused for good; true when it was the one in flight.
    pub fn refused(&mut self, request_id: u64) -> bool {
        let ours = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.request_id == request_id || mutant!("refusal-matched-without-id"));
        if ours {
            self.pending = None;
        }
        ours
    }
}
