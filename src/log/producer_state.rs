//! What is remembered of idempotent producers, and what they may append.
//!
//! A producer is known by its last five batches: a retry of one of them is answered with where it lies already
//! (invariant B1). Sequence numbers count records per producer epoch and partition, without a gap, and go from
//! 2³¹ − 1 to 0. A pure state: batches go in, answers come out, time is in the batches.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::model::{Offset, ProducerEpoch, ProducerId, Wall};
use crate::record::{BatchHeader, EndTransactionMarker, NO_SEQUENCE, TransactionResult};

use super::ProducerRefusal;
use super::transaction_index::AbortedTransaction;

/// How many batches of a producer are remembered, as in Kafka: a client has no more in flight.
pub const BATCHES_REMEMBERED: usize = 5;

/// Transactions from this version on bump the producer's epoch at each end (KIP-890).
pub const EPOCH_BUMP_AT_EACH_END: i8 = 2;

/// How many sequence numbers there are.
const SEQUENCES: i64 = 1 << 31;

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerInfo {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// The last sequence number, −1 for none.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch; milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_start_offset: Option<Offset>,
}

/// A batch that a producer has appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RememberedBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset − base offset, which is also last sequence − base sequence.
    pub offset_delta: i32,
    /// Its largest timestamp; milliseconds.
    pub timestamp: i64,
}

impl RememberedBatch {
    /// Offset of its first record.
    pub fn base_offset(&self) -> Offset {
        self.last_offset - Offset::from(self.offset_delta)
    }

    fn base_sequence(&self) -> i32 {
        let base = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        base.rem_euclid(SEQUENCES) as i32
    }
}

/// One producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// Its last batches in that epoch, oldest first.
    pub batches: VecDeque<RememberedBatch>,
    /// The largest timestamp of its last batch or marker; milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_first_offset: Option<Offset>,
}

impl ProducerState {
    fn new() -> Self {
        Self {
            epoch: ProducerEpoch::NONE,
            batches: VecDeque::new(),
            last_timestamp: -1,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
        }
    }

    /// The last sequence number, −1 for none.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn remember(&mut self, batch: RememberedBatch) {
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }

    fn find(&self, header: &BatchHeader) -> Option<RememberedBatch> {
        let same = |batch: &&RememberedBatch| {
            batch.base_sequence() == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        self.batches.iter().find(same).copied().filter(|_| !mutant!("duplicate-not-recognised"))
    }
}

/// What a leader makes of a producer's batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It continues the producer's sequence.
    Append,
    /// It was appended before.
    Duplicate(RememberedBatch),
    /// It may not be appended.
    Refuse(ProducerRefusal),
}

/// A transaction whose marker has been appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedTransaction {
    /// How it ended.
    pub result: TransactionResult,
    /// Where it lies, as the transaction index would have it.
    pub extent: AbortedTransaction,
}

/// All producers of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerStates {
    producers: HashMap<ProducerId, ProducerState>,
    /// First offsets of open transactions.
    open_transactions: BTreeSet<Offset>,
}

impl ProducerStates {
    /// Judges a batch before a leader appends it. A batch that is not an idempotent producer's always passes.
    pub fn check(&self, header: &BatchHeader) -> Verdict {
        if !header.has_producer_id() {
            return Verdict::Append;
        }
        let Some(producer) = self.producers.get(&header.producer_id) else { return Verdict::Append };
        if header.producer_epoch == producer.epoch
            && header.base_sequence != NO_SEQUENCE
            && let Some(batch) = producer.find(header)
        {
            return Verdict::Duplicate(batch);
        }
        match refusal(producer, header).filter(|_| !mutant!("any-sequence-accepted")) {
            Some(refusal) => Verdict::Refuse(refusal),
            None => Verdict::Append,
        }
    }

