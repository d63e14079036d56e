//! What the quorum decides.

use super::*;

impl Oracle {
    pub(super) fn image_of(&self, partition: i32) -> Option<PartitionImage> {
        let topic = self.image.topics().next()?;
        topic.partition(partition).map(|partition| PartitionImage::clone(partition))
    }

    /// The smallest minimum ISR in force: a reassignment may leave a partition fewer replicas than the minimum has.
    pub fn min_isr_in_force(&self) -> usize {
        let partitions = self.image.topics().flat_map(|topic| topic.partitions());
        let smallest = partitions.map(|(_, partition)| partition.replication_factor()).min();
        smallest.map_or(self.min_isr, |replicas| replicas.min(self.min_isr))
    }

    /// True when each partition that the broker is complete for has another such replica. One that a command takes away
    /// may leave fewer of them than the minimum ISR, so while one is under way no other counts.
    pub fn is_complete_beside(&self, node: usize) -> bool {
        if self.move_under_way {
            return false;
        }
        let mut partitions = self.image.topics().flat_map(|topic| topic.partitions());
        partitions.all(|(at, partition)| {
            let mut complete = partition.isr.iter().chain(&partition.elr).map(|id| node_of(*id));
            let is_one = complete.clone().any(|member| member == node);
            !is_one || complete.any(|member| member != node && !self.lost_tail[member][at as usize])
        })
    }

    /// True unless moving the partition to `target`, or giving up a move (none), would leave only replicas that may have
    /// lost their tail: an operator's command may leave fewer complete ones than the minimum ISR.
    pub fn may_move(&self, partition: i32, target: Option<&[i32]>) -> bool {
        let Some(now) = self.image_of(partition) else { return true };
        let is_kept = |id: BrokerId| target.is_some_and(|target| target.contains(&id.0));
        let mut complete = now.isr.iter().chain(&now.elr).copied().peekable();
        let nobody_is = complete.peek().is_none();
        let mut remaining = complete.filter(|&id| is_kept(id) || !now.adding_replicas.contains(&id)).map(node_of);
        nobody_is || remaining.any(|node| !self.lost_tail[node][partition as usize] && !self.armed[node])
    }

    /// The quorum has a move of the operator before it that is not committed yet, or has none.
    pub fn move_under_way(&mut self, under_way: bool) {
        self.move_under_way = under_way;
    }

    pub(super) fn holds_committed(&self, node: usize, partition: i32) -> bool {
        let committed = &self.committed[partition as usize];
        self.shadows[node][partition as usize].entries.get(..committed.len()) == Some(committed)
    }

