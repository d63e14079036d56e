//! One consumer group's machine: who is a member, which generation it is, and what has been committed.
//!
//! Owns Kafka's classic group protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) in [`ClassicGroup`] and
//! the rules for committed offsets in [`CommittedOffsets`]; [`Group`] joins the two. It decides and never acts:
//! no clock, no randomness, no tokio, no log. Time comes in with each call as [`Now`], random ids inside the
//! event, and everything to be done goes out as [`Effect`]s.
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

mod classic;
mod config;
mod effect;
mod event;
#[allow(clippy::module_inception, reason = "the type that gives the module its name has a file of its own")]
mod group;
mod offsets;
mod pending_offsets;
mod record;
mod subscription;
mod view;

pub use classic::{ClassicGroup, State};
pub use config::GroupConfig;
pub use effect::{Effect, JoinReply, JoinReplyMember, LeaveReply, LeaveReplyMember, Note, Reply, SyncReply};
pub use event::{AppendId, Event, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, Now, Protocol, SyncGroup, Token};
pub use group::Group;
pub use offsets::{CommittedOffsets, OffsetCommit, OffsetCommitDecision, OffsetCommitPartition};
pub use pending_offsets::PendingOffsets;
pub use record::{CommittedOffset, GroupMetadata, GroupRecord, MemberMetadata};
pub use view::{GroupDescription, MemberDescription};

/// The member id of somebody who has none yet.
pub const UNKNOWN_MEMBER_ID: &str = "";
/// The protocol type of Kafka's own consumers.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

#[cfg(test)]
mod properties;
#[cfg(test)]
mod script_tests;
