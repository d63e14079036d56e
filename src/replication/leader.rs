//! The leader's side: follower log ends, the ISR and the high watermark.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, Offset, PartitionEpoch};

use super::Effect;
use super::isr::{Isr, IsrMember, IsrProposal};

/// How a broker begins to lead a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderStart {
    /// This broker.
    pub broker: IsrMember,
    /// The epoch it leads in.
    pub leader_epoch: LeaderEpoch,
    /// The partition's state in the metadata that made it leader.
    pub partition_epoch: PartitionEpoch,
    /// All replicas, this broker included.
    pub replicas: Vec<BrokerId>,
    /// The committed in-sync replicas, this broker included.
    pub isr: BTreeSet<BrokerId>,
    /// The effective minimum: min(`min.insync.replicas`, replication factor).
    pub min_isr: usize,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: u64,
    /// This broker's log end; records at and above it belong to the new epoch.
    pub log_end_offset: Offset,
    /// The last high watermark known here.
    pub high_watermark: Offset,
    /// With `flush.before.ack`: this broker's log is on disk up to here, and what is not on disk counts nowhere. `None`
    /// without it: a record counts where it has been written.
    pub flushed_offset: Option<Offset>,
    /// The partition is RECOVERING from an unclean election (A18): nobody joins before the controller knows that it
    /// has recovered.
    pub recovering: bool,
}

/// A Fetch request of a follower: its offset *is* the follower's acknowledgement of all below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerFetch {
    /// Who fetches, and the broker epoch the request names.
    pub follower: IsrMember,
    /// The follower's log end offset.
    pub fetch_offset: Offset,
    /// How far the follower's log is on disk, if it tells.
    pub flushed_offset: Option<Offset>,
    /// The broker is registered under that very epoch, unfenced, and not shutting down (A14).
    pub eligible: bool,
}

/// What the leader knows of one follower in this leadership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Follower {
    broker_epoch: BrokerEpoch,
    eligible: bool,
    /// What it has acknowledged: the end of its log, or of what is on its disk. `None` until it has fetched in this leader
    /// epoch.
    log_end_offset: Option<Offset>,
    last_caught_up: Monotonic,
    /// The leader's log end at the follower's previous fetch, and when that was: a follower that reaches it
    /// was caught up at that moment, even if the leader has since moved on.
    previous_leader_end: Offset,
    previous_fetch: Monotonic,
}

/// One leadership of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    broker: IsrMember,
    leader_epoch: LeaderEpoch,
    leader_epoch_start_offset: Offset,
    partition_epoch: PartitionEpoch,
    isr: Isr,
    min_isr: usize,
    replica_lag_time_max_ms: u64,
    log_end_offset: Offset,
    high_watermark: Offset,
    /// See [`LeaderStart::flushed_offset`].
    flushed_offset: Option<Offset>,
    followers: BTreeMap<BrokerId, Follower>,
    last_request_id: u64,
    /// The latest time an event has told; lag is judged against it.
    now: Monotonic,
}

impl Leader {
    /// Begins to lead. A leader that is alone in the ISR has everything committed at once.
    pub fn new(start: LeaderStart, now: Monotonic) -> (Self, Vec<Effect>) {
        let mut leader = Self {
            followers: start
                .replicas
                .iter()
                .filter(|&&id| id != start.broker.broker_id)
                .map(|&id| (id, Follower::unknown(now)))
                .collect(),
            broker: start.broker,
            leader_epoch: start.leader_epoch,
            leader_epoch_start_offset: start.log_end_offset,
            partition_epoch: start.partition_epoch,
            isr: Isr::new(start.isr),
            min_isr: start.min_isr,
            replica_lag_time_max_ms: start.replica_lag_time_max_ms,
            log_end_offset: start.log_end_offset,
            high_watermark: if mutant!("new-leader-commits-all-it-has") {
                start.log_end_offset
            } else {
                start.high_watermark
            },
            flushed_offset: start.flushed_offset,
            last_request_id: 0,
            now,
        };
        let recovered = start.recovering.then(|| leader.propose(&leader.isr.committed().clone()));
        let effects = leader.advance_high_watermark().into_iter().chain(recovered).collect();
        (leader, effects)
    }

    /// The epoch of this leadership.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The newest partition state applied.
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// First offset of this leader epoch. Until the high watermark reaches it, the leader does not know how
    /// far its predecessor let consumers read (KIP-207).
    pub fn leader_epoch_start_offset(&self) -> Offset {
        self.leader_epoch_start_offset
    }

    /// First offset that is not committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// False while the committed ISR is below the minimum: acks=all is refused and nothing commits.
    pub fn has_min_isr(&self) -> bool {
        self.isr.committed().len() >= self.min_isr || mutant!("commits-below-min-isr")
    }

    /// The effective minimum ISR.
    pub fn min_isr(&self) -> usize {
        self.min_isr
    }

    /// True when the broker holds a copy, as far as the metadata has been told here.
    pub fn has_replica(&self, id: BrokerId) -> bool {
        self.followers.contains_key(&id) || id == self.broker.broker_id
    }

