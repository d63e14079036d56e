//! What consumers of a classic group tell each other through the coordinator, which does not read it.
//!
//! | subscription | type |
//! |---|---|
//! | version | int16; 0 here |
//! | topics | int32 count, then strings |
//! | user data | nullable bytes |
//!
//! | assignment | type |
//! |---|---|
//! | version | int16; 0 here |
//! | topics | int32 count, then each: string, int32 count, int32 partitions |
//! | user data | nullable bytes |
//!
//! Later versions begin with the same fields.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use crate::model::TopicPartition;
use crate::protocol::{DecodeError, Reader, Writer};

/// A member's subscription to topics.
pub fn encode_subscription(topics: &[String]) -> Bytes {
    let mut writer = Writer::new(BytesMut::new());
    writer.put(&0i16.to_be_bytes());
    writer.put(&count(topics.len()));
    topics.iter().for_each(|topic| writer.string(Some(topic)));
    writer.bytes(None);
    writer.finish().0.freeze()
}

/// The topics of a subscription of any version.
pub fn decode_subscription(bytes: &Bytes) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.int16()?;
    let mut topics = Vec::new();
    for _ in 0..reader.int32()? {
        topics.push(reader.string()?.unwrap_or_default());
    }
    Ok(topics)
}

/// The partitions that a member is to read.
pub fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        by_topic.entry(&partition.topic).or_default().push(partition.partition);
    }
    let mut writer = Writer::new(BytesMut::new());
    writer.put(&0i16.to_be_bytes());
    writer.put(&count(by_topic.len()));
    for (topic, partitions) in by_topic {
        writer.string(Some(topic));
        writer.put(&count(partitions.len()));
        partitions.iter().for_each(|partition| writer.put(&partition.to_be_bytes()));
    }
    writer.bytes(None);
    writer.finish().0.freeze()
}

/// The partitions of an assignment of any version. No bytes at all are no partitions.
pub fn decode_assignment(bytes: &Bytes) -> Result<Vec<TopicPartition>, DecodeError> {
    let mut partitions = Vec::new();
    if bytes.is_empty() {
        return Ok(partitions);
    }
    let mut reader = Reader::new(bytes);
    reader.int16()?;
    for _ in 0..reader.int32()? {
        let topic: std::sync::Arc<str> = reader.string()?.unwrap_or_default().into();
        for _ in 0..reader.int32()? {
            partitions.push(TopicPartition::new(topic.clone(), reader.int32()?));
        }
    }
    Ok(partitions)
}

/// Kafka's range assignment: each topic's partitions in order, cut into as many runs as it has subscribers; the first
/// subscribers by member id get one more where it does not come out even.
pub fn assign_ranges(
    subscriptions: &BTreeMap<String, Vec<String>>,
    partition_counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut assignment: BTreeMap<String, Vec<TopicPartition>> =
        subscriptions.keys().map(|member| (member.clone(), Vec::new())).collect();
    let topics: BTreeSet<&String> = subscriptions.values().flatten().collect();
    for topic in topics {
        let subscribers: Vec<&String> =
            subscriptions.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        let partitions = partition_counts.get(topic).copied().unwrap_or_default();
        let (each, more) = (partitions / subscribers.len(), partitions % subscribers.len());
        let mut next = 0;
        for (index, member) in subscribers.into_iter().enumerate() {
            let end = next + each + usize::from(index < more);
            let run = (next..end).filter_map(|partition| i32::try_from(partition).ok());
            let run = run.map(|partition| TopicPartition::new(topic.as_str(), partition));
            assignment.entry(member.clone()).or_default().extend(run);
            next = end;
        }
    }
    assignment
}

fn count(length: usize) -> [u8; 4] {
    i32::try_from(length).expect("fewer than 2^31 elements").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn subscriptions_and_assignments_are_read_as_they_were_written() {
        let topics = names(&["a", "b"]);
        assert_eq!(decode_subscription(&encode_subscription(&topics)).unwrap(), topics);
        assert_eq!(encode_subscription(&topics).as_ref(), b"\0\0\0\0\0\x02\0\x01a\0\x01b\xff\xff\xff\xff");
        let partitions = vec![TopicPartition::new("a", 0), TopicPartition::new("a", 2), TopicPartition::new("b", 1)];
        assert_eq!(decode_assignment(&encode_assignment(&partitions)).unwrap(), partitions);
        assert_eq!(decode_assignment(&Bytes::new()).unwrap(), []);
        assert!(decode_assignment(&Bytes::from_static(b"\0\0\x7f\xff\xff\xff")).is_err());
    }

    #[test]
    fn ranges_are_even_and_every_partition_has_one_reader() {
        let subscriptions = BTreeMap::from([
            ("m1".to_owned(), names(&["a", "b"])),
            ("m2".to_owned(), names(&["a"])),
            ("m3".to_owned(), names(&["a"])),
        ]);
        let counts = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 2)]);
        let assigned = assign_ranges(&subscriptions, &counts);
        let of = |member: &str| assigned[member].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(of("m1"), "a-0 a-1 a-2 b-0 b-1");
        assert_eq!(of("m2"), "a-3 a-4");
        assert_eq!(of("m3"), "a-5 a-6");
    }
}
