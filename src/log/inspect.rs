//! Reads single files of a log for people. Nothing is recovered, cached or written here: what a file holds is told, and
//! where it stops making sense.

use std::path::Path;

use super::file_names::{FileKind, parse_file_name};
use super::index_file::IndexEntry;
use super::offset_index::OffsetEntry;
use super::producer_snapshot;
use super::time_index::TimeEntry;
use super::transaction_index::AbortedTransaction;
use crate::model::{Offset, ProducerEpoch, ProducerId};

/// What a file of a log holds, by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogFileKind {
    /// `.log`: record batches.
    Batches,
    /// `.index`: where batches lie, by offset.
    OffsetIndex,
    /// `.timeindex`: offsets by timestamp.
    TimeIndex,
    /// `.txnindex`: aborted transactions.
    TransactionIndex,
    /// `.snapshot`: producers before an offset.
    ProducerSnapshot,
}

/// An entry of an offset index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexedOffset {
    /// Last offset of a batch.
    pub offset: Offset,
    /// Where the batch begins in the segment.
    pub position: u64,
}

/// An entry of a time index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexedTime {
    /// The largest timestamp so far; milliseconds.
    pub timestamp: i64,
    /// Last offset of the batch that has it.
    pub offset: Offset,
}

/// A producer in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotProducer {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// Its last sequence number, −1 for none.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch or marker; milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_first_offset: Option<Offset>,
}

/// The base offset in a file's name and what the file holds; `None` for files that are none of a log's.
pub fn log_file_kind(path: &Path) -> Option<(Offset, LogFileKind)> {
    let (offset, kind) = parse_file_name(path.file_name()?.to_str()?)?;
    let kind = match kind {
        FileKind::Log => LogFileKind::Batches,
        FileKind::OffsetIndex => LogFileKind::OffsetIndex,
        FileKind::TimeIndex => LogFileKind::TimeIndex,
        FileKind::TransactionIndex => LogFileKind::TransactionIndex,
        FileKind::ProducerSnapshot => LogFileKind::ProducerSnapshot,
    };
    Some((offset, kind))
}

/// The entries of an offset index of the segment from `base_offset` on; the zeros written ahead are none.
pub fn offset_index_entries(base_offset: Offset, bytes: &[u8]) -> Vec<IndexedOffset> {
    let entries = entries::<OffsetEntry>(base_offset, bytes).into_iter();
    entries.map(|entry| IndexedOffset { offset: entry.offset, position: entry.position }).collect()
}

/// The entries of a time index of the segment from `base_offset` on; the zeros written ahead are none.
pub fn time_index_entries(base_offset: Offset, bytes: &[u8]) -> Vec<IndexedTime> {
    let entries = entries::<TimeEntry>(base_offset, bytes).into_iter();
    entries.map(|entry| IndexedTime { timestamp: entry.timestamp, offset: entry.offset }).collect()
}

/// The aborted transactions of a transaction index.
pub fn transaction_index_entries(bytes: &[u8]) -> Vec<AbortedTransaction> {
    entries(0, bytes)
}

/// The producers of a snapshot in the order of their ids; `None` when it is not whole.
pub fn snapshot_producers(bytes: &[u8]) -> Option<Vec<SnapshotProducer>> {
    let states = producer_snapshot::decode(bytes)?;
    let producer = |(producer_id, state): (ProducerId, &super::producer_state::ProducerState)| SnapshotProducer {
        producer_id,
        producer_epoch: state.epoch,
        last_sequence: state.last_sequence(),
        last_timestamp: state.last_timestamp,
        coordinator_epoch: state.coordinator_epoch,
        current_txn_first_offset: state.current_txn_first_offset,
    };
    Some(states.sorted().into_iter().map(producer).collect())
}

/// Entries that rise; what follows the last of them are zeros, or was never finished.
fn entries<E: IndexEntry>(base_offset: Offset, bytes: &[u8]) -> Vec<E> {
    let mut entries: Vec<E> = Vec::new();
    for chunk in bytes.chunks_exact(E::SIZE) {
        match E::decode(base_offset, chunk) {
            Some(entry) if entries.last().is_none_or(|last| entry.follows(last)) => entries.push(entry),
            _ => break,
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_ends_where_its_zeros_begin() {
        let mut bytes = Vec::new();
        OffsetEntry { offset: 107, position: 4096 }.encode(100, &mut bytes);
        OffsetEntry { offset: 120, position: 9000 }.encode(100, &mut bytes);
        bytes.extend([0; 64]);
        let entries = offset_index_entries(100, &bytes);
        assert_eq!(entries.last(), Some(&IndexedOffset { offset: 120, position: 9000 }));
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn files_are_known_by_their_names() {
        let kind = |name: &str| log_file_kind(Path::new(name));
        assert_eq!(kind("/d/t-0/00000000000000000042.timeindex"), Some((42, LogFileKind::TimeIndex)));
        assert_eq!(kind("/d/t-0/leader-epoch-checkpoint"), None);
    }
}
