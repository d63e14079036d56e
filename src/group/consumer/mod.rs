//! The consumer group protocol (KIP-848): members say what they want and what they own, the coordinator assigns.
//!
//! ```text
//!   subscriptions, topics          group epoch            assignment epoch            member epochs
//!   ───────── change ──────────▶   is raised   ── assignor ──▶ follows it ── heartbeats ──▶ follow it
//! ```
//!
//! - `member.rs` one member: what it wants, what it shall own, what it owns
//! - `draft.rs` one decision: a copy of the group that records are tried on
//! - `heartbeat.rs` ConsumerGroupHeartbeat: from the request to the answer
//! - `joining.rs` who is let in, and who is fenced
//! - `assigning.rs` when the group epoch rises, and the target assignment that follows; who shall own what is up to an
//!   assignor
//! - `reconcile.rs` how a member comes from what it owns to what it shall own
//! - `leaving.rs` members that leave, or go without a word
//! - `regex.rs` topics by regular expression
//! - `classic_member.rs` members that speak the classic protocol in a group of the consumer protocol
//! - `migrate.rs` a group changes its protocol while its members live
//! - `commit.rs` who may commit and fetch offsets
//!
//! Nothing here changes before its records are in the log: a decision is made on a copy, which takes the place of
//! the group when the append has succeeded. What is not in the log (when sessions end, why the last rebalance was)
//! travels with the copy, and begins anew with another coordinator.
//!
//! Invariant C3: a partition that somebody owns, or was asked to give up and has not yet, is given to nobody else.

mod assigning;
mod classic_member;
mod commit;
mod draft;
mod heartbeat;
mod joining;
mod leaving;
mod member;
mod migrate;
mod reconcile;
mod regex;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;

pub(super) use draft::Draft;
pub use heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatReply};
pub use member::ConsumerMember;

use super::{
    Assignor, ConsumerRecord, GroupConfig, GroupEpoch, MemberState, Now, Partitions, ResolvedRegex, TargetEpoch,
};
use crate::model::{ErrorCode, Monotonic, TopicId, Wall};

/// The member epoch of somebody who joins.
pub const JOIN_EPOCH: i32 = 0;
/// The member epoch of somebody who leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The member epoch of a static member that leaves and may come back.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

/// The topics that exist, as the caller knows them.
pub trait Topics {
    /// Changes whenever a topic is created or deleted or gets partitions.
    fn version(&self) -> u64;
    /// Identity and number of partitions of a topic.
    fn find(&self, name: &str) -> Option<(TopicId, i32)>;
    /// The name of a topic.
    fn name(&self, id: TopicId) -> Option<Arc<str>>;
    /// All names.
    fn names(&self) -> Vec<Arc<str>>;
}

/// What one group may set for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerSettings {
    /// How long a member may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How often a member is to be heard of, in milliseconds.
    pub heartbeat_interval_ms: i32,
    /// The shortest time between two target assignments, in milliseconds.
    pub assignment_interval_ms: i32,
}

/// All that a decision depends on besides the group and the request.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The topics that exist.
    pub topics: &'a dyn Topics,
    /// The broker's settings.
    pub config: &'a GroupConfig,
    /// The group's settings.
    pub settings: ConsumerSettings,
    /// The time.
    pub now: Now,
}

/// A request that is turned away, and what its sender may read about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub error: ErrorCode,
    /// The same in words.
    pub message: String,
}

impl Refusal {
    /// A refusal in words.
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }
}

/// The state of a group of the consumer protocol; it follows from its epochs and members.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConsumerState {
    /// No members.
    Empty,
    /// The target assignment is older than the group epoch.
    Assigning,
    /// Some members have not reached the target assignment.
    Reconciling,
    /// All members own what they shall.
    Stable,
}

