//! Appending to a partition that is led here, and waiting for the replicas.

use bytes::Bytes;

use crate::log::{AppendOutcome, OsDisk, PartitionLog, VerificationGuard};
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Wall};
use crate::record::{self, BatchHeader, EndTransactionMarker, ProduceRules, TimestampType};

use super::error::PartitionError;
use super::replica::{Replica, Role, State};
use super::waiters::{Waker, Watched};

/// A batch to append, and what its request says.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Exactly one record batch.
    pub records: Bytes,
    /// −1 for all in-sync replicas, 1 for the leader, 0 for none.
    pub required_acks: i16,
    /// The request's version knows Zstandard.
    pub zstd_known: bool,
    /// The request names a transactional id.
    pub transactional: bool,
    /// The leadership under which the append was decided: under any other it is refused.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What [`Replica::start_verification`] gave, for a batch that may begin a transaction.
    pub guard: Option<VerificationGuard>,
    /// A coordinator of this broker writes, perhaps on behalf of a producer.
    pub coordinated: bool,
}

/// The end of a transaction, to be written into one of its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkerRequest {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The epoch that the producer has from now on.
    pub producer_epoch: ProducerEpoch,
    /// How it ends, and who says so.
    pub marker: EndTransactionMarker,
    /// `transaction.version` of the client (KIP-890).
    pub transaction_version: i8,
    /// The leadership under which the append was decided: under any other it is refused.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl AppendRequest {
    /// What the broker itself appends to its internal topics, as decided under the leadership of `leader_epoch`.
    pub fn internal(records: Bytes, leader_epoch: LeaderEpoch) -> Self {
        Self {
            records,
            required_acks: -1,
            zstd_known: true,
            transactional: true,
            leader_epoch: Some(leader_epoch),
            guard: None,
            coordinated: true,
        }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// One past its last record: acks=all waits for the high watermark to get here.
    pub next_offset: Offset,
    /// The time the broker stamped on it, −1 when the producer's timestamps were kept; milliseconds.
    pub log_append_time: i64,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// The leadership it was appended under.
    pub leader_epoch: LeaderEpoch,
    /// The high watermark has reached `next_offset` already.
    pub committed: bool,
    /// It is on this broker's disk already, or need not be before it is acknowledged.
    pub on_disk: bool,
}

impl Replica {
    /// Appends a batch: at once into the page cache, in the order of the calls.
    pub fn append(&self, request: AppendRequest, now: Wall) -> Result<Appended, PartitionError> {
        let rules = ProduceRules {
            zstd_known: request.zstd_known,
            transactional: request.transactional,
            coordinated: request.coordinated,
            ..self.config.load().produce_rules
        };
        let AppendRequest { records, required_acks, leader_epoch: decided_in, guard, .. } = request;
        let valid = record::validate(records, &rules, now)?;
        let stamped = valid.header.timestamp_type() == TimestampType::LogAppendTime;
        let too_few = |log: &mut PartitionLog<OsDisk>| log.note_refused(&valid.header, now);
        let appended = self.append_with(required_acks, decided_in, stamped, too_few, |log, leader_epoch| {
            // What a coordinator writes is small, and makes room in the end: offsets, ends of transactions.
            if !rules.coordinated && !self.room().take(valid.batch.len()) {
                log.note_refused(&valid.header, now);
                return Err(PartitionError::NoRoom);
            }
            Ok(log.append_as_leader(&valid.batch, &valid.header, leader_epoch, guard, now)?)
        })?;
        let messages = u64::try_from(appended.next_offset - appended.base_offset).unwrap_or_default();
        self.traffic().on_append(messages, valid.batch.len() as u64);
        Ok(appended)
    }

