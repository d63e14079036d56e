//! The facts about a group that `__consumer_offsets` keeps.
//!
//! This module knows what they say; how they look as bytes is the coordinator's business.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Offset, TopicId, Wall};

/// One record of a group. A missing value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupRecord {
    /// The group itself (Kafka's GroupMetadata).
    Metadata(Option<GroupMetadata>),
    /// One committed offset (Kafka's OffsetCommit).
    Offset {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's index.
        partition: i32,
        /// What was committed.
        value: Option<CommittedOffset>,
    },
}

/// A group as of one generation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupMetadata {
    /// Absent for a group that has never had members.
    pub protocol_type: Option<String>,
    /// Rises with each rebalance.
    pub generation: i32,
    /// The chosen protocol; absent in an empty group.
    pub protocol: Option<String>,
    /// The leader's member id; absent in an empty group.
    pub leader: Option<String>,
    /// When the group entered the state it is in; absent in records of old schemas.
    pub state_since: Option<Wall>,
    /// Empty in an empty group.
    pub members: Vec<MemberMetadata>,
}

/// A member as of one generation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberMetadata {
    /// Its member id.
    pub member_id: String,
    /// Set for a static member.
    pub group_instance_id: Option<String>,
    /// Client id of its last JoinGroup.
    pub client_id: String,
    /// Address of its last JoinGroup.
    pub client_host: String,
    /// How long others wait for it to join again.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// An offset somebody committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// Leader epoch of the last consumed record, or -1.
    pub leader_epoch: i32,
    /// The client's own remark; empty for none.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub commit_timestamp: Wall,
    /// Set only by OffsetCommit version 2 to 4 with a retention time of its own.
    pub expire_timestamp: Option<Wall>,
    /// The topic's identity; [`crate::model::Uuid::ZERO`] in records of old schemas. An offset dies with its topic.
    pub topic_id: TopicId,
}
