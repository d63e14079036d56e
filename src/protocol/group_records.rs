//! Keys and values of `__consumer_offsets`, as Kafka's group coordinator writes them.
//!
//! | key version | key                   | value                  |
//! |-------------|-----------------------|------------------------|
//! | 0, 1        | [`OffsetCommitKey`]   | [`OffsetCommitValue`]  |
//! | 2           | [`GroupMetadataKey`]  | [`GroupMetadataValue`] |
//! | 3           | [`ConsumerGroupMetadataKey`] | [`ConsumerGroupMetadataValue`] |
//! | 5           | [`ConsumerGroupMemberMetadataKey`] | [`ConsumerGroupMemberMetadataValue`] |
//! | 6           | [`ConsumerGroupTargetAssignmentMetadataKey`] | [`ConsumerGroupTargetAssignmentMetadataValue`] |
//! | 7           | [`ConsumerGroupTargetAssignmentMemberKey`] | [`ConsumerGroupTargetAssignmentMemberValue`] |
//! | 8           | [`ConsumerGroupCurrentMemberAssignmentKey`] | [`ConsumerGroupCurrentMemberAssignmentValue`] |
//! | 16          | [`ConsumerGroupRegularExpressionKey`] | [`ConsumerGroupRegularExpressionValue`] |
//! | 4           | partitions of the subscribed topics, before Kafka 4.1 | - |
//! | others      | share and streams groups | -                   |
//!
//! Each begins with its version as an INT16. A record without a value (a tombstone) deletes what its
//! key names. Persisted, keep stable.

use bytes::Bytes;

use super::error::DecodeError;
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

    /// Names a group of the consumer protocol.
    message ConsumerGroupMetadataKey (versions 3..=3) {
        group: String [3..],
    }

    /// A group of the consumer protocol.
    message ConsumerGroupMetadataValue (versions 0..=0, flexible 0..) {
        epoch: i32 [0..],
        /// Of the subscribed topics; since Kafka 4.1 (KIP-1101).
        metadata_hash: i64 [0.., tag 0],
    }

    /// Names a member of a group of the consumer protocol.
    message ConsumerGroupMemberMetadataKey (versions 5..=5) {
        group: String [5..],
        member_id: String [5..],
    }

    /// What a member is and wants.
    message ConsumerGroupMemberMetadataValue (versions 0..=0, flexible 0..) {
        instance_id: Option<String> [0.., null 0..],
        rack_id: Option<String> [0.., null 0..],
        client_id: String [0..],
        client_host: String [0..],
        subscribed_topic_names: Vec<String> [0..],
        subscribed_topic_regex: Option<String> [0.., null 0..],
        /// Milliseconds.
        rebalance_timeout_ms: i32 [0.., default -1],
        server_assignor: Option<String> [0.., null 0..],
        classic_member_metadata: Option<ClassicMemberMetadata> [0.., null 0.., tag 0],
    }

    /// What only a member of the classic protocol has.
    struct ClassicMemberMetadata {
        /// Milliseconds.
        session_timeout_ms: i32 [0..],
        supported_protocols: Vec<ClassicProtocol> [0..],
    }

    /// One protocol that a classic member supports.
    struct ClassicProtocol {
        name: String [0..],
        metadata: Bytes [0..],
    }

    /// Names a group's target assignment.
    message ConsumerGroupTargetAssignmentMetadataKey (versions 6..=6) {
        group: String [6..],
    }

    /// The group epoch that a target assignment is for.
    message ConsumerGroupTargetAssignmentMetadataValue (versions 0..=0, flexible 0..) {
        assignment_epoch: i32 [0..],
        /// Milliseconds since the Unix epoch; since Kafka 4.3 (KIP-1263).
        assignment_timestamp: i64 [0.., tag 0],
    }

    /// Names a member's target assignment.
    message ConsumerGroupTargetAssignmentMemberKey (versions 7..=7) {
        group: String [7..],
        member_id: String [7..],
    }

    /// What a member shall own.
    message ConsumerGroupTargetAssignmentMemberValue (versions 0..=0, flexible 0..) {
        topic_partitions: Vec<TargetTopicPartitions> [0..],
    }

    /// Partitions of one topic.
    struct TargetTopicPartitions {
        topic_id: Uuid [0..],
        partitions: Vec<i32> [0..],
    }

    /// Names a member's current assignment.
    message ConsumerGroupCurrentMemberAssignmentKey (versions 8..=8) {
        group: String [8..],
        member_id: String [8..],
    }

    /// What a member owns.
    message ConsumerGroupCurrentMemberAssignmentValue (versions 0..=0, flexible 0..) {
        member_epoch: i32 [0..],
        previous_member_epoch: i32 [0..],
        state: i8 [0..],
        assigned_partitions: Vec<CurrentTopicPartitions> [0..],
        partitions_pending_revocation: Vec<CurrentTopicPartitions> [0..],
    }

    /// Partitions of one topic, with the member epochs at which they were given.
    struct CurrentTopicPartitions {
        topic_id: Uuid [0..],
        partitions: Vec<i32> [0..],
        /// As many as partitions; since Kafka 4.3 (KIP-1251).
        assignment_epochs: Option<Vec<i32>> [0.., null 0.., tag 0],
    }

    /// Names a regular expression that members of a group subscribe to.
    message ConsumerGroupRegularExpressionKey (versions 16..=16) {
        group: String [16..],
        regular_expression: String [16..],
    }

    /// The topics that a regular expression stands for.
    message ConsumerGroupRegularExpressionValue (versions 0..=0, flexible 0..) {
        topics: Vec<String> [0..],
        /// Of the metadata it was resolved with.
        version: i64 [0..],
        /// Milliseconds since the Unix epoch.
        timestamp: i64 [0..],
    }
}

