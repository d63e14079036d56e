//! When the group epoch rises, and the target assignment that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ConsumerMember, Draft, elapsed_ms, reconcile, regex};
use crate::group::assignor::Assignee;
use crate::group::{ConsumerRecord, CurrentAssignment, MemberState, Note, Partitions, ResolvedRegex, TargetEpoch};
use crate::model::{ErrorCode, TopicId};

impl Draft<'_> {
    /// Raises the group epoch when a member's subscription has changed, which `changed` says in words, or what
    /// there is of the subscribed topics.
    pub(super) fn follow_subscriptions(&mut self, changed: Option<String>) {
        let version = self.around.topics.version();
        if changed.is_none() && self.group.topics_version == Some(version) {
            return;
        }
        self.resolve_regexes();
        match changed {
            Some(reason) => self.bump(reason),
            None if self.metadata_hash() != self.group.epoch.metadata_hash => {
                self.bump("the subscribed topics have changed".to_owned());
            }
            None => self.group.topics_version = Some(version),
        }
    }

    /// Brings the topics that regular expressions stand for up to date, and drops expressions nobody uses.
    fn resolve_regexes(&mut self) {
        let used: BTreeSet<Arc<str>> =
            self.group.members.values().filter_map(|member| member.subscription.regex.clone()).collect();
        let unused: Vec<_> = self.group.regexes.keys().filter(|regex| !used.contains(*regex)).cloned().collect();
        unused.into_iter().for_each(|regex| self.emit(ConsumerRecord::Regex { regex, value: None }));
        if used.is_empty() {
            return;
        }
        let names = self.around.topics.names();
        for regex in used {
            let topics = regex::resolve(&regex, &names);
            if self.group.regexes.get(&regex).is_none_or(|known| known.topics != topics) {
                let version = i64::try_from(self.around.topics.version()).unwrap_or(i64::MAX);
                let resolved = ResolvedRegex { topics, version, resolved_at: self.around.now.wall };
                self.emit(ConsumerRecord::Regex { regex, value: Some(Arc::new(resolved)) });
            }
        }
    }

    /// FNV-1a over the subscribed topics that exist: their names, identities and numbers of partitions. Persisted,
    /// but another hash costs one more assignment and no more.
    pub(super) fn metadata_hash(&self) -> i64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        let mut any = false;
        for name in self.subscribed_topics() {
            if let Some((id, partitions)) = self.around.topics.find(name) {
                any = true;
                mix(name.as_bytes());
                mix(&id.0.0);
                mix(&partitions.to_be_bytes());
            }
        }
        if any { hash.cast_signed() } else { 0 }
    }

    fn subscribed_topics(&self) -> BTreeSet<&str> {
        self.group.members.values().flat_map(|member| self.group.topics_of(member)).collect()
    }

    /// Makes the target assignment for a group epoch that has none; not sooner after the last one than the group
    /// wants.
    pub(super) fn assign(&mut self) {
        let epoch = self.group.epoch.epoch;
        let now = self.around.now.wall;
        let interval_ms = u64::from(self.around.settings.assignment_interval_ms.max(0).unsigned_abs());
        let since_ms = elapsed_ms(self.group.target_epoch.made_at, now);
        if epoch <= self.group.target_epoch.epoch || (now >= self.group.target_epoch.made_at && since_ms < interval_ms)
        {
            return;
        }
        let assignor = self.group.assignor(self.around.config);
        let mut counts = BTreeMap::new();
        let members: Vec<Assignee> =
            self.group.members.iter().map(|(id, member)| self.assignee(id, member, &mut counts)).collect();
        for (member_id, target) in assignor.assign(&members, &counts) {
            if self.group.member(&member_id).is_some_and(|member| *member.target != target) {
                self.emit(ConsumerRecord::Target { member_id, value: Some(Arc::new(target)) });
            }
        }
        self.emit(ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch, made_at: now })));
        self.notes.push(Note::Assigned { epoch, assignor, members: members.len() });
    }

    fn assignee(&self, id: &Arc<str>, member: &ConsumerMember, counts: &mut BTreeMap<TopicId, i32>) -> Assignee {
        let found = self.group.topics_of(member).into_iter().filter_map(|name| self.around.topics.find(name));
        let topics = found.map(|(topic, partitions)| {
            counts.insert(topic, partitions);
            topic
        });
        Assignee {
            member_id: id.clone(),
            instance_id: member.subscription.instance_id.clone(),
            topics: topics.collect(),
            target: member.target.clone(),
        }
    }

    /// Lets a member take its next step towards its target. `owned` is what it says it owns.
    pub(super) fn reconcile(&mut self, member_id: &Arc<str>, owned: Option<&Partitions>) {
        let Some(member) = self.group.member(member_id) else { return };
        let goal = reconcile::Goal { epoch: self.group.target_epoch.epoch, target: &member.target, owned };
        let next = reconcile::next(&member.current, &goal, |partition| self.group.is_free_for(member_id, partition));
        self.set_current(member_id, next);
    }

    /// What the member owns from now on, if that is anything new.
    pub(super) fn set_current(&mut self, member_id: &Arc<str>, current: CurrentAssignment) {
        let known = self.group.member(member_id).map(|member| member.current.clone());
        if known.is_some_and(|known| *known != current) {
            if current.state == MemberState::UnrevokedPartitions {
                // A step of its own, with a time of its own.
                let epoch_changes = self.group.member(member_id).is_some_and(|m| m.current.epoch != current.epoch);
                self.group
                    .set_clocks(member_id, |clocks| clocks.revocation = clocks.revocation.filter(|_| !epoch_changes));
            }
            self.emit(ConsumerRecord::Current { member_id: member_id.clone(), value: Some(Arc::new(current)) });
            self.group.follow_revocation(member_id, self.around);
        }
    }

    /// The assignors that a member may ask for.
    pub(super) fn check_assignor(&self, name: &str) -> Result<(), super::Refusal> {
        let known = &self.around.config.consumer.assignors;
        if known.iter().any(|assignor| assignor.name() == name) {
            return Ok(());
        }
        let names: Vec<_> = known.iter().map(|assignor| assignor.name()).collect();
        let message = format!("ServerAssignor {name} is not supported. Supported assignors: {}.", names.join(", "));
        Err(super::Refusal::new(ErrorCode::UnsupportedAssignor, message))
    }
}
