//! What a partition's log knows of transactions: how far they are decided, and who may begin one.
//!
//! ```text
//!                 first batch, verified              marker appended              marker committed
//!   no transaction ─────────────────▶ open ─────────────────────────▶ ended ──────────────────────▶ no transaction
//!                                      └──────── below them all lies the last stable offset ────────┘
//! ```
//!
//! A batch that begins a transaction is appended only with the guard of a verification that was begun here before the
//! coordinator was asked, and that no marker has made void since (KIP-890): a batch that is late, behind the end of its
//! transaction, would open one that nobody ends (invariant B4).

use std::collections::HashMap;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Wall};
use crate::record::{BatchHeader, EndTransactionMarker, TransactionResult};

use super::super::disk::Disk;
use super::super::producer_state::EPOCH_BUMP_AT_EACH_END;
use super::super::{AppendInfo, AppendOutcome, LogError};
use super::PartitionLog;

/// Allows the append of the batch that begins a producer's transaction in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerificationGuard(u64);

#[derive(Clone, Copy, Debug)]
struct Verification {
    producer_epoch: ProducerEpoch,
    guard: VerificationGuard,
    since: Wall,
}

/// Verifications that have begun.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    by_producer: HashMap<ProducerId, Verification>,
    last: u64,
}

impl Verifications {
    fn start(&mut self, producer_id: ProducerId, producer_epoch: ProducerEpoch, now: Wall) -> VerificationGuard {
        if let Some(begun) = self.of(producer_id, producer_epoch) {
            return begun.guard;
        }
        self.last += 1;
        let guard = VerificationGuard(self.last);
        self.by_producer.insert(producer_id, Verification { producer_epoch, guard, since: now });
        guard
    }

    fn allows(&self, header: &BatchHeader, guard: VerificationGuard) -> bool {
        self.of(header.producer_id, header.producer_epoch).is_some_and(|begun| begun.guard == guard)
    }

    /// What has begun in an epoch of the producer.
    fn of(&self, producer_id: ProducerId, producer_epoch: ProducerEpoch) -> Option<Verification> {
        self.by_producer.get(&producer_id).filter(|begun| begun.producer_epoch == producer_epoch).copied()
    }

    /// A batch or marker of the producer is in the log.
    fn end(&mut self, producer_id: ProducerId) {
        if !mutant!("verification-outlives-its-transaction") {
            self.by_producer.remove(&producer_id);
        }
    }

    /// Forgets verifications that were never used.
    pub(super) fn expire(&mut self, now: Wall, expiration_ms: i64) {
        self.by_producer.retain(|_, begun| now.0.saturating_sub(begun.since.0) < expiration_ms);
    }
}

impl<D: Disk> PartitionLog<D> {
    /// To be called before the coordinator is asked whether the producer's transaction is ongoing. `None` when that
    /// is known here.
    pub fn start_verification(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        now: Wall,
    ) -> Option<VerificationGuard> {
        if self.producers.has_open_transaction(producer_id, producer_epoch) {
            return None;
        }
        Some(self.verifications.start(producer_id, producer_epoch, now))
    }

    pub(super) fn is_verified(&self, header: &BatchHeader, guard: Option<VerificationGuard>) -> bool {
        !header.is_transactional()
            || self.producers.has_open_transaction(header.producer_id, header.producer_epoch)
            || guard.is_some_and(|guard| self.verifications.allows(header, guard))
            || mutant!("late-batch-opens-a-transaction")
    }

    /// Ends the producer's transaction in this partition, if it has one; its epoch becomes `producer_epoch`. A
    /// second marker for the same end changes nothing for readers.
    pub fn append_marker(
        &mut self,
        marker: EndTransactionMarker,
        (producer_id, producer_epoch): (ProducerId, ProducerEpoch),
        transaction_version: i8,
        leader_epoch: LeaderEpoch,
        now: Wall,
    ) -> Result<AppendOutcome, LogError> {
        self.check_leader_epoch(leader_epoch)?;
        let coordinator_epoch = marker.coordinator_epoch;
        let refusal = self.producers.check_marker(producer_id, producer_epoch, coordinator_epoch, transaction_version);
        if let Some(refusal) = refusal {
            return Ok(AppendOutcome::Refused(refusal));
        }
        let batch = marker.batch(now.0, producer_id, producer_epoch);
        let header = BatchHeader::parse(&batch)?;
        // Since version 2 a marker has the epoch of the producer's next transaction: what is verified in it has nothing
        // to do with the end of the last one, which may come twice, and late (KIP-890).
        let next = self.verifications.of(producer_id, producer_epoch);
        let info: AppendInfo = self.append_checked(&batch, &header, leader_epoch, now)?;
        if let Some(next) = next.filter(|_| transaction_version >= EPOCH_BUMP_AT_EACH_END) {
            self.verifications.by_producer.insert(producer_id, next);
        }
        Ok(AppendOutcome::Appended(info))
    }

    /// Takes note of an appended batch in everything that is told of producers. Cannot fail: the batch is in the log.
    pub(super) fn note_producer(&mut self, header: &BatchHeader, marker: Option<EndTransactionMarker>) {
        if header.is_transactional() {
            self.verifications.end(header.producer_id);
        }
        let Some(ended) = self.producers.update(header, marker) else { return };
        self.ended_transactions.insert(ended.extent.first_offset, ended.extent.last_offset);
        if ended.result == TransactionResult::Abort && !mutant!("aborted-transactions-not-listed") {
            self.log.note_aborted(ended.extent);
        }
    }

    /// Where the oldest transaction begins that is open, or whose marker is not below `high_watermark`.
    pub fn first_unstable_offset(&mut self, high_watermark: Offset) -> Option<Offset> {
        if mutant!("open-transactions-are-stable") {
            return None;
        }
        let is_decided = |marker| marker < high_watermark || mutant!("stable-before-the-marker-is-committed");
        self.ended_transactions.retain(|_, marker| !is_decided(*marker));
        let ended = self.ended_transactions.keys().next().copied();
        let first = self.producers.first_unstable_offset().into_iter().chain(ended).min()?;
        Some(first.max(self.log_start_offset()))
    }
}
