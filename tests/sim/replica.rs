//! One replica as its shell runs it: a real log on the simulated disk and the real replication machines.
//!
//! It does what `partition/replica.rs` does, with messages in the place of sockets and wakers, and decides nothing:
//! whatever a rule of replication says is asked of `Leader`, `Follower` and `PartitionLog`. Each step is told to the
//! oracle at the moment it happens.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use ottla::log::{AppendOutcome, LogError, PartitionLog, ProducerRefusal, SimDisk};
use ottla::metadata::uuid_bytes;
use ottla::model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionEpoch, Uuid, Wall};
use ottla::record::{self, Batches, ProduceRules};
use ottla::replication::{
    Effect, Follower, FollowerEffect, FollowerFetch, FollowerLog, FollowerStart, IsrMember, IsrProposal, Leader,
    LeaderAnswer, LeaderStart, NextFetch,
};
use ottla::rpc::metadata::{
    self as proto, AlterPartition, LeaderRecoveryState, MetadataCommand, PartitionProposal, PartitionProposalResult,
    metadata_command::Kind,
};

use crate::context::{Context, Timer};
use crate::message::{Address, FetchAnswer, Message, ProducedBatch};
use crate::oracle::{Entry, entries_of};
use crate::quorum::node_of;

/// Most bytes of an answer to a fetch.
const FETCH_BYTES_MAX: usize = 2_000;

/// The broker around a replica, at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Me {
    pub node: usize,
    pub id: BrokerId,
    pub broker_epoch: BrokerEpoch,
    /// The metadata index that the replicas follow.
    pub applied: i64,
    pub clock: Monotonic,
    pub wall: Wall,
}

impl Me {
    fn address(&self) -> Address {
        Address::Broker(self.node)
    }
}

enum Role {
    Idle,
    Leading { machine: Leader, since: u64, min_isr: usize },
    Following(Follower),
}

/// A produce that waits for its records to be committed.
struct Waiting {
    ticket: u64,
    client: Address,
    request: u64,
    base_offset: Offset,
    next_offset: Offset,
}

/// A follower's fetch that waits for records.
struct Parked {
    ticket: u64,
    from: Address,
    request: u64,
    next: NextFetch,
}

pub struct Replica {
    partition: i32,
    log: PartitionLog<SimDisk>,
    role: Role,
    high_watermark: Offset,
    waiting: VecDeque<Waiting>,
    parked: Vec<Parked>,
    /// A sync has been asked for and has not begun.
    sync_wanted: bool,
    /// The fetch in flight.
    asked: Option<(u64, NextFetch)>,
    /// Attempts to have a proposal decided: the request, and the proposal's id.
    attempts: BTreeMap<u64, u64>,
}

impl Replica {
    /// A replica on a log that was just opened. The checkpointed high watermark is a hint.
    pub fn new(partition: i32, log: PartitionLog<SimDisk>, high_watermark: Offset) -> Self {
        let high_watermark = high_watermark.clamp(log.log_start_offset(), log.log_end_offset());
        Self {
            partition,
            log,
            role: Role::Idle,
            high_watermark,
            waiting: VecDeque::new(),
            parked: Vec::new(),
            sync_wanted: false,
            asked: None,
            attempts: BTreeMap::new(),
        }
    }

    pub fn log(&mut self) -> &mut PartitionLog<SimDisk> {
        &mut self.log
    }

    pub fn into_log(self) -> PartitionLog<SimDisk> {
        self.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn log_end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match &self.role {
            Role::Leading { machine, .. } => Some(machine.leader_epoch()),
            _ => None,
        }
    }

    /// Everything in the log.
    pub fn entries(&self) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let (mut offset, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        while offset < end {
            let bytes = self.read(offset, usize::MAX / 2, end)?;
            let before = offset;
            for batch in Batches::new(&bytes) {
                let header = batch?.header;
                entries.extend(entries_of(&header));
                offset = header.next_offset();
            }
            assert!(offset > before, "nothing can be read at {offset} although the log ends at {end}");
        }
        Ok(entries)
    }