    /// Judges a marker of a transaction of this version before a leader appends it.
    pub fn check_marker(
        &self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        coordinator_epoch: i32,
        transaction_version: i8,
    ) -> Option<ProducerRefusal> {
        let producer = self.producers.get(&producer_id)?;
        // Since version 2 every end has an epoch of its own (KIP-890): with the epoch of the open transaction comes
        // only a marker that is late.
        let is_late = transaction_version >= EPOCH_BUMP_AT_EACH_END
            && producer.current_txn_first_offset.is_some()
            && producer_epoch == producer.epoch;
        if (producer_epoch < producer.epoch || is_late) && !mutant!("late-marker-accepted") {
            let current_epoch = producer.epoch;
            return Some(ProducerRefusal::InvalidProducerEpoch { producer_id, producer_epoch, current_epoch });
        }
        let current_epoch = producer.coordinator_epoch;
        let is_fenced = coordinator_epoch < current_epoch && !mutant!("former-coordinator-accepted");
        is_fenced.then_some(ProducerRefusal::CoordinatorFenced { producer_id, coordinator_epoch, current_epoch })
    }

    /// Offset of the last record of the producer's last batch.
    pub fn last_offset(&self, producer_id: ProducerId) -> Option<Offset> {
        self.producers.get(&producer_id)?.batches.back().map(|batch| batch.last_offset)
    }

    /// True when the producer has a transaction open in this epoch.
    pub fn has_open_transaction(&self, producer_id: ProducerId, producer_epoch: ProducerEpoch) -> bool {
        let producer = self.producers.get(&producer_id).filter(|producer| producer.epoch == producer_epoch);
        producer.is_some_and(|producer| producer.current_txn_first_offset.is_some())
    }

    /// Takes note of a batch that is in the log, with the marker if it is one. Tells which transaction that ended.
    pub fn update(&mut self, header: &BatchHeader, marker: Option<EndTransactionMarker>) -> Option<EndedTransaction> {
        if !header.has_producer_id() {
            return None;
        }
        let producer = self.producers.entry(header.producer_id).or_insert_with(ProducerState::new);
        producer.enter_epoch(header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        if let Some(marker) = marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            let first_offset = producer.current_txn_first_offset.take()?;
            self.open_transactions.remove(&first_offset);
            let (producer_id, last_offset) = (header.producer_id, header.last_offset());
            let last_stable_offset = self.first_unstable_offset().unwrap_or(last_offset + 1);
            let extent = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
            return Some(EndedTransaction { result: marker.result, extent });
        }
        if header.is_control() {
            return None;
        }
        // What a group coordinator writes for a producer has no place in the producer's own sequence.
        if header.base_sequence != NO_SEQUENCE {
            producer.remember(RememberedBatch {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset(),
                offset_delta: header.last_offset_delta,
                timestamp: header.max_timestamp,
            });
        }
        if header.is_transactional() && producer.current_txn_first_offset.is_none() {
            producer.current_txn_first_offset = Some(header.base_offset);
            self.open_transactions.insert(header.base_offset);
        }
        None
    }

    /// Takes a producer over from a snapshot. Batches of one that is known already are added behind.
    pub fn restore(&mut self, producer_id: ProducerId, restored: ProducerState) {
        let producer = self.producers.entry(producer_id).or_insert_with(ProducerState::new);
        producer.enter_epoch(restored.epoch);
        restored.batches.into_iter().for_each(|batch| producer.remember(batch));
        producer.last_timestamp = restored.last_timestamp;
        producer.coordinator_epoch = restored.coordinator_epoch;
        if let Some(first_offset) = restored.current_txn_first_offset {
            producer.current_txn_first_offset = Some(first_offset);
            self.open_transactions.insert(first_offset);
        }
    }

    /// The producers by id.
    pub fn sorted(&self) -> Vec<(ProducerId, &ProducerState)> {
        let mut producers: Vec<_> = self.producers.iter().map(|(id, producer)| (*id, producer)).collect();
        producers.sort_unstable_by_key(|(id, _)| *id);
        producers
    }

    /// The producers as DescribeProducers shows them.
    pub fn describe(&self) -> Vec<ProducerInfo> {
        let info = |(producer_id, producer): (ProducerId, &ProducerState)| ProducerInfo {
            producer_id,
            producer_epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.current_txn_first_offset,
        };
        self.sorted().into_iter().map(info).collect()
    }

