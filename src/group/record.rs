//! The facts about a group that `__consumer_offsets` keeps.
//!
//! This module knows what they say; how they look as bytes is the coordinator's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Protocol;
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
    /// A group of the consumer protocol (KIP-848), piece by piece.
    Consumer(ConsumerRecord),
}

/// One record of a group of the consumer protocol. A missing value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConsumerRecord {
    /// The group itself (Kafka's ConsumerGroupMetadata).
    Epoch(Option<GroupEpoch>),
    /// What a member is and wants (Kafka's ConsumerGroupMemberMetadata).
    Subscription {
        /// Whose.
        member_id: Arc<str>,
        /// What it is and wants.
        value: Option<Arc<Subscription>>,
    },
    /// The group epoch that the target assignment is for (Kafka's ConsumerGroupTargetAssignmentMetadata).
    TargetEpoch(Option<TargetEpoch>),
    /// What a member shall own in the end (Kafka's ConsumerGroupTargetAssignmentMember).
    Target {
        /// Whose.
        member_id: Arc<str>,
        /// The partitions.
        value: Option<Arc<Partitions>>,
    },
    /// What a member owns now (Kafka's ConsumerGroupCurrentMemberAssignment).
    Current {
        /// Whose.
        member_id: Arc<str>,
        /// Its epoch and partitions.
        value: Option<Arc<CurrentAssignment>>,
    },
    /// The topics that a regular expression stands for (Kafka's ConsumerGroupRegularExpression).
    Regex {
        /// As the members wrote it.
        regex: Arc<str>,
        /// What it stands for.
        value: Option<Arc<ResolvedRegex>>,
    },
}

/// Partitions by topic and index.
pub type Partitions = BTreeSet<(TopicId, i32)>;

/// Partitions with the member epoch at which each was given to its member.
pub type AssignedPartitions = BTreeMap<(TopicId, i32), i32>;

/// A group of the consumer protocol as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupEpoch {
    /// Rises whenever the target assignment has to be made anew.
    pub epoch: i32,
    /// Of the subscribed topics and their partitions; 0 for none. Another hash means another assignment.
    pub metadata_hash: i64,
}

/// For which group epoch the target assignment was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TargetEpoch {
    /// A group epoch.
    pub epoch: i32,
    /// When it was made; the epoch's begin of time in records before Kafka 4.3.
    pub made_at: Wall,
}

/// What a member of the consumer protocol is and wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    /// Set for a static member.
    pub instance_id: Option<String>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// Client id of its last request that changed something.
    pub client_id: String,
    /// Address of that request, as Kafka writes it: `/127.0.0.1`.
    pub client_host: String,
    /// Topics by name; they need not exist.
    pub topics: BTreeSet<String>,
    /// Topics by a regular expression.
    pub regex: Option<Arc<str>>,
    /// How long it may take to give up partitions, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The assignor it would like.
    pub assignor: Option<String>,
    /// Set for a member that speaks the classic protocol.
    pub classic: Option<ClassicSubscription>,
}

/// What only a member of the classic protocol has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicSubscription {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// What it supports, best first.
    pub protocols: Vec<Protocol>,
}

/// What a member of the consumer protocol owns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CurrentAssignment {
    /// The epoch the member is told, and expected to come with.
    pub epoch: i32,
    /// The one before: the member comes with it when our answer was lost.
    pub previous_epoch: i32,
    /// How far it has come on its way to its target.
    pub state: MemberState,
    /// What it owns and may keep.
    pub assigned: AssignedPartitions,
    /// What it has to give up, and owns until it says that it has.
    pub revoking: AssignedPartitions,
}

/// How far a member has come on its way to its target. The numbers are Kafka's, in records: keep stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(i8)]
pub enum MemberState {
    /// It owns what it shall.
    #[default]
    Stable = 0,
    /// It has to give up partitions, and has not said that it has.
    UnrevokedPartitions = 1,
    /// It waits for partitions that others have to give up.
    UnreleasedPartitions = 2,
    /// Written by a newer broker.
    Unknown = 127,
}

impl MemberState {
    /// The state that a record's number stands for.
    pub fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// The topics that a regular expression stood for at one time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResolvedRegex {
    /// Their names.
    pub topics: BTreeSet<String>,
    /// Of the metadata it was resolved with.
    pub version: i64,
    /// When.
    pub resolved_at: Wall,
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