    /// The committed in-sync replicas.
    pub fn isr(&self) -> &BTreeSet<BrokerId> {
        self.isr.committed()
    }

    /// The in-sync followers that have fetched from this leader, and where each one's log ends as it told last.
    pub fn in_sync_followers(&self) -> impl Iterator<Item = (BrokerId, Offset)> {
        let in_sync = self.followers.iter().filter(|(id, _)| self.isr.committed().contains(id));
        in_sync.filter_map(|(&id, follower)| Some((id, follower.log_end_offset?)))
    }

    /// The log now ends at `log_end_offset`.
    pub fn on_append(&mut self, log_end_offset: Offset) -> Option<Effect> {
        assert!(log_end_offset >= self.log_end_offset, "log end went from {} to {log_end_offset}", self.log_end_offset);
        self.log_end_offset = log_end_offset;
        self.advance_high_watermark()
    }

    /// This broker's log is on disk up to `flushed_offset`.
    pub fn on_flushed(&mut self, flushed_offset: Offset) -> Option<Effect> {
        let known = self.flushed_offset.as_mut()?;
        *known = flushed_offset.max(*known);
        self.advance_high_watermark()
    }

    /// `flush.before.ack` holds from now on, with this broker's log on disk up to the offset given, or (`None`) does not.
    pub fn on_flush_before_ack(&mut self, flushed_offset: Option<Offset>) -> Option<Effect> {
        self.flushed_offset = flushed_offset;
        self.advance_high_watermark()
    }

    /// A follower asks for what lies at its log end.
    pub fn on_follower_fetch(&mut self, fetch: FollowerFetch, now: Monotonic) -> Vec<Effect> {
        self.now = now;
        let leader_end = self.log_end_offset;
        let Some(acknowledged) = self.acknowledged_by(&fetch) else { return Vec::new() };
        let Some(follower) = self.followers.get_mut(&fetch.follower.broker_id) else {
            return Vec::new(); // Not a replica: the shell answers it, nothing is acknowledged here.
        };
        if fetch.follower.broker_epoch < follower.broker_epoch && !mutant!("fetch-of-an-earlier-life-counts") {
            return Vec::new(); // Sent in an earlier life of the broker, which may have lost what it held then (A14).
        }
        follower.on_fetch(&fetch, acknowledged, leader_end, now);
        let expansion = self.propose_expansion(fetch.follower.broker_id);
        let high_watermark = self.advance_high_watermark();
        expansion.into_iter().chain(high_watermark).collect()
    }

    /// What a fetch acknowledges. Where only what is on disk counts, a follower that does not tell acknowledges nothing.
    fn acknowledged_by(&self, fetch: &FollowerFetch) -> Option<Offset> {
        if self.flushed_offset.is_none() || mutant!("unflushed-copies-count") {
            return Some(fetch.fetch_offset);
        }
        fetch.flushed_offset.map(|flushed| flushed.min(fetch.fetch_offset))
    }

    /// What the leader itself acknowledges.
    fn own_end(&self) -> Offset {
        let flushed = self.flushed_offset.filter(|_| !mutant!("unflushed-appends-count"));
        flushed.map_or(self.log_end_offset, |flushed| flushed.min(self.log_end_offset))
    }

    /// A broker has become active under `active`, or is no more (`None`): fenced, stopping or gone. One that cannot
    /// join is not waited for (A14).
    pub fn on_broker(&mut self, id: BrokerId, active: Option<BrokerEpoch>) -> Vec<Effect> {
        let Some(follower) = self.followers.get_mut(&id) else { return Vec::new() };
        follower.eligible = active == Some(follower.broker_epoch);
        let expansion = self.propose_expansion(id);
        expansion.into_iter().chain(self.advance_high_watermark()).collect()
    }

    /// Time passes: followers that have lagged for too long are proposed out of the ISR.
    pub fn tick(&mut self, now: Monotonic) -> Option<Effect> {
        self.now = now;
        if self.isr.pending().is_some() {
            return None;
        }
        let lagging = |id: &BrokerId| self.followers.get(id).is_some_and(|follower| !self.keeps_up(follower));
        let remaining: BTreeSet<BrokerId> = self.isr.committed().iter().copied().filter(|id| !lagging(id)).collect();
        (remaining.len() < self.isr.committed().len()).then(|| self.propose(&remaining))
    }

    /// The controller's decision, from the metadata feed or from a reply, whichever comes first. Older or
    /// repeated news changes nothing.
    pub fn on_isr_decided(
        &mut self,
        partition_epoch: PartitionEpoch,
        isr: BTreeSet<BrokerId>,
        min_isr: usize,
    ) -> Option<Effect> {
        self.min_isr = min_isr;
        if partition_epoch > self.partition_epoch || mutant!("old-isr-news-taken-in") {
            self.partition_epoch = partition_epoch;
            self.isr.decided(isr);
        }
        self.advance_high_watermark()
    }