impl ConsumerState {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl fmt::Display for ConsumerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One group under the consumer protocol. A copy costs a few reference counts.
#[derive(Clone, Debug, Default)]
pub struct ConsumerGroup {
    epoch: GroupEpoch,
    target_epoch: TargetEpoch,
    members: OrdMap<Arc<str>, ConsumerMember>,
    /// `group.instance.id` to member id.
    static_ids: OrdMap<String, Arc<str>>,
    /// Who owns a partition, or has to give it up and has not yet.
    owners: OrdMap<(TopicId, i32), Arc<str>>,
    regexes: OrdMap<Arc<str>, Arc<ResolvedRegex>>,
    /// Not in the log.
    clocks: OrdMap<Arc<str>, Clocks>,
    /// Version of the topics that the metadata hash is of; none when that is not known. Not in the log.
    topics_version: Option<u64>,
    /// Not later than the earliest deadline; exact after the timers have run. Not in the log.
    wake_at: Option<Monotonic>,
    /// True when the log may hold a record of the group.
    persisted: bool,
    /// The number of the next append of the classic group that this one may become again: an append of the one
    /// it was may still be reported. Not in the log.
    next_append: u64,
}

/// When a member is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Clocks {
    /// Unless it is heard of.
    session: Option<Monotonic>,
    /// Unless it has given up what it has to.
    revocation: Option<Monotonic>,
    /// A classic member only: unless it joins again.
    join: Option<Monotonic>,
    /// A classic member only: unless it asks for its assignment.
    sync: Option<Monotonic>,
    /// Since when it waits for partitions that others have to give up.
    waits_since: Option<Monotonic>,
}

impl Clocks {
    fn earliest(&self) -> Option<Monotonic> {
        [self.session, self.revocation, self.join, self.sync].into_iter().flatten().min()
    }
}

impl ConsumerGroup {
    /// Takes over the fact that a record states. Records of one member may come in any order: compaction keeps
    /// the last of each kind.
    pub(super) fn replay(&mut self, record: &ConsumerRecord) {
        self.persisted = true;
        match record {
            ConsumerRecord::Epoch(value) => {
                self.persisted = value.is_some();
                self.epoch = value.unwrap_or_default();
            }
            ConsumerRecord::TargetEpoch(value) => self.target_epoch = value.unwrap_or_default(),
            ConsumerRecord::Subscription { member_id, value } => match value {
                Some(subscription) => {
                    if let Some(instance) = &subscription.instance_id {
                        self.static_ids.insert(instance.clone(), member_id.clone());
                    }
                    self.change_member(member_id, |member| member.subscription = subscription.clone());
                }
                None => self.forget_member(member_id),
            },
            ConsumerRecord::Target { member_id, value } => {
                if value.is_some() || self.contains(member_id) {
                    self.change_member(member_id, |member| member.target = value.clone().unwrap_or_default());
                }
            }
            ConsumerRecord::Current { member_id, value } => {
                if value.is_some() || self.contains(member_id) {
                    self.disown(member_id);
                    self.change_member(member_id, |member| member.current = value.clone().unwrap_or_default());
                    self.own(member_id);
                }
            }
            ConsumerRecord::Regex { regex, value: Some(resolved) } => {
                self.regexes.insert(regex.clone(), resolved.clone());
            }
            ConsumerRecord::Regex { regex, value: None } => {
                self.regexes.remove(regex);
            }
        }
    }

    /// Starts the sessions of members that were read from the log.
    pub(super) fn on_loaded(&mut self, around: &Circumstances<'_>) {
        for member_id in self.ids() {
            self.restart_session(&member_id, around);
            self.follow_revocation(&member_id, around);
        }
    }

