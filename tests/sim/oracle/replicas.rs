//! What replicas do to their logs, and how far they are committed.

use super::deletions::forget_deleted;
use super::*;

impl Oracle {
    /// True when the node's logs may lack something they had.
    pub fn has_lost_its_tail(&self, node: usize) -> bool {
        self.lost_tail[node].contains(&true)
    }

    /// A process judges what the last one left behind: `vouched` says that its marker tells of whole logs, `whole` that
    /// they are taken for that.
    pub fn judged(&mut self, node: usize, incarnation: u64, vouched: bool, whole: bool) {
        self.lives[node] = Some(incarnation);
        // A log that was damaged is found so again until it is opened, or deleted because it was given up meanwhile.
        let lost = self.has_lost_its_tail(node) || self.shadows[node].iter().any(|shadow| shadow.lost);
        check!(
            self,
            "A12",
            whole == vouched || lost,
            "broker {} counts as one that lost its tail, although only processes ended",
            node + 1
        );
    }

    /// A replica's log was opened with this content; `damaged` when something had to be cut off.
    pub fn opened(
        &mut self,
        node: usize,
        partition: i32,
        broker_epoch: i64,
        (start, entries): (Offset, Vec<Entry>),
        damaged: bool,
    ) {
        let mut entries = self.with_deleted(node, partition, start, entries);
        self.recovered(node, partition, &entries);
        forget_deleted(&mut entries, &self.committed[partition as usize], self.deleted_to[partition as usize]);
        let before = &self.shadows[node][partition as usize];
        if !before.unknown && damaged {
            self.fail(
                "A12",
                format!("broker {} opened {partition} and found it damaged although only the process ended", node + 1),
            );
        }
        let before = &self.shadows[node][partition as usize];
        let (given_up, flushed) = (before.given_up, before.flushed.min(entries.len() as Offset));
        if !before.unknown && before.entries != entries {
            let (had, has) = (before.entries.len(), entries.len());
            self.fail("A17", format!("broker {} opened {partition} with {has} records, but had {had}: they differ although only the process ended", node + 1));
        }
        self.shadows[node][partition as usize] =
            Shadow { entries, flushed, broker_epoch, last_epoch: broker_epoch, given_up, ..Shadow::default() };
        self.check_complete(partition);
    }

    /// What was found on disk may be more than was reported: an append that failed after its bytes were written. It
    /// must be something a producer sent, and in conflict with nothing.
    fn recovered(&mut self, node: usize, partition: i32, entries: &[Entry]) {
        for (at, entry) in entries.iter().enumerate() {
            let sent = self.produced.contains_key(&entry.batch);
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
        if let Some(produced) = self.produced.get_mut(&entry.batch) {
            produced.appended = true;
            let refused = produced.refused;
            check!(self, "A16", !refused, "batch {} was refused and then appended", entry.batch);
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
        self.lives[node] = None;
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
    pub fn compare(&mut self, node: usize, partition: i32, start: Offset, entries: &[Entry]) {
        let from = start.max(self.deleted_to[partition as usize]);
        let entries = entries.get((from - start) as usize..).unwrap_or_default();
        let own = &self.shadows[node][partition as usize].entries;
        let same = own.get(from as usize..).unwrap_or_default() == entries;
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
        let own = &mut self.shadows[node][partition as usize].entries;
        forget_deleted(own, &self.committed[partition as usize], self.deleted_to[partition as usize]);
    }

    /// A replica's log was deleted: should it come back, it begins with nothing (A20).
    pub fn deleted(&mut self, node: usize, partition: i32) {
        let given_up = self.image_of(partition).map(|now| now.leader_epoch);
        let shadow = &mut self.shadows[node][partition as usize];
        *shadow = Shadow { broker_epoch: -1, last_epoch: shadow.last_epoch, given_up, ..Shadow::default() };
    }

    /// A replica has synced its log up to `offset`.
    pub fn flushed(&mut self, node: usize, partition: i32, offset: Offset) {
        let flushed = &mut self.shadows[node][partition as usize].flushed;
        *flushed = (*flushed).max(offset);
    }

    /// How far a replica's log has been synced, whether its broker remembers that or not.
    pub fn flushed_end(&self, node: usize, partition: i32) -> Offset {
        self.shadows[node][partition as usize].flushed
    }

    /// A replica truncated its log, as the leader of this epoch told it.
    pub fn truncated(&mut self, node: usize, partition: i32, end: Offset, told_by: LeaderEpoch) {
        // A leader that has a successor by now may have told it before that one committed more. Nobody counts on a
        // replica outside of ISR and ELR: it gets the records back before it is counted on again (A7).
        let id = broker_id(node);
        let counts_for_nothing = self
            .image_of(partition)
            .is_some_and(|now| now.leader_epoch > told_by && !now.isr.contains(&id) && !now.elr.contains(&id));
        let committed = &self.committed[partition as usize];
        let shadow = &mut self.shadows[node][partition as usize];
        let gone: Vec<Entry> = shadow.entries.drain((end as usize).min(shadow.entries.len())..).collect();
        shadow.flushed = shadow.flushed.min(end);
        let deleted = self.deleted_to[partition as usize] as usize;
        let mut kept = (end as usize..).zip(&gone).filter(|(at, _)| *at >= deleted);
        let lost = kept.find(|(at, entry)| committed.get(*at) == Some(*entry)).map(|(at, _)| at);
        check!(
            self,
            "A17",
            lost.is_none() || counts_for_nothing,
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
        // A deposed leader may count the acknowledgements of a replica that was taken away since: those that took its
        // place have all that it had, or it could not have gone.
        let lacking = maximal.iter().copied().find(|&member| {
            let shadow = &self.shadows[node_of(member)][partition as usize];
            !shadow.unknown
                && shadow.given_up.is_none_or(|epoch| epoch <= leader.leader_epoch())
                && !self.lost_tail[node_of(member)][partition as usize]
                && (shadow.entries.get(..high_watermark as usize) != own.get(..high_watermark as usize)
                    || self.flush_before_ack && shadow.flushed < high_watermark)
        });
        check!(
            self,
            "A5",
            lacking.is_none(),
            "leader {} of {partition} commits up to {high_watermark}, which {lacking:?} of its ISR {maximal:?} does not hold, or not on its disk",
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
            let offset = self.committed[at].len() - 1;
            self.commit_entry(partition, offset as Offset, entry);
            self.commit_group_entry(entry);
            if let Some(&Produced { producer: (id, epoch, base_sequence), .. }) = self.produced.get(&entry.batch)
                && id >= 0
            {
                let sequence = base_sequence + i32::from(entry.delta);
                let last = self.sequences.insert((id, epoch, partition), sequence).unwrap_or(-1);
                check!(
                    self,
                    "B1",
                    sequence == last + 1,
                    "producer {id} has sequence number {sequence} of epoch {epoch} after {last} at {partition}:{offset}"
                );
                let newest = self.epochs.insert((id, partition), epoch).unwrap_or(epoch);
                check!(
                    self,
                    "B6",
                    epoch >= newest,
                    "a batch of producer {id} in epoch {epoch} lies behind one of epoch {newest} at {partition}:{offset}"
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
}
