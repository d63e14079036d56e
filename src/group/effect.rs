//! What a group's machine wants done.

use bytes::Bytes;

use super::{AppendId, Assignor, GroupRecord, State, Token, UNKNOWN_MEMBER_ID};
use crate::model::{ErrorCode, Wall};

/// To be carried out in the order given.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Answer a request. Emitted exactly once for each token.
    Reply {
        /// The request.
        token: Token,
        /// The answer, of the request's kind.
        reply: Reply,
    },
    /// Append these records and report [`super::Event::Appended`] or [`super::Event::AppendFailed`].
    Append {
        /// To be named in the report.
        append: AppendId,
        /// Written as one batch.
        records: Vec<GroupRecord>,
    },
    /// Something an operator may want to read in the log.
    Note(Note),
}

/// An answer to a parked request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To JoinGroup.
    Join(JoinReply),
    /// To SyncGroup.
    Sync(SyncReply),
    /// To Heartbeat.
    Heartbeat(ErrorCode),
    /// To LeaveGroup.
    Leave(LeaveReply),
}

/// The answer to JoinGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReply {
    /// `None` when the member is in.
    pub error: ErrorCode,
    /// -1 on an error.
    pub generation: i32,
    /// Absent on an error.
    pub protocol_type: Option<String>,
    /// Absent on an error.
    pub protocol: Option<String>,
    /// The leader's member id, or empty.
    pub leader: String,
    /// True when the leader must keep the assignment that exists (KIP-814).
    pub skip_assignment: bool,
    /// The id to be used from now on.
    pub member_id: String,
    /// All members, for the leader only.
    pub members: Vec<JoinReplyMember>,
}

/// What the leader learns about a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReplyMember {
    /// Its member id.
    pub member_id: String,
    /// Set for a static member.
    pub group_instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

impl JoinReply {
    /// A refusal; `member_id` is the id the client shall use in its next try.
    pub fn refused(error: ErrorCode, member_id: impl Into<String>) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: UNKNOWN_MEMBER_ID.to_owned(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// The answer to SyncGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncReply {
    /// `None` when the assignment is valid.
    pub error: ErrorCode,
    /// Absent on an error.
    pub protocol_type: Option<String>,
    /// Absent on an error.
    pub protocol: Option<String>,
    /// Empty on an error, and for a member the leader gave nothing.
    pub assignment: Bytes,
}

impl SyncReply {
    /// A refusal.
    pub fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// The answer to LeaveGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveReply {
    /// An error of the whole request.
    pub error: ErrorCode,
    /// In the order of the request.
    pub members: Vec<LeaveReplyMember>,
}

/// What became of one leaving member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveReplyMember {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// `None` when it is gone.
    pub error: ErrorCode,
}

/// For the log: nothing depends on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A rebalance begins.
    RebalanceStarted {
        /// The generation that ends.
        generation: i32,
        /// The state it was in.
        from: State,
        /// Who caused it and how.
        reason: String,
    },
    /// All members have joined, or the time for it is over.
    JoinCompleted {
        /// The generation that begins.
        generation: i32,
        /// How many are in.
        members: usize,
        /// From the start of the rebalance to now.
        waited_ms: u64,
        /// Who joined last, and how long after the start.
        slowest: Option<(String, u64)>,
        /// Who did not join in time and was removed.
        expelled: Vec<String>,
    },
    /// The leader's assignment is committed and handed out.
    Stabilized {
        /// The generation.
        generation: i32,
        /// From the start of the rebalance to now.
        waited_ms: u64,
    },
    /// Nobody is left.
    Emptied {
        /// The generation that begins.
        generation: i32,
    },
    /// No member joined again; the rebalance waits for sessions to expire.
    NobodyRejoined {
        /// The generation that should end.
        generation: i32,
    },
    /// A member is gone.
    MemberRemoved {
        /// Who.
        member_id: String,
        /// Where it ran.
        client_host: String,
        /// Why.
        reason: String,
    },
    /// The leader gave these members nothing.
    AssignmentMissing {
        /// Their ids.
        members: Vec<String>,
    },
    /// Records of this group could not be committed.
    AppendFailed {
        /// Why.
        error: ErrorCode,
    },
    /// A group of the consumer protocol needs another assignment.
    EpochBumped {
        /// The group epoch that begins.
        epoch: i32,
        /// Who caused it and how.
        reason: String,
    },
    /// A group of the consumer protocol has another target assignment.
    Assigned {
        /// The group epoch it is for.
        epoch: i32,
        /// Who made it.
        assignor: Assignor,
        /// For how many members.
        members: usize,
    },
    /// The group speaks another protocol from now on.
    Migrated {
        /// True when that is the consumer protocol.
        to_consumer: bool,
    },
}

/// Why a group shared out its partitions anew; known to the coordinator that saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rebalance {
    /// When it began.
    pub at: Wall,
    /// Who caused it and how.
    pub reason: String,
}

/// As people say it: `45 s`, `1.5 s`.
pub(super) fn seconds(ms: i32) -> String {
    format!("{} s", f64::from(ms) / 1000.0)
}