    /// The partition has these replicas as of `partition_epoch`; older news changes nothing. Those that are new have
    /// fetched nothing yet (A20).
    pub fn on_replicas(&mut self, partition_epoch: PartitionEpoch, replicas: &[BrokerId], now: Monotonic) {
        self.now = now;
        if partition_epoch < self.partition_epoch {
            return;
        }
        self.followers.retain(|id, _| replicas.contains(id));
        for &id in replicas.iter().filter(|&&id| id != self.broker.broker_id) {
            self.followers.entry(id).or_insert_with(|| Follower::unknown(now));
        }
    }

    /// The controller refused the proposal with this id: it has not carried it out, and will carry out no copy of it, for
    /// the partition epoch has moved on. Stale ids change nothing.
    pub fn on_isr_refused(&mut self, request_id: u64) -> Option<Effect> {
        if self.isr.refused(request_id) { self.advance_high_watermark() } else { None }
    }

    /// The proposal to send (again) when its reply got lost: unchanged, with its captured broker epochs.
    pub fn pending_proposal(&self) -> Option<&IsrProposal> {
        self.isr.pending()
    }

    /// A follower joins when it holds everything committed, has reached this epoch's start, and the
    /// controller could accept it (A14).
    fn propose_expansion(&mut self, id: BrokerId) -> Option<Effect> {
        let may_join = self.may_join(id) && !mutant!("isr-never-grows");
        if self.isr.pending().is_some() || self.isr.committed().contains(&id) || !may_join {
            return None;
        }
        let mut isr = self.isr.committed().clone();
        isr.insert(id);
        Some(self.propose(&isr))
    }

    fn may_join(&self, id: BrokerId) -> bool {
        self.followers.get(&id).is_some_and(|follower| self.has_reached_high_watermark(follower))
    }

    fn has_reached_high_watermark(&self, follower: &Follower) -> bool {
        let Some(end) = follower.log_end_offset else { return false };
        let committed = end >= self.high_watermark || mutant!("joins-below-the-high-watermark");
        let of_this_epoch = end >= self.leader_epoch_start_offset || mutant!("joins-below-the-epochs-start");
        follower.eligible && committed && of_this_epoch
    }

    /// It is at the log end, or was within the allowed lag.
    fn keeps_up(&self, follower: &Follower) -> bool {
        follower.log_end_offset == Some(self.log_end_offset)
            || (self.now.since_ms(follower.last_caught_up) <= self.replica_lag_time_max_ms
                && !mutant!("expelled-without-lag"))
    }

    fn propose(&mut self, isr: &BTreeSet<BrokerId>) -> Effect {
        self.last_request_id += 1;
        let member = |&broker_id: &BrokerId| match self.followers.get(&broker_id) {
            Some(follower) => IsrMember { broker_id, broker_epoch: follower.broker_epoch },
            None => self.broker,
        };
        let proposal = IsrProposal {
            request_id: self.last_request_id,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.iter().map(member).collect(),
        };
        self.isr.propose(proposal.clone());
        Effect::ProposeIsr(proposal)
    }

    /// Raises the high watermark to the lowest log end of the maximal ISR and of the caught-up followers that
    /// are about to join. It never moves back, and not at all below the minimum ISR (KIP-966).
    fn advance_high_watermark(&mut self) -> Option<Effect> {
        if !self.has_min_isr() {
            return None;
        }
        let waited_for =
            self.followers.iter().filter(|&(&id, follower)| self.isr.is_in_maximal(id) || self.is_joining(follower));
        let lowest = waited_for
            .map(|(_, follower)| follower.log_end_offset.unwrap_or(self.unknown_log_end_offset()))
            .reduce(|a, b| if mutant!("fastest-follower-commits") { a.max(b) } else { a.min(b) })
            .map_or(self.own_end(), |end| end.min(self.own_end()));
        (lowest > self.high_watermark).then(|| {
            self.high_watermark = lowest;
            Effect::AdvanceHighWatermark { high_watermark: lowest }
        })
    }

    /// Who has not fetched in this epoch has acknowledged nothing new.
    fn unknown_log_end_offset(&self) -> Offset {
        if mutant!("silence-counts-as-caught-up") { self.log_end_offset } else { self.high_watermark }
    }

    /// Without waiting for a follower that is about to join, a busy leader would outrun it for ever.
    fn is_joining(&self, follower: &Follower) -> bool {
        self.has_reached_high_watermark(follower) && self.keeps_up(follower)
    }
}

impl Follower {
    fn unknown(now: Monotonic) -> Self {
        Self {
            broker_epoch: BrokerEpoch(-1),
            eligible: false,
            log_end_offset: None,
            last_caught_up: now,
            previous_leader_end: Offset::MAX,
            previous_fetch: now,
        }
    }

    fn on_fetch(&mut self, fetch: &FollowerFetch, acknowledged: Offset, leader_end: Offset, now: Monotonic) {
        self.broker_epoch = fetch.follower.broker_epoch;
        self.eligible = fetch.eligible;
        if acknowledged >= leader_end {
            self.last_caught_up = now;
        } else if acknowledged >= self.previous_leader_end {
            self.last_caught_up = self.last_caught_up.max(self.previous_fetch);
        }
        self.log_end_offset = Some(acknowledged);
        self.previous_leader_end = leader_end;
        self.previous_fetch = now;
    }
}
