//! Reads a partition of an internal topic from its start, record by record.

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, ProducerId};
use crate::partition::{Isolation, PartitionError, Replica};
use crate::protocol::DecodeError;
use crate::record::{Batch, Batches, EndTransactionMarker, RecordError, Records, TransactionResult};

/// An internal batch inflates to no more than this.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the log of an internal topic says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Logged<'a> {
    /// A record.
    Record {
        /// Set when the record counts only once this producer's transaction is committed.
        producer_id: Option<ProducerId>,
        /// Its key.
        key: &'a Bytes,
        /// Its value; `None` is a tombstone.
        value: Option<&'a Bytes>,
    },
    /// A producer's transaction has ended.
    Marker {
        /// Whose.
        producer_id: ProducerId,
        /// How.
        result: TransactionResult,
    },
}

/// Why a partition cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The replica cannot be read, or does not lead any more.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The file cannot be read.
    #[error("cannot read records at offset {offset}: {source}")]
    Io {
        /// Where reading began.
        offset: Offset,
        /// What the disk said.
        source: std::io::Error,
    },
    /// A batch is damaged.
    #[error("the batch at offset {offset} is damaged: {source}")]
    Batch {
        /// Where the batch begins, or where reading began.
        offset: Offset,
        /// What is wrong.
        source: RecordError,
    },
    /// A record says nothing we understand.
    #[error("the record at offset {offset} cannot be read: {source}")]
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        source: DecodeError,
    },
    /// Nothing can be read although the log says that there is more.
    #[error("the log ends at offset {offset}, before {end}")]
    Short {
        /// Where reading stopped.
        offset: Offset,
        /// Where it should have.
        end: Offset,
    },
}

/// Replays every record below `end` with `replay`. Blocks on the disk. `end` must be committed.
pub(super) fn load(
    replica: &Replica,
    leader_epoch: LeaderEpoch,
    end: Offset,
    buffer_bytes: usize,
    mut replay: impl FnMut(Logged<'_>) -> Result<(), DecodeError>,
) -> Result<(), LoadError> {
    let mut offset = replica.log_start_offset();
    while offset < end {
        if replica.leader_epoch() != Some(leader_epoch) {
            return Err(PartitionError::NotLeader(replica.topic_partition().clone()).into());
        }
        let chunk = read_chunk(replica, offset, buffer_bytes)?;
        let mut next = offset;
        for batch in Batches::new(&chunk) {
            let batch = batch.map_err(|source| LoadError::Batch { offset: next, source })?;
            replay_batch(&batch, offset, &mut replay)?;
            next = batch.header.next_offset();
        }
        if next <= offset {
            return Err(LoadError::Short { offset, end });
        }
        offset = next;
    }
    Ok(())
}

fn read_chunk(replica: &Replica, offset: Offset, buffer_bytes: usize) -> Result<Vec<u8>, LoadError> {
    let read = replica.read(offset, buffer_bytes, true, Isolation::ReadUncommitted)?;
    let mut chunk = Vec::new();
    if let Some(slice) = read.slice {
        slice.read_into(&mut chunk).map_err(|source| LoadError::Io { offset, source })?;
    }
    Ok(chunk)
}

fn replay_batch(
    batch: &Batch<'_>,
    from: Offset,
    replay: &mut impl FnMut(Logged<'_>) -> Result<(), DecodeError>,
) -> Result<(), LoadError> {
    let damaged = |source| LoadError::Batch { offset: batch.header.base_offset, source };
    batch.verify_crc().map_err(damaged)?;
    let header = &batch.header;
    let producer_id = header.is_transactional().then_some(header.producer_id);
    let plain = batch.plain_records(BATCH_BYTES_MAX).map_err(damaged)?;
    for record in Records::new(&batch.header, &plain) {
        let record = record.map_err(damaged)?;
        if record.offset < from {
            continue;
        }
        let unreadable = |source| LoadError::Record { offset: record.offset, source };
        if header.is_control() {
            if let Some(marker) = EndTransactionMarker::from_record(&record) {
                let (producer_id, result) = (header.producer_id, marker.result);
                replay(Logged::Marker { producer_id, result }).map_err(unreadable)?;
            }
            continue;
        }
        let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
        let value = record.value.map(Bytes::copy_from_slice);
        replay(Logged::Record { producer_id, key: &key, value: value.as_ref() }).map_err(unreadable)?;
    }
    Ok(())
}