    /// A7 for one partition: whoever the controller may make leader holds everything.
    pub(super) fn check_complete(&mut self, partition: i32) {
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
        self.check_partitions(before, after, command);
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
                // What a life asked for that is over comes to nothing: nobody knows its epoch.
                if is_new && self.is_life_of(id, &asked.incarnation_id) {
                    self.check_registered(before, after, id);
                }
            }
            _ => {}
        }
    }

    fn is_life_of(&self, id: BrokerId, incarnation_id: &[u8]) -> bool {
        self.lives[node_of(id)].is_some_and(|life| incarnation_id.ends_with(&life.to_be_bytes()))
    }

    /// A12: a life whose log may lack records begins outside of every ISR and ELR, unless nobody else is left.
    fn check_registered(&mut self, before: &ClusterImage, after: &ClusterImage, id: BrokerId) {
        let node = node_of(id);
        let mut lost = self.lost_tail[node].clone();
        // An ISR that took a life in may have been decided just before, and not be committed yet; and so may a life that
        // went on with the logs of that one, and ended before it opened them.
        for (_, partition) in before.partitions_in_sync_on(id) {
            let opened_in = self.shadows[node][partition as usize].last_epoch;
            let goes_on = before.broker(id).is_some_and(|broker| broker.is_continued_by(BrokerEpoch(opened_in)));
            lost[partition as usize] &= !(goes_on && self.is_whole(node, partition, opened_in));
        }
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
            let rises =
                old.is_none_or(|old| now.leader_epoch >= old.leader_epoch && now.partition_epoch > old.partition_epoch);
            check!(self, "A10", rises, "partition {partition} went from {old:?} to {now:?}");
            if now.leader_recovery_state == LeaderRecoveryState::Recovering
                && let Some(leader) = now.leader()
            {
                // What it lost is given up with its election: from now on its log is the partition's.
                self.lost_tail[node_of(leader)][partition as usize] = false;
            }
            self.check_complete(partition);
        }
        self.forgive_ended_lives(before, after);
        self.forgive(after);
    }

    /// One batch may take a life into an ISR and begin the broker's next one, so that no image has it there.
    fn forgive_ended_lives(&mut self, before: &ClusterImage, after: &ClusterImage) {
        for broker in after.brokers() {
            let earlier = before.broker(broker.id).map(|earlier| earlier.epoch);
            let Some(ended) = earlier.filter(|earlier| *earlier != broker.epoch) else { continue };
            let node = node_of(broker.id);
            for (_, partition) in after.partitions_in_sync_on(broker.id) {
                self.lost_tail[node][partition as usize] &= !self.is_whole(node, partition, ended.0);
            }
        }
    }

    /// What one command makes of the partitions.
    fn check_partitions(&mut self, before: &ClusterImage, after: &ClusterImage, command: &MetadataCommand) {
        let Some(topic) = after.topics().next() else { return };
        for (partition, now) in topic.partitions() {
            let old = before.topic(topic.id).and_then(|topic| topic.partition(partition));
            if old == Some(now) {
                continue;
            }
            if let Some(old) = old {
                self.check_epochs(partition, old, now, &proposed_isr(command, partition));
                self.check_replicas(partition, old, now);
            } else {
                self.lost_tail.iter_mut().for_each(|lost| lost[partition as usize] = false);
            }
            self.check_shape(partition, now, after);
        }
    }

    /// `joined` are the members of an ISR that the same command proposes: the last of a reassignment may lead at once.
    fn check_epochs(&mut self, partition: i32, old: &PartitionImage, now: &PartitionImage, joined: &[BrokerId]) {
        let counted = old.leader == now.leader || now.leader_epoch > old.leader_epoch;
        check!(self, "A10", counted, "partition {partition} went from {old:?} to {now:?} without a new leader epoch");
        let was_complete = now.leader().is_none_or(|leader| {
            let in_sync = old.isr.iter().chain(&old.elr).chain(joined).any(|member| *member == leader);
            in_sync || leader == old.leader
        });
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

    fn check_replicas(&mut self, partition: i32, old: &PartitionImage, now: &PartitionImage) {
        let gone = old.replicas.iter().any(|replica| !now.replicas.contains(replica));
        let counted = !gone || now.leader_epoch > old.leader_epoch;
        let is_done = old.is_reassigned() && !now.is_reassigned();
        // Another move may have taken the place of one that was under way, and be done at once.
        let original: Vec<BrokerId> = old.original_replicas().collect();
        let mut added = now.replicas.iter().filter(|replica| !original.contains(replica));
        let is_complete = added.all(|replica| now.isr.contains(replica));
        check!(
            self,
            "A20",
            counted && (!is_done || is_complete),
            "the replicas of {partition} went from {old:?} to {now:?}"
        );
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
    pub(super) fn forgive(&mut self, image: &ClusterImage) {
        let Some(topic) = image.topics().next() else { return };
        for node in 0..self.lost_tail.len() {
            let id = broker_id(node);
            let epoch = image.broker(id).map_or(-1, |broker| broker.epoch.0);
            for (at, partition) in topic.partitions() {
                let whole = partition.isr.contains(&id) && self.is_whole(node, at, epoch);
                // One that was taken away is missed no more, unless nobody else is in sync.
                let matters = partition.replicas.contains(&id) || partition.isr.is_empty();
                self.lost_tail[node][at as usize] &= !whole && matters;
            }
        }
    }

    /// The log was opened in the life of this epoch, and nothing was lost since.
    fn is_whole(&self, node: usize, partition: i32, epoch: i64) -> bool {
        let shadow = &self.shadows[node][partition as usize];
        shadow.last_epoch == epoch && !shadow.lost
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

    /// No transaction outlives the healing by much.
    pub fn transactions_ended(&mut self) {
        let open = self.open_transaction().unwrap_or_default();
        check!(self, "B5", open.is_empty(), "in the healed cluster {open}");
    }

    /// What a client asked of a healed cluster, or the cluster of itself, came about.
    pub fn converged(&mut self, missing: Option<String>) {
        let missing = missing.unwrap_or_default();
        check!(self, "F3", missing.is_empty(), "the healed cluster does not converge: {missing}");
    }
}

/// Tells apart images that differ in brokers or partitions.
/// The members of the ISR that the command proposes for a partition.
fn proposed_isr(command: &MetadataCommand, partition: i32) -> Vec<BrokerId> {
    let Some(Kind::AlterPartition(asked)) = &command.kind else { return Vec::new() };
    let proposals = asked.partitions.iter().filter(|proposal| proposal.partition == partition);
    proposals.flat_map(|proposal| &proposal.isr).map(|member| BrokerId(member.broker_id)).collect()
}

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
