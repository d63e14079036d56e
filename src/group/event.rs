//! What can happen to a group: requests of members, appends that were committed, time.

use bytes::Bytes;

use crate::model::{ErrorCode, Monotonic, Wall};

/// How much of a client's own name gets into its member id, which must stay below the 32,767 bytes of a string.
const MEMBER_ID_PREFIX_CHARACTERS_MAX: usize = 1024;

/// Both clocks at one moment: sessions run on the monotonic one, retention on the wall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For sessions, rebalances and delays.
    pub monotonic: Monotonic,
    /// For timestamps in records.
    pub wall: Wall,
}

/// Names a request that waits for its answer; chosen by the caller, unique among those that wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// Names an append of this group whose outcome has not been reported yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AppendId(pub u64);

/// What a group's machine reacts to.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A member asks to join, or to join again.
    Join(JoinGroup),
    /// A member asks for its assignment; the leader brings everybody's.
    Sync(SyncGroup),
    /// A member is alive.
    Heartbeat(Heartbeat),
    /// Members leave, or an administrator removes them.
    Leave(LeaveGroup),
    /// The records of [`super::Effect::Append`] are committed (below the high watermark).
    Appended(AppendId),
    /// The records were not appended, or not committed in time.
    AppendFailed(AppendId, ErrorCode),
    /// [`super::Group::next_deadline`] has come.
    TimersDue,
    /// This broker coordinates the group no more; everybody who waits gets this error.
    Resign(ErrorCode),
}

/// One way of sharing out partitions that a member knows, with what the leader must know about the member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// Such as `range` or `cooperative-sticky`.
    pub name: String,
    /// The member's subscription; opaque, except that the topics of consumers are read (KIP-211).
    pub metadata: Bytes,
}

/// A JoinGroup request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroup {
    /// Answered with [`super::Reply::Join`].
    pub token: Token,
    /// Empty when the member has none yet.
    pub member_id: String,
    /// Drawn by the caller: the tail of the member id, should this member get a new one.
    pub random_id: String,
    /// Set by a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// From the request's header.
    pub client_id: String,
    /// The peer's address as Kafka writes it: `/127.0.0.1`.
    pub client_host: String,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long the others wait for this member to join again.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// Why it joins (KIP-800); for the log.
    pub reason: Option<String>,
    /// True from version 4 on: a new dynamic member is told its id first and joins with it (KIP-394). Older
    /// clients would ask for ever.
    pub requires_known_member_id: bool,
    /// True from version 9 on: a returning static leader can be told not to assign again (KIP-814).
    pub supports_skipping_assignment: bool,
}

impl JoinGroup {
    /// The id that this member gets if it has none: its own name, and what was drawn.
    pub(super) fn new_member_id(&self) -> String {
        let prefix = self.group_instance_id.as_deref().unwrap_or(&self.client_id);
        let prefix: String = prefix.chars().take(MEMBER_ID_PREFIX_CHARACTERS_MAX).collect();
        format!("{prefix}-{}", self.random_id)
    }
}

/// A SyncGroup request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroup {
    /// Answered with [`super::Reply::Sync`].
    pub token: Token,
    /// Who asks.
    pub member_id: String,
    /// Set by a static member.
    pub group_instance_id: Option<String>,
    /// The generation the member believes in.
    pub generation: i32,
    /// Version 5 and later (KIP-559).
    pub protocol_type: Option<String>,
    /// Version 5 and later (KIP-559).
    pub protocol: Option<String>,
    /// Member id and assignment; the leader's only.
    pub assignments: Vec<(String, Bytes)>,
}

/// A Heartbeat request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// Answered with [`super::Reply::Heartbeat`].
    pub token: Token,
    /// Who is alive.
    pub member_id: String,
    /// Set by a static member.
    pub group_instance_id: Option<String>,
    /// The generation the member believes in.
    pub generation: i32,
}

/// A LeaveGroup request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveGroup {
    /// Answered with [`super::Reply::Leave`].
    pub token: Token,
    /// Before version 3 exactly one.
    pub members: Vec<LeavingMember>,
}

/// One member of a [`LeaveGroup`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeavingMember {
    /// Empty when an administrator names the instance only.
    pub member_id: String,
    /// Names a static member.
    pub group_instance_id: Option<String>,
    /// KIP-800; for the log.
    pub reason: Option<String>,
}
