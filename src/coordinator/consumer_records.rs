//! Kafka's records of groups of the consumer protocol (KIP-848). Persisted, keep stable:
//!
//! | record | key | value, all v0 |
//! |---|---|---|
//! | the group's epoch and metadata hash | `ConsumerGroupMetadataKey` v3 | `ConsumerGroupMetadataValue` |
//! | what a member is and wants | `ConsumerGroupMemberMetadataKey` v5 | `ConsumerGroupMemberMetadataValue` |
//! | the epoch of the target assignment | `ConsumerGroupTargetAssignmentMetadataKey` v6 | `ConsumerGroupTargetAssignmentMetadataValue` |
//! | what a member shall own | `ConsumerGroupTargetAssignmentMemberKey` v7 | `ConsumerGroupTargetAssignmentMemberValue` |
//! | what a member owns | `ConsumerGroupCurrentMemberAssignmentKey` v8 | `ConsumerGroupCurrentMemberAssignmentValue` |
//! | what a regular expression stands for | `ConsumerGroupRegularExpressionKey` v16 | `ConsumerGroupRegularExpressionValue` |
//!
//! The metadata hash is not Kafka's: a Kafka that takes over from us, or we from it, assigns once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::{
    AssignedPartitions, ClassicSubscription, ConsumerRecord, CurrentAssignment, GroupEpoch, MemberState, Partitions,
    Protocol, ResolvedRegex, Subscription, TargetEpoch,
};
use crate::model::{TopicId, Wall};
use crate::protocol::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey as CurrentKey,
    ConsumerGroupCurrentMemberAssignmentValue as CurrentValue, ConsumerGroupMemberMetadataKey as MemberKey,
    ConsumerGroupMemberMetadataValue as MemberValue, ConsumerGroupMetadataKey as EpochKey,
    ConsumerGroupMetadataValue as EpochValue, ConsumerGroupRegularExpressionKey as RegexKey,
    ConsumerGroupRegularExpressionValue as RegexValue, ConsumerGroupTargetAssignmentMemberKey as TargetKey,
    ConsumerGroupTargetAssignmentMemberValue as TargetValue,
    ConsumerGroupTargetAssignmentMetadataKey as TargetEpochKey,
    ConsumerGroupTargetAssignmentMetadataValue as TargetEpochValue, CurrentTopicPartitions, DecodeError,
    GroupRecordKey, Message, TargetTopicPartitions, decode_with_version, encode_with_version,
};

const EPOCH_KEY: i16 = 3;
const MEMBER_KEY: i16 = 5;
const TARGET_EPOCH_KEY: i16 = 6;
const TARGET_KEY: i16 = 7;
const CURRENT_KEY: i16 = 8;
const REGEX_KEY: i16 = 16;
const VALUE: i16 = 0;

/// Key and value of a record; no value is a tombstone.
pub(super) fn encode(group_id: &str, record: &ConsumerRecord) -> (Bytes, Option<Bytes>) {
    let group = group_id.to_owned();
    match record {
        ConsumerRecord::Epoch(value) => {
            let value = value.map(|epoch| EpochValue { epoch: epoch.epoch, metadata_hash: epoch.metadata_hash });
            pair(EPOCH_KEY, &EpochKey { group }, value)
        }
        ConsumerRecord::Subscription { member_id, value } => {
            let key = MemberKey { group, member_id: member_id.to_string() };
            pair(MEMBER_KEY, &key, value.as_deref().map(member_value))
        }
        ConsumerRecord::TargetEpoch(value) => {
            let value = value
                .map(|epoch| TargetEpochValue { assignment_epoch: epoch.epoch, assignment_timestamp: epoch.made_at.0 });
            pair(TARGET_EPOCH_KEY, &TargetEpochKey { group }, value)
        }
        ConsumerRecord::Target { member_id, value } => {
            let key = TargetKey { group, member_id: member_id.to_string() };
            pair(TARGET_KEY, &key, value.as_deref().map(target_value))
        }
        ConsumerRecord::Current { member_id, value } => {
            let key = CurrentKey { group, member_id: member_id.to_string() };
            pair(CURRENT_KEY, &key, value.as_deref().map(current_value))
        }
        ConsumerRecord::Regex { regex, value } => {
            let key = RegexKey { group, regular_expression: regex.to_string() };
            pair(REGEX_KEY, &key, value.as_deref().map(regex_value))
        }
    }
}

fn pair<V: Message>(version: i16, key: &impl Message, value: Option<V>) -> (Bytes, Option<Bytes>) {
    (encode_with_version(version, key), value.map(|value| encode_with_version(VALUE, &value)))
}

