//! The classic group protocol: members join, a leader among them assigns, all sync, and heartbeat.
//!
//! - `join.rs` JoinGroup: who gets in, and when that means a rebalance
//! - `rebalance.rs` from the start of a rebalance to the next generation
//! - `sync.rs` SyncGroup: the leader's assignment becomes everybody's
//! - `leave.rs` LeaveGroup, and members that go without a word
//! - `commit.rs` who may commit offsets, and when offsets expire

mod commit;
mod join;
mod leave;
mod member;
mod members;
mod rebalance;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub(super) use member::Member;
pub(super) use members::Members;
use rebalance::JoinDeadline;

use super::consumer_protocol::subscribed_topics;
use super::{
    AppendId, CONSUMER_PROTOCOL_TYPE, Effect, Event, GroupConfig, GroupMetadata, GroupRecord, Heartbeat,
    MemberMetadata, Note, Now, Protocol, Reply, State, Token,
};
use crate::model::{ErrorCode, Monotonic, Wall};

/// One group under the classic protocol.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    state: State,
    /// When the group entered its state; read by the expiry of offsets.
    state_since: Option<Wall>,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    members: Members,
    /// Member ids handed out that nobody has joined with yet (KIP-394), and until when they are kept.
    pending_join: BTreeMap<String, Monotonic>,
    /// Members of this generation that have not sent SyncGroup.
    pending_sync: BTreeSet<String>,
    /// What members of this generation consume; none when it cannot be known.
    subscribed_topics: Option<BTreeSet<String>>,
    /// When PreparingRebalance ends even if not all have joined.
    join_deadline: Option<JoinDeadline>,
    /// When those in `pending_sync` are given up.
    sync_deadline: Option<Monotonic>,
    /// When the latest rebalance began.
    rebalance_started: Monotonic,
    /// The leader's assignment on its way to the log.
    persisting: Option<Persisting>,
    /// Static members that came back under a new id, on its way to the log.
    replacing: BTreeMap<AppendId, Replacement>,
    next_append: u64,
    /// True when the log may hold a record of the group.
    persisted: bool,
    /// Not later than the earliest of all deadlines; exact after the timers have run.
    wake_at: Option<Monotonic>,
}

/// The leader's assignment between SyncGroup and the commit of its record.
#[derive(Clone, Debug)]
struct Persisting {
    append: AppendId,
    assignments: BTreeMap<String, Bytes>,
}

/// A static member's new id between JoinGroup and the commit of its record.
#[derive(Clone, Debug)]
struct Replacement {
    member_id: String,
    /// Who the member is told leads.
    leader: String,
    supports_skipping_assignment: bool,
}

/// One call of [`ClassicGroup::on_event`]: what it may read, and what it has decided so far.
struct Step<'a> {
    config: &'a GroupConfig,
    now: Now,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn reply(&mut self, token: Token, reply: Reply) {
        self.effects.push(Effect::Reply { token, reply });
    }

    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}

impl Default for ClassicGroup {
    fn default() -> Self {
        Self {
            state: State::Empty,
            state_since: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            members: Members::default(),
            pending_join: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            join_deadline: None,
            sync_deadline: None,
            rebalance_started: Monotonic::default(),
            persisting: None,
            replacing: BTreeMap::new(),
            next_append: 0,
            persisted: false,
            wake_at: None,
        }
    }
}

