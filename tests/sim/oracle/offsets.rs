//! Offsets that are committed in transactions: whoever reads, writes and commits in one processes each record once.
//!
//! The history of a partition's committed offset is that of the group's log: the offset of a transaction counts from the
//! transaction's marker on, and must begin where the one before it ended.

use std::collections::BTreeSet;

use ottla::record::TransactionResult;
use ottla::transaction::Producer;

use super::groups::Said;
use super::*;
use crate::message::{ConsumedOffset, Input};

/// What a transaction has consumed, by the batch that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consumed {
    pub transaction: u64,
    pub producer: Producer,
    pub generation: i32,
    pub partition: i32,
    pub from: Offset,
    pub to: Offset,
}

/// The oracle's books about them.
#[derive(Default)]
pub struct Offsets {
    /// Committed entries of open transactions, by producer id and partition.
    open: BTreeMap<i64, BTreeMap<i32, Consumed>>,
    /// Every offset that was ever committed, by partition.
    history: BTreeMap<i32, BTreeSet<Offset>>,
    /// What was committed when the record of a generation was, by generation and partition.
    at_generation: BTreeMap<i32, BTreeMap<i32, Offset>>,
    /// Transactions whose commit has moved an offset.
    counted: BTreeSet<u64>,
    /// Transactions whose offset was acknowledged.
    acknowledged: BTreeSet<u64>,
    dropped: u64,
    pub unstable: u64,
}

impl Offsets {
    fn committed(&self, partition: i32) -> Offset {
        self.history.get(&partition).and_then(BTreeSet::last).copied().unwrap_or(0)
    }
}

impl Oracle {
    /// A coordinator is about to append the offset of a transaction.
    pub fn consumed_offset(&mut self, bytes: &[u8], consumed: &ConsumedOffset) {
        let header = BatchHeader::parse(bytes).expect("a batch begins with its header");
        let ConsumedOffset { of, transaction, input, .. } = consumed;
        let Input { generation, partition, from, to, .. } = **input;
        let consumed = Consumed { transaction: *transaction, producer: of.producer, generation, partition, from, to };
        self.groups.said.insert(BatchId::of(&header), Said::Consumed(consumed));
    }

    pub(super) fn consumed_in(&self, batch: BatchId) -> Option<Consumed> {
        match self.groups.said.get(&batch) {
            Some(Said::Consumed(consumed)) => Some(*consumed),
            _ => None,
        }
    }

    pub(super) fn begin_generation(&mut self, generation: i32) {
        self.groups.generation = generation;
        let committed = self.offsets.history.keys().map(|partition| (*partition, self.offsets.committed(*partition)));
        let committed = committed.collect();
        self.offsets.at_generation.entry(generation).or_insert(committed);
    }

    /// The offset of an open transaction is in the log: of the present generation alone (KIP-447).
    pub(super) fn commit_consumed(&mut self, consumed: Consumed) {
        let current = self.groups.generation;
        self.offsets.open.entry(consumed.producer.id.0).or_default().insert(consumed.partition, consumed);
        check!(
            self,
            "C2/B3",
            consumed.generation == current,
            "{consumed:?} was accepted in generation {current} of the group"
        );
    }

    /// A transaction's marker is committed in the group's log. What was read by it was read by nobody before, and nothing
    /// was left out: its offset continues the last one.
    pub(super) fn end_consumed(&mut self, producer_id: i64, result: TransactionResult) {
        for consumed in self.offsets.open.remove(&producer_id).unwrap_or_default().into_values() {
            if result == TransactionResult::Abort {
                self.offsets.dropped += 1;
                continue;
            }
            let before = self.offsets.committed(consumed.partition);
            self.offsets.history.entry(consumed.partition).or_default().insert(consumed.to);
            self.offsets.counted.insert(consumed.transaction);
            check!(
                self,
                "B3/C1",
                consumed.from == before && consumed.to > before,
                "{consumed:?} is committed, but the group was at {before}: records are processed twice, or never"
            );
        }
    }

    /// A member of a generation was told where the group is in a partition: a committed transaction must have said so, and
    /// none that was committed before the generation began may be missing.
    pub fn told_offset(&mut self, generation: i32, partition: i32, told: Option<Offset>) {
        let told = told.unwrap_or(0);
        let of_generation = self.offsets.at_generation.get(&generation);
        let least = of_generation.and_then(|offsets| offsets.get(&partition)).copied().unwrap_or(0);
        let was_committed = told == 0 || self.offsets.history.get(&partition).is_some_and(|all| all.contains(&told));
        check!(
            self,
            "B2/C1",
            was_committed && told >= least,
            "a member of generation {generation} was told that the group is at {told} of {partition}: when the generation began that was {least}, and {} is committed now",
            self.offsets.committed(partition)
        );
    }

    /// A member was told to wait for the end of a transaction.
    pub fn told_unstable(&mut self) {
        self.offsets.unstable += 1;
    }

    /// A producer was told that the offset of its transaction is in.
    pub fn acknowledged_offset(&mut self, transaction: u64) {
        self.offsets.acknowledged.insert(transaction);
    }

    /// Everything has healed: transactions that their producers know to be committed have moved their offsets.
    pub fn offsets_are_in(&mut self) {
        let committed = |transaction: &u64| self.told(*transaction) == Some(TransactionResult::Commit);
        let acknowledged = self.offsets.acknowledged.iter().copied().filter(committed);
        let told: Vec<u64> = acknowledged.collect();
        for transaction in told {
            check!(
                self,
                "B3/C1",
                self.offsets.counted.contains(&transaction),
                "transaction {transaction} was told to be committed, but its offset is not"
            );
        }
    }

    /// How many transactions have moved an offset, how many had theirs dropped, and how often a member had to wait.
    pub fn offsets_in_transactions(&self) -> [u64; 3] {
        [self.offsets.counted.len() as u64, self.offsets.dropped, self.offsets.unstable]
    }
}
