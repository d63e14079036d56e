//! Transactions: what was promised to their producers, and what readers may see of them.
//!
//! A transaction is known by a number of its own, which every batch of it carries in the oracle's books. Its outcome is
//! what the first committed marker behind its records says; everything else has to agree with that.

use std::collections::{BTreeSet, HashSet};

use ottla::record::TransactionResult;
use ottla::transaction::{Producer, TransactionRecord, TransactionState};

use super::*;

/// The end of a producer's transaction in one partition.
#[derive(Clone, Copy, Debug)]
struct Marker {
    producer_id: i64,
    result: TransactionResult,
}

/// The oracle's books about transactions.
#[derive(Default)]
pub struct Transactions {
    /// By the batch's CRC: the transaction it belongs to.
    of_batch: HashMap<BatchId, u64>,
    markers: HashMap<BatchId, Marker>,
    /// By partition and producer id: transactions with committed records and no committed marker behind them.
    open: BTreeMap<(i32, i64), BTreeSet<u64>>,
    /// What the first committed marker of a transaction said.
    outcomes: HashMap<u64, TransactionResult>,
    /// What a producer was told about the end of its transaction.
    told: HashMap<u64, TransactionResult>,
    /// Where and how the transaction of a committed record ended, by partition and offset.
    ends: HashMap<(i32, Offset), TransactionResult>,
    /// Committed records of open transactions, by partition and producer id.
    undecided: HashMap<(i32, i64), Vec<Offset>>,
    /// When a batch was first appended, in steps.
    appended_at: HashMap<BatchId, u64>,
    /// From when on a producer id has been in at least this epoch: steps and epoch, by producer id.
    fenced: HashMap<i64, Vec<(u64, i16)>>,
    /// What a coordinator's batch says, by its CRC: the transactional id and its new state.
    states: HashMap<BatchId, (String, Producer, TransactionState)>,
    /// The last committed state of each transactional id.
    committed_states: HashMap<String, TransactionState>,
    /// Ends that are committed: the producer's id, the epoch of its markers, and what they say.
    decisions: HashSet<(i64, i16, bool)>,
    /// The highest epoch that anybody was told to go on in, by producer id.
    told_epochs: HashMap<i64, i16>,
    pub committed: u64,
    pub aborted: u64,
}

impl Transactions {
    /// The producer id and the result that a marker says, if the batch is one.
    pub(super) fn marker(&self, batch: BatchId) -> Option<(i64, TransactionResult)> {
        self.markers.get(&batch).map(|marker| (marker.producer_id, marker.result))
    }
}

impl Oracle {
    /// A batch belongs to a transaction.
    pub fn in_transaction(&mut self, batch: BatchId, transaction: u64) {
        self.transactions.of_batch.insert(batch, transaction);
    }

    /// A broker is about to append what no client has sent: a coordinator's record, or a marker.
    pub fn internal(&mut self, partition: i32, header: &BatchHeader) {
        self.produced(partition, header);
        if let Some(produced) = self.produced.get_mut(&BatchId::of(header)) {
            produced.producer = (-1, -1, -1);
        }
    }

    /// A marker is about to be appended.
    pub fn marker(&mut self, partition: i32, header: &BatchHeader, result: TransactionResult) {
        self.internal(partition, header);
        let decision = (header.producer_id.0, header.producer_epoch.0, result == TransactionResult::Commit);
        let decided = self.transactions.decisions.contains(&decision);
        check!(self, "B7", decided, "a marker for {decision:?} is written to {partition}, which nobody has decided");
        let marker = Marker { producer_id: header.producer_id.0, result };
        self.transactions.markers.insert(BatchId::of(header), marker);
    }

    /// A producer begins in this epoch, which nobody else has: nothing of an earlier one may be appended from now on (B6).
    pub fn initialised(&mut self, producer: Producer, step: u64) {
        let Producer { id, epoch } = producer;
        let before = self.transactions.told_epochs.get(&id.0).copied();
        check!(
            self,
            "B6",
            before.is_none_or(|before| before < epoch.0),
            "producer {id} begins in epoch {epoch}, but somebody was told epoch {before:?} before"
        );
        self.goes_on(producer);
        self.transactions.fenced.entry(producer.id.0).or_default().push((step, producer.epoch.0));
    }

    /// A producer was told to go on in this epoch.
    pub fn goes_on(&mut self, producer: Producer) {
        let told = self.transactions.told_epochs.entry(producer.id.0).or_insert(producer.epoch.0);
        *told = (*told).max(producer.epoch.0);
    }

    /// A producer was told that its transaction ended like this (B8).
    pub fn told_end(&mut self, transaction: u64, result: TransactionResult) {
        let books = &mut self.transactions;
        let before = *books.told.entry(transaction).or_insert(result);
        let outcome = books.outcomes.get(&transaction).copied().unwrap_or(result);
        check!(
            self,
            "B8",
            before == result && outcome == result,
            "the producer of transaction {transaction} was told {result:?}; before it was told {before:?}, and the markers say {outcome:?}"
        );
    }

    /// A coordinator is about to append a new state of a transactional id.
    pub fn transaction_record(&mut self, bytes: &[u8], id: &str, record: &TransactionRecord) {
        let header = BatchHeader::parse(bytes).expect("a batch begins with its header");
        let producer = Producer { id: record.producer_id, epoch: record.producer_epoch };
        self.transactions.states.insert(BatchId::of(&header), (id.to_owned(), producer, record.state));
    }

