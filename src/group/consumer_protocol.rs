//! What consumers of a classic group tell each other through the coordinator, which reads it for two reasons: an
//! offset of a topic that nobody consumes expires (KIP-211), and a group may change to the consumer protocol while
//! its members live (KIP-848).
//!
//! | subscription | type |
//! |---|---|
//! | version | int16; all later versions begin with version 0's fields |
//! | topics | int32 count, then strings: int16 length and UTF-8 bytes |
//! | user data | nullable bytes |
//! | owned partitions, from version 1 | int32 count, then each: string, int32 count, int32 partitions |
//! | generation, from version 2 | int32 |
//! | rack, from version 3 | nullable string |
//!
//! | assignment | type |
//! |---|---|
//! | version | int16 |
//! | partitions | as the owned partitions above |
//! | user data | nullable bytes |

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

/// What the topics of a list are called, and which partitions are meant.
pub(super) type NamedPartitions = BTreeMap<String, BTreeSet<i32>>;

const NO_USER_DATA: i32 = -1;

/// A consumer's subscription, as far as a coordinator can use it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ConsumerSubscription {
    pub version: i16,
    pub topics: BTreeSet<String>,
    /// What it still owns; nothing before version 1, whose members give up everything before they join.
    pub owned: NamedPartitions,
    pub rack_id: Option<String>,
}

/// What the leader of a classic group gave one consumer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ConsumerAssignment {
    pub partitions: NamedPartitions,
    /// True when an assignor put words of its own beside them, which only that assignor understands.
    pub has_user_data: bool,
}

/// The topics of one subscription; `None` when the bytes are no subscription.
pub(super) fn subscribed_topics(mut metadata: &[u8]) -> Option<BTreeSet<String>> {
    version(&mut metadata)?;
    topics(&mut metadata)
}

/// A whole subscription; `None` when the bytes are none.
pub(super) fn subscription(mut bytes: &[u8]) -> Option<ConsumerSubscription> {
    let bytes = &mut bytes;
    let version = version(bytes)?;
    let mut subscription = ConsumerSubscription { version, topics: topics(bytes)?, ..Default::default() };
    user_data(bytes)?;
    if version >= 1 {
        subscription.owned = partitions(bytes)?;
    }
    if version >= 2 {
        int32(bytes)?;
    }
    if version >= 3 {
        let length = i16::from_be_bytes(take(bytes)?);
        subscription.rack_id = if length < 0 { None } else { Some(text(bytes, length)?) };
    }
    Some(subscription)
}

/// An assignment; no bytes at all are no partitions. `None` when the bytes are no assignment.
pub(super) fn assignment(mut bytes: &[u8]) -> Option<ConsumerAssignment> {
    let bytes = &mut bytes;
    if bytes.is_empty() {
        return Some(ConsumerAssignment::default());
    }
    version(bytes)?;
    Some(ConsumerAssignment { partitions: partitions(bytes)?, has_user_data: user_data(bytes)? })
}

/// An assignment as bytes, for a member that speaks this version.
pub(super) fn encode_assignment(version: i16, partitions: &NamedPartitions) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    put_partitions(&mut bytes, partitions);
    bytes.put_i32(NO_USER_DATA);
    bytes.freeze()
}

fn put_partitions(bytes: &mut BytesMut, partitions: &NamedPartitions) {
    bytes.put_i32(count(partitions.len()));
    for (topic, indexes) in partitions {
        bytes.put_i16(i16::try_from(topic.len()).expect("a topic's name has at most 249 characters"));
        bytes.put_slice(topic.as_bytes());
        bytes.put_i32(count(indexes.len()));
        indexes.iter().for_each(|index| bytes.put_i32(*index));
    }
}

fn count(length: usize) -> i32 {
    i32::try_from(length).expect("partitions are numbered by 32 bits")
}

fn version(bytes: &mut &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes(take(bytes)?)).filter(|version| *version >= 0)
}

fn topics(bytes: &mut &[u8]) -> Option<BTreeSet<String>> {
    let mut topics = BTreeSet::new();
    for _ in 0..length(bytes)? {
        topics.insert(string(bytes)?);
    }
    Some(topics)
}

fn partitions(bytes: &mut &[u8]) -> Option<NamedPartitions> {
    let mut partitions = NamedPartitions::new();
    for _ in 0..length(bytes)? {
        let topic = string(bytes)?;
        let indexes = partitions.entry(topic).or_default();
        for _ in 0..length(bytes)? {
            indexes.insert(int32(bytes)?);
        }
    }
    Some(partitions)
}

/// True when there is any.
fn user_data(bytes: &mut &[u8]) -> Option<bool> {
    let Ok(length) = usize::try_from(int32(bytes)?) else { return Some(false) };
    let (_, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(length > 0)
}

fn string(bytes: &mut &[u8]) -> Option<String> {
    let length = i16::from_be_bytes(take(bytes)?);
    text(bytes, length)
}

fn text(bytes: &mut &[u8], length: i16) -> Option<String> {
    let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

fn length(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(int32(bytes)?).ok()
}

fn int32(bytes: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(bytes)?))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_topics_and_nothing_else() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff more";
        let topics = subscribed_topics(bytes).unwrap();
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "bc"]);
    }

    #[test]
    fn what_is_no_subscription_has_no_topics() {
        for bytes in [&b""[..], b"\0\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\0\x05ab"] {
            assert_eq!(subscribed_topics(bytes), None, "{bytes:?}");
        }
        assert_eq!(subscribed_topics(b"\0\0\0\0\0\0"), Some(BTreeSet::new()));
    }

    #[test]
    fn a_subscription_has_what_its_version_has() {
        let topics = b"\0\0\0\x01\0\x01a\0\0\0\x02zz";
        let owned = b"\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\x03\0\0\0\x04";
        let of = |version: u8, rest: &[&[u8]]| subscription(&[&[0, version], &topics[..], &rest.concat()].concat());
        let first = of(0, &[]).unwrap();
        assert_eq!((first.topics.contains("a"), first.owned.len(), first.rack_id), (true, 0, None));
        let third = of(3, &[owned, b"\0\0\0\x07", b"\0\x01r"]).unwrap();
        assert_eq!(third.owned, NamedPartitions::from([("a".to_owned(), BTreeSet::from([3, 4]))]));
        assert_eq!((third.version, third.rack_id.as_deref()), (3, Some("r")));
        assert_eq!(of(3, &[owned, b"\0\0\0\x07", b"\xff\xff"]).unwrap().rack_id, None);
        assert_eq!((of(1, &[]), of(3, &[owned]), of(1, &[b"\0\0\0\x01\0\x09a"])), (None, None, None));
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let partitions =
            NamedPartitions::from([("a".to_owned(), BTreeSet::from([0, 5])), ("b".to_owned(), [1].into())]);
        let bytes = encode_assignment(3, &partitions);
        assert_eq!(assignment(&bytes), Some(ConsumerAssignment { partitions, has_user_data: false }));
        assert_eq!(assignment(b""), Some(ConsumerAssignment::default()));
        assert!(assignment(b"\0\0\0\0\0\0\0\0\0\x01x").unwrap().has_user_data);
        assert_eq!(assignment(b"\0\0\0\0\0\x01\0"), None);
    }
}
