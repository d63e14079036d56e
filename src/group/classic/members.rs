//! The members of a classic group, with everything that is counted over them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::member::{Member, metadata_bytes};
use crate::group::{Protocol, Token};

/// Members by id. Keeps the static index, the leader, the votes and the number of those who wait in step.
#[derive(Clone, Debug, Default)]
pub(in crate::group) struct Members {
    by_id: BTreeMap<String, Member>,
    /// `group.instance.id` to member id.
    static_ids: BTreeMap<String, String>,
    leader: Option<String>,
    awaiting_join: usize,
    /// How many members know a protocol.
    supporters: BTreeMap<String, usize>,
    metadata_bytes: usize,
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn contains(&self, member_id: &str) -> bool {
        self.by_id.contains_key(member_id)
    }

    pub fn get(&self, member_id: &str) -> Option<&Member> {
        self.by_id.get(member_id)
    }

    /// For fields that nothing is counted over.
    pub fn get_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(member_id)
    }

    /// In the order of member ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// The ids, in order.
    pub fn ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    /// The leader's member id.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// True for the leader's id.
    pub fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Makes a member the leader that a record names as such.
    pub fn restore_leader(&mut self, leader: Option<String>) {
        self.leader = leader;
    }

    /// The member id that stands for an instance now.
    pub fn static_member(&self, group_instance_id: &str) -> Option<&str> {
        self.static_ids.get(group_instance_id).map(String::as_str)
    }

    /// How many wait for the others to join.
    pub fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Bytes of all members' protocols.
    pub fn metadata_bytes(&self) -> usize {
        self.metadata_bytes
    }

    /// The longest time anybody wants to be waited for.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.iter().map(|member| member.rebalance_timeout_ms).max().unwrap_or_default()
    }

    /// Admits a member; the first one leads.
    pub fn insert(&mut self, member: Member) {
        assert!(!self.contains(&member.member_id), "member {} is in the group already", member.member_id);
        self.count(&member.protocols);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        if let Some(instance) = &member.group_instance_id {
            self.static_ids.insert(instance.clone(), member.member_id.clone());
        }
        self.leader.get_or_insert_with(|| member.member_id.clone());
        self.by_id.insert(member.member_id.clone(), member);
    }

    /// Takes a member out; if it led, the next one does.
    pub fn remove(&mut self, member_id: &str) -> Option<Member> {
        let member = self.by_id.remove(member_id)?;
        self.uncount(&member.protocols);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        if let Some(instance) = &member.group_instance_id {
            self.static_ids.remove(instance);
        }
        if self.is_leader(member_id) {
            self.leader = self.by_id.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives a static member another id; leadership goes with it. Returns the requests the old one left waiting.
    pub fn rename(&mut self, member_id: &str, new_member_id: &str) -> Option<(Option<Token>, Option<Token>)> {
        let led = self.is_leader(member_id);
        let mut member = self.remove(member_id)?;
        let waiting = (member.awaiting_join.take(), member.awaiting_sync.take());
        member.member_id = new_member_id.to_owned();
        member.is_new = false;
        self.insert(member);
        if led {
            self.leader = Some(new_member_id.to_owned());
        }
        Some(waiting)
    }

    /// Replaces what a member supports.
    pub fn update_protocols(&mut self, member_id: &str, protocols: Vec<Protocol>) {
        let Some(member) = self.by_id.get_mut(member_id) else { return };
        let old = std::mem::replace(&mut member.protocols, protocols);
        let new = member.protocols.clone();
        self.uncount(&old);
        self.count(&new);
    }

    /// Lets a member's JoinGroup wait; an earlier one of the same member is handed back.
    pub fn park_join(&mut self, member_id: &str, token: Token) -> Option<Token> {
        let member = self.by_id.get_mut(member_id)?;
        let earlier = member.awaiting_join.replace(token);
        self.awaiting_join += usize::from(earlier.is_none());
        earlier
    }

    /// The member's JoinGroup waits no more.
    pub fn take_join(&mut self, member_id: &str) -> Option<Token> {
        let token = self.by_id.get_mut(member_id)?.awaiting_join.take()?;
        self.awaiting_join -= 1;
        Some(token)
    }

    /// True when a member that knows `protocols` could be in: one of them is known to everybody.
    pub fn support_any(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.supporters(&protocol.name) == self.len())
    }

    /// The protocol everybody knows with the most votes; each member votes for its favourite among the common
    /// ones. A tie goes to the name that sorts first.
    pub fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.iter() {
            let common = member.protocols.iter().find(|protocol| self.supporters(&protocol.name) == self.len());
            *votes.entry(&common?.name).or_default() += 1;
        }
        votes.into_iter().rev().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.to_owned())
    }

    /// Makes sure that the leader is one who has joined again. False when nobody has.
    pub fn elect_joined_leader(&mut self) -> bool {
        if self.leader().and_then(|leader| self.get(leader)).is_some_and(|leader| leader.awaiting_join.is_some()) {
            return true;
        }
        let joined = self.iter().find(|member| member.awaiting_join.is_some());
        let Some(joined) = joined.map(|member| member.member_id.clone()) else { return false };
        self.leader = Some(joined);
        true
    }

    /// Sets what the leader gave each member; those it forgot get nothing and are returned.
    pub fn assign(&mut self, mut assignments: BTreeMap<String, Bytes>) -> Vec<String> {
        let mut missing = Vec::new();
        for member in self.by_id.values_mut() {
            match assignments.remove(&member.member_id) {
                Some(assignment) => member.assignment = assignment,
                None => {
                    member.assignment = Bytes::new();
                    missing.push(member.member_id.clone());
                }
            }
        }
        missing
    }

    fn supporters(&self, protocol: &str) -> usize {
        self.supporters.get(protocol).copied().unwrap_or_default()
    }

    fn count(&mut self, protocols: &[Protocol]) {
        self.metadata_bytes += metadata_bytes(protocols);
        for protocol in protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &[Protocol]) {
        self.metadata_bytes -= metadata_bytes(protocols);
        for protocol in protocols {
            if let Some(supporters) = self.supporters.get_mut(&protocol.name) {
                *supporters -= 1;
                if *supporters == 0 {
                    self.supporters.remove(&protocol.name);
                }
            }
        }
    }
}

#[cfg(test)]
impl Members {
    /// Everything that is counted agrees with what it is counted over.
    pub fn assert_consistent(&self) {
        assert_eq!(self.awaiting_join, self.iter().filter(|member| member.awaiting_join.is_some()).count());
        assert_eq!(self.metadata_bytes, self.iter().map(|member| metadata_bytes(&member.protocols)).sum::<usize>());
        let statics = self.iter().filter_map(|m| Some((m.group_instance_id.clone()?, m.member_id.clone()))).collect();
        assert_eq!(self.static_ids, statics);
        assert_eq!(self.leader.is_some(), !self.is_empty());
        assert!(self.leader().is_none_or(|leader| self.contains(leader)));
        let mut supporters = BTreeMap::new();
        for protocol in self.iter().flat_map(|member| &member.protocols) {
            *supporters.entry(protocol.name.clone()).or_insert(0) += 1;
        }
        assert_eq!(self.supporters, supporters);
        assert_eq!(self.select_protocol().is_some(), !self.is_empty(), "members without a common protocol");
    }
}