    fn read(&self, offset: Offset, max_bytes: usize, end: Offset) -> Result<Bytes, LogError> {
        let read = self.log.reader().read(offset, max_bytes, end, true)?;
        let mut bytes = Vec::new();
        if let Some(slice) = read.slice {
            slice.read_into(&mut bytes).map_err(LogError::io("read", "a segment"))?;
        }
        Ok(bytes.into())
    }

    // ---------------------------------------------------------------------------------------- roles

    /// Begins to lead, or takes in a newer state of the partition it leads.
    pub fn lead(&mut self, start: LeaderStart, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let min_isr = start.min_isr;
        if let Role::Leading { machine, min_isr: known, .. } = &mut self.role
            && machine.leader_epoch() == start.leader_epoch
        {
            *known = min_isr;
            machine.on_replicas(start.partition_epoch, &start.replicas, me.clock);
            let effect = machine.on_isr_decided(start.partition_epoch, start.isr, start.min_isr);
            self.act(effect, me, ctx);
            return Ok(());
        }
        self.leave_role(me, ctx);
        self.log.assign_leader_epoch_start(start.leader_epoch)?;
        let (log_end_offset, high_watermark) = (self.log.log_end_offset(), self.high_watermark);
        let flushed_offset = self.flushed_offset(ctx);
        let start = LeaderStart { log_end_offset, high_watermark, flushed_offset, ..start };
        let (epoch, partition) = (start.leader_epoch, self.partition);
        ctx.note(|| format!("broker {} leads {partition} in epoch {epoch} from {}", me.id, start.log_end_offset));
        ctx.oracle.leads(me.node, partition, epoch, me.applied, me.broker_epoch.0);
        let (machine, effects) = Leader::new(start, me.clock);
        self.role = Role::Leading { machine, since: me.clock.0, min_isr };
        self.act(effects, me, ctx);
        self.want_on_disk(me, ctx);
        Ok(())
    }

    /// How far the log is on disk, where that counts.
    fn flushed_offset(&self, ctx: &Context) -> Option<Offset> {
        ctx.swarm.flush_before_ack.then(|| self.log.recovery_point())
    }

    fn want_on_disk(&mut self, me: &Me, ctx: &mut Context) {
        if ctx.swarm.flush_before_ack && !self.sync_wanted {
            self.sync_wanted = true;
            let timer = Timer::PutOnDisk { partition: self.partition };
            ctx.timer(me.address(), ctx.swarm.commit_delay_ms, timer);
        }
    }

    /// The sync that was asked for, as the committer does it.
    pub fn put_on_disk(&mut self, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        self.sync_wanted = false;
        self.log.sync()?;
        let flushed_offset = self.log.recovery_point();
        match &mut self.role {
            Role::Leading { machine, .. } => {
                let effect = machine.on_flushed(flushed_offset);
                self.act(effect, me, ctx);
            }
            Role::Following(_) => self.fetch(me, ctx),
            Role::Idle => {}
        }
        Ok(())
    }

    /// Begins to follow, or goes on following the same leadership.
    pub fn follow(&mut self, leader: BrokerId, leader_epoch: LeaderEpoch, me: &Me, ctx: &mut Context) {
        if let Role::Following(follower) = &self.role
            && follower.leader_epoch() == leader_epoch
        {
            return;
        }
        self.leave_role(me, ctx);
        let start = FollowerStart { leader, leader_epoch, high_watermark: self.high_watermark };
        self.role = Role::Following(Follower::new(start));
        self.fetch(me, ctx);
    }

    /// Neither leads nor follows.
    pub fn idle(&mut self, me: &Me, ctx: &mut Context) {
        self.leave_role(me, ctx);
    }

    fn leave_role(&mut self, me: &Me, ctx: &mut Context) {
        self.role = Role::Idle;
        self.asked = None;
        self.attempts.clear();
        for waiting in std::mem::take(&mut self.waiting) {
            reply_produce(me, waiting.client, waiting.request, ErrorCode::NotLeaderOrFollower, -1, ctx);
        }
        for parked in std::mem::take(&mut self.parked) {
            self.refuse_fetch(me, parked.from, parked.request, ctx);
        }
    }

    // ---------------------------------------------------------------------------------------- as leader

