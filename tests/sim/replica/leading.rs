//! A replica that leads: appends, followers, acknowledgements, proposals.

use std::ops::Range;

use super::*;

impl Replica {
    /// A producer's batch. An error of the disk is the broker's to judge.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    pub fn produce(
        &mut self,
        client: Address,
        request: u64,
        batch: &Rc<ProducedBatch>,
        acks: i16,
        guard: Option<VerificationGuard>,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let rules = ProduceRules { transactional: batch.transactional.is_some(), ..ProduceRules::default() };
        let valid = record::validate(batch.bytes.clone(), &rules, me.wall);
        let valid = valid.expect("a producer's batch is valid");
        if acks == -1 && matches!(&self.role, Role::Leading { machine, .. } if !machine.has_min_isr()) {
            self.log.note_refused(&valid.header, me.wall);
        }
        let append = |log: &mut PartitionLog<SimDisk>, leader_epoch| {
            log.append_as_leader(&valid.batch, &valid.header, leader_epoch, guard, me.wall)
        };
        let refused = match self.append_with(acks, None, append, me, ctx) {
            Ok(Ok(place)) if acks == 1 => {
                reply_produce(me, client, request, ErrorCode::None, place.start, ctx);
                return Ok(());
            }
            Ok(Ok(place)) => {
                self.wait(Waiter::Producer(client, place.start), request, place.end, me, ctx);
                return Ok(());
            }
            Ok(Err(error)) => Ok(error),
            Err(error) => Err(error),
        };
        if matches!(refused, Ok(ErrorCode::OutOfOrderSequenceNumber)) {
            ctx.oracle.out_of_order(me.node, self.partition, batch.id);
        }
        let code = *refused.as_ref().unwrap_or(&ErrorCode::KafkaStorageError);
        reply_produce(me, client, request, code, -1, ctx);
        refused.map(|_| ())
    }

    /// A coordinator of this broker writes its records; where they end.
    pub fn append_internal(
        &mut self,
        records: Bytes,
        guard: Option<VerificationGuard>,
        leader_epoch: LeaderEpoch,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<Offset, ErrorCode>, LogError> {
        let rules = ProduceRules { coordinated: true, transactional: true, ..ProduceRules::default() };
        let valid = record::validate(records, &rules, me.wall).expect("a coordinator's batch is valid");
        ctx.oracle.internal(self.partition, &valid.header);
        let append = |log: &mut PartitionLog<SimDisk>, leader_epoch| {
            log.append_as_leader(&valid.batch, &valid.header, leader_epoch, guard, me.wall)
        };
        Ok(self.append_with(-1, Some(leader_epoch), append, me, ctx)?.map(|place| place.end))
    }

    /// A coordinator ends a producer's transaction here.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    pub fn write_marker(
        &mut self,
        from: Address,
        request: u64,
        producer: Producer,
        marker: EndTransactionMarker,
        version: TransactionVersion,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        match self.append_marker(producer, marker, version, None, me, ctx)? {
            Ok(end) => self.wait(Waiter::Coordinator(from), request, end, me, ctx),
            Err(error) => ctx.send(me.address(), from, Message::MarkerReply { request, error }),
        }
        Ok(())
    }

    /// The same without an answer: where the marker ends.
    pub fn append_marker(
        &mut self,
        producer: Producer,
        marker: EndTransactionMarker,
        version: TransactionVersion,
        decided_in: Option<LeaderEpoch>,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<Offset, ErrorCode>, LogError> {
        let bytes = marker.batch(me.wall.0, producer.id, producer.epoch);
        let header = BatchHeader::parse(&bytes).expect("a marker is a batch");
        ctx.oracle.marker(self.partition, &header, marker.result);
        let append = |log: &mut PartitionLog<SimDisk>, leader_epoch| {
            log.append_marker(marker, (producer.id, producer.epoch), version.level(), leader_epoch, me.wall)
        };
        Ok(self.append_with(-1, decided_in, append, me, ctx)?.map(|place| place.end))
    }

    /// To be called before the coordinator is asked about a producer's transaction.
    pub fn start_verification(&mut self, producer: Producer, me: &Me) -> Option<VerificationGuard> {
        self.log.start_verification(producer.id, producer.epoch, me.wall)
    }

    /// Has `append` write under the present leadership, which must be `decided_in` if that is given. Where the batch
    /// lies, or why it was refused.
    fn append_with(
        &mut self,
        acks: i16,
        decided_in: Option<LeaderEpoch>,
        append: impl FnOnce(&mut PartitionLog<SimDisk>, LeaderEpoch) -> Result<AppendOutcome, LogError>,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<Range<Offset>, ErrorCode>, LogError> {
        let Role::Leading { machine, .. } = &mut self.role else { return Ok(Err(ErrorCode::NotLeaderOrFollower)) };
        if acks == -1 && !machine.has_min_isr() {
            return Ok(Err(ErrorCode::NotEnoughReplicas));
        }
        let leader_epoch = machine.leader_epoch();
        if decided_in.is_some_and(|epoch| epoch != leader_epoch) {
            return Ok(Err(ErrorCode::NotLeaderOrFollower));
        }
        ctx.oracle.accepts(me.node, me.applied, me.broker_epoch.0);
        let info = match append(&mut self.log, leader_epoch)? {
            AppendOutcome::Appended(info) => {
                self.tell_of_append(info.base_offset, me, ctx)?;
                info
            }
            AppendOutcome::Duplicate(info) => info,
            AppendOutcome::Refused(refusal) => return Ok(Err(refusal.error_code())),
        };
        let Role::Leading { machine, .. } = &mut self.role else { unreachable!("an append leaves the role alone") };
        let effect = machine.on_append(self.log.log_end_offset());
        self.act(effect, me, ctx);
        self.want_on_disk(me, ctx);
        self.wake_parked(me, ctx)?;
        Ok(Ok(info.base_offset..info.last_offset + 1))
    }

    /// Reads back what was just appended.
    fn tell_of_append(&mut self, base_offset: Offset, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let bytes = self.read(base_offset, usize::MAX / 2, self.log.log_end_offset())?;
        let header = BatchHeader::parse(&bytes)?;
        let (id, partition, steps) = (me.id, self.partition, ctx.steps);
        let kind = if header.is_control() { " (a marker)" } else { "" };
        let (batch, epoch) = (BatchId::of(&header), header.partition_leader_epoch);
        ctx.note(|| format!("broker {id} appends {batch}{kind} at {partition}:{base_offset} in epoch {epoch}"));
        let entries: Vec<_> = entries_of(&header).collect();
        ctx.oracle.appended(me.node, partition, base_offset, &entries);
        ctx.oracle.note_append(batch, steps);
        Ok(())
    }

    fn wait(&mut self, who: Waiter, request: u64, next_offset: Offset, me: &Me, ctx: &mut Context) {
        let ticket = ctx.next_request();
        self.waiting.push_back(Waiting { ticket, who, request, next_offset });
        let timer = Timer::AckTimeout { partition: self.partition, ticket };
        ctx.timer(me.address(), ctx.swarm.request_timeout_ms, timer);
        self.complete(me, ctx);
    }

    /// Answers those whose records are committed.
    fn complete(&mut self, me: &Me, ctx: &mut Context) {
        let Role::Leading { machine, .. } = &self.role else { return };
        let error = if machine.has_min_isr() { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
        let high_watermark = self.high_watermark;
        let (done, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.next_offset <= high_watermark);
        self.waiting = waiting;
        let done: VecDeque<Waiting> = done;
        for waiting in done {
            tell(me, &waiting, error, ctx);
        }
    }

    pub fn on_ack_timeout(&mut self, ticket: u64, me: &Me, ctx: &mut Context) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.ticket == ticket)
            && let Some(waiting) = self.waiting.remove(at)
        {
            tell(me, &waiting, ErrorCode::RequestTimedOut, ctx);
        }
    }

    /// A follower's fetch. `eligible` is what this broker's metadata says of the follower.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    pub fn on_fetch(
        &mut self,
        from: Address,
        request: u64,
        follower: IsrMember,
        eligible: bool,
        next: NextFetch,
        flushed_offset: Option<Offset>,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Role::Leading { machine, .. } = &mut self.role else {
            self.refuse_fetch(me, from, request, ctx);
            return Ok(());
        };
        let epoch = machine.leader_epoch();
        if next.leader_epoch != epoch {
            self.refuse_fetch(me, from, request, ctx);
            return Ok(());
        }
        if !machine.has_replica(follower.broker_id) {
            self.refuse_fetch(me, from, request, ctx);
            return Ok(());
        }
        let (start, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        let diverging = self.log.divergence(next.last_fetched_epoch, next.fetch_offset);
        let diverging = diverging.map(|(epoch, end_offset)| FetchAnswer::Diverging { epoch: epoch.0, end_offset });
        let in_range = (start..=end).contains(&next.fetch_offset);
        let out_of_range = || FetchAnswer::OutOfRange { log_start_offset: start };
        if let Some(answer) = diverging.or_else(|| (!in_range).then(out_of_range)) {
            ctx.send(me.address(), from, Message::FetchReply { request, partition: self.partition, answer });
            return Ok(());
        }
        if next.fetch_offset >= end {
            ctx.oracle.caught_up(self.partition, epoch, follower.broker_id, me.clock.0);
        }
        let fetch = FollowerFetch { follower, fetch_offset: next.fetch_offset, flushed_offset, eligible };
        let effects = machine.on_follower_fetch(fetch, me.clock);
        self.act(effects, me, ctx);
        if next.fetch_offset < end {
            return self.answer_fetch(me, from, request, &next, ctx);
        }
        let ticket = ctx.next_request();
        self.parked.push(Parked { ticket, from, request, next });
        let timer = Timer::ParkedFetch { partition: self.partition, ticket };
        ctx.timer(me.address(), ctx.swarm.fetch_wait_max_ms, timer);
        Ok(())
    }

    fn answer_fetch(
        &mut self,
        me: &Me,
        to: Address,
        request: u64,
        next: &NextFetch,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        // Each of its fetches may wait for a sync: whoever has fallen far behind must get more than is written meanwhile.
        let max_bytes = if ctx.healing { 16 * FETCH_BYTES_MAX } else { FETCH_BYTES_MAX };
        let bytes = self.read(next.fetch_offset, max_bytes, self.log.log_end_offset())?;
        let (high_watermark, log_start_offset) = (self.high_watermark, self.log.log_start_offset());
        let answer = FetchAnswer::Records { bytes, high_watermark, log_start_offset };
        ctx.send(me.address(), to, Message::FetchReply { request, partition: self.partition, answer });
        Ok(())
    }

    /// The follower learns more from the metadata than from the reason.
    pub(super) fn refuse_fetch(&self, me: &Me, to: Address, request: u64, ctx: &mut Context) {
        let answer = FetchAnswer::Refused;
        ctx.send(me.address(), to, Message::FetchReply { request, partition: self.partition, answer });
    }

    /// There are new records: whoever waited for some gets them.
    fn wake_parked(&mut self, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let end = self.log.log_end_offset();
        let (awake, parked) = std::mem::take(&mut self.parked).into_iter().partition(|p| p.next.fetch_offset < end);
        self.parked = parked;
        let awake: Vec<Parked> = awake;
        awake.into_iter().try_for_each(|parked| self.answer_fetch(me, parked.from, parked.request, &parked.next, ctx))
    }

    /// The time to wait is over.
    pub fn on_parked_timeout(&mut self, ticket: u64, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let Some(at) = self.parked.iter().position(|parked| parked.ticket == ticket) else { return Ok(()) };
        let parked = self.parked.remove(at);
        self.answer_fetch(me, parked.from, parked.request, &parked.next, ctx)
    }

    /// Deletes committed records that their producers need no answer for any more, as DeleteRecords does it. Logs of
    /// coordinators are whole.
    pub fn delete_records(&mut self, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let is_kept = self.leader_epoch().is_none() || self.partition >= ctx.swarm.partitions;
        if is_kept || !ctx.deleting.per_mille(ctx.swarm.deletes_per_mille) {
            return Ok(());
        }
        let (start, end) =
            (self.log.log_start_offset(), ctx.oracle.deletable_to(self.partition).min(self.last_stable_offset()));
        if start < end {
            let offset = ctx.deleting.between(start as u64 + 1, end as u64) as Offset;
            ctx.note(|| format!("broker {} deletes the records of {} below {offset}", me.id, self.partition));
            ctx.message_faults[count::DELETED] += 1;
            ctx.oracle.deletes_records(self.partition, offset);
            self.log.advance_log_start_offset(offset)?;
        }
        Ok(())
    }

    /// A broker is active under this epoch, or not any more.
    pub fn on_broker(&mut self, id: BrokerId, active: Option<BrokerEpoch>, me: &Me, ctx: &mut Context) {
        if let Role::Leading { machine, .. } = &mut self.role {
            let effects = machine.on_broker(id, active);
            self.act(effects, me, ctx);
        }
    }

    /// Time passes for the leader: followers may have lagged for too long.
    pub fn tick(&mut self, me: &Me, ctx: &mut Context) {
        if let Role::Leading { machine, .. } = &mut self.role {
            let effect = machine.tick(me.clock);
            self.act(effect, me, ctx);
        }
    }

    /// First offset of an open transaction, else the high watermark.
    pub fn last_stable_offset(&mut self) -> Offset {
        self.log.first_unstable_offset(self.high_watermark).unwrap_or(Offset::MAX).min(self.high_watermark)
    }

    fn readable_end(&mut self, committed: bool) -> Offset {
        if committed { self.last_stable_offset() } else { self.high_watermark }
    }

    /// A consumer reads what the replicas have, or with `committed` what is decided.
    pub fn consume(
        &mut self,
        offset: Offset,
        leader_epoch: LeaderEpoch,
        committed: bool,
    ) -> Result<(Bytes, Vec<AbortedTransaction>), ErrorCode> {
        self.check_leader_epoch(leader_epoch)?;
        let end = self.readable_end(committed);
        if offset > self.log.log_end_offset() || offset < self.log.log_start_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if offset >= end {
            return Ok((Bytes::new(), Vec::new()));
        }
        let read = || {
            let reader = self.log.reader();
            let read = reader.read(offset, FETCH_BYTES_MAX, end, true)?;
            let Some(slice) = read.slice else { return Ok((Bytes::new(), Vec::new())) };
            let mut bytes = Vec::new();
            slice.read_into(&mut bytes).map_err(LogError::io("read", "a segment"))?;
            let aborted = if committed { reader.aborted_transactions(offset, slice.upper_offset)? } else { Vec::new() };
            Ok((bytes.into(), aborted))
        };
        read().map_err(|error: LogError| error.error_code())
    }

    fn check_leader_epoch(&self, asked: LeaderEpoch) -> Result<(), ErrorCode> {
        let current = self.leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
        match asked.cmp(&current) {
            Ordering::Less => Err(ErrorCode::FencedLeaderEpoch),
            Ordering::Greater => Err(ErrorCode::UnknownLeaderEpoch),
            Ordering::Equal => Ok(()),
        }
    }

    /// A client asks for the latest offset: until the high watermark has reached this epoch's start, the answer could
    /// be less than the last leader's.
    pub fn latest_offset(&mut self, leader_epoch: LeaderEpoch, committed: bool) -> Result<Offset, ErrorCode> {
        self.check_leader_epoch(leader_epoch)?;
        let end = self.readable_end(committed);
        match &self.role {
            Role::Leading { machine, .. } if machine.high_watermark() < machine.leader_epoch_start_offset() => {
                Err(ErrorCode::OffsetNotAvailable)
            }
            Role::Leading { .. } => Ok(end),
            _ => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Carries out what the leader's machine says.
    pub(super) fn act(&mut self, effects: impl IntoIterator<Item = Effect>, me: &Me, ctx: &mut Context) {
        for effect in effects {
            match effect {
                Effect::AdvanceHighWatermark { high_watermark } => {
                    self.high_watermark = self.high_watermark.max(high_watermark);
                    if let Role::Leading { machine, .. } = &self.role {
                        ctx.oracle.raised(me.node, self.partition, machine, high_watermark);
                    }
                    ctx.note(|| format!("broker {} commits {} up to {high_watermark}", me.id, self.partition));
                    self.complete(me, ctx);
                }
                Effect::ProposeIsr(proposal) => {
                    if let Role::Leading { machine, since, .. } = &self.role {
                        ctx.oracle.proposes(me.node, self.partition, machine, &proposal, *since, me.clock.0);
                    }
                    self.send_proposal(&proposal, me, ctx);
                }
            }
        }
    }

    fn send_proposal(&mut self, proposal: &IsrProposal, me: &Me, ctx: &mut Context) {
        let request = ctx.next_request();
        self.attempts.insert(request, proposal.request_id);
        ctx.note(|| {
            let isr: Vec<_> = proposal.isr.iter().map(|m| format!("{}@{}", m.broker_id, m.broker_epoch)).collect();
            let (id, on) = (me.id, proposal.partition_epoch);
            format!("broker {id} proposes isr {} for {} on partition epoch {on}", isr.join(","), self.partition)
        });
        let joining = match &self.role {
            Role::Leading { machine, .. } => {
                proposal.isr.iter().find(|member| !machine.isr().contains(&member.broker_id))
            }
            _ => None,
        };
        let joining = joining.map(|member| node_of(member.broker_id));
        let member = |m: &IsrMember| proto::IsrMember { broker_id: m.broker_id.0, broker_epoch: m.broker_epoch.0 };
        let partition = PartitionProposal {
            topic_id: uuid_bytes(Uuid([9; 16])),
            partition: self.partition,
            leader_epoch: proposal.leader_epoch.0,
            partition_epoch: proposal.partition_epoch.0,
            isr: proposal.isr.iter().map(member).collect(),
            leader_recovery_state: LeaderRecoveryState::Recovered.into(),
        };
        let (broker_id, broker_epoch) = (me.id.0, me.broker_epoch.0);
        let alter = AlterPartition { broker_id, broker_epoch, partitions: vec![partition] };
        let command = Rc::new(MetadataCommand { kind: Some(Kind::AlterPartition(alter)) });
        ctx.send_proposal(me.address(), Message::Command { request, command }, joining);
        let timer = Timer::ProposalRetry { partition: self.partition, request };
        ctx.timer(me.address(), ctx.swarm.request_timeout_ms, timer);
    }

    /// Asks again when the proposal of this attempt is still open.
    pub fn retry_proposal(&mut self, request: u64, me: &Me, ctx: &mut Context) {
        let Role::Leading { machine, .. } = &self.role else { return };
        let Some(proposal) = machine.pending_proposal().cloned() else { return };
        if self.attempts.keys().next_back() == Some(&request) {
            self.send_proposal(&proposal, me, ctx);
        }
    }

    /// The controller's answer to an attempt; true when it was one of this replica.
    pub fn on_proposal_answer(
        &mut self,
        request: u64,
        result: Option<&PartitionProposalResult>,
        me: &Me,
        ctx: &mut Context,
    ) -> bool {
        let Some(&proposal_id) = self.attempts.get(&request) else { return false };
        let Role::Leading { machine, min_isr, .. } = &mut self.role else { return true };
        let code = result.and_then(|result| ErrorCode::from_code(result.error_code as i16));
        let effect = match (result, code) {
            (Some(result), Some(ErrorCode::None)) if result.leader_epoch == machine.leader_epoch().0 => {
                let isr = result.isr.iter().copied().map(BrokerId).collect();
                machine.on_isr_decided(PartitionEpoch(result.partition_epoch), isr, *min_isr)
            }
            (_, Some(ErrorCode::IneligibleReplica)) => machine.on_isr_refused(proposal_id),
            // The state here is behind; the feed will tell. Until then the proposal may have been accepted.
            _ => None,
        };
        self.act(effect, me, ctx);
        true
    }
}

pub(super) fn tell(me: &Me, waiting: &Waiting, error: ErrorCode, ctx: &mut Context) {
    let request = waiting.request;
    match waiting.who {
        Waiter::Producer(client, base_offset) => reply_produce(me, client, request, error, base_offset, ctx),
        Waiter::Coordinator(to) => ctx.send(me.address(), to, Message::MarkerReply { request, error }),
    }
}

fn reply_produce(me: &Me, to: Address, request: u64, error: ErrorCode, base_offset: Offset, ctx: &mut Context) {
    ctx.send(me.address(), to, Message::ProduceReply { request, error, base_offset });
}