/// The group and the fact that a record states. `key` is one of a group of the consumer protocol.
pub(super) fn decode(key: GroupRecordKey, value: Option<&Bytes>) -> Result<(String, ConsumerRecord), DecodeError> {
    match key {
        GroupRecordKey::ConsumerGroupMetadata(key) => {
            let epoch = |value: EpochValue| GroupEpoch { epoch: value.epoch, metadata_hash: value.metadata_hash };
            Ok((key.group, ConsumerRecord::Epoch(read(value)?.map(epoch))))
        }
        GroupRecordKey::ConsumerGroupMember(key) => {
            let value = read(value)?.map(|value| Arc::new(subscription(value)));
            Ok((key.group, ConsumerRecord::Subscription { member_id: key.member_id.into(), value }))
        }
        GroupRecordKey::ConsumerGroupTargetMetadata(key) => {
            let epoch = |value: TargetEpochValue| TargetEpoch {
                epoch: value.assignment_epoch,
                made_at: Wall(value.assignment_timestamp),
            };
            Ok((key.group, ConsumerRecord::TargetEpoch(read(value)?.map(epoch))))
        }
        GroupRecordKey::ConsumerGroupTarget(key) => {
            let value = read(value)?.map(|value: TargetValue| Arc::new(target(&value)));
            Ok((key.group, ConsumerRecord::Target { member_id: key.member_id.into(), value }))
        }
        GroupRecordKey::ConsumerGroupCurrent(key) => {
            let value = read(value)?.map(|value: CurrentValue| Arc::new(current(&value)));
            Ok((key.group, ConsumerRecord::Current { member_id: key.member_id.into(), value }))
        }
        GroupRecordKey::ConsumerGroupRegex(key) => {
            let value = read(value)?.map(|value| Arc::new(resolved(value)));
            Ok((key.group, ConsumerRecord::Regex { regex: key.regular_expression.into(), value }))
        }
        GroupRecordKey::OffsetCommit(_) | GroupRecordKey::GroupMetadata(_) | GroupRecordKey::Other(_) => {
            unreachable!("{key:?} is not of a group of the consumer protocol")
        }
    }
}

fn read<V: Message>(value: Option<&Bytes>) -> Result<Option<V>, DecodeError> {
    value.map(decode_with_version).transpose()
}

fn member_value(member: &Subscription) -> MemberValue {
    let protocol =
        |protocol: &Protocol| ClassicProtocol { name: protocol.name.clone(), metadata: protocol.metadata.clone() };
    MemberValue {
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: member.regex.as_deref().map(str::to_owned),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: member.assignor.clone(),
        classic_member_metadata: member.classic.as_ref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic.protocols.iter().map(protocol).collect(),
        }),
    }
}

fn subscription(value: MemberValue) -> Subscription {
    let protocol = |protocol: ClassicProtocol| Protocol { name: protocol.name, metadata: protocol.metadata };
    Subscription {
        instance_id: value.instance_id,
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        topics: value.subscribed_topic_names.into_iter().collect(),
        // Kafka writes an empty one for a member that had one.
        regex: value.subscribed_topic_regex.filter(|regex| !regex.is_empty()).map(Into::into),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor,
        classic: value.classic_member_metadata.map(|classic| ClassicSubscription {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.supported_protocols.into_iter().map(protocol).collect(),
        }),
    }
}

fn target_value(partitions: &Partitions) -> TargetValue {
    let mut by_topic: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        by_topic.entry(*topic).or_default().push(*index);
    }
    let topic = |(topic, partitions): (TopicId, _)| TargetTopicPartitions { topic_id: topic.0, partitions };
    TargetValue { topic_partitions: by_topic.into_iter().map(topic).collect() }
}

fn target(value: &TargetValue) -> Partitions {
    let topics = value.topic_partitions.iter();
    topics.flat_map(|topic| topic.partitions.iter().map(|index| (TopicId(topic.topic_id), *index))).collect()
}

fn current_value(current: &CurrentAssignment) -> CurrentValue {
    CurrentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state as i8,
        assigned_partitions: owned_value(&current.assigned),
        partitions_pending_revocation: owned_value(&current.revoking),
    }
}

fn owned_value(owned: &AssignedPartitions) -> Vec<CurrentTopicPartitions> {
    let mut by_topic: BTreeMap<TopicId, (Vec<i32>, Vec<i32>)> = BTreeMap::new();
    for ((topic, index), epoch) in owned {
        let (partitions, epochs) = by_topic.entry(*topic).or_default();
        partitions.push(*index);
        epochs.push(*epoch);
    }
    let topic = |(topic, (partitions, epochs)): (TopicId, (Vec<i32>, Vec<i32>))| CurrentTopicPartitions {
        topic_id: topic.0,
        partitions,
        assignment_epochs: Some(epochs),
    };
    by_topic.into_iter().map(topic).collect()
}

fn current(value: &CurrentValue) -> CurrentAssignment {
    CurrentAssignment {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::from_number(value.state),
        assigned: owned(&value.assigned_partitions, value.member_epoch),
        revoking: owned(&value.partitions_pending_revocation, value.member_epoch),
    }
}

/// Before Kafka 4.3 no epoch was written for each partition; the member's own is not older than it was.
fn owned(topics: &[CurrentTopicPartitions], member_epoch: i32) -> AssignedPartitions {
    let mut partitions = AssignedPartitions::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        for (at, index) in topic.partitions.iter().enumerate() {
            partitions.insert((TopicId(topic.topic_id), *index), epochs.get(at).copied().unwrap_or(member_epoch));
        }
    }
    partitions
}

fn regex_value(resolved: &ResolvedRegex) -> RegexValue {
    RegexValue {
        topics: resolved.topics.iter().cloned().collect(),
        version: resolved.version,
        timestamp: resolved.resolved_at.0,
    }
}

fn resolved(value: RegexValue) -> ResolvedRegex {
    ResolvedRegex {
        topics: value.topics.into_iter().collect(),
        version: value.version,
        resolved_at: Wall(value.timestamp),
    }
}
