//! What the group has committed: by its members themselves, and in transactions.

use super::*;

impl GroupCoordinator {
    pub(super) fn commit(
        &mut self,
        asker: Asker,
        (member_id, generation): (String, i32),
        (partition, offset): (i32, Offset),
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let request = OffsetCommit {
            member_id,
            group_instance_id: None,
            generation,
            knows_member_epochs: false,
            retention_time_ms: None,
            // The generation comes along so that the oracle knows it.
            partitions: vec![offset_of(partition, offset, generation.to_string())],
        };
        let config = self.config.clone();
        let decided = self.host.machine().and_then(|groups| {
            let group = groups.0.get_mut(GROUP).ok_or(ErrorCode::UnknownMemberId)?;
            group.commit_offsets(&request, &config, now(me))
        });
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => {
                answer(me, asker, GroupAnswer::Failed(error), ctx);
                return Ok(());
            }
        };
        if let Err(error) = self.append(&decision.records, replica, me, ctx)? {
            answer(me, asker, GroupAnswer::Failed(error), ctx);
            return Ok(());
        }
        if let Ok(groups) = self.host.machine() {
            let group = groups.0.entry(GROUP.to_owned()).or_default();
            decision.records.into_iter().for_each(|record| group.replay(record));
        }
        self.answer_once_committed(asker, GroupAnswer::Committed);
        Ok(())
    }

    fn answer_once_committed(&mut self, asker: Asker, answer: GroupAnswer) {
        self.waiting.push(Waiting { committed: self.host.written, asker, answer: Answer::Group(answer) });
    }

    /// The offset of a transaction, which its coordinator knows of: with `guard`, it was asked just now.
    pub fn commit_in_transaction(
        &mut self,
        asker: Asker,
        consumed: &ConsumedOffset,
        guard: Option<VerificationGuard>,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let ConsumedOffset { of, transaction, input, .. } = consumed;
        let request = OffsetCommit {
            member_id: input.member_id.clone(),
            group_instance_id: None,
            generation: input.generation,
            knows_member_epochs: true,
            retention_time_ms: None,
            // No two transactions write the same.
            partitions: vec![offset_of(input.partition, input.to, transaction.to_string())],
        };
        let (config, leader_epoch) = (self.config.clone(), self.host.leader_epoch);
        let decided = self.host.machine().and_then(|groups| {
            let group = groups.0.get_mut(GROUP).ok_or(ErrorCode::IllegalGeneration)?;
            let decision = group.commit_transactional_offsets(&request, &config, now(me))?;
            Ok((decision.records, leader_epoch.ok_or(ErrorCode::NotCoordinator)?))
        });
        let (records, leader_epoch) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                answer(me, asker, GroupAnswer::Failed(error), ctx);
                return Ok(());
            }
        };
        let builder = BatchBuilder::new().producer(of.producer.id, of.producer.epoch, NO_SEQUENCE).transactional();
        let bytes = offsets_topic::fill(builder, GROUP, &records, me.wall);
        ctx.oracle.consumed_offset(&bytes, consumed);
        let appended = replica.append_internal(bytes, guard, leader_epoch, me, ctx);
        if let Err(error) = self.note(appended, replica, me, ctx)? {
            answer(me, asker, GroupAnswer::Failed(offset_error(error)), ctx);
            return Ok(());
        }
        if let Ok(groups) = self.host.machine() {
            let group = groups.0.entry(GROUP.to_owned()).or_default();
            records.into_iter().for_each(|record| group.replay_pending(of.producer.id, record));
        }
        self.answer_once_committed(asker, GroupAnswer::Committed);
        Ok(())
    }

    /// The end of a producer's transaction: its offsets count from now on, or never will.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    pub fn end_transaction(
        &mut self,
        asker: Asker,
        producer: Producer,
        marker: EndTransactionMarker,
        version: TransactionVersion,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        if let Err(error) = self.check_served() {
            answer_marker(me, asker, error, ctx);
            return Ok(());
        }
        let decided_in = self.host.leader_epoch;
        let appended = replica.append_marker(producer, marker, version, decided_in, me, ctx);
        if let Err(error) = self.note(appended, replica, me, ctx)? {
            answer_marker(me, asker, error, ctx);
            return Ok(());
        }
        if let Ok(groups) = self.host.machine() {
            groups.end_transaction(producer.id, marker.result);
        }
        self.waiting.push(Waiting { committed: self.host.written, asker, answer: Answer::Marked });
        Ok(())
    }

    pub(super) fn fetch(&mut self, asker: Asker, partition: i32, me: &Me, ctx: &mut Context) {
        let written = self.host.written;
        let Ok(groups) = self.host.machine() else { return };
        let group = groups.0.get(GROUP);
        let found = group.and_then(|group| group.offsets().get(TOPIC, TopicId(Uuid([9; 16])), partition));
        let offset = found.map(|found| found.offset);
        let unstable = group.is_some_and(|group| group.pending().contains(TOPIC, partition));
        ctx.oracle.offset_found(me.node, self.host.partition, written, partition, (offset, unstable));
        let answer = match unstable {
            true => GroupAnswer::Failed(ErrorCode::UnstableOffsetCommit),
            false => GroupAnswer::Fetched(offset),
        };
        self.answer_once_committed(asker, answer);
    }
}

fn offset_of(partition: i32, offset: Offset, metadata: String) -> OffsetCommitPartition {
    OffsetCommitPartition {
        topic: Arc::from(TOPIC),
        topic_id: TopicId(Uuid([9; 16])),
        partition,
        offset,
        leader_epoch: -1,
        metadata: Some(metadata),
    }
}

/// What a client is told when its offsets are not in the log: of the log's producers it hears as they are.
fn offset_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotEnoughReplicas => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower => ErrorCode::NotCoordinator,
        refusal => refusal,
    }
}