    /// Ends a producer's transaction in this partition.
    pub fn append_marker(&self, request: MarkerRequest, now: Wall) -> Result<Appended, PartitionError> {
        let MarkerRequest { producer_id, producer_epoch, marker, transaction_version, leader_epoch } = request;
        let end = |log: &mut PartitionLog<OsDisk>, leader_epoch| {
            Ok(log.append_marker(marker, (producer_id, producer_epoch), transaction_version, leader_epoch, now)?)
        };
        self.append_with(-1, leader_epoch, false, |_| {}, end)
    }

    /// To be called before a coordinator is asked whether the producer's transaction is ongoing. `None` when that is
    /// known here.
    pub fn start_verification(
        &self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        now: Wall,
    ) -> Option<VerificationGuard> {
        self.with_log(|log| log.start_verification(producer_id, producer_epoch, now)).flatten()
    }

    /// To be called when a batch is refused, for a reason that will pass, before it comes to an append.
    pub fn note_refused(&self, header: &BatchHeader, now: Wall) {
        self.with_log(|log| log.note_refused(header, now));
    }

    /// Has `append` write under the leadership of `decided_in`, and sees to what follows from it. `too_few` is told when
    /// there are not enough replicas for that.
    fn append_with(
        &self,
        required_acks: i16,
        decided_in: Option<LeaderEpoch>,
        stamped: bool,
        too_few: impl FnOnce(&mut PartitionLog<OsDisk>),
        append: impl FnOnce(&mut PartitionLog<OsDisk>, LeaderEpoch) -> Result<AppendOutcome, PartitionError>,
    ) -> Result<Appended, PartitionError> {
        let mut state = self.state();
        let State { log: Some(log), role: Role::Leader(leader) } = &mut *state else { return Err(self.not_leader()) };
        if required_acks == -1 && !leader.has_min_isr() {
            too_few(log);
            return Err(PartitionError::NotEnoughReplicas { in_sync: leader.isr().len() });
        }
        let leader_epoch = leader.leader_epoch();
        if decided_in.is_some_and(|epoch| epoch != leader_epoch) {
            return Err(self.not_leader());
        }
        let outcome = append(log, leader_epoch).inspect_err(|error| self.note_fault(error));
        let info = match outcome? {
            AppendOutcome::Appended(info) | AppendOutcome::Duplicate(info) => info,
            AppendOutcome::Refused(refusal) => return Err(refusal.into()),
        };
        let effect = leader.on_append(log.log_end_offset());
        self.publish_log(log);
        self.act(state, effect);
        self.waiters.wake(Watched::LogEndOffset, self.log_end_offset());
        let next_offset = info.last_offset + 1;
        Ok(Appended {
            base_offset: info.base_offset,
            next_offset,
            log_append_time: if stamped { info.max_timestamp } else { -1 },
            log_start_offset: info.log_start_offset,
            leader_epoch,
            committed: self.high_watermark() >= next_offset,
            on_disk: self.is_on_disk(next_offset),
        })
    }

    /// True when appending `records` means inflating or compressing: too long for a thread that serves others.
    pub fn needs_codec(&self, records: &[u8]) -> bool {
        self.config.load().produce_rules.needs_codec(records)
    }

    /// Waits until everything below `next_offset`, appended in `leader_epoch`, is committed. An ISR that has fallen
    /// below the minimum commits nothing any more; then the outcome is open (A16).
    pub async fn committed(&self, next_offset: Offset, leader_epoch: LeaderEpoch) -> Result<(), PartitionError> {
        let waker = Waker::default();
        loop {
            let _registration = self.waiters.register(Watched::HighWatermark, next_offset - 1, waker.clone());
            if self.leader_epoch() != Some(leader_epoch) {
                return Err(self.not_leader());
            }
            if !self.has_min_isr() {
                return Err(PartitionError::NotEnoughReplicasAfterAppend);
            }
            if self.high_watermark() >= next_offset {
                return Ok(());
            }
            waker.notified().await;
        }
    }

    fn has_min_isr(&self) -> bool {
        matches!(&self.state().role, Role::Leader(leader) if leader.has_min_isr())
    }
}
