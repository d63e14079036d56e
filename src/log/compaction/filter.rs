//! What becomes of one batch: it stays as it is, loses records, or goes.

use std::collections::HashMap;

use bytes::Bytes;

use super::offset_map::OffsetMap;
use super::transactions::CleanedTransactions;
use crate::log::LogConfig;
use crate::model::{Offset, ProducerId, Wall};
use crate::record::{Attributes, Batch, BatchBuilder, BatchHeader, Codec, Record, RecordError, Records, seal};

/// What is left of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// All of it, byte for byte.
    Whole,
    /// These bytes, with the same first and last offset.
    Rewritten(Bytes),
    /// Nothing is wanted of it.
    Nothing,
}

/// Decides batch after batch, from the start of the log.
#[derive(Debug)]
pub struct Filter<'a> {
    map: &'a OffsetMap,
    transactions: CleanedTransactions,
    /// Last offset of each producer's last batch, which stays for its sequence number.
    producers: &'a HashMap<ProducerId, Offset>,
    now: Wall,
    delete_retention_ms: i64,
    inflated_bytes_max: usize,
}

impl<'a> Filter<'a> {
    pub fn new(
        map: &'a OffsetMap,
        transactions: CleanedTransactions,
        producers: &'a HashMap<ProducerId, Offset>,
        (config, now): (&LogConfig, Wall),
        inflated_bytes_max: usize,
    ) -> Self {
        let delete_retention_ms = config.delete_retention_ms;
        Self { map, transactions, producers, now, delete_retention_ms, inflated_bytes_max }
    }

    /// What is kept of `batch`. With `must_stay` its offsets are wanted, whatever becomes of its records.
    pub fn look(&mut self, batch: &Batch<'_>, must_stay: bool) -> Result<Kept, RecordError> {
        let kept = if batch.header.is_control() { self.look_at_marker(batch)? } else { self.look_at_data(batch)? };
        let header = &batch.header;
        let last_of_producer =
            header.has_producer_id() && self.producers.get(&header.producer_id) == Some(&header.last_offset());
        Ok(match kept {
            Kept::Nothing if (must_stay || last_of_producer) && header.record_count == 0 => Kept::Whole,
            Kept::Nothing if must_stay || last_of_producer => Kept::Rewritten(emptied(header)),
            kept => kept,
        })
    }

    fn look_at_marker(&mut self, batch: &Batch<'_>) -> Result<Kept, RecordError> {
        if !self.transactions.is_superfluous(batch) {
            return Ok(Kept::Whole);
        }
        match batch.header.delete_horizon() {
            _ if batch.header.record_count == 0 => Ok(Kept::Nothing),
            Some(horizon) if self.now.0 >= horizon => Ok(Kept::Nothing),
            Some(_) => Ok(Kept::Whole),
            None => {
                let records: Vec<_> = Records::new(&batch.header, batch.records_bytes()).collect::<Result<_, _>>()?;
                Ok(Kept::Rewritten(self.rewritten(&batch.header, &records, true)))
            }
        }
    }

    fn look_at_data(&mut self, batch: &Batch<'_>) -> Result<Kept, RecordError> {
        if self.transactions.is_aborted(batch) || batch.header.record_count == 0 {
            return Ok(Kept::Nothing);
        }
        let plain = batch.plain_records(self.inflated_bytes_max)?;
        let horizon = batch.header.delete_horizon();
        let (mut kept, mut total, mut tombstones) = (Vec::new(), 0, false);
        for record in Records::new(&batch.header, &plain) {
            let record = record?;
            total += 1;
            if self.is_wanted(&record, horizon) {
                tombstones |= record.value.is_none();
                kept.push(record);
            }
        }
        let begins_horizon = tombstones && horizon.is_none();
        if kept.is_empty() {
            return Ok(Kept::Nothing);
        }
        if kept.len() == total && !begins_horizon {
            return Ok(Kept::Whole);
        }
        Ok(Kept::Rewritten(self.rewritten(&batch.header, &kept, begins_horizon)))
    }

    /// Records without a key have no place in a compacted log; they come from before it was one.
    fn is_wanted(&self, record: &Record<'_>, horizon: Option<i64>) -> bool {
        if record.offset >= self.map.end_offset() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let outlived = record.value.is_none() && horizon.is_some_and(|horizon| self.now.0 >= horizon);
        self.map.is_newest(key, record.offset) && !outlived
    }

    fn rewritten(&self, header: &BatchHeader, records: &[Record<'_>], begins_horizon: bool) -> Bytes {
        let mut header = *header;
        if begins_horizon {
            header.attributes.delete_horizon = true;
            header.base_timestamp = self.now.0.saturating_add(self.delete_retention_ms);
        }
        let mut batch = BatchBuilder::replacing(&header);
        records.iter().for_each(|record| batch.append_at(record));
        batch.build()
    }
}

/// The batch without a record: its offsets, its producer and its sequence numbers.
fn emptied(header: &BatchHeader) -> Bytes {
    let attributes = Attributes { codec: Codec::None, ..header.attributes };
    seal(BatchHeader { record_count: 0, attributes, ..*header }, &[])
}