    /// Its state.
    pub fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch.epoch > self.target_epoch.epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.target_epoch.epoch)) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    /// Its group epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch.epoch
    }

    /// The group epoch that the target assignment was made for.
    pub fn assignment_epoch(&self) -> i32 {
        self.target_epoch.epoch
    }

    /// Its members, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&Arc<str>, &ConsumerMember)> {
        self.members.iter()
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True when it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member with this id.
    pub fn member(&self, member_id: &str) -> Option<&ConsumerMember> {
        self.members.get(member_id)
    }

    /// The member id that stands for an instance now.
    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_ids.get(instance_id)
    }

    /// The assignor that most members would like; the broker's first one when they say nothing.
    pub fn assignor(&self, config: &GroupConfig) -> Assignor {
        let votes = |assignor: &Assignor| {
            let wanted = self.members.values().filter_map(|member| member.subscription.assignor.as_deref());
            wanted.filter(|name| *name == assignor.name()).count()
        };
        // The last of the most is taken, so the broker's first one wins a tie.
        let most = config.consumer.assignors.iter().rev().max_by_key(|assignor| votes(assignor));
        most.copied().unwrap_or_default()
    }

    /// True when a member consumes the topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let by_regex = member.subscription.regex.as_ref().and_then(|regex| self.regexes.get(regex));
            member.subscription.topics.contains(topic) || by_regex.is_some_and(|regex| regex.topics.contains(topic))
        })
    }

    /// True when nothing would be lost by forgetting the group.
    pub(super) fn is_vacant(&self) -> bool {
        self.members.is_empty() && !self.persisted
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.wake_at
    }

    /// Tombstones for everything the log holds of the group; the one of the group itself comes last.
    pub(super) fn tombstones(&self) -> Vec<ConsumerRecord> {
        let current = |id: &Arc<str>| ConsumerRecord::Current { member_id: id.clone(), value: None };
        let target = |id: &Arc<str>| ConsumerRecord::Target { member_id: id.clone(), value: None };
        let subscription = |id: &Arc<str>| ConsumerRecord::Subscription { member_id: id.clone(), value: None };
        let mut records: Vec<_> = self.members.keys().map(current).collect();
        records.extend(self.members.keys().map(target));
        records.push(ConsumerRecord::TargetEpoch(None));
        records.extend(self.members.keys().map(subscription));
        records.extend(self.regexes.keys().map(|regex| ConsumerRecord::Regex { regex: regex.clone(), value: None }));
        records.push(ConsumerRecord::Epoch(None));
        records
    }

    fn contains(&self, member_id: &str) -> bool {
        self.members.contains_key(member_id)
    }

    fn ids(&self) -> Vec<Arc<str>> {
        self.members.keys().cloned().collect()
    }

    fn change_member(&mut self, member_id: &Arc<str>, change: impl FnOnce(&mut ConsumerMember)) {
        change(self.members.entry(member_id.clone()).or_default());
    }

    fn forget_member(&mut self, member_id: &Arc<str>) {
        self.disown(member_id);
        self.clocks.remove(member_id);
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(instance) = &member.subscription.instance_id
            && self.static_ids.get(instance) == Some(member_id)
        {
            self.static_ids.remove(instance);
        }
    }

    fn disown(&mut self, member_id: &Arc<str>) {
        let Some(member) = self.members.get(member_id) else { return };
        for partition in member.current.clone().partitions() {
            if self.owners.get(partition) == Some(member_id) {
                self.owners.remove(partition);
            }
        }
    }

    fn own(&mut self, member_id: &Arc<str>) {
        let Some(member) = self.members.get(member_id) else { return };
        for partition in member.current.clone().partitions() {
            self.owners.insert(*partition, member_id.clone());
        }
    }

    /// True when nobody but the member itself owns the partition.
    fn is_free_for(&self, member_id: &str, partition: &(TopicId, i32)) -> bool {
        self.owners.get(partition).is_none_or(|owner| **owner == *member_id) || mutant!("partition-of-two-members")
    }

    /// Topics that a member wants, by name, whether they exist or not.
    fn topics_of<'a>(&'a self, member: &'a ConsumerMember) -> BTreeSet<&'a str> {
        let by_regex = member.subscription.regex.as_ref().and_then(|regex| self.regexes.get(regex));
        let by_regex = by_regex.into_iter().flat_map(|regex| &regex.topics);
        member.subscription.topics.iter().chain(by_regex).map(String::as_str).collect()
    }

    fn set_clocks(&mut self, member_id: &str, set: impl FnOnce(&mut Clocks)) {
        let Some((member_id, _)) = self.members.get_key_value(member_id) else { return };
        let clocks = self.clocks.entry(member_id.clone()).or_default();
        set(clocks);
        if let Some(earliest) = clocks.earliest() {
            self.wake_at = Some(self.wake_at.map_or(earliest, |at| at.min(earliest)));
        }
    }

    fn clocks_of(&self, member_id: &str) -> Clocks {
        self.clocks.get(member_id).copied().unwrap_or_default()
    }

    /// A member was heard of.
    fn restart_session(&mut self, member_id: &str, around: &Circumstances<'_>) {
        let Some(member) = self.members.get(member_id) else { return };
        let classic = member.subscription.classic.as_ref().map(|classic| classic.session_timeout_ms);
        let timeout_ms = classic.unwrap_or(around.settings.session_timeout_ms);
        let deadline = around.now.monotonic.plus_ms(timeout_ms.max(0).unsigned_abs().into());
        self.set_clocks(member_id, |clocks| clocks.session = Some(deadline));
    }

    /// The clocks of a member whose current assignment may have changed.
    fn follow_revocation(&mut self, member_id: &str, around: &Circumstances<'_>) {
        let Some(member) = self.members.get(member_id) else { return };
        let now = around.now.monotonic;
        let timeout_ms = member.subscription.rebalance_timeout_ms.max(0).unsigned_abs().into();
        let (state, classic) = (member.current.state, member.is_classic());
        self.set_clocks(member_id, |clocks| {
            // Classic members have the time to join again instead.
            let revokes = state == MemberState::UnrevokedPartitions && !classic;
            clocks.revocation = revokes.then(|| clocks.revocation.unwrap_or(now.plus_ms(timeout_ms)));
            let waits = state == MemberState::UnreleasedPartitions;
            clocks.waits_since = waits.then(|| clocks.waits_since.unwrap_or(now));
        });
    }
}

