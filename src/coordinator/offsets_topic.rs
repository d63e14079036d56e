//! `__consumer_offsets`: which of its partitions a group lives on, and what its records look like.
//!
//! The schemas are Kafka's (`protocol::group_records`), so that Kafka's own formatters read the topic. Persisted,
//! keep stable:
//!
//! | record | key | value |
//! |---|---|---|
//! | a committed offset | `OffsetCommitKey` v1 | `OffsetCommitValue` v4; v1 when it has an expiry of its own, v3 when the topic's id is not known |
//! | a classic group | `GroupMetadataKey` v2 | `GroupMetadataValue` v3 |
//! | a group of the consumer protocol | `ConsumerGroup...Key` v3, v5 to v8, v16 | see `consumer_records.rs` |
//! | any of them, deleted | as above | none |

use bytes::Bytes;

use super::consumer_records;
use crate::group::{CommittedOffset, GroupMetadata, GroupRecord, MemberMetadata};
use crate::model::{TopicId, Uuid, Wall};
use crate::protocol::{
    self, DecodeError, GroupMetadataKey, GroupMetadataValue, GroupRecordKey, OffsetCommitKey, OffsetCommitValue,
    decode_with_version, encode_with_version,
};
use crate::record::BatchBuilder;

const OFFSET_KEY_VERSION: i16 = 1;
const OFFSET_VALUE_VERSION: i16 = 4;
const OFFSET_VALUE_VERSION_WITHOUT_TOPIC_ID: i16 = 3;
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;
const GROUP_VALUE_VERSION: i16 = 3;
/// Kafka's "absent" for a timestamp.
const NO_TIMESTAMP: i64 = -1;

/// The partition that all records of a group are on: the absolute value of Java's `hashCode` of its id (0 for the
/// one number that has none), modulo the number of partitions. Every broker and every client tool agrees on this.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash = group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// One batch with these records of one group.
pub fn batch(group_id: &str, records: &[GroupRecord], now: Wall) -> Bytes {
    fill(BatchBuilder::new(), group_id, records, now)
}

/// The same, in a batch that has been begun.
pub fn fill(mut builder: BatchBuilder, group_id: &str, records: &[GroupRecord], now: Wall) -> Bytes {
    for record in records {
        let (key, value) = encode(group_id, record);
        builder.append(now.0, Some(&key), value.as_deref(), &[]);
    }
    builder.build()
}

/// Key and value of a record; no value is a tombstone.
fn encode(group_id: &str, record: &GroupRecord) -> (Bytes, Option<Bytes>) {
    match record {
        GroupRecord::Metadata(value) => {
            let key = GroupMetadataKey { group: group_id.to_owned() };
            let value = value.as_ref().map(|value| encode_with_version(GROUP_VALUE_VERSION, &group_value(value)));
            (encode_with_version(GROUP_KEY_VERSION, &key), value)
        }
        GroupRecord::Offset { topic, partition, value } => {
            let (group, topic) = (group_id.to_owned(), topic.to_string());
            let key = OffsetCommitKey { group, topic, partition: *partition };
            let value = value.as_ref().map(|value| encode_with_version(offset_version(value), &offset_value(value)));
            (encode_with_version(OFFSET_KEY_VERSION, &key), value)
        }
        GroupRecord::Consumer(record) => consumer_records::encode(group_id, record),
    }
}

/// The group and the fact that a record states; `None` for a kind of record that is not ours, such as those of
/// other group protocols.
pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<(String, GroupRecord)>, DecodeError> {
    match GroupRecordKey::decode(key)? {
        GroupRecordKey::OffsetCommit(key) => {
            let value = value.map(decode_with_version::<OffsetCommitValue>).transpose()?.map(committed_offset);
            let record = GroupRecord::Offset { topic: key.topic.into(), partition: key.partition, value };
            Ok(Some((key.group, record)))
        }
        GroupRecordKey::GroupMetadata(key) => {
            let value = value.map(decode_with_version::<GroupMetadataValue>).transpose()?.map(group_metadata);
            Ok(Some((key.group, GroupRecord::Metadata(value))))
        }
        GroupRecordKey::Other(_) => Ok(None),
        key => consumer_records::decode(key, value).map(|(group, record)| Some((group, GroupRecord::Consumer(record)))),
    }
}

fn offset_version(offset: &CommittedOffset) -> i16 {
    if offset.expire_timestamp.is_some() {
        OFFSET_VALUE_VERSION_WITH_EXPIRY
    } else if offset.topic_id == TopicId(Uuid::ZERO) {
        OFFSET_VALUE_VERSION_WITHOUT_TOPIC_ID
    } else {
        OFFSET_VALUE_VERSION
    }
}

fn offset_value(offset: &CommittedOffset) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.to_string(),
        commit_timestamp: offset.commit_timestamp.0,
        expire_timestamp: timestamp(offset.expire_timestamp),
        topic_id: offset.topic_id.0,
    }
}

fn committed_offset(value: OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.into(),
        commit_timestamp: Wall(value.commit_timestamp),
        expire_timestamp: wall(value.expire_timestamp),
        topic_id: TopicId(value.topic_id),
    }
}

fn group_value(group: &GroupMetadata) -> GroupMetadataValue {
    let member = |member: &MemberMetadata| protocol::MemberMetadata {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    };
    GroupMetadataValue {
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        generation: group.generation,
        protocol: group.protocol.clone(),
        leader: group.leader.clone(),
        current_state_timestamp: timestamp(group.state_since),
        members: group.members.iter().map(member).collect(),
    }
}

