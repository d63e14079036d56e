//! One partition that keeps what a coordinator knows, served by the broker that leads it.
//!
//! It does what `coordinator/host.rs` does: load once the log's end at the beginning of the leadership is committed,
//! serve, and load anew when an append has failed so that nobody knows its outcome.

use bytes::Bytes;
use ottla::log::LogError;
use ottla::model::{ErrorCode, LeaderEpoch, Offset, ProducerId};
use ottla::record::{Batches, EndTransactionMarker, Records, TransactionResult};

use crate::replica::Replica;

/// Most bytes that a batch inflates to.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What a partition's records add up to.
pub trait Machine: Default {
    /// Takes over what a record says; without a value it is a tombstone. With a producer it belongs to a transaction.
    fn replay(&mut self, producer_id: Option<ProducerId>, key: &Bytes, value: Option<&Bytes>);

    /// A producer's transaction has ended.
    fn end_transaction(&mut self, _: ProducerId, result: TransactionResult) {
        unreachable!("nothing is written here in transactions that could end with {result:?}");
    }
}

enum Slot<M> {
    Absent,
    Loading { end: Offset },
    Active(M),
}

/// The partition as this broker serves it.
pub struct Host<M> {
    pub partition: i32,
    pub leader_epoch: Option<LeaderEpoch>,
    /// One past the last record that the machine knows of.
    pub written: Offset,
    slot: Slot<M>,
}

/// What has become of the partition since the last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    None,
    /// Another leadership, or none: whoever waits is told.
    Resigned,
    /// All records have been replayed.
    Loaded,
}

impl<M: Machine> Host<M> {
    pub fn new(partition: i32) -> Self {
        Self { partition, leader_epoch: None, written: 0, slot: Slot::Absent }
    }

    /// Looks whether the replica leads, and how far it is committed.
    pub fn look(&mut self, replica: Option<&Replica>) -> Result<Change, LogError> {
        let leads = replica.and_then(Replica::leader_epoch);
        if leads != self.leader_epoch {
            self.leader_epoch = leads;
            self.slot = match replica.filter(|_| leads.is_some()) {
                Some(replica) => Slot::Loading { end: replica.log_end_offset() },
                None => Slot::Absent,
            };
            return Ok(Change::Resigned);
        }
        let (Slot::Loading { end }, Some(replica)) = (&self.slot, replica) else { return Ok(Change::None) };
        let end = *end;
        if replica.high_watermark() < end {
            return Ok(Change::None);
        }
        let mut machine = M::default();
        replay(&replica.read_all(end)?, &mut machine);
        self.written = end;
        self.slot = Slot::Active(machine);
        Ok(Change::Loaded)
    }

    /// Reads everything again: an append failed, and its records may be in the log all the same.
    pub fn reload(&mut self, replica: &Replica) {
        if self.leader_epoch.is_some() {
            self.slot = Slot::Loading { end: replica.log_end_offset() };
        }
    }

    /// What the partition holds; an error says why it cannot be served here.
    pub fn machine(&mut self) -> Result<&mut M, ErrorCode> {
        match &mut self.slot {
            Slot::Absent => Err(ErrorCode::NotCoordinator),
            Slot::Loading { .. } => Err(ErrorCode::CoordinatorLoadInProgress),
            Slot::Active(machine) => Ok(machine),
        }
    }
}

fn replay<M: Machine>(bytes: &[u8], machine: &mut M) {
    for batch in Batches::new(bytes).flatten() {
        let header = &batch.header;
        let plain = batch.plain_records(BATCH_BYTES_MAX).expect("what was appended can be read");
        let producer_id = header.is_transactional().then_some(header.producer_id);
        for record in Records::new(header, &plain).flatten() {
            if header.is_control() {
                let marker = EndTransactionMarker::from_record(&record).expect("markers are the only such records");
                machine.end_transaction(header.producer_id, marker.result);
                continue;
            }
            let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
            let value = record.value.map(Bytes::copy_from_slice);
            machine.replay(producer_id, &key, value.as_ref());
        }
    }
}