    /// Where the oldest open transaction began.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.open_transactions.first().copied()
    }

    /// The last offset of each producer's last batch.
    pub fn last_offsets(&self) -> HashMap<ProducerId, Offset> {
        let last = |(id, producer): (&ProducerId, &ProducerState)| Some((*id, producer.batches.back()?.last_offset));
        self.producers.iter().filter_map(last).collect()
    }

    /// Forgets producers that have written nothing for `expiration_ms` and have no transaction open.
    pub fn expire(&mut self, now: Wall, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, producer| {
            producer.current_txn_first_offset.is_some() || now.0.saturating_sub(producer.last_timestamp) < expiration_ms
        });
        before - self.producers.len()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.producers.clear();
        self.open_transactions.clear();
    }
}

/// Why a batch that was not appended before may not be appended now.
fn refusal(producer: &ProducerState, header: &BatchHeader) -> Option<ProducerRefusal> {
    let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *header;
    if producer_epoch < producer.epoch && !mutant!("older-producer-epoch-accepted") {
        return Some(ProducerRefusal::InvalidProducerEpoch {
            producer_id,
            producer_epoch,
            current_epoch: producer.epoch,
        });
    }
    if let Some(first_offset) = producer.current_txn_first_offset.filter(|_| !header.is_transactional()) {
        return Some(ProducerRefusal::InvalidTxnState { producer_id, first_offset });
    }
    if base_sequence == NO_SEQUENCE {
        return None;
    }
    let last_sequence = if producer_epoch == producer.epoch { producer.last_sequence() } else { NO_SEQUENCE };
    if i64::from(base_sequence) == (i64::from(last_sequence) + 1) % SEQUENCES {
        return None;
    }
    if last_sequence != NO_SEQUENCE && is_older(header, producer) {
        let last_sequence = header.last_sequence();
        return Some(ProducerRefusal::DuplicateSequence { producer_id, base_sequence, last_sequence });
    }
    Some(ProducerRefusal::OutOfOrderSequence { producer_id, base_sequence, last_sequence })
}

/// True when all of the batch lies before what is remembered.
fn is_older(header: &BatchHeader, producer: &ProducerState) -> bool {
    producer.batches.front().is_some_and(|oldest| comes_after(oldest.base_sequence(), header.last_sequence()))
}