fn group_metadata(value: GroupMetadataValue) -> GroupMetadata {
    let member = |member: protocol::MemberMetadata| MemberMetadata {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        // The first schema had one time-out for both.
        rebalance_timeout_ms: if member.rebalance_timeout < 0 {
            member.session_timeout
        } else {
            member.rebalance_timeout
        },
        session_timeout_ms: member.session_timeout,
        subscription: member.subscription,
        assignment: member.assignment,
    };
    GroupMetadata {
        protocol_type: Some(value.protocol_type).filter(|protocol_type| !protocol_type.is_empty()),
        generation: value.generation,
        protocol: value.protocol,
        leader: value.leader,
        state_since: wall(value.current_state_timestamp),
        members: value.members.into_iter().map(member).collect(),
    }
}

fn timestamp(time: Option<Wall>) -> i64 {
    time.map_or(NO_TIMESTAMP, |time| time.0)
}

fn wall(timestamp: i64) -> Option<Wall> {
    (timestamp != NO_TIMESTAMP).then_some(Wall(timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partition (of three), key and value as Apache Kafka 4.3.1 wrote them.
    const GOLDEN: &[(i32, &str, Option<&str>)] = &[
        (1, "000200046a617661", Some("0003000000000000ffffffff000001a1fd2c536f00000000")),
        (
            1,
            "000100046a61766100017400000001",
            Some("000400000000000000020000000001000001a1fd2c5400010010a9a91c5cc34646f9b7cba08a2cc5785b"),
        ),
        (1, "000200046a617661", Some("00030008636f6e73756d657200000002ffffffff000001a1fd2c540800000000")),
        (1, "0001000372657400017400000000", Some("0001000000000000000700016d000001a1fd2e91a6000001a1fd2e958e")),
        (1, "0001000372657400017400000000", None),
        (1, "00020003726574", None),
        (
            2,
            "00010002707900017400000000",
            Some("00040000000000000002ffffffff0768c3a46c6c6f000001a1fd2c4d2a010010a9a91c5cc34646f9b7cba08a2cc5785b"),
        ),
        (
            2,
            "000200027079",
            Some(
                "00030008636f6e73756d657200000001000572616e676500376b61666b612d707974686f6e2d322e332e332d63393663663334622d336165662d346531312d393235612d613033633364653930346638000001a1fd2c48f40000000100376b61666b612d707974686f6e2d322e332e332d63393663663334622d336165662d346531312d393235612d613033633364653930346638ffff00126b61666b612d707974686f6e2d322e332e33000a2f3132372e302e302e31000493e0000027100000000d000000000001000174000000000000001900000000000100017400000002000000000000000100000000",
            ),
        ),
        (
            2,
            "0001000673696d706c6500017400000001",
            Some("00040000000000000001ffffffff01000001a1fd2c5c23010010a9a91c5cc34646f9b7cba08a2cc5785b"),
        ),
    ];

    fn bytes(hex: &str) -> Bytes {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn records_of_a_real_kafka_are_read_and_written_byte_for_byte() {
        for (partition, key, value) in GOLDEN {
            let (key, value) = (bytes(key), value.map(bytes));
            let (group_id, record) = decode(&key, value.as_ref()).unwrap().unwrap();
            assert_eq!(partition_for(&group_id, 3), *partition, "{group_id}");
            assert_eq!(encode(&group_id, &record), (key, value), "{record:?}");
        }
    }

    #[test]
    fn what_kafka_meant_is_what_we_read() {
        let read = |at: usize| {
            let (_, key, value) = GOLDEN[at];
            decode(&bytes(key), value.map(bytes).as_ref()).unwrap().unwrap()
        };
        let topic_id = TopicId("qakcXMNGRvm3y6CKLMV4Ww".parse().unwrap());
        let offset = |record| match record {
            (group_id, GroupRecord::Offset { topic, partition, value }) => {
                (group_id, topic.to_string(), partition, value)
            }
            other => panic!("{other:?}"),
        };
        let (group_id, topic, partition, value) = offset(read(6));
        assert_eq!((group_id.as_str(), topic.as_str(), partition), ("py", "t", 0));
        let expected = CommittedOffset {
            offset: 2,
            leader_epoch: -1,
            metadata: "hällo".into(),
            commit_timestamp: Wall(1_795_248_901_418),
            expire_timestamp: None,
            topic_id,
        };
        assert_eq!(value, Some(expected));
        let with_expiry = offset(read(3)).3.unwrap();
        assert_eq!(with_expiry.expire_timestamp.unwrap().0 - with_expiry.commit_timestamp.0, 1000);
        let (_, GroupRecord::Metadata(Some(group))) = read(7) else { panic!() };
        assert_eq!((group.generation, group.protocol_type.as_deref()), (1, Some("consumer")));
        assert_eq!((group.members[0].session_timeout_ms, group.members[0].rebalance_timeout_ms), (10_000, 300_000));
        assert_eq!(group.leader.as_ref(), Some(&group.members[0].member_id));
        let (_, GroupRecord::Metadata(Some(fresh))) = read(0) else { panic!() };
        assert_eq!((fresh.protocol_type, fresh.protocol, fresh.members.len()), (None, None, 0));
    }

    #[test]
    fn the_hash_is_javas_over_utf_16() {
        assert_eq!(partition_for("", 50), 0);
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE, which has no absolute value.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        // "😀".hashCode() counts two surrogates: 0xd83d * 31 + 0xde00.
        assert_eq!(partition_for("😀", 50), (0xd83d * 31 + 0xde00) % 50);
    }

    #[test]
    fn records_of_other_kinds_are_passed_over_and_damage_is_not() {
        assert_eq!(decode(&bytes("00040001670000"), None), Ok(None));
        assert!(decode(&bytes("0002"), None).is_err());
        assert!(decode(&bytes("00020003726574"), Some(&bytes("0063"))).is_err());
    }
}