/// Only the time since the epoch is in records.
fn elapsed_ms(since: Wall, now: Wall) -> u64 {
    u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(u64::MAX)
}

/// The partitions that a request lists, as far as `topics` knows them by name.
fn by_id(named: &super::consumer_protocol::NamedPartitions, topics: &dyn Topics) -> Partitions {
    let ids = named.iter().filter_map(|(name, indexes)| Some((topics.find(name)?.0, indexes)));
    ids.flat_map(|(id, indexes)| indexes.iter().map(move |index| (id, *index))).collect()
}

#[cfg(test)]
impl ConsumerGroup {
    /// Both are the same as far as the log says.
    pub(super) fn assert_same_in_the_log(&self, other: &Self) {
        assert_eq!((self.epoch, self.target_epoch), (other.epoch, other.target_epoch));
        assert_eq!(self.members, other.members);
        assert_eq!((&self.static_ids, &self.owners), (&other.static_ids, &other.owners));
        assert_eq!(self.regexes, other.regexes);
    }

    /// What holds between any two decisions; C3 above all.
    pub(super) fn assert_consistent(&self) {
        let mut owners = std::collections::BTreeMap::new();
        for (member_id, member) in &self.members {
            for partition in member.current.partitions() {
                let other = owners.insert(*partition, member_id.clone());
                assert_eq!(other, None, "{partition:?} is owned by {member_id} too");
            }
            assert!(member.current.epoch <= self.epoch.epoch, "{member_id} is ahead of its group: {self:?}");
            let revoking = member.current.revoking.len();
            assert_eq!(revoking > 0, member.current.state == MemberState::UnrevokedPartitions, "{member:?}");
        }
        assert_eq!(
            self.owners.iter().map(|(k, v)| (*k, v.clone())).collect::<std::collections::BTreeMap<_, _>>(),
            owners
        );
        assert!(self.target_epoch.epoch <= self.epoch.epoch);
        for (instance, member_id) in &self.static_ids {
            assert_eq!(self.members[member_id].subscription.instance_id.as_ref(), Some(instance));
        }
        let mut targets = BTreeSet::new();
        for member in self.members.values() {
            assert!(member.target.iter().all(|partition| targets.insert(*partition)), "a target of two: {self:?}");
        }
        let earliest = self.clocks.values().filter_map(Clocks::earliest).min();
        assert!(earliest.is_none_or(|at| self.wake_at.is_some_and(|wake_at| wake_at <= at)), "{self:?}");
    }
}
