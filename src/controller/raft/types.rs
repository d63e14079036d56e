//! The quorum in openraft's types, and their form on the wire and on disk.
//!
//! openraft's types stay inside `controller/raft/`. Each conversion is written once, here; what comes from
//! a peer or a disk is checked (`InvalidMessage`), what goes out cannot fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload, LeaderId};
use serde::{Deserialize, Serialize};

use crate::model::Uuid;
use crate::rpc::raft as wire;

/// 64 bits of a data directory's `directory.id`: a lost directory can never vote as the one that voted before.
pub type RaftId = u64;

openraft::declare_raft_types!(
    /// The metadata quorum.
    pub MetadataRaft:
        D = MetadataBatch,
        R = Applied,
        NodeId = RaftId,
        Node = Voter,
        Entry = openraft::Entry<MetadataRaft>,
        SnapshotData = super::snapshot_file::SnapshotFile,
);

/// Position of an entry.
pub type LogId = openraft::LogId<RaftId>;
/// A node's vote.
pub type Vote = openraft::Vote<RaftId>;
/// One entry of the log.
pub type Entry = openraft::Entry<MetadataRaft>;
/// The quorum's members.
pub type Membership = openraft::Membership<RaftId, Voter>;
/// The quorum's members and the entry that made them so.
pub type StoredMembership = openraft::StoredMembership<RaftId, Voter>;
/// What openraft must be told about a disk that fails: it ends this node.
pub type StorageError = openraft::StorageError<RaftId>;

/// Metadata records that take effect together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataBatch {
    /// Metadata index of the image that the batch was decided on.
    pub base_index: i64,
    /// Encoded `ottla.metadata.MetadataRecord` messages.
    #[serde(with = "serde_records")]
    pub records: Vec<Bytes>,
}

/// What became of an entry once it was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// Its records are in the image.
    Replayed,
    /// It was decided on an image that was not current any more, and changed nothing.
    Superseded,
    /// A blank or membership entry.
    NotData,
}

/// A member of the quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    /// `node.id`, the name people use.
    pub node_id: i32,
    /// Identity of the member's data directory.
    pub directory_id: Uuid,
    /// Host of its controller listener; resolved anew at each dial.
    pub host: String,
    /// Port of its controller listener.
    pub port: u16,
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.node_id, self.host, self.port)
    }
}

/// A message or a stored entry that lacks a field or carries an impossible value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Raft message has no valid {0}")]
pub struct InvalidMessage(pub &'static str);

/// The log id of (`term`, `index`).
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 0), index)
}

/// `id` on the wire.
pub fn log_id_to_wire(id: &LogId) -> wire::LogId {
    wire::LogId { term: id.leader_id.term, index: id.index }
}

/// A log id from the wire.
pub fn log_id_from_wire(id: wire::LogId) -> LogId {
    log_id(id.term, id.index)
}

/// `vote` on the wire.
pub fn vote_to_wire(vote: &Vote) -> wire::Vote {
    wire::Vote { term: vote.leader_id.term, voted_for: vote.leader_id.voted_for, committed: vote.committed }
}

/// A vote from the wire.
pub fn vote_from_wire(vote: &wire::Vote) -> Vote {
    Vote { leader_id: LeaderId { term: vote.term, voted_for: vote.voted_for }, committed: vote.committed }
}

/// `membership` on the wire and on disk.
pub fn membership_to_wire(membership: &Membership) -> wire::Membership {
    wire::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|set| wire::VoterSet { raft_ids: set.iter().copied().collect() })
            .collect(),
        nodes: membership.nodes().map(|(id, voter)| (*id, voter_to_wire(voter))).collect(),
    }
}

/// A membership from the wire or from disk.
pub fn membership_from_wire(membership: wire::Membership) -> Result<Membership, InvalidMessage> {
    let configs: Vec<BTreeSet<RaftId>> =
        membership.configs.into_iter().map(|set| set.raft_ids.into_iter().collect()).collect();
    let nodes: BTreeMap<RaftId, Voter> = membership
        .nodes
        .into_iter()
        .map(|(id, voter)| Ok((id, voter_from_wire(voter)?)))
        .collect::<Result<_, InvalidMessage>>()?;
    Ok(Membership::new(configs, nodes))
}

fn voter_to_wire(voter: &Voter) -> wire::Voter {
    wire::Voter {
        node_id: voter.node_id,
        directory_id: Bytes::copy_from_slice(&voter.directory_id.0),
        host: voter.host.clone(),
        port: u32::from(voter.port),
    }
}

fn voter_from_wire(voter: wire::Voter) -> Result<Voter, InvalidMessage> {
    Ok(Voter {
        node_id: voter.node_id,
        directory_id: voter.directory_id.as_ref().try_into().map(Uuid).map_err(|_| InvalidMessage("directory id"))?,
        host: voter.host,
        port: voter.port.try_into().map_err(|_| InvalidMessage("port"))?,
    })
}

/// `entry` on the wire; on disk with `durable_end`, see `entry_log`.
pub fn entry_to_wire(entry: &Entry, durable_end: u64) -> wire::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => wire::entry::Payload::Blank(wire::Blank {}),
        EntryPayload::Normal(batch) => wire::entry::Payload::Data(wire::MetadataBatch {
            base_index: batch.base_index,
            records: batch.records.clone(),
        }),
        EntryPayload::Membership(membership) => wire::entry::Payload::Membership(membership_to_wire(membership)),
    };
    wire::Entry { log_id: Some(log_id_to_wire(&entry.log_id)), payload: Some(payload), durable_end }
}

/// An entry from the wire or from disk.
pub fn entry_from_wire(entry: wire::Entry) -> Result<Entry, InvalidMessage> {
    let payload = match entry.payload.ok_or(InvalidMessage("entry payload"))? {
        wire::entry::Payload::Blank(_) => EntryPayload::Blank,
        wire::entry::Payload::Data(batch) => {
            EntryPayload::Normal(MetadataBatch { base_index: batch.base_index, records: batch.records })
        }
        wire::entry::Payload::Membership(membership) => EntryPayload::Membership(membership_from_wire(membership)?),
    };
    Ok(Entry { log_id: log_id_from_wire(entry.log_id.ok_or(InvalidMessage("log id"))?), payload })
}

/// openraft asks for serde on its data; nothing of ours is stored that way.
mod serde_records {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(records: &[Bytes], serializer: S) -> Result<S::Ok, S::Error> {
        records.iter().map(|record| record.as_ref()).collect::<Vec<&[u8]>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
        Ok(Vec::<Vec<u8>>::deserialize(deserializer)?.into_iter().map(Bytes::from).collect())
    }
}