    /// A producer's batch. An error of the disk is the broker's to judge.
    pub fn produce(
        &mut self,
        client: Address,
        request: u64,
        batch: &Rc<ProducedBatch>,
        acks: i16,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Role::Leading { machine, .. } = &mut self.role else {
            reply_produce(me, client, request, ErrorCode::NotLeaderOrFollower, -1, ctx);
            return Ok(());
        };
        let valid = record::validate(batch.bytes.clone(), &ProduceRules::default(), me.wall);
        let valid = valid.expect("a producer's batch is valid");
        if acks == -1 && !machine.has_min_isr() {
            self.log.note_refused(&valid.header, me.wall);
            reply_produce(me, client, request, ErrorCode::NotEnoughReplicas, -1, ctx);
            return Ok(());
        }
        let leader_epoch = machine.leader_epoch();
        ctx.oracle.accepts(me.node, me.applied, me.broker_epoch.0);
        let appended = match self.log.append_as_leader(&valid.batch, &valid.header, leader_epoch, None, me.wall) {
            Ok(appended) => appended,
            Err(error) => {
                reply_produce(me, client, request, ErrorCode::KafkaStorageError, -1, ctx);
                return Err(error);
            }
        };
        let info = match appended {
            AppendOutcome::Appended(info) => {
                let header = record::BatchHeader {
                    base_offset: info.base_offset,
                    partition_leader_epoch: leader_epoch,
                    ..valid.header
                };
                let entries: Vec<_> = entries_of(&header).collect();
                ctx.note(|| {
                    let (id, at) = (me.id, info.base_offset);
                    format!("broker {id} appends {:08x} at {}:{at} in epoch {leader_epoch}", batch.crc, self.partition)
                });
                ctx.oracle.appended(me.node, self.partition, info.base_offset, &entries);
                info
            }
            AppendOutcome::Duplicate(info) => info,
            AppendOutcome::Refused(refusal) => {
                reply_produce(me, client, request, refusal_code(&refusal), -1, ctx);
                return Ok(());
            }
        };
        let effect = machine.on_append(self.log.log_end_offset());
        self.act(effect, me, ctx);
        self.want_on_disk(me, ctx);
        self.wake_parked(me, ctx)?;
        self.answer_or_wait(client, request, acks, info.base_offset, info.last_offset + 1, me, ctx);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    fn answer_or_wait(
        &mut self,
        client: Address,
        request: u64,
        acks: i16,
        base_offset: Offset,
        next_offset: Offset,
        me: &Me,
        ctx: &mut Context,
    ) {
        if acks == 1 {
            return reply_produce(me, client, request, ErrorCode::None, base_offset, ctx);
        }
        let ticket = ctx.next_request();
        self.waiting.push_back(Waiting { ticket, client, request, base_offset, next_offset });
        let timer = Timer::AckTimeout { partition: self.partition, ticket };
        ctx.timer(me.address(), ctx.swarm.request_timeout_ms, timer);
        self.complete_produces(me, ctx);
    }

    /// Answers the produces whose records are committed.
    fn complete_produces(&mut self, me: &Me, ctx: &mut Context) {
        let Role::Leading { machine, .. } = &self.role else { return };
        let error = if machine.has_min_isr() { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
        let high_watermark = self.high_watermark;
        let (done, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.next_offset <= high_watermark);
        self.waiting = waiting;
        let done: VecDeque<Waiting> = done;
        for waiting in done {
            reply_produce(me, waiting.client, waiting.request, error, waiting.base_offset, ctx);
        }
    }

    pub fn on_ack_timeout(&mut self, ticket: u64, me: &Me, ctx: &mut Context) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.ticket == ticket)
            && let Some(waiting) = self.waiting.remove(at)
        {
            reply_produce(me, waiting.client, waiting.request, ErrorCode::RequestTimedOut, -1, ctx);
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
        if let Some(answer) = divergence(&self.log, &next) {
            ctx.send(me.address(), from, Message::FetchReply { request, partition: self.partition, answer });
            return Ok(());
        }
        let end = self.log.log_end_offset();
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
        let bytes = self.read(next.fetch_offset, FETCH_BYTES_MAX, self.log.log_end_offset())?;
        let (high_watermark, log_start_offset) = (self.high_watermark, self.log.log_start_offset());
        let answer = FetchAnswer::Records { bytes, high_watermark, log_start_offset };
        ctx.send(me.address(), to, Message::FetchReply { request, partition: self.partition, answer });
        Ok(())
    }

    /// The follower learns more from the metadata than from the reason.
    fn refuse_fetch(&self, me: &Me, to: Address, request: u64, ctx: &mut Context) {
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

    /// A consumer reads what is committed.
    pub fn consume(&self, offset: Offset, leader_epoch: LeaderEpoch) -> Result<Bytes, ErrorCode> {
        self.check_leader_epoch(leader_epoch)?;
        if offset > self.log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if offset >= self.high_watermark {
            return Ok(Bytes::new());
        }
        self.read(offset, FETCH_BYTES_MAX, self.high_watermark).map_err(|error| error.error_code())
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
    pub fn latest_offset(&self, leader_epoch: LeaderEpoch) -> Result<Offset, ErrorCode> {
        self.check_leader_epoch(leader_epoch)?;
        match &self.role {
            Role::Leading { machine, .. } if machine.high_watermark() < machine.leader_epoch_start_offset() => {
                Err(ErrorCode::OffsetNotAvailable)
            }
            Role::Leading { .. } => Ok(self.high_watermark),
            _ => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Carries out what the leader's machine says.
    fn act(&mut self, effects: impl IntoIterator<Item = Effect>, me: &Me, ctx: &mut Context) {
        for effect in effects {
            match effect {
                Effect::AdvanceHighWatermark { high_watermark } => {
                    self.high_watermark = self.high_watermark.max(high_watermark);
                    if let Role::Leading { machine, .. } = &self.role {
                        ctx.oracle.raised(me.node, self.partition, machine, high_watermark);
                    }
                    ctx.note(|| format!("broker {} commits {} up to {high_watermark}", me.id, self.partition));
                    self.complete_produces(me, ctx);
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
        ctx.send(me.address(), Address::Quorum, Message::Command { request, command });
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

    // ---------------------------------------------------------------------------------------- as follower

    /// Asks the leader for what comes next, unless a fetch is in flight.
    pub fn fetch(&mut self, me: &Me, ctx: &mut Context) {
        let Role::Following(follower) = &self.role else { return };
        if self.asked.is_some() {
            return;
        }
        let next = follower.next_fetch(&follower_log(&self.log));
        let to = Address::Broker(node_of(follower.leader()));
        let flushed = self.flushed_offset(ctx);
        if flushed.is_some_and(|flushed| flushed < next.fetch_offset) {
            // It is asked for once what came before is on disk.
            return self.want_on_disk(me, ctx);
        }
        let (request, partition) = (ctx.next_request(), self.partition);
        self.asked = Some((request, next));
        let fetch = Message::Fetch { request, partition, broker_epoch: me.broker_epoch.0, next, flushed };
        ctx.send(me.address(), to, fetch);
        let timeout = ctx.swarm.request_timeout_ms + ctx.swarm.fetch_wait_max_ms;
        ctx.timer(me.address(), timeout, Timer::FetchTimeout { partition, request });
    }

    pub fn on_fetch_timeout(&mut self, request: u64, me: &Me, ctx: &mut Context) {
        if self.asked.is_some_and(|(asked, _)| asked == request) {
            self.asked = None;
            self.fetch(me, ctx);
        }
    }

    /// The leader has answered.
    pub fn on_fetch_answer(
        &mut self,
        request: u64,
        answer: FetchAnswer,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == request) else { return Ok(()) };
        let (answer, bytes) = match answer {
            FetchAnswer::Records { bytes, high_watermark, log_start_offset } => {
                (LeaderAnswer::Records { high_watermark, log_start_offset }, bytes)
            }
            FetchAnswer::Diverging { epoch, end_offset } => {
                (LeaderAnswer::Diverging { epoch: LeaderEpoch(epoch), end_offset }, Bytes::new())
            }
            FetchAnswer::OutOfRange { log_start_offset } => {
                (LeaderAnswer::OutOfRange { log_start_offset }, Bytes::new())
            }
            FetchAnswer::Refused => {
                let timer = Timer::FetchSoon { partition: self.partition };
                ctx.timer(me.address(), ctx.swarm.heartbeat_ms(), timer);
                return Ok(());
            }
        };
        let Role::Following(follower) = &mut self.role else { return Ok(()) };
        let effects = follower.on_answer(&asked, answer, &follower_log(&self.log));
        let stuck = effects.is_empty();
        self.act_as_follower(effects, &bytes, me, ctx)?;
        if stuck {
            ctx.timer(me.address(), ctx.swarm.heartbeat_ms(), Timer::FetchSoon { partition: self.partition });
        } else {
            self.fetch(me, ctx);
        }
        Ok(())
    }

    fn act_as_follower(
        &mut self,
        effects: Vec<FollowerEffect>,
        bytes: &Bytes,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        for effect in effects {
            match effect {
                FollowerEffect::Append => self.append_as_follower(bytes, me, ctx)?,
                FollowerEffect::TruncateTo { offset } => {
                    ctx.note(|| format!("broker {} truncates {} to {offset}", me.id, self.partition));
                    self.log.truncate_to(offset)?;
                    ctx.oracle.truncated(me.node, self.partition, self.log.log_end_offset());
                }
                FollowerEffect::ResetTo { offset } => {
                    ctx.note(|| format!("broker {} resets {} to {offset}", me.id, self.partition));
                    self.log.truncate_fully_and_start_at(offset)?;
                    ctx.oracle.truncated(me.node, self.partition, offset);
                }
                FollowerEffect::AdvanceLogStart { offset } => {
                    self.log.advance_log_start_offset(offset)?;
                }
                FollowerEffect::SetHighWatermark { high_watermark } => {
                    self.high_watermark = high_watermark;
                    ctx.oracle.high_watermark(me.node, self.partition, high_watermark);
                }
            }
        }
        Ok(())
    }

    fn append_as_follower(&mut self, bytes: &Bytes, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let before = self.log.log_end_offset();
        self.log.append_as_follower(bytes, me.wall)?;
        let end = self.log.log_end_offset();
        if end > before {
            let mut entries = Vec::new();
            for batch in Batches::new(bytes) {
                match batch {
                    Ok(batch) if batch.header.next_offset() <= end => entries.extend(entries_of(&batch.header)),
                    _ => break,
                }
            }
            ctx.note(|| format!("broker {} copies {}:{before}..{end}", me.id, self.partition));
            ctx.oracle.appended(me.node, self.partition, before, &entries);
        }
        let Role::Following(follower) = &mut self.role else { return Ok(()) };
        let effects = follower.on_append(self.log.log_start_offset(), end);
        self.act_as_follower(effects, &Bytes::new(), me, ctx)
    }
}

fn follower_log(log: &PartitionLog<SimDisk>) -> FollowerLog<'_> {
    FollowerLog {
        log_start_offset: log.log_start_offset(),
        log_end_offset: log.log_end_offset(),
        leader_epochs: log.leader_epochs(),
    }
}

/// Where the follower's history parts from the leader's, or what it asks for does not exist.
fn divergence(log: &PartitionLog<SimDisk>, next: &NextFetch) -> Option<FetchAnswer> {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let diverging = log
        .end_offset_for_epoch(next.last_fetched_epoch)
        .filter(|&(epoch, end_offset)| epoch < next.last_fetched_epoch || end_offset < next.fetch_offset)
        .map(|(epoch, end_offset)| FetchAnswer::Diverging { epoch: epoch.0, end_offset });
    let out_of_range = || FetchAnswer::OutOfRange { log_start_offset: start };
    diverging.or_else(|| (!(start..=end).contains(&next.fetch_offset)).then(out_of_range))
}

fn refusal_code(refusal: &ProducerRefusal) -> ErrorCode {
    match refusal {
        ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerRefusal::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
        ProducerRefusal::TooEarly { .. } => ErrorCode::NotEnoughReplicas,
        ProducerRefusal::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        _ => ErrorCode::UnknownServerError,
    }
}

fn reply_produce(me: &Me, to: Address, request: u64, error: ErrorCode, base_offset: Offset, ctx: &mut Context) {
    ctx.send(me.address(), to, Message::ProduceReply { request, error, base_offset });
}
