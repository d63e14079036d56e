//! One replica as its shell runs it: a real log on the simulated disk and the real replication machines.
//!
//! It does what `partition/replica.rs` does, with messages in the place of sockets and wakers, and decides nothing:
//! whatever a rule of replication says is asked of `Leader`, `Follower` and `PartitionLog`. Each step is told to the
//! oracle at the moment it happens.

mod following;
mod leading;

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use ottla::log::{AbortedTransaction, AppendOutcome, LogError, PartitionLog, SimDisk, VerificationGuard};
use ottla::metadata::uuid_bytes;
use ottla::model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionEpoch, Uuid, Wall};
use ottla::record::{self, BatchHeader, Batches, EndTransactionMarker, ProduceRules};
use ottla::replication::{
    Effect, Follower, FollowerEffect, FollowerFetch, FollowerLog, FollowerStart, IsrMember, IsrProposal, Leader,
    LeaderAnswer, LeaderStart, NextFetch,
};
use ottla::rpc::metadata::{
    self as proto, AlterPartition, LeaderRecoveryState, MetadataCommand, PartitionProposal, PartitionProposalResult,
    metadata_command::Kind,
};
use ottla::transaction::{Producer, TransactionVersion};

use crate::context::{Context, Timer, count};
use crate::message::{Address, FetchAnswer, Message, ProducedBatch};
use crate::oracle::{BatchId, Entry, entries_of};
use crate::quorum::node_of;
use leading::tell;

/// How long a sync takes at most while the cluster heals.
const HEALED_COMMIT_DELAY_MS: u64 = 20;
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
    pub fn address(&self) -> Address {
        Address::Broker(self.node)
    }
}

enum Role {
    Idle,
    Leading { machine: Leader, since: u64, min_isr: usize },
    Following(Follower),
}

/// Whoever waits for records to be committed.
struct Waiting {
    ticket: u64,
    who: Waiter,
    request: u64,
    next_offset: Offset,
}

#[derive(Clone, Copy)]
enum Waiter {
    /// A client, and where its batch lies.
    Producer(Address, Offset),
    /// The coordinator of a transaction.
    Coordinator(Address),
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

    pub fn recovery_point(&self) -> Offset {
        self.log.recovery_point()
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn log_start_offset(&self) -> Offset {
        self.log.log_start_offset()
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

    /// Everything in the log, from its start on.
    pub fn entries(&self) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let (mut offset, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        while offset < end {
            let bytes = self.read(offset, usize::MAX / 2, end)?;
            let before = offset;
            for batch in Batches::new(&bytes) {
                let header = batch?.header;
                // The log may begin within a batch.
                let gone = (offset - header.base_offset).max(0) as usize;
                entries.extend(entries_of(&header).skip(gone));
                offset = header.next_offset();
            }
            assert!(offset > before, "nothing can be read at {offset} although the log ends at {end}");
        }
        Ok(entries)
    }

    /// Everything below `end`, as it lies.
    pub fn read_all(&self, end: Offset) -> Result<Vec<u8>, LogError> {
        let (mut offset, mut bytes) = (self.log.log_start_offset(), Vec::new());
        while offset < end {
            let chunk = self.read(offset, usize::MAX / 2, end)?;
            offset = Batches::new(&chunk).flatten().last().expect("there is more to read").header.next_offset();
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn read(&self, offset: Offset, max_bytes: usize, end: Offset) -> Result<Bytes, LogError> {
        let read = self.log.reader().read(offset, max_bytes, end, true)?;
        let mut bytes = Vec::new();
        if let Some(slice) = read.slice {
            slice.read_into(&mut bytes).map_err(LogError::io("read", "a segment"))?;
        }
        Ok(bytes.into())
    }

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
        let flushed_offset = self.flushed_offset(me, ctx);
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
    fn flushed_offset(&self, me: &Me, ctx: &mut Context) -> Option<Offset> {
        let flushed_offset = self.log.recovery_point();
        ctx.oracle.flushed(me.node, self.partition, flushed_offset);
        ctx.swarm.flush_before_ack.then_some(flushed_offset)
    }

    fn want_on_disk(&mut self, me: &Me, ctx: &mut Context) {
        if ctx.swarm.flush_before_ack && !self.sync_wanted {
            self.sync_wanted = true;
            // While the cluster heals no disk is so slow that a follower, which gets a segment at most by a fetch and has
            // that synced before the next, could never catch up.
            let delay_ms = ctx.swarm.commit_delay_ms;
            let delay_ms = if ctx.healing { delay_ms.min(HEALED_COMMIT_DELAY_MS) } else { delay_ms };
            ctx.timer(me.address(), delay_ms, Timer::PutOnDisk { partition: self.partition });
        }
    }

    /// The sync that was asked for, as the committer does it.
    pub fn put_on_disk(&mut self, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        self.sync_wanted = false;
        self.log.sync()?;
        let flushed_offset = self.log.recovery_point();
        ctx.oracle.flushed(me.node, self.partition, flushed_offset);
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
            tell(me, &waiting, ErrorCode::NotLeaderOrFollower, ctx);
        }
        for parked in std::mem::take(&mut self.parked) {
            self.refuse_fetch(me, parked.from, parked.request, ctx);
        }
    }
}