/// True when `sequence` comes after `other`, going round at 2³¹: of two distances the shorter counts.
pub fn comes_after(sequence: i32, other: i32) -> bool {
    let distance = (i64::from(sequence) - i64::from(other)).rem_euclid(SEQUENCES);
    distance > 0 && distance < SEQUENCES / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, TransactionResult};

    /// A batch of `count` records.
    fn batch(epoch: i16, base_sequence: i32, count: i32, base_offset: Offset) -> BatchHeader {
        let mut builder =
            BatchBuilder::new().base_offset(base_offset).producer(ProducerId(7), ProducerEpoch(epoch), base_sequence);
        (0..count).for_each(|n| builder.append(1_000 + i64::from(n), None, Some(b"x"), &[]));
        BatchHeader::parse(&builder.build()).unwrap()
    }

    /// States after batches of `count` records each, from sequence number `first` on.
    fn states(batches: i32, count: i32, first: i32) -> ProducerStates {
        let mut states = ProducerStates::default();
        for n in 0..batches {
            let sequence = ((i64::from(first) + i64::from(n * count)) % SEQUENCES) as i32;
            let header = batch(0, sequence, count, i64::from(n * count));
            assert_eq!(states.check(&header), Verdict::Append);
            states.update(&header, None);
        }
        states
    }

    fn code(verdict: Verdict) -> Option<&'static str> {
        match verdict {
            Verdict::Append => None,
            Verdict::Duplicate(_) => Some("duplicate"),
            Verdict::Refuse(refusal) => Some(refusal.error_code().name()),
        }
    }

    #[test]
    fn the_last_five_batches_are_answered_with_their_offsets() {
        let states = states(7, 3, 0);
        for n in 2..7 {
            let Verdict::Duplicate(found) = states.check(&batch(0, 3 * n, 3, 0)) else { panic!("batch {n}") };
            assert_eq!((found.base_offset(), found.last_offset), (i64::from(3 * n), i64::from(3 * n + 2)));
        }
        assert_eq!(code(states.check(&batch(0, 3, 3, 0))), Some("DUPLICATE_SEQUENCE_NUMBER"));
        assert_eq!(code(states.check(&batch(0, 21, 3, 0))), None);
        assert_eq!(code(states.check(&batch(0, 22, 3, 0))), Some("OUT_OF_ORDER_SEQUENCE_NUMBER"));
        // Neither the same batch nor wholly older.
        assert_eq!(code(states.check(&batch(0, 18, 2, 0))), Some("OUT_OF_ORDER_SEQUENCE_NUMBER"));
        assert_eq!(code(states.check(&batch(0, 20, 3, 0))), Some("OUT_OF_ORDER_SEQUENCE_NUMBER"));
    }

    #[test]
    fn sequences_wrap() {
        let first = i32::MAX - 4;
        let states = states(3, 3, first);
        assert_eq!(states.describe()[0].last_sequence, 3);
        assert_eq!(code(states.check(&batch(0, 4, 1, 0))), None);
        assert_eq!(code(states.check(&batch(0, i32::MAX - 1, 3, 0))), Some("duplicate"));
        assert_eq!(code(states.check(&batch(0, first - 3, 3, 0))), Some("DUPLICATE_SEQUENCE_NUMBER"));
        assert_eq!(code(states.check(&batch(0, 5, 1, 0))), Some("OUT_OF_ORDER_SEQUENCE_NUMBER"));
    }

    #[test]
    fn an_unknown_producer_begins_anywhere() {
        assert_eq!(code(ProducerStates::default().check(&batch(3, 17, 1, 0))), None);
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old() {
        let mut states = states(2, 1, 0);
        assert_eq!(code(states.check(&batch(1, 2, 1, 0))), Some("OUT_OF_ORDER_SEQUENCE_NUMBER"));
        let header = batch(1, 0, 1, 2);
        assert_eq!(code(states.check(&header)), None);
        states.update(&header, None);
        assert_eq!(code(states.check(&batch(0, 2, 1, 0))), Some("INVALID_PRODUCER_EPOCH"));
        // Also a duplicate of the old epoch is a zombie's.
        assert_eq!(code(states.check(&batch(0, 1, 1, 0))), Some("INVALID_PRODUCER_EPOCH"));
        assert_eq!(code(states.check(&header)), Some("duplicate"));
    }

    #[test]
    fn transactions_open_and_end() {
        let mut states = ProducerStates::default();
        let transactional = |mut header: BatchHeader| {
            header.attributes.transactional = true;
            header
        };
        states.update(&transactional(batch(0, 0, 2, 10)), None);
        states.update(&transactional(batch(0, 2, 2, 12)), None);
        assert_eq!(states.first_unstable_offset(), Some(10));
        assert_eq!(code(states.check(&batch(0, 4, 1, 0))), Some("INVALID_TXN_STATE"));
        assert_eq!(states.expire(Wall(i64::MAX), 1), 0);
        let marker = EndTransactionMarker { result: TransactionResult::Commit, coordinator_epoch: 5 };
        let bytes = marker.batch(3_000, ProducerId(7), ProducerEpoch(1));
        states.update(&BatchHeader::parse(&bytes).unwrap(), Some(marker));
        assert_eq!(states.first_unstable_offset(), None);
        let info = states.describe()[0];
        assert_eq!((info.coordinator_epoch, info.producer_epoch, info.last_sequence), (5, ProducerEpoch(1), -1));
        assert_eq!(code(states.check(&batch(1, 0, 1, 0))), None);
    }

    #[test]
    fn idle_producers_are_forgotten() {
        let mut states = states(1, 1, 0);
        assert_eq!(states.expire(Wall(1_999), 1_000), 0);
        assert_eq!(states.expire(Wall(2_000), 1_000), 1);
        assert_eq!(code(states.check(&batch(0, 9, 1, 0))), None);
    }

    #[test]
    fn others_always_pass() {
        let mut builder = BatchBuilder::new();
        builder.append(0, None, None, &[]);
        let header = BatchHeader::parse(&builder.build()).unwrap();
        let mut states = ProducerStates::default();
        states.update(&header, None);
        assert_eq!(code(states.check(&header)), None);
        assert_eq!(states, ProducerStates::default());
    }
}
