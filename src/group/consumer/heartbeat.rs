//! ConsumerGroupHeartbeat: from the request to the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Draft, JOIN_EPOCH, Refusal};
use crate::group::{ConsumerRecord, Partitions, Subscription};

/// The shortest pause that a member is asked to make between two heartbeats.
const PAUSE_MS_MIN: u64 = 50;

/// A ConsumerGroupHeartbeat request. What is none has not changed since the last one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerHeartbeat {
    /// Empty for a new member of version 0, which is given one.
    pub member_id: String,
    /// Drawn by the caller: the id of a member that brings none.
    pub random_id: String,
    /// True from version 1 on: members choose their ids themselves (KIP-1082).
    pub brings_member_id: bool,
    /// The epoch the member was told last; 0 joins, -1 leaves, -2 leaves for a while.
    pub member_epoch: i32,
    /// Set by a static member.
    pub instance_id: Option<String>,
    /// Where it runs.
    pub rack_id: Option<String>,
    /// How long it may take to give up partitions.
    pub rebalance_timeout_ms: Option<i32>,
    /// From the request's header.
    pub client_id: String,
    /// The peer's address as Kafka writes it: `/127.0.0.1`.
    pub client_host: String,
    /// Topics by name.
    pub topics: Option<BTreeSet<String>>,
    /// Topics by regular expression; empty for none.
    pub regex: Option<String>,
    /// The assignor it would like.
    pub assignor: Option<String>,
    /// What it owns.
    pub owned: Option<Partitions>,
}

/// The answer to [`ConsumerHeartbeat`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeatReply {
    /// Whose.
    pub member_id: String,
    /// The epoch to come with.
    pub member_epoch: i32,
    /// When to come again, in milliseconds; 0 after a farewell.
    pub heartbeat_interval_ms: i32,
    /// What the member may own from now on; none when that has not changed.
    pub assignment: Option<Partitions>,
}

impl Draft<'_> {
    /// A member is alive, comes, or goes.
    pub(in crate::group) fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatReply, Refusal> {
        self.check_request(request)?;
        if request.member_epoch < JOIN_EPOCH {
            return self.leave(request);
        }
        self.check_room(&request.member_id)?;
        let mut request = request.clone();
        if request.member_id.is_empty() {
            request.member_id.clone_from(&request.random_id);
        }
        let member_id = self.admit(&request)?;
        let before = self.group.member(&member_id).cloned().unwrap_or_default();
        let changed = self.subscribe(&member_id, subscription(&before.subscription, &request));
        self.follow_subscriptions(changed);
        self.assign();
        self.reconcile(&member_id, request.owned.as_ref());
        self.group.restart_session(&member_id, self.around);
        let after = self.find(&member_id)?;
        let is_full = request.member_epoch == JOIN_EPOCH
            || (request.rebalance_timeout_ms.is_some() && request.topics.is_some() && request.owned.is_some());
        let assigned = || after.current.assigned.keys().copied().collect();
        let differs = !after.current.assigned.keys().eq(before.current.assigned.keys());
        Ok(ConsumerHeartbeatReply {
            member_epoch: after.current.epoch,
            heartbeat_interval_ms: self.pause_ms(&member_id),
            assignment: (is_full || differs).then(assigned),
            member_id: member_id.to_string(),
        })
    }

    /// Takes over what a member is and wants; says in words how that changes what the group consumes.
    pub(super) fn subscribe(&mut self, member_id: &Arc<str>, subscription: Subscription) -> Option<String> {
        let known = self.group.member(member_id).map(|member| member.subscription.clone());
        let is_new = known.is_none();
        let known = known.unwrap_or_default();
        if !is_new && *known == subscription {
            return None;
        }
        let wants_else = known.topics != subscription.topics || known.regex != subscription.regex;
        let value = Some(Arc::new(subscription));
        self.emit(ConsumerRecord::Subscription { member_id: member_id.clone(), value });
        // The first member begins the first epoch, whatever it wants: epoch 0 is that of somebody who is not in yet.
        let begins = self.group.epoch.epoch == 0;
        match (wants_else || begins, is_new) {
            (true, true) => Some(format!("{member_id} joins")),
            (true, false) => Some(format!("{member_id} changes its subscription")),
            (false, _) => None,
        }
    }

    /// When a member shall come again: as the group is set up to, but soon when there may be something for it.
    ///
    /// - It waits for partitions that others have to give up: at first soon, then ever more rarely, so that a slow
    ///   member does not make all others ask in vain.
    /// - Its target is made when the assignment interval is over.
    /// - A member that has not been heard of is given up before that: just after that moment.
    fn pause_ms(&self, member_id: &str) -> i32 {
        let now = self.around.now.monotonic;
        let configured = self.around.settings.heartbeat_interval_ms;
        let mut pause_ms = u64::from(configured.max(0).unsigned_abs());
        if let Some(since) = self.group.clocks_of(member_id).waits_since {
            pause_ms = pause_ms.min(now.since_ms(since) / 2);
        }
        if self.group.epoch.epoch > self.group.target_epoch.epoch {
            let since_ms = super::elapsed_ms(self.group.target_epoch.made_at, self.around.now.wall);
            let interval_ms = self.around.settings.assignment_interval_ms.max(0).unsigned_abs();
            pause_ms = pause_ms.min(u64::from(interval_ms).saturating_sub(since_ms));
        }
        if let Some(expiry) = self.group.wake_at {
            pause_ms = pause_ms.min(expiry.since_ms(now) + PAUSE_MS_MIN);
        }
        i32::try_from(pause_ms.max(PAUSE_MS_MIN)).unwrap_or(configured).min(configured)
    }
}

/// What a member is and wants after a request.
fn subscription(known: &Subscription, request: &ConsumerHeartbeat) -> Subscription {
    let regex = match request.regex.as_deref() {
        None => known.regex.clone(),
        Some("") => None,
        Some(expression) => Some(expression.into()),
    };
    Subscription {
        instance_id: request.instance_id.clone().or_else(|| known.instance_id.clone()),
        rack_id: request.rack_id.clone().or_else(|| known.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topics: request.topics.clone().unwrap_or_else(|| known.topics.clone()),
        regex,
        rebalance_timeout_ms: request.rebalance_timeout_ms.unwrap_or(known.rebalance_timeout_ms),
        assignor: request.assignor.clone().or_else(|| known.assignor.clone()),
        classic: None,
    }
}