/// What a key in `__consumer_offsets` names.
#[derive(Clone, PartialEq, Debug)]
pub enum GroupRecordKey {
    /// A committed offset.
    OffsetCommit(OffsetCommitKey),
    /// A classic group.
    GroupMetadata(GroupMetadataKey),
    /// A group of the consumer protocol.
    ConsumerGroupMetadata(ConsumerGroupMetadataKey),
    /// What a member is and wants.
    ConsumerGroupMember(ConsumerGroupMemberMetadataKey),
    /// The epoch of the target assignment.
    ConsumerGroupTargetMetadata(ConsumerGroupTargetAssignmentMetadataKey),
    /// What a member shall own.
    ConsumerGroupTarget(ConsumerGroupTargetAssignmentMemberKey),
    /// What a member owns.
    ConsumerGroupCurrent(ConsumerGroupCurrentMemberAssignmentKey),
    /// What a regular expression stands for.
    ConsumerGroupRegex(ConsumerGroupRegularExpressionKey),
    /// A kind of record that has no schema here, by the version of its key.
    Other(i16),
}

impl GroupRecordKey {
    /// Reads a key of any kind.
    pub fn decode(key: &Bytes) -> Result<Self, DecodeError> {
        let version = Reader::new(key).int16()?;
        match version {
            0 | 1 => decode_with_version(key).map(Self::OffsetCommit),
            2 => decode_with_version(key).map(Self::GroupMetadata),
            3 => decode_with_version(key).map(Self::ConsumerGroupMetadata),
            5 => decode_with_version(key).map(Self::ConsumerGroupMember),
            6 => decode_with_version(key).map(Self::ConsumerGroupTargetMetadata),
            7 => decode_with_version(key).map(Self::ConsumerGroupTarget),
            8 => decode_with_version(key).map(Self::ConsumerGroupCurrent),
            16 => decode_with_version(key).map(Self::ConsumerGroupRegex),
            other => Ok(Self::Other(other)),
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

        assert_eq!(GroupRecordKey::decode(&Bytes::from_static(&[0, 4, 9])), Ok(GroupRecordKey::Other(4)));
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
