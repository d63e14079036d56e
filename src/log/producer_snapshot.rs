//! `<offset>.snapshot`: the producers before an offset.
//!
//! Kafka's format, version 1, persisted, keep stable; big-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | version, 1 |
//! | 4 | CRC-32C of all that follows |
//! | 4 | number of entries |
//!
//! and per entry:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | producer id |
//! | 2 | producer epoch |
//! | 4 | last sequence number, −1 for none |
//! | 8 | offset of its record, −1 for none |
//! | 4 | last offset of the batch − its base offset |
//! | 8 | largest timestamp |
//! | 4 | epoch of the transaction coordinator, −1 for none |
//! | 8 | first offset of the open transaction, −1 for none |
//!
//! Kafka writes one entry per producer and so forgets all batches but the last. Here a producer has one entry per batch
//! remembered, oldest first, so that a retry is recognized after a restart too. Kafka reads that as well: of entries
//! with one id it keeps the last.

use std::collections::VecDeque;

use crate::model::{Offset, ProducerEpoch, ProducerId};
use crate::record::{NO_SEQUENCE, crc32c};

use super::producer_state::{ProducerState, ProducerStates, RememberedBatch};

const VERSION: i16 = 1;
const CRC_END: usize = 6;
const ENTRY_BYTES: usize = 46;

/// The bytes of a snapshot.
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count: i32 = 0;
    for (producer_id, producer) in states.sorted() {
        let none = RememberedBatch { last_sequence: NO_SEQUENCE, last_offset: -1, offset_delta: 0, timestamp: -1 };
        let last = producer.batches.back().copied().unwrap_or(none);
        let older = producer.batches.iter().take(producer.batches.len().saturating_sub(1));
        for batch in older {
            // Only the last entry of a producer tells of its transaction.
            encode_entry(&mut entries, producer_id, producer, batch, batch.timestamp, None);
        }
        let current = producer.current_txn_first_offset;
        encode_entry(&mut entries, producer_id, producer, &last, producer.last_timestamp, current);
        count += producer.batches.len().max(1) as i32;
    }
    let body = [&count.to_be_bytes()[..], &entries].concat();
    [&VERSION.to_be_bytes()[..], &crc32c(&body).to_be_bytes(), &body].concat()
}

fn encode_entry(
    bytes: &mut Vec<u8>,
    producer_id: ProducerId,
    producer: &ProducerState,
    batch: &RememberedBatch,
    timestamp: i64,
    current_txn_first_offset: Option<Offset>,
) {
    bytes.extend_from_slice(&producer_id.0.to_be_bytes());
    bytes.extend_from_slice(&producer.epoch.0.to_be_bytes());
    bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
    bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
    bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&current_txn_first_offset.unwrap_or(-1).to_be_bytes());
}

/// Reads a snapshot; `None` when it is not whole, as one that a crash interrupted: the batches tell the same again.
pub fn decode(bytes: &[u8]) -> Option<ProducerStates> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (crc, body) = rest.split_first_chunk()?;
    if i16::from_be_bytes(*version) != VERSION || u32::from_be_bytes(*crc) != crc32c(bytes.get(CRC_END..)?) {
        return None;
    }
    let (count, entries) = body.split_first_chunk()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    if count.checked_mul(ENTRY_BYTES)? != entries.len() {
        return None;
    }
    let mut states = ProducerStates::default();
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (producer_id, producer) = decode_entry(entry)?;
        states.restore(producer_id, producer);
    }
    Some(states)
}

fn decode_entry(bytes: &[u8]) -> Option<(ProducerId, ProducerState)> {
    let (producer_id, bytes) = bytes.split_first_chunk()?;
    let (epoch, bytes) = bytes.split_first_chunk()?;
    let (last_sequence, bytes) = bytes.split_first_chunk()?;
    let (last_offset, bytes) = bytes.split_first_chunk()?;
    let (offset_delta, bytes) = bytes.split_first_chunk()?;
    let (timestamp, bytes) = bytes.split_first_chunk()?;
    let (coordinator_epoch, bytes) = bytes.split_first_chunk()?;
    let timestamp = i64::from_be_bytes(*timestamp);
    let batch = RememberedBatch {
        last_sequence: i32::from_be_bytes(*last_sequence),
        last_offset: i64::from_be_bytes(*last_offset),
        offset_delta: i32::from_be_bytes(*offset_delta),
        timestamp,
    };
    let first_offset = i64::from_be_bytes(*bytes.first_chunk()?);
    let producer = ProducerState {
        epoch: ProducerEpoch(i16::from_be_bytes(*epoch)),
        batches: if batch.last_sequence >= 0 { VecDeque::from([batch]) } else { VecDeque::new() },
        last_timestamp: timestamp,
        coordinator_epoch: i32::from_be_bytes(*coordinator_epoch),
        current_txn_first_offset: (first_offset >= 0).then_some(first_offset),
    };
    Some((ProducerId(i64::from_be_bytes(*producer_id)), producer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> ProducerStates {
        let mut states = ProducerStates::default();
        for id in 0..3_i32 {
            let batch = |n: i32| RememberedBatch {
                last_sequence: 10 * n + id,
                last_offset: i64::from(100 * n),
                offset_delta: id,
                timestamp: i64::from(1_000 + n),
            };
            states.restore(
                ProducerId(i64::from(id)),
                ProducerState {
                    epoch: ProducerEpoch(id as i16),
                    batches: (0..2 * id).map(batch).collect(),
                    last_timestamp: 1_000 + i64::from(2 * id - 1),
                    coordinator_epoch: id - 1,
                    current_txn_first_offset: (id == 2).then_some(77),
                },
            );
        }
        states
    }

    #[test]
    fn round_trip() {
        for states in [ProducerStates::default(), states()] {
            let bytes = encode(&states);
            assert_eq!(decode(&bytes), Some(states));
        }
        // One producer without a batch, one with two, one with four.
        assert_eq!(encode(&states()).len(), 10 + 7 * ENTRY_BYTES);
    }

    #[test]
    fn only_whole_snapshots_are_read() {
        let bytes = encode(&states());
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), None);
        }
        assert_eq!(decode(&[0; 100]), None);
    }
}
