//! `__transaction_state`: what its records look like.
//!
//! The schemas are Kafka's (`protocol::transaction_records`), so that Kafka's own formatters read the topic. A
//! transactional id lives on the partition that [`super::partition_for`] gives it. Persisted, keep stable:
//!
//! | record | key | value |
//! |---|---|---|
//! | a transactional id | `TransactionLogKey` v0 | `TransactionLogValue` v1 |
//! | one that is forgotten | the same | none |

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{ProducerEpoch, ProducerId, TopicPartition, Wall};
use crate::protocol::{
    DecodeError, TransactionLogKey, TransactionLogPartitions, TransactionLogValue, decode_with_version,
    encode_with_version,
};
use crate::record::BatchBuilder;
use crate::transaction::{TransactionRecord, TransactionState, TransactionVersion};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;
/// Kafka's "absent" for a timestamp.
const NO_TIMESTAMP: i64 = -1;
/// Kafka's state of an id that is being forgotten; only its tombstone counts.
const DEAD: i8 = 6;

/// A batch with one record.
pub fn batch(transactional_id: &str, record: Option<&TransactionRecord>, now: Wall) -> Bytes {
    let key = encode_with_version(KEY_VERSION, &TransactionLogKey { transactional_id: transactional_id.to_owned() });
    let value = record.map(|record| encode_with_version(VALUE_VERSION, &value(record)));
    let mut builder = BatchBuilder::new();
    builder.append(now.0, Some(&key), value.as_deref(), &[]);
    builder.build()
}

/// The transactional id, and what is known of it.
pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<(String, Option<TransactionRecord>), DecodeError> {
    let TransactionLogKey { transactional_id } = decode_with_version(key)?;
    let value = value.map(decode_with_version::<TransactionLogValue>).transpose()?;
    Ok((transactional_id, value.and_then(record)))
}

fn value(record: &TransactionRecord) -> TransactionLogValue {
    TransactionLogValue {
        producer_id: record.producer_id.0,
        producer_epoch: record.producer_epoch.0,
        transaction_timeout_ms: record.timeout_ms,
        transaction_status: status(record.state),
        transaction_partitions: (record.state != TransactionState::Empty).then(|| partitions(record)),
        transaction_last_update_timestamp_ms: record.last_update.0,
        transaction_start_timestamp_ms: record.started.map_or(NO_TIMESTAMP, |started| started.0),
        previous_producer_id: record.previous_producer_id.0,
        next_producer_id: record.next_producer_id.0,
        client_transaction_version: record.client_version.level().into(),
        ..TransactionLogValue::default()
    }
}

fn partitions(record: &TransactionRecord) -> Vec<TransactionLogPartitions> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &record.partitions {
        by_topic.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic = |(topic, partition_ids): (&str, _)| TransactionLogPartitions { topic: topic.to_owned(), partition_ids };
    by_topic.into_iter().map(topic).collect()
}

/// `None` for an id that is dead, or in a state that no Kafka writes.
fn record(value: TransactionLogValue) -> Option<TransactionRecord> {
    let partition = |topic: TransactionLogPartitions| {
        let name: Arc<str> = topic.topic.into();
        topic.partition_ids.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
    };
    Some(TransactionRecord {
        producer_id: ProducerId(value.producer_id),
        producer_epoch: ProducerEpoch(value.producer_epoch),
        previous_producer_id: ProducerId(value.previous_producer_id),
        next_producer_id: ProducerId(value.next_producer_id),
        last_producer_epoch: ProducerEpoch::NONE,
        timeout_ms: value.transaction_timeout_ms,
        state: state(value.transaction_status)?,
        partitions: value.transaction_partitions.unwrap_or_default().into_iter().flat_map(partition).collect(),
        started: Some(value.transaction_start_timestamp_ms).filter(|&ms| ms != NO_TIMESTAMP).map(Wall),
        last_update: Wall(value.transaction_last_update_timestamp_ms),
        client_version: TransactionVersion::from_level(value.client_transaction_version),
    })
}

fn status(state: TransactionState) -> i8 {
    match state {
        TransactionState::Empty => 0,
        TransactionState::Ongoing => 1,
        TransactionState::PrepareCommit => 2,
        TransactionState::PrepareAbort => 3,
        TransactionState::CompleteCommit => 4,
        TransactionState::CompleteAbort => 5,
    }
}

fn state(value: i8) -> Option<TransactionState> {
    if value != DEAD && TransactionState::ALL.iter().all(|&state| status(state) != value) {
        tracing::error!(value, "a transactional id is in a state that is not known; it is taken as unused");
    }
    TransactionState::ALL.into_iter().find(|&state| status(state) == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batches, Records};

    fn example(state: TransactionState) -> TransactionRecord {
        let partitions = [("a", 1), ("a", 0), ("b", 7)].map(|(topic, index)| TopicPartition::new(topic, index));
        TransactionRecord {
            producer_id: ProducerId(4_000),
            producer_epoch: ProducerEpoch(3),
            previous_producer_id: ProducerId(3_000),
            next_producer_id: ProducerId::NONE,
            last_producer_epoch: ProducerEpoch::NONE,
            timeout_ms: 60_000,
            state,
            partitions: if state == TransactionState::Empty { Default::default() } else { partitions.into() },
            started: (state != TransactionState::Empty).then_some(Wall(5)),
            last_update: Wall(6),
            client_version: TransactionVersion::V2,
        }
    }

    #[test]
    fn every_state_comes_back_as_it_was() {
        for state in TransactionState::ALL {
            let record = example(state);
            let bytes = batch("tid", Some(&record), Wall(9));
            let batch = Batches::new(&bytes).next().unwrap().unwrap();
            let plain = batch.plain_records(1_000).unwrap();
            let logged = Records::new(&batch.header, &plain).next().unwrap().unwrap();
            let key = Bytes::copy_from_slice(logged.key.unwrap());
            let value = Bytes::copy_from_slice(logged.value.unwrap());
            assert_eq!(decode(&key, Some(&value)), Ok(("tid".to_owned(), Some(record))));
            assert_eq!(decode(&key, None), Ok(("tid".to_owned(), None)));
        }
    }

    #[test]
    fn an_id_that_kafka_was_about_to_forget_is_forgotten() {
        let mut dead = value(&example(TransactionState::Empty));
        dead.transaction_status = DEAD;
        assert_eq!(record(dead), None);
    }
}
