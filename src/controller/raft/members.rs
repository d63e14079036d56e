//! The quorum's membership: reading it, and changing it by joint consensus.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use openraft::error::{ClientWriteError, RaftError};

use super::quorum::Quorum;
use super::types::{RaftId, Voter};

/// A learner this close to the end of the log has caught up: records keep coming while anybody looks.
const CAUGHT_UP_ENTRIES: u64 = 100;

/// Who belongs to the quorum, as this node knows it.
#[derive(Clone, Debug)]
pub struct Membership {
    inner: openraft::Membership<RaftId, Voter>,
}

/// Why the membership was not changed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// This node does not lead.
    #[error("this node does not lead the quorum")]
    NotLeader,
    /// openraft's reason.
    #[error("the voters cannot be changed now: {0}")]
    Failed(String),
}

impl Membership {
    /// Everybody who votes, in the old and in the new configuration while it changes.
    pub fn voters(&self) -> impl Iterator<Item = &Voter> {
        self.inner.voter_ids().filter_map(|id| self.inner.get_node(&id))
    }

    /// Everybody.
    pub fn all(&self) -> impl Iterator<Item = &Voter> {
        self.inner.nodes().map(|(_, voter)| voter)
    }

    /// True when this member is the only one. A node that has just begun to follow knows of no members yet, and is not
    /// alone for that.
    pub fn is_only(&self, id: RaftId) -> bool {
        self.inner.nodes().count() == 1 && self.inner.get_node(&id).is_some()
    }

    /// The member with this Raft id.
    pub fn get(&self, id: RaftId) -> Option<&Voter> {
        self.inner.get_node(&id)
    }

    /// True for a voter, false for a learner.
    pub fn votes(&self, id: RaftId) -> bool {
        self.inner.voter_ids().any(|voter| voter == id)
    }

    /// The voter with this `node.id`.
    pub fn voter_named(&self, node_id: i32) -> Option<(RaftId, &Voter)> {
        self.named(node_id).find(|(id, _)| self.votes(*id))
    }

    /// The learner with this `node.id`.
    pub fn learner_named(&self, node_id: i32) -> Option<(RaftId, &Voter)> {
        self.named(node_id).find(|(id, _)| !self.votes(*id))
    }

    /// All learners with this `node.id`.
    pub fn learners_named(&self, node_id: i32) -> impl Iterator<Item = RaftId> {
        self.named(node_id).map(|(id, _)| id).filter(|id| !self.votes(*id))
    }

    /// True while a change of the voters is under way.
    pub fn is_joint(&self) -> bool {
        self.inner.get_joint_config().len() > 1
    }

    /// The voters after the change that is under way, if there is one.
    pub fn latest_voters(&self) -> BTreeSet<RaftId> {
        self.inner.get_joint_config().last().cloned().unwrap_or_default()
    }

    fn named(&self, node_id: i32) -> impl Iterator<Item = (RaftId, &Voter)> {
        self.inner.nodes().filter(move |(_, voter)| voter.node_id == node_id).map(|(id, voter)| (*id, voter))
    }
}

impl Quorum {
    /// Who belongs to the quorum.
    pub fn membership(&self) -> Membership {
        Membership { inner: self.raft.metrics().borrow().membership_config.membership().clone() }
    }

    /// True when the leader has seen a member hold nearly all of the log.
    pub fn has_caught_up(&self, id: RaftId) -> bool {
        let metrics = self.raft.metrics().borrow().clone();
        let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&id).copied().flatten());
        matched.is_some_and(|matched| matched.index + CAUGHT_UP_ENTRIES >= metrics.last_log_index.unwrap_or(0))
    }

    /// Takes a member in that follows without a vote.
    pub async fn add_learner(&self, id: RaftId, voter: Voter) -> Result<(), ChangeError> {
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, voter)]))).await
    }

    /// Forgets members that have no vote.
    pub async fn remove_learners(&self, ids: BTreeSet<RaftId>) -> Result<(), ChangeError> {
        self.change(ChangeMembers::RemoveNodes(ids)).await
    }

    /// Brings a member's address up to date. Its Raft id stays what it is, so nobody else is addressed by it.
    pub async fn set_member(&self, id: RaftId, voter: Voter) -> Result<(), ChangeError> {
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(id, voter)]))).await
    }

    /// Makes exactly these members the voters; those who lose their vote are forgotten.
    pub async fn set_voters(&self, ids: BTreeSet<RaftId>) -> Result<(), ChangeError> {
        self.change(ChangeMembers::ReplaceAllVoters(ids)).await
    }

    /// A caller that goes away does not leave the change half done.
    async fn change(&self, change: ChangeMembers<RaftId, Voter>) -> Result<(), ChangeError> {
        let raft = self.raft.clone();
        let changed = tokio::spawn(async move { raft.change_membership(change, false).await }).await;
        match changed.map_err(|error| ChangeError::Failed(error.to_string()))? {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(ChangeError::NotLeader),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &RaftError<RaftId, ClientWriteError<RaftId, Voter>>) -> ChangeError {
    ChangeError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uuid;

    fn membership(voters: &[RaftId]) -> Membership {
        let voter = |id: &RaftId| {
            let directory_id = Uuid([u8::try_from(*id).expect("small"); 16]);
            (*id, Voter { node_id: 1, directory_id, host: "h".to_owned(), port: 1 })
        };
        let nodes: BTreeMap<RaftId, Voter> = voters.iter().map(voter).collect();
        Membership { inner: openraft::Membership::new(vec![nodes.keys().copied().collect()], nodes) }
    }

    /// A lost disk whose first message from the leader is its vote: it must go on asking for its seat.
    #[test]
    fn whoever_knows_no_members_is_not_the_only_one() {
        assert!(!membership(&[]).is_only(1));
        assert!(membership(&[1]).is_only(1));
        assert!(!membership(&[2]).is_only(1));
        assert!(!membership(&[1, 2]).is_only(1));
    }
}
