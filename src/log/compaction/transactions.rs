//! Which batches of a log belong to aborted transactions, and which markers nobody needs any more.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::log::AbortedTransaction;
use crate::model::ProducerId;
use crate::record::{Batch, EndTransactionMarker, Records, TransactionResult};

/// The transactions of a log, followed from batch to batch. All of them are decided.
#[derive(Debug, Default)]
pub struct CleanedTransactions {
    /// Aborted ones that have not begun yet, by their first offset.
    to_come: VecDeque<AbortedTransaction>,
    /// Aborted ones that have begun, with whether a batch of theirs was met.
    aborted: HashMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of whose current transaction, a committed one, a batch was met.
    committed: HashSet<ProducerId>,
}

impl CleanedTransactions {
    /// `aborted`: the aborted transactions that reach into what will be followed.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|aborted| aborted.first_offset);
        Self { to_come: aborted.into(), ..Self::default() }
    }

    /// Takes note of a batch of data; true when it was aborted.
    pub fn is_aborted(&mut self, batch: &Batch<'_>) -> bool {
        if !batch.header.is_transactional() {
            return false;
        }
        match self.begun(batch) {
            Some(met) => {
                *met = true;
                true
            }
            None => {
                self.committed.insert(batch.header.producer_id);
                false
            }
        }
    }

    /// Takes note of a control batch; true when no batch of the transaction that it ends was met. Markers that are
    /// not understood are needed.
    pub fn is_superfluous(&mut self, batch: &Batch<'_>) -> bool {
        let marker = Records::new(&batch.header, batch.records_bytes())
            .next()
            .and_then(|record| EndTransactionMarker::from_record(&record.ok()?));
        let producer_id = batch.header.producer_id;
        match marker.map(|marker| marker.result) {
            Some(TransactionResult::Abort) => {
                let met = self.begun(batch).is_some_and(|met| *met);
                self.aborted.remove(&producer_id);
                !met
            }
            Some(TransactionResult::Commit) => !self.committed.remove(&producer_id),
            // An emptied batch has done its duty; only its offsets are wanted still.
            None => batch.header.record_count == 0,
        }
    }

    /// The aborted transaction of which this batch is a part, as whether any of it was met before.
    fn begun(&mut self, batch: &Batch<'_>) -> Option<&mut bool> {
        while let Some(next) = self.to_come.front().filter(|next| next.first_offset <= batch.header.last_offset()) {
            self.aborted.insert(next.producer_id, (*next, false));
            self.to_come.pop_front();
        }
        // One whose marker is gone already ends all the same: the producer's next transaction is another one.
        let (aborted, met) = self.aborted.get_mut(&batch.header.producer_id)?;
        (batch.header.base_offset <= aborted.last_offset).then_some(met)
    }
}
