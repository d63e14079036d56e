//! The oracle: what has really happened, and whether it may.
//!
//! It sees every append, truncation, election, acknowledgement and answer at the moment it happens, keeps a shadow of
//! every log and the one true history of each partition, and checks the invariants by their names. The first
//! violation ends the run.

use std::collections::{BTreeMap, HashMap};

use ottla::metadata::{ClusterImage, PartitionImage};
use ottla::model::{BrokerId, LeaderEpoch, Offset, Uuid};
use ottla::record::BatchHeader;
use ottla::replication::{IsrProposal, Leader};
use ottla::rpc::metadata::{
    LeaderRecoveryState, MetadataCommand, MetadataReply, metadata_command::Kind, metadata_reply::Kind as Reply,
};

use crate::quorum::{broker_id, node_of};
use crate::swarm::Swarm;

/// One record as the oracle knows it: the epoch it was appended in, its batch, and its place there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub epoch: LeaderEpoch,
    pub crc: u32,
    pub delta: u16,
}

/// The records of a batch.
pub fn entries_of(header: &BatchHeader) -> impl Iterator<Item = Entry> + use<> {
    let (epoch, crc) = (header.partition_leader_epoch, header.crc);
    (0..header.record_count as u16).map(move |delta| Entry { epoch, crc, delta })
}

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

/// The checks, by the invariants' names. Each must have been made in a run of many seeds.
pub const CHECKS: [(&str, &str); 22] = [
    ("A1", "an acknowledged record is committed where it was acknowledged"),
    ("A2", "one value per committed offset, in the leader's log and for every reader"),
    ("A3", "one content per offset and leader epoch, above the high watermark too"),
    ("A4", "offsets follow real time"),
    ("A5", "the high watermark rises only over what all of the maximal ISR hold, with the minimum in it"),
    ("A6", "a leader begins with everything committed"),
    ("A7", "every member of ISR and ELR holds everything committed"),
    ("A8", "the leader's maximal ISR holds the controller's ISR and ELR"),
    ("A9", "one leader per leader epoch"),
    ("A10", "epochs rise; an ISR is decided on the epochs it was proposed on"),
    ("A11", "logs agree below their high watermarks"),
    ("A12", "who may have lost its tail is in no ISR or ELR until it has caught up"),
    ("A13", "the latest offset a client is told never goes back"),
    ("A14", "the ISR is joined by living members only, and left only after the lag time"),
    ("A15", "the rules of ISR, ELR and leader in the image"),
    ("A16", "a refused record is in no log"),
    ("A17", "no truncation takes committed records"),
    ("B1", "each sequence number of a producer once, without a gap"),
    ("D3", "images at one index are equal"),
    ("D5", "broker epochs are the index of the registration, and rise"),
    ("D7", "nobody leads or appends before its own registration is applied"),
    ("F3", "once healed, the cluster converges"),
];

/// A replica's log as it should be.
#[derive(Clone, Debug, Default)]
struct Shadow {
    entries: Vec<Entry>,
    high_watermark: Offset,
    /// The broker epoch of the life that opened it; −1 while it is closed.
    broker_epoch: i64,
    /// The epoch of the life that opened it last.
    last_epoch: i64,
    /// The power failed since then, or a sync did.
    lost: bool,
    /// The power failed since it was last opened: nobody knows what is left.
    unknown: bool,
}

#[derive(Clone, Debug)]
struct Produced {
    /// Producer id and first sequence number; −1 for none.
    producer: (i64, i32),
    partition: i32,
    /// The highest acknowledged offset when the producer was asked to send it.
    acked_before: Offset,
    refused: bool,
    appended: bool,
}

pub struct Oracle {
    pub violation: Option<Violation>,
    pub checks: [u64; CHECKS.len()],
    /// By node and partition.
    shadows: Vec<Vec<Shadow>>,
    /// The true history of each partition: everything below the highest high watermark ever.
    committed: Vec<Vec<Entry>>,
    /// Every record ever appended, by partition and offset.
    written: Vec<Vec<Vec<Entry>>>,
    leaders: HashMap<(i32, LeaderEpoch), BrokerId>,
    produced: HashMap<u32, Produced>,
    /// The last committed sequence number.
    sequences: HashMap<(i64, i32), i32>,
    highest_acked: Vec<Offset>,
    pub records_acked: u64,
    image: ClusterImage,
    image_hashes: BTreeMap<i64, u64>,
    /// Replicas whose log may lack what they acknowledged, until they are in sync again, by node and partition.
    lost_tail: Vec<Vec<bool>>,
    /// Brokers that may come to lose it at any operation on their disk.
    armed: Vec<bool>,
    /// When a follower was at its leader's end, by the leader's clock: partition, epoch, follower.
    caught_up: HashMap<(i32, LeaderEpoch, BrokerId), u64>,
    /// Elections of a last known leader (A18).
    pub unclean_elections: u64,
    min_isr: usize,
    lag_time_max_ms: u64,
}