impl ClassicGroup {
    /// The group as its record describes it; without members it is empty, else stable.
    pub fn from_record(record: GroupMetadata) -> Self {
        let mut group = Self {
            state: if record.members.is_empty() { State::Empty } else { State::Stable },
            state_since: record.state_since,
            generation: record.generation,
            protocol_type: record.protocol_type,
            protocol: record.protocol,
            persisted: true,
            ..Self::default()
        };
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in record.members {
            group.members.insert(restored_member(member, &protocol));
        }
        group.members.restore_leader(record.leader);
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// An empty group whose appends are numbered from here on.
    pub(super) fn with_next_append(next_append: u64) -> Self {
        Self { next_append, ..Self::default() }
    }

    /// The number of its next append.
    pub(super) fn next_append(&self) -> u64 {
        self.next_append
    }

    /// The group that is left of one of the consumer protocol; its members rebalance at once.
    pub(super) fn downgraded(
        members: Vec<(MemberMetadata, Vec<Protocol>)>,
        generation: i32,
        next_append: u64,
        config: &GroupConfig,
        now: Now,
    ) -> (Self, Vec<Effect>) {
        let mut group = Self {
            state: State::Stable,
            state_since: Some(now.wall),
            generation,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            persisted: true,
            ..Self::with_next_append(next_append)
        };
        for (record, protocols) in members {
            group.members.insert(Member { protocols, ..restored_member(record, "") });
        }
        group.protocol = group.members.select_protocol();
        group.subscribed_topics = group.compute_subscribed_topics();
        let mut effects = group.on_loaded(config, now);
        let mut step = Step { config, now, effects: Vec::new() };
        if group.state == State::Stable {
            group.prepare_rebalance("the last member of the consumer protocol left", &mut step);
        }
        effects.append(&mut step.effects);
        (group, effects)
    }

    /// The record of the group as it is.
    pub(super) fn record(&self) -> GroupMetadata {
        self.to_record(None)
    }

    /// True when the log may hold a record of it.
    pub(super) fn is_persisted(&self) -> bool {
        self.persisted
    }

    /// Starts the sessions of members that were read from the log.
    pub(super) fn on_loaded(&mut self, config: &GroupConfig, now: Now) -> Vec<Effect> {
        let mut step = Step { config, now, effects: Vec::new() };
        for member_id in self.members.ids() {
            self.restart_session(&member_id, &step);
        }
        if self.members.len() > config.size_max {
            self.prepare_rebalance("the loaded group is larger than group.max.size", &mut step);
        }
        step.effects
    }

    /// Takes in one event and says what is to be done.
    pub fn on_event(&mut self, event: Event, config: &GroupConfig, now: Now) -> Vec<Effect> {
        let mut step = Step { config, now, effects: Vec::new() };
        match event {
            Event::Join(request) => self.on_join(request, &mut step),
            Event::Sync(request) => self.on_sync(request, &mut step),
            Event::Heartbeat(request) => self.on_heartbeat(&request, &mut step),
            Event::Leave(request) => self.on_leave(request, &mut step),
            Event::Appended(append) => self.on_appended(append, &mut step),
            Event::AppendFailed(append, error) => self.on_append_failed(append, error, &mut step),
            Event::TimersDue => {}
            Event::Resign(error) => self.on_resign(error, &mut step),
        }
        self.run_due_timers(&mut step);
        step.effects
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its generation.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The protocol type of its members, or of the last ones.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The chosen protocol.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// True when nothing would be lost by forgetting the group: nobody is in, nobody was told an id, and no
    /// record of it was ever written.
    pub(super) fn is_vacant(&self) -> bool {
        self.state == State::Empty && !self.persisted && self.pending_join.is_empty()
    }

    /// True when members were told an id and may still come.
    pub(super) fn has_pending_members(&self) -> bool {
        !self.pending_join.is_empty()
    }

    /// When [`Event::TimersDue`] shall be sent; may be early, never late.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.wake_at
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    fn transition(&mut self, state: State, now: Now) {
        self.state = state;
        self.state_since = Some(now.wall);
    }

    fn wake_not_later_than(&mut self, deadline: Monotonic) {
        self.wake_at = Some(self.wake_at.map_or(deadline, |at| at.min(deadline)));
    }

    fn restart_session(&mut self, member_id: &str, step: &Step) {
        if let Some(member) = self.members.get_mut(member_id) {
            let deadline = member.restart_session(step.now.monotonic);
            self.wake_not_later_than(deadline);
        }
    }

    fn on_heartbeat(&mut self, request: &Heartbeat, step: &mut Step) {
        let answer = self.heartbeat(request, step).err().unwrap_or(ErrorCode::None);
        step.reply(request.token, Reply::Heartbeat(answer));
    }

    fn heartbeat(&mut self, request: &Heartbeat, step: &Step) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        self.restart_session(&request.member_id, step);
        match self.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A static member is known by its instance; whoever holds it under another id is fenced.
    fn check_member(&self, member_id: &str, group_instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if let Some(instance) = group_instance_id {
            match self.members.static_member(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn append_metadata(&mut self, step: &mut Step, metadata: GroupMetadata) -> AppendId {
        let append = AppendId(self.next_append);
        self.next_append += 1;
        self.persisted = true;
        step.effects.push(Effect::Append { append, records: vec![GroupRecord::Metadata(Some(metadata))] });
        append
    }

    /// The record of this generation, with assignments that members do not have yet.
    fn to_record(&self, assignments: Option<&BTreeMap<String, Bytes>>) -> GroupMetadata {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let assignment = |member: &Member| match assignments {
            Some(assignments) => assignments.get(&member.member_id).cloned().unwrap_or_default(),
            None => member.assignment.clone(),
        };
        GroupMetadata {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.members.leader().map(str::to_owned),
            state_since: self.state_since,
            members: self.members.iter().map(|member| member_record(member, protocol, assignment(member))).collect(),
        }
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        let protocol_type = self.protocol_type.as_deref()?;
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref().filter(|_| protocol_type == CONSUMER_PROTOCOL_TYPE)?;
        let mut all = BTreeSet::new();
        for member in self.members.iter() {
            all.extend(subscribed_topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    fn on_append_failed(&mut self, append: AppendId, error: ErrorCode, step: &mut Step) {
        step.note(Note::AppendFailed { error });
        self.replacement_failed(append, error, step);
        self.persisting_failed(append, error, step);
    }

    fn on_appended(&mut self, append: AppendId, step: &mut Step) {
        self.replacement_committed(append, step);
        self.assignment_committed(append, step);
    }

    /// Handles every deadline that has come, then looks for the next one.
    fn run_due_timers(&mut self, step: &mut Step) {
        let now = step.now.monotonic;
        if self.wake_at.is_none_or(|at| at > now) {
            return;
        }
        if self.join_deadline.as_ref().is_some_and(|deadline| deadline.at <= now) {
            self.on_join_deadline(step);
        }
        if self.sync_deadline.is_some_and(|deadline| deadline <= now) {
            self.on_sync_deadline(step);
        }
        self.expire_pending_members(step);
        self.expire_sessions(step);
        self.wake_at = self.earliest_deadline();
    }

    fn earliest_deadline(&self) -> Option<Monotonic> {
        let sessions = self.members.iter().filter_map(|member| member.session_deadline);
        let pending = self.pending_join.values().copied();
        let join = self.join_deadline.as_ref().map(|deadline| deadline.at);
        sessions.chain(pending).chain(join).chain(self.sync_deadline).min()
    }
}

fn member_record(member: &Member, protocol: &str, assignment: Bytes) -> MemberMetadata {
    MemberMetadata {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout_ms,
        subscription: member.metadata(protocol),
        assignment,
    }
}

fn restored_member(record: MemberMetadata, protocol: &str) -> Member {
    Member {
        member_id: record.member_id,
        group_instance_id: record.group_instance_id,
        client_id: record.client_id,
        client_host: record.client_host,
        session_timeout_ms: record.session_timeout_ms,
        rebalance_timeout_ms: record.rebalance_timeout_ms,
        protocols: vec![Protocol { name: protocol.to_owned(), metadata: record.subscription }],
        assignment: record.assignment,
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
        session_deadline: None,
        joined_at: None,
    }
}

#[cfg(test)]
impl ClassicGroup {
    /// What holds between any two events.
    pub(super) fn assert_consistent(&self) {
        self.members.assert_consistent();
        let members = self.members.len();
        let awaiting_sync = self.members.iter().filter(|member| member.awaiting_sync.is_some()).count();
        assert!(matches!(self.state, State::PreparingRebalance) || (members == 0) == (self.state == State::Empty));
        assert_eq!(self.join_deadline.is_some(), self.state == State::PreparingRebalance, "{self:?}");
        assert!(awaiting_sync == 0 || self.state == State::CompletingRebalance, "{self:?}");
        assert!(self.persisting.is_none() || self.state == State::CompletingRebalance, "{self:?}");
        assert!(self.pending_sync.iter().all(|member_id| self.members.contains(member_id)), "{self:?}");
        assert!(self.pending_join.keys().all(|member_id| !self.members.contains(member_id)), "{self:?}");
        let earliest = self.earliest_deadline();
        assert!(earliest.is_none_or(|at| self.wake_at.is_some_and(|wake_at| wake_at <= at)), "{self:?}");
    }
}
