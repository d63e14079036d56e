//! One consumer group's machine: who is a member, which generation it is, and what has been committed.
//!
//! Owns Kafka's classic group protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) in [`ClassicGroup`], the consumer
//! protocol (ConsumerGroupHeartbeat, KIP-848) in [`ConsumerGroup`], and the rules for committed offsets in
//! [`CommittedOffsets`]; [`Group`] joins them. It decides and never acts: no clock, no randomness, no tokio, no log.
//! Time comes in with each call as [`Now`], random ids inside the event, and everything to be done goes out as
//! [`Effect`]s, or as a [`Decision`] that counts once its records are appended.
//!
//! The classic protocol:
//!
//! ```text
//!              first join                       all have (re)joined, or time is up
//!   Empty ──────────────────▶ PreparingRebalance ─────────────────────────▶ CompletingRebalance
//!     ▲                          │    ▲   ▲                                     │        │
//!     │     nobody is left       │    │   └──── join, leave, expired session, ──┘        │ leader's assignment
//!     └──────────────────────────┘    │         missing SyncGroup                       │ is committed
//!                                     │                                                 ▼
//!                                     └──── join, leave, expired session ──────────── Stable
//!
//!   any state ── another broker becomes the coordinator ──▶ Dead
//! ```
//!
//! Invariants: within one generation a member's assignment never changes; a commit of another generation or of
//! an unknown member is refused; every parked request is answered exactly once.

mod assignor;
mod classic;
mod classic_state;
mod config;
mod consumer;
mod consumer_protocol;
mod effect;
mod event;
#[allow(clippy::module_inception, reason = "the type that gives the module its name has a file of its own")]
mod group;
mod offsets;
mod pending_offsets;
mod record;
mod view;

pub use assignor::Assignor;
pub use classic::ClassicGroup;
pub use classic_state::State;
pub use config::{ConsumerGroupConfig, GroupConfig, MigrationPolicy};
pub use consumer::{
    Circumstances, ConsumerGroup, ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerMember, ConsumerSettings,
    ConsumerState, JOIN_EPOCH, LEAVE_EPOCH, Refusal, STATIC_LEAVE_EPOCH, Topics,
};
pub use effect::{Effect, JoinReply, JoinReplyMember, LeaveReply, LeaveReplyMember, Note, Rebalance, Reply, SyncReply};
pub use event::{AppendId, Event, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, Now, Protocol, SyncGroup, Token};
pub use group::{Decision, Group, Membership};
pub use offsets::{CommittedOffsets, OffsetCommit, OffsetCommitDecision, OffsetCommitPartition};
pub use pending_offsets::PendingOffsets;
pub use record::{
    AssignedPartitions, ClassicSubscription, CommittedOffset, ConsumerRecord, CurrentAssignment, GroupEpoch,
    GroupMetadata, GroupRecord, MemberMetadata, MemberState, Partitions, ResolvedRegex, Subscription, TargetEpoch,
};
pub use view::{
    ConsumerGroupDescription, ConsumerMemberDescription, GroupDescription, GroupState, GroupType, MemberDescription,
};

/// The member id of somebody who has none yet.
pub const UNKNOWN_MEMBER_ID: &str = "";
/// The protocol type of Kafka's own consumers.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

#[cfg(test)]
mod consumer_properties;
#[cfg(test)]
mod consumer_script_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod test_world;