/// `check!(self, "A5", condition, "what {}", went_wrong)` counts the check and keeps the first failure.
macro_rules! check {
    ($oracle:expr, $name:literal, $holds:expr, $($what:tt)*) => {{
        $oracle.count($name);
        if !$holds {
            let what = format!($($what)*);
            $oracle.fail($name, what);
        }
    }};
}

impl Oracle {
    pub fn new(swarm: &Swarm) -> Self {
        let partitions = swarm.partitions as usize;
        Self {
            violation: None,
            checks: [0; CHECKS.len()],
            shadows: vec![
                vec![Shadow { broker_epoch: -1, last_epoch: -1, ..Shadow::default() }; partitions];
                swarm.brokers
            ],
            committed: vec![Vec::new(); partitions],
            written: vec![Vec::new(); partitions],
            leaders: HashMap::new(),
            produced: HashMap::new(),
            sequences: HashMap::new(),
            highest_acked: vec![-1; partitions],
            records_acked: 0,
            image: ClusterImage::default(),
            image_hashes: BTreeMap::new(),
            lost_tail: vec![vec![false; partitions]; swarm.brokers],
            armed: vec![false; swarm.brokers],
            caught_up: HashMap::new(),
            unclean_elections: 0,
            min_isr: swarm.min_isr as usize,
            lag_time_max_ms: swarm.lag_time_max_ms,
        }
    }

