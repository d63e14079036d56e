//! Keys and values of `__consumer_offsets`, as Kafka's group coordinator writes them.
//!
//! | key version | key                   | value                  |
//! |-------------|-----------------------|------------------------|
//! | 0, 1        | [`OffsetCommitKey`]   | [`OffsetCommitValue`]  |
//! | 2           | [`GroupMetadataKey`]  | [`GroupMetadataValue`] |
//! | 3 and above | other kinds of groups | -                      |
//!
//! Each begins with its version as an INT16. A record without a value (a tombstone) deletes what its
//! key names. Persisted, keep stable.

use bytes::Bytes;

use super::error::DecodeError;
use super::message::Message;
use super::reader::Reader;
use super::schema::schema;
use super::versioned::decode_with_version;
use crate::model::Uuid;

schema! {
    /// Names a committed offset. Kafka writes version 1; version 0 is the same.
    message OffsetCommitKey (versions 0..=1) {
        group: String [0..],
        topic: String [0..],
        partition: i32 [0..],
    }

    /// A committed offset. Kafka writes version 3, or 4 when it knows the topic id, or 1 when the
    /// offset has an expiry of its own.
    message OffsetCommitValue (versions 0..=4, flexible 4..) {
        offset: i64 [0..],
        leader_epoch: i32 [3.., default -1],
        metadata: String [0..],
        /// Milliseconds since the Unix epoch.
        commit_timestamp: i64 [0..],
        /// Milliseconds since the Unix epoch; -1 leaves expiry to the broker's retention.
        expire_timestamp: i64 [1..=1, default -1],
        topic_id: Uuid [4.., tag 0],
    }

    /// Names a classic group.
    message GroupMetadataKey (versions 2..=2) {
        group: String [2..],
    }

    /// A classic group between two rebalances. Kafka writes version 3.
    message GroupMetadataValue (versions 0..=4, flexible 4..) {
        protocol_type: String [0..],
        generation: i32 [0..],
        protocol: Option<String> [0.., null 0..],
        leader: Option<String> [0.., null 0..],
        /// Milliseconds since the Unix epoch.
        current_state_timestamp: i64 [2.., default -1],
        members: Vec<MemberMetadata> [0..],
    }

    /// A member of a classic group.
    struct MemberMetadata {
        member_id: String [0..],
        group_instance_id: Option<String> [3.., null 3..],
        client_id: String [0..],
        client_host: String [0..],
        /// Milliseconds.
        rebalance_timeout: i32 [1.., default -1],
        /// Milliseconds.
        session_timeout: i32 [0..],
        subscription: Bytes [0..],
        assignment: Bytes [0..],
    }
}

/// What a key in `__consumer_offsets` names.
#[derive(Clone, PartialEq, Debug)]
pub enum GroupRecordKey {
    /// A committed offset.
    OffsetCommit(OffsetCommitKey),
    /// A classic group.
    GroupMetadata(GroupMetadataKey),
    /// A kind of record that has no schema here, by the version of its key.
    Other(i16),
}

impl GroupRecordKey {
    /// Reads a key of any kind.
    pub fn decode(key: &Bytes) -> Result<Self, DecodeError> {
        let version = Reader::new(key).int16()?;
        if OffsetCommitKey::VERSIONS.contains(&version) {
            decode_with_version(key).map(Self::OffsetCommit)
        } else if GroupMetadataKey::VERSIONS.contains(&version) {
            decode_with_version(key).map(Self::GroupMetadata)
        } else {
            Ok(Self::Other(version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::encode_with_version;

    #[test]
    fn keys_as_kafka_writes_them() {
        let key = OffsetCommitKey { group: "g".to_owned(), topic: "to".to_owned(), partition: 7 };
        let bytes = encode_with_version(1, &key);
        assert_eq!(bytes.as_ref(), b"\x00\x01\x00\x01g\x00\x02to\x00\x00\x00\x07");
        assert_eq!(GroupRecordKey::decode(&bytes), Ok(GroupRecordKey::OffsetCommit(key)));

        let key = GroupMetadataKey { group: "g".to_owned() };
        let bytes = encode_with_version(2, &key);
        assert_eq!(bytes.as_ref(), b"\x00\x02\x00\x01g");
        assert_eq!(GroupRecordKey::decode(&bytes), Ok(GroupRecordKey::GroupMetadata(key)));

        assert_eq!(GroupRecordKey::decode(&Bytes::from_static(&[0, 3, 9])), Ok(GroupRecordKey::Other(3)));
        assert!(GroupRecordKey::decode(&Bytes::from_static(&[0])).is_err());
        assert!(GroupRecordKey::decode(&Bytes::from_static(&[0, 2, 0, 1, b'g', 0])).is_err());
    }

    #[test]
    fn an_offset_keeps_what_its_version_has() {
        let value = OffsetCommitValue {
            offset: 42,
            leader_epoch: 3,
            metadata: "m".to_owned(),
            commit_timestamp: 1000,
            expire_timestamp: 2000,
            topic_id: Uuid([7; 16]),
        };
        let again = |version| decode_with_version::<OffsetCommitValue>(&encode_with_version(version, &value)).unwrap();
        let without = |leader_epoch, expire_timestamp, topic_id| OffsetCommitValue {
            leader_epoch,
            expire_timestamp,
            topic_id,
            ..value.clone()
        };
        assert_eq!(again(1), without(-1, 2000, Uuid::ZERO));
        assert_eq!(again(3), without(3, -1, Uuid::ZERO));
        assert_eq!(again(4), without(3, -1, value.topic_id));
        assert_eq!(
            encode_with_version(3, &value).as_ref(),
            b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x03\0\x01m\0\0\0\0\0\0\x03\xe8"
        );
    }
}