    /// A state is committed: one that ends a transaction is followed by its completion alone (B7).
    fn commit_state(&mut self, id: String, producer: Producer, state: TransactionState) {
        let books = &mut self.transactions;
        let before = books.committed_states.insert(id.clone(), state);
        if state.is_ending() {
            let commits = state == TransactionState::PrepareCommit;
            books.decisions.insert((producer.id.0, producer.epoch.0, commits));
        }
        let stands = match before {
            Some(TransactionState::PrepareCommit) => state == TransactionState::CompleteCommit,
            Some(TransactionState::PrepareAbort) => state == TransactionState::CompleteAbort,
            _ => true,
        };
        check!(self, "B7", stands, "{id} was {before:?} and is {state} now");
    }

    /// A leader appended a batch at this step.
    pub fn note_append(&mut self, batch: BatchId, step: u64) {
        self.transactions.appended_at.entry(batch).or_insert(step);
    }

    /// An entry is committed.
    pub(super) fn commit_entry(&mut self, partition: i32, offset: Offset, entry: Entry) {
        if let Some(marker) = self.transactions.markers.get(&entry.batch).copied() {
            return self.commit_marker(partition, offset, marker);
        }
        if let Some((id, producer, state)) = self.transactions.states.get(&entry.batch).cloned() {
            return self.commit_state(id, producer, state);
        }
        let Some((transaction, id, epoch)) = self.written_in(entry.batch) else { return };
        let books = &mut self.transactions;
        books.open.entry((partition, id)).or_default().insert(transaction);
        books.undecided.entry((partition, id)).or_default().push(offset);
        let appended_at = books.appended_at.get(&entry.batch).copied().unwrap_or(0);
        let fenced = books.fenced.get(&id).into_iter().flatten();
        let newest = fenced.filter(|(since, _)| *since < appended_at).map(|(_, epoch)| *epoch).max();
        check!(
            self,
            "B6",
            newest.is_none_or(|newest| newest <= epoch),
            "a batch of producer {id} in epoch {epoch} was appended to {partition}:{offset} at step {appended_at}, after epoch {newest:?} had begun"
        );
    }

    /// The transaction that a batch belongs to, with the id and epoch of its producer.
    fn written_in(&self, batch: BatchId) -> Option<(u64, i64, i16)> {
        if let Some(consumed) = self.consumed_in(batch) {
            return Some((consumed.transaction, consumed.producer.id.0, consumed.producer.epoch.0));
        }
        let (id, epoch, _) = self.produced.get(&batch)?.producer;
        Some((*self.transactions.of_batch.get(&batch)?, id, epoch))
    }

    fn commit_marker(&mut self, partition: i32, offset: Offset, marker: Marker) {
        let Marker { producer_id, result } = marker;
        if partition == self.group_partition {
            self.end_consumed(producer_id, result);
        }
        let books = &mut self.transactions;
        for at in books.undecided.remove(&(partition, producer_id)).unwrap_or_default() {
            books.ends.insert((partition, at), result);
        }
        let ended = books.open.remove(&(partition, producer_id)).unwrap_or_default();
        check!(
            self,
            "B4",
            ended.len() <= 1,
            "one marker at {partition}:{offset} ends the transactions {ended:?} of producer {producer_id}: records came late"
        );
        for transaction in ended {
            let books = &mut self.transactions;
            let is_new = !books.outcomes.contains_key(&transaction);
            let outcome = *books.outcomes.entry(transaction).or_insert(result);
            let told = books.told.get(&transaction).copied().unwrap_or(outcome);
            match outcome {
                TransactionResult::Commit => books.committed += u64::from(is_new),
                TransactionResult::Abort => books.aborted += u64::from(is_new),
            }
            check!(
                self,
                "B3",
                outcome == result && told == result,
                "transaction {transaction} ends with {result:?} at {partition}:{offset}, but with {outcome:?} elsewhere, and its producer was told {told:?}"
            );
        }
    }

    /// How its producer was told that a transaction ended, if it was.
    pub(super) fn told(&self, transaction: u64) -> Option<TransactionResult> {
        self.transactions.told.get(&transaction).copied()
    }

    /// A reader of committed records was given `entries`, and goes on at `next`.
    pub fn consumed_committed(&mut self, partition: i32, offset: Offset, next: Offset, entries: &[Entry]) {
        let committed = &self.committed[partition as usize];
        let books = &self.transactions;
        let mut expected = Vec::new();
        let mut undecided = None;
        for at in offset..next {
            let Some(entry) = committed.get(at as usize) else {
                undecided = Some(at);
                break;
            };
            if books.markers.contains_key(&entry.batch) {
                continue;
            }
            let is_transactional = books.of_batch.contains_key(&entry.batch);
            match books.ends.get(&(partition, at)) {
                Some(TransactionResult::Abort) => {}
                Some(TransactionResult::Commit) => expected.push(*entry),
                None if is_transactional => undecided = undecided.or(Some(at)),
                None => expected.push(*entry),
            }
        }
        check!(
            self,
            "B2",
            undecided.is_none() && expected == entries,
            "a reader of committed records was given {entries:?} of {partition}:{offset}..{next}; that is {expected:?}, undecided from {undecided:?} on"
        );
    }

    /// A transaction that the healed cluster has not ended.
    pub fn open_transaction(&self) -> Option<String> {
        let ((partition, producer_id), transactions) = self.transactions.open.iter().next()?;
        Some(format!("the transactions {transactions:?} of producer {producer_id} are open in {partition}"))
    }

    /// How many transactions were committed, and how many aborted.
    pub fn ended_transactions(&self) -> (u64, u64) {
        (self.transactions.committed, self.transactions.aborted)
    }
}