    pub fn fail(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what });
        }
    }

    fn count(&mut self, name: &str) {
        if let Some(at) = CHECKS.iter().position(|(check, _)| *check == name) {
            self.checks[at] += 1;
        }
    }

    /// How far the partition is committed.
    pub fn committed_end(&self, partition: i32) -> Offset {
        self.committed[partition as usize].len() as Offset
    }

    pub fn committed_total(&self) -> usize {
        self.committed.iter().map(Vec::len).sum()
    }

    // ------------------------------------------------------------------------------------ clients

    /// A producer is asked to send a batch.
    pub fn produced(&mut self, partition: i32, header: &BatchHeader) {
        let producer = (header.producer_id.0, header.base_sequence);
        let acked_before = self.highest_acked[partition as usize];
        let produced = Produced { producer, partition, acked_before, refused: false, appended: false };
        self.produced.insert(header.crc, produced);
    }

    /// A producer is told that its batch is in. Without `durable` (acks=1) nothing is promised.
    pub fn acknowledged(&mut self, crc: u32, base_offset: Offset, count: i64, durable: bool) {
        if !durable {
            return;
        }
        let Some(Produced { partition, acked_before, .. }) = self.produced.get(&crc).cloned() else {
            return self.fail("A1", format!("batch {crc:08x} was acknowledged and never sent"));
        };
        let committed = &self.committed[partition as usize];
        let at = |delta: i64| usize::try_from(base_offset + delta).ok().and_then(|at| committed.get(at));
        let there =
            (0..count).all(|delta| at(delta).is_some_and(|entry| (entry.crc, i64::from(entry.delta)) == (crc, delta)));
        let end = committed.len();
        check!(
            self,
            "A1",
            there,
            "batch {crc:08x} acknowledged at {partition}:{base_offset} is not committed there (end {end})"
        );
        check!(
            self,
            "A4",
            base_offset > acked_before,
            "batch {crc:08x} lies at {base_offset}, before what was acknowledged at {acked_before}"
        );
        let highest = &mut self.highest_acked[partition as usize];
        *highest = (*highest).max(base_offset + count - 1);
        self.records_acked += count as u64;
    }

    /// A producer's only attempt was refused with a promise that nothing was written.
    pub fn refused(&mut self, crc: u32) {
        let appended = self.produced.get_mut(&crc).is_some_and(|produced| {
            produced.refused = true;
            produced.appended
        });
        check!(self, "A16", !appended, "batch {crc:08x} was refused and is in a log");
    }

    /// A consumer was given records from `offset` on.
    pub fn consumed(&mut self, partition: i32, offset: Offset, entries: &[Entry]) {
        let committed = &self.committed[partition as usize];
        let equal = committed.get(offset as usize..offset as usize + entries.len()) == Some(entries);
        check!(
            self,
            "A2",
            equal,
            "a consumer read {entries:?} at {partition}:{offset}, which is not what is committed"
        );
    }

    /// A client was told the latest offset; it had been told `before`.
    pub fn told_latest(&mut self, partition: i32, before: Offset, now: Offset) {
        check!(self, "A13", now >= before, "the latest offset of {partition} went from {before} to {now}");
    }

    // ------------------------------------------------------------------------------------ replicas

    /// A replica's log was opened with this content.
    pub fn opened(&mut self, node: usize, partition: i32, broker_epoch: i64, entries: Vec<Entry>) {
        let before = &self.shadows[node][partition as usize];
        if !before.unknown && before.entries != entries {
            let (had, has) = (before.entries.len(), entries.len());
            self.fail("A17", format!("broker {} opened {partition} with {has} records, but had {had}: they differ although only the process ended", node + 1));
        }
        self.recovered(node, partition, &entries);
        self.shadows[node][partition as usize] =
            Shadow { entries, high_watermark: 0, broker_epoch, last_epoch: broker_epoch, lost: false, unknown: false };
        self.check_complete(partition);
    }

    /// What was found on disk may be more than was reported: an append that failed after its bytes were written. It
    /// must be something a producer sent, and in conflict with nothing.
    fn recovered(&mut self, node: usize, partition: i32, entries: &[Entry]) {
        for (at, entry) in entries.iter().enumerate() {
            let sent = self.produced.contains_key(&entry.crc);
            check!(self, "A3", sent, "broker {} recovered {entry:?} at {partition}:{at}, which nobody sent", node + 1);
            self.write(node, partition, at, entry);
        }
    }

    fn write(&mut self, node: usize, partition: i32, at: usize, entry: &Entry) {
        let written = &mut self.written[partition as usize];
        if written.len() <= at {
            written.resize(at + 1, Vec::new());
        }
        let others = &mut written[at];
        if others.contains(entry) {
            return;
        }
        let conflict = others.iter().find(|other| other.epoch == entry.epoch).copied();
        others.push(*entry);
        check!(
            self,
            "A3",
            conflict.is_none(),
            "broker {} wrote {entry:?} at {partition}:{at} where {conflict:?} had been written",
            node + 1
        );
        if let Some(produced) = self.produced.get_mut(&entry.crc) {
            produced.appended = true;
            let refused = produced.refused;
            check!(self, "A16", !refused, "batch {:08x} was refused and then appended", entry.crc);
        }
    }

    /// The broker has learned its epoch; a process may be registered more than once.
    pub fn registered(&mut self, node: usize, broker_epoch: i64) {
        for shadow in self.shadows[node].iter_mut().filter(|shadow| shadow.broker_epoch != -1) {
            shadow.broker_epoch = broker_epoch;
            shadow.last_epoch = broker_epoch;
        }
        self.forgive(&self.image.clone());
    }

    /// A process ended; with `unknown` nobody can tell what its logs hold now.
    pub fn process_ended(&mut self, node: usize, unknown: bool) {
        for shadow in &mut self.shadows[node] {
            shadow.broker_epoch = -1;
            shadow.unknown |= unknown;
        }
    }

    /// The broker must not be trusted from now on: it lost power, or a sync failed.
    pub fn tail_may_be_lost(&mut self, node: usize) {
        self.lost_tail[node].fill(true);
        self.shadows[node].iter_mut().for_each(|shadow| shadow.lost = true);
    }

    /// A fault of the broker's disk waits to happen.
    pub fn arm(&mut self, node: usize, armed: bool) {
        self.armed[node] = armed;
    }

    /// How many brokers may lack what they acknowledged, `node` not counted.
    pub fn lost_tails_beside(&self, node: usize) -> usize {
        (0..self.lost_tail.len())
            .filter(|&other| other != node && (self.lost_tail[other].contains(&true) || self.armed[other]))
            .count()
    }

    /// The shadow agrees with what lies on the disk.
    pub fn compare(&mut self, node: usize, partition: i32, entries: &[Entry]) {
        let same = self.shadows[node][partition as usize].entries == entries;
        check!(self, "A11", same, "broker {}: the log of {partition} on disk is not what was appended", node + 1);
    }

    /// A replica appended records at `offset`.
    pub fn appended(&mut self, node: usize, partition: i32, offset: Offset, entries: &[Entry]) {
        let shadow = &mut self.shadows[node][partition as usize];
        let end = shadow.entries.len() as Offset;
        shadow.entries.extend_from_slice(entries);
        if end != offset {
            self.fail(
                "A3",
                format!("broker {} appended at {partition}:{offset}, but its log ended at {end}", node + 1),
            );
        }
        for (at, entry) in (offset as usize..).zip(entries) {
            self.write(node, partition, at, entry);
        }
    }

    /// A replica truncated its log.
    pub fn truncated(&mut self, node: usize, partition: i32, end: Offset) {
        let committed = &self.committed[partition as usize];
        let shadow = &mut self.shadows[node][partition as usize];
        let gone: Vec<Entry> = shadow.entries.drain((end as usize).min(shadow.entries.len())..).collect();
        let lost = (end as usize..).zip(&gone).find(|(at, entry)| committed.get(*at) == Some(*entry)).map(|(at, _)| at);
        check!(
            self,
            "A17",
            lost.is_none(),
            "broker {} truncated {partition} to {end} and dropped the committed record {lost:?}",
            node + 1
        );
        self.check_complete(partition);
    }

    /// A replica knows a high watermark, as leader or as follower.
    pub fn high_watermark(&mut self, node: usize, partition: i32, high_watermark: Offset) {
        let committed = &self.committed[partition as usize];
        let shadow = &mut self.shadows[node][partition as usize];
        let (from, to) = (shadow.high_watermark.min(high_watermark) as usize, high_watermark as usize);
        shadow.high_watermark = high_watermark;
        let agrees = to <= from || shadow.entries.get(from..to).is_some_and(|own| committed.get(from..to) == Some(own));
        let (own_end, end) = (shadow.entries.len(), committed.len());
        check!(
            self,
            "A11",
            agrees,
            "broker {} says that {partition} is committed up to {high_watermark}; its log ends at {own_end}, the committed history at {end}, or they differ",
            node + 1
        );
    }

    /// A broker begins to lead.
    pub fn leads(&mut self, node: usize, partition: i32, leader_epoch: LeaderEpoch, applied: i64, broker_epoch: i64) {
        let id = broker_id(node);
        let first = *self.leaders.entry((partition, leader_epoch)).or_insert(id);
        check!(self, "A9", first == id, "brokers {first} and {id} both lead {partition} in epoch {leader_epoch}");
        check!(
            self,
            "D7",
            applied >= broker_epoch,
            "broker {id} leads {partition} by metadata {applied}, before its registration {broker_epoch}"
        );
        let newest = self.image_of(partition).is_some_and(|now| now.leader_epoch == leader_epoch);
        if newest {
            let (complete, end) =
                (self.holds_committed(node, partition), self.shadows[node][partition as usize].entries.len());
            let committed = self.committed_end(partition);
            check!(
                self,
                "A6",
                complete,
                "broker {id} begins to lead {partition} in epoch {leader_epoch} with a log that ends at {end}; committed is {committed}, or they differ"
            );
        }
    }

    /// A broker accepts a batch.
    pub fn accepts(&mut self, node: usize, applied: i64, broker_epoch: i64) {
        check!(
            self,
            "D7",
            applied >= broker_epoch,
            "broker {} accepts records by metadata {applied}, before its registration {broker_epoch}",
            node + 1
        );
    }

    /// A leader raised its high watermark.
    pub fn raised(&mut self, node: usize, partition: i32, leader: &Leader, high_watermark: Offset) {
        let isr = leader.isr();
        check!(
            self,
            "A5",
            isr.len() >= self.min_isr,
            "leader {} of {partition} commits with an ISR of {isr:?}",
            node + 1
        );
        let proposed =
            leader.pending_proposal().into_iter().flat_map(|proposal| proposal.isr.iter().map(|m| m.broker_id));
        let maximal: Vec<BrokerId> = isr.iter().copied().chain(proposed).collect();
        let own = &self.shadows[node][partition as usize].entries;
        let lacking = maximal.iter().copied().find(|&member| {
            let shadow = &self.shadows[node_of(member)][partition as usize];
            !shadow.unknown
                && !self.lost_tail[node_of(member)][partition as usize]
                && shadow.entries.get(..high_watermark as usize) != own.get(..high_watermark as usize)
        });
        check!(
            self,
            "A5",
            lacking.is_none(),
            "leader {} of {partition} commits up to {high_watermark}, which {lacking:?} of its ISR {maximal:?} does not hold",
            node + 1
        );
        self.check_quorum_superset(node, partition, leader, &maximal);
        self.extend_history(node, partition, high_watermark);
        self.high_watermark(node, partition, high_watermark);
        self.check_complete(partition);
    }

    fn check_quorum_superset(&mut self, node: usize, partition: i32, leader: &Leader, maximal: &[BrokerId]) {
        let Some(now) = self.image_of(partition) else { return };
        if now.leader_epoch == leader.leader_epoch() && leader.isr().len() >= self.min_isr {
            let outside = now.isr.iter().chain(&now.elr).find(|member| !maximal.contains(member)).copied();
            check!(
                self,
                "A8",
                outside.is_none(),
                "leader {} of {partition} waits for {maximal:?}, but the controller counts on {outside:?}",
                node + 1
            );
        }
    }

    fn extend_history(&mut self, node: usize, partition: i32, high_watermark: Offset) {
        let at = partition as usize;
        while self.committed[at].len() < high_watermark as usize {
            let Some(entry) = self.shadows[node][at].entries.get(self.committed[at].len()).copied() else {
                return self.fail(
                    "A5",
                    format!("leader {} commits {partition} up to {high_watermark}, past its own log", node + 1),
                );
            };
            self.committed[at].push(entry);
            if let Some(Produced { producer: (id, base_sequence), .. }) = self.produced.get(&entry.crc)
                && *id >= 0
            {
                let sequence = base_sequence + i32::from(entry.delta);
                let last = self.sequences.insert((*id, partition), sequence).unwrap_or(-1);
                let offset = self.committed[at].len() - 1;
                let id = *id;
                check!(
                    self,
                    "B1",
                    sequence == last + 1,
                    "producer {id} has sequence number {sequence} after {last} at {partition}:{offset}"
                );
            }
        }
    }

    /// A follower asked for what lies at its leader's end.
    pub fn caught_up(&mut self, partition: i32, leader_epoch: LeaderEpoch, follower: BrokerId, leader_clock: u64) {
        self.caught_up.insert((partition, leader_epoch, follower), leader_clock);
    }

    /// A leader asks for another ISR.
    pub fn proposes(
        &mut self,
        node: usize,
        partition: i32,
        leader: &Leader,
        proposal: &IsrProposal,
        led_since: u64,
        clock: u64,
    ) {
        for &member in leader.isr().iter().filter(|id| !proposal.isr.iter().any(|kept| kept.broker_id == **id)) {
            let key = (partition, proposal.leader_epoch, member);
            let last = self.caught_up.get(&key).copied().unwrap_or(0).max(led_since);
            let lag = clock.saturating_sub(last);
            check!(
                self,
                "A14",
                lag > self.lag_time_max_ms,
                "leader {} of {partition} expels {member}, which was caught up {lag} ms ago",
                node + 1
            );
        }
    }

    // ------------------------------------------------------------------------------------ metadata

    fn image_of(&self, partition: i32) -> Option<PartitionImage> {
        let topic = self.image.topics().next()?;
        topic.partition(partition).map(|partition| PartitionImage::clone(partition))
    }

    fn holds_committed(&self, node: usize, partition: i32) -> bool {
        let committed = &self.committed[partition as usize];
        self.shadows[node][partition as usize].entries.get(..committed.len()) == Some(committed)
    }

    /// A7 for one partition: whoever the controller may make leader holds everything.
    fn check_complete(&mut self, partition: i32) {
        let Some(now) = self.image_of(partition) else { return };
        for &member in now.isr.iter().chain(&now.elr) {
            let node = node_of(member);
            let epoch = self.image.broker(member).map_or(-1, |broker| broker.epoch.0);
            let shadow = &self.shadows[node][partition as usize];
            if shadow.broker_epoch != epoch || shadow.unknown {
                continue;
            }
            let (complete, end) = (self.holds_committed(node, partition), shadow.entries.len());
            let committed = self.committed_end(partition);
            check!(
                self,
                "A7",
                complete,
                "broker {member} is in ISR {:?} or ELR {:?} of {partition} with a log that ends at {end}; committed is {committed}, or they differ",
                now.isr,
                now.elr
            );
        }
    }

    /// The controller has decided a command: an accepted ISR must stand on the state it was proposed on.
    pub fn decided(
        &mut self,
        before: &ClusterImage,
        after: &ClusterImage,
        command: &MetadataCommand,
        reply: &MetadataReply,
    ) {
        self.check_partitions(before, after);
        match (&command.kind, &reply.kind) {
            (Some(Kind::AlterPartition(asked)), Some(Reply::AlterPartition(answered))) => {
                for (proposal, result) in asked.partitions.iter().zip(&answered.partitions) {
                    if result.error_code != 0 {
                        continue;
                    }
                    let topic = before.topics().next().expect("an ISR was accepted");
                    let now = topic.partition(proposal.partition).expect("an ISR was accepted");
                    let on = (proposal.leader_epoch, proposal.partition_epoch, asked.broker_id);
                    let is = (now.leader_epoch.0, now.partition_epoch.0, now.leader.0);
                    check!(
                        self,
                        "A10",
                        on == is,
                        "an ISR proposed on (leader epoch, partition epoch, leader) {on:?} was accepted on {is:?}"
                    );
                    let stranger = proposal.isr.iter().find(|member| {
                        before.broker(BrokerId(member.broker_id)).is_none_or(|broker| {
                            let unseen = member.broker_epoch == -1 && now.isr.contains(&broker.id);
                            !broker.is_active() || !(unseen || broker.epoch.0 == member.broker_epoch)
                        })
                    });
                    check!(
                        self,
                        "A14",
                        stranger.is_none(),
                        "{stranger:?} was taken into the ISR: it is not active, or another life of it is"
                    );
                }
            }
            (Some(Kind::RegisterBroker(asked)), Some(Reply::RegisterBroker(answered))) => {
                let id = BrokerId(asked.broker_id);
                let earlier = before.broker(id).map_or(-1, |broker| broker.epoch.0);
                let is_new = answered.broker_epoch > before.applied_index();
                let retried = before.broker(id).is_some_and(|broker| broker.incarnation_id.0 == *asked.incarnation_id);
                let holds =
                    if is_new && !retried { answered.broker_epoch > earlier } else { answered.broker_epoch == earlier };
                check!(
                    self,
                    "D5",
                    holds,
                    "broker {id} registered with epoch {} after {earlier}",
                    answered.broker_epoch
                );
                if is_new {
                    self.check_registered(after, id);
                }
            }
            _ => {}
        }
    }

    /// A12: a life whose log may lack records begins outside of every ISR and ELR, unless nobody else is left.
    fn check_registered(&mut self, after: &ClusterImage, id: BrokerId) {
        let lost = self.lost_tail[node_of(id)].clone();
        let inside = after.partitions_in_sync_on(id).find(|(_, partition)| lost[*partition as usize]);
        if lost.contains(&true) {
            check!(
                self,
                "A12",
                inside.is_none(),
                "broker {id} lost its tail, registered anew and counts as complete for {inside:?}"
            );
        }
    }

    /// The epoch of the broker's registration, if there is one.
    pub fn registered_epoch(&self, id: BrokerId) -> Option<i64> {
        self.image.broker(id).map(|broker| broker.epoch.0)
    }

    /// The metadata moved from one image to the next.
    pub fn committed_metadata(&mut self, before: &ClusterImage, after: &ClusterImage) {
        self.image = after.clone();
        self.image_hashes.insert(after.applied_index(), image_hash(after));
        let Some(topic) = after.topics().next().cloned() else { return };
        for (partition, now) in topic.partitions() {
            let old = before.topic(topic.id).and_then(|topic| topic.partition(partition));
            if old == Some(now) {
                continue;
            }
            if old.is_none() {
                self.lost_tail.iter_mut().for_each(|lost| lost[partition as usize] = false);
            }
            let rises =
                old.is_none_or(|old| now.leader_epoch >= old.leader_epoch && now.partition_epoch > old.partition_epoch);
            check!(self, "A10", rises, "partition {partition} went from {old:?} to {now:?}");
            self.check_complete(partition);
        }
        self.forgive(after);
    }

    /// What one command makes of the partitions.
    fn check_partitions(&mut self, before: &ClusterImage, after: &ClusterImage) {
        let Some(topic) = after.topics().next() else { return };
        for (partition, now) in topic.partitions() {
            let old = before.topic(topic.id).and_then(|topic| topic.partition(partition));
            if old == Some(now) {
                continue;
            }
            if let Some(old) = old {
                self.check_epochs(partition, old, now);
            }
            self.check_shape(partition, now, after);
        }
    }

    fn check_epochs(&mut self, partition: i32, old: &PartitionImage, now: &PartitionImage) {
        let counted = old.leader == now.leader || now.leader_epoch > old.leader_epoch;
        check!(self, "A10", counted, "partition {partition} went from {old:?} to {now:?} without a new leader epoch");
        let was_complete = now
            .leader()
            .is_none_or(|leader| old.isr.contains(&leader) || old.elr.contains(&leader) || leader == old.leader);
        if now.leader_recovery_state == LeaderRecoveryState::Recovering
            && old.leader_recovery_state != now.leader_recovery_state
        {
            self.unclean_elections += 1;
            let nobody_else = now.isr.len() == 1;
            check!(self, "A15", nobody_else, "an unclean leader of {partition} begins with an ISR of {:?}", now.isr);
        } else if now.leader_recovery_state == LeaderRecoveryState::Recovered {
            check!(
                self,
                "A15",
                was_complete || now.isr.len() > 1 || old.isr.is_empty(),
                "{:?} leads {partition} and was in neither ISR nor ELR of {old:?}",
                now.leader
            );
        }
    }

    fn check_shape(&mut self, partition: i32, now: &PartitionImage, image: &ClusterImage) {
        let PartitionImage { replicas, isr, elr, leader, .. } = now;
        let subset = isr.iter().chain(elr).all(|member| replicas.contains(member));
        let disjoint = !isr.iter().any(|member| elr.contains(member));
        let leader_in_isr = *leader == BrokerId::NONE || isr.contains(leader);
        let elr_needed = isr.len() < self.min_isr || elr.is_empty();
        let inactive = isr.iter().find(|member| !image.is_active(**member)).copied();
        check!(
            self,
            "A15",
            subset && disjoint && leader_in_isr && elr_needed && inactive.is_none(),
            "partition {partition} is {now:?}; not active: {inactive:?}"
        );
    }

    /// A replica that is in sync under the broker's present life has what it should have.
    fn forgive(&mut self, image: &ClusterImage) {
        let Some(topic) = image.topics().next() else { return };
        for node in 0..self.lost_tail.len() {
            let id = broker_id(node);
            let epoch = image.broker(id).map_or(-1, |broker| broker.epoch.0);
            for (at, partition) in topic.partitions() {
                let shadow = &self.shadows[node][at as usize];
                let whole = partition.isr.contains(&id) && shadow.last_epoch == epoch && !shadow.lost;
                self.lost_tail[node][at as usize] &= !whole && partition.replicas.contains(&id);
            }
        }
    }

    /// A broker's image has got to an index.
    pub fn image_applied(&mut self, node: usize, image: &ClusterImage) {
        if let Some(expected) = self.image_hashes.get(&image.applied_index()).copied() {
            let hash = image_hash(image);
            check!(
                self,
                "D3",
                hash == expected,
                "broker {} has another image at index {} than the quorum",
                node + 1,
                image.applied_index()
            );
        }
    }

    /// What a client asked of a healed cluster, or the cluster of itself, came about.
    pub fn converged(&mut self, missing: Option<String>) {
        let missing = missing.unwrap_or_default();
        check!(self, "F3", missing.is_empty(), "the healed cluster does not converge: {missing}");
    }
}

/// Tells apart images that differ in brokers or partitions.
fn image_hash(image: &ClusterImage) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    image.applied_index().hash(&mut hasher);
    for broker in image.brokers() {
        let Uuid(incarnation) = broker.incarnation_id;
        (broker.id, broker.epoch, incarnation, broker.fenced, broker.in_controlled_shutdown).hash(&mut hasher);
    }
    for topic in image.topics() {
        for (index, partition) in topic.partitions() {
            let PartitionImage { replicas, isr, elr, leader, leader_epoch, partition_epoch, .. } = &**partition;
            (index, replicas, isr, elr, leader, leader_epoch, partition_epoch).hash(&mut hasher);
        }
    }
    hasher.finish()
}
