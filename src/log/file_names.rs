//! Kafka's names of files and directories.
//!
//! | name | what |
//! |---|---|
//! | `<topic>-<partition>/` | a partition's directory |
//! | `<topic>-<partition>.<id>-delete/` | the same, to be removed |
//! | `<topic>-<partition>.<topic id>-kept/` | the same, of a deleted topic that can be restored |
//! | `<topic>-<partition>.<id>-future/` | a copy that may take the place of the one in another data directory |
//! | `<topic>-<partition>.<id>-moved/` | what such a copy is about to take the place of, or has taken it |
//! | `00000000000000000042.log` | batches from offset 42 on |
//! | `….index` `….timeindex` `….txnindex` | its indexes |
//! | `00000000000000000042.snapshot` | producer state before offset 42 |
//! | `….deleted` | a file to be removed |
//! | `….cleaned` | a file that compaction is still writing |
//! | `….swap` | a file that compaction has finished, about to take its place |

use crate::model::{Offset, TopicId, TopicPartition, Uuid, validate_topic_name};

/// What is appended to the name of a file that is not part of the log: not yet, or no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Part of the log: nothing is appended.
    Present,
    /// Compaction is still writing it; of no use to anybody else.
    Cleaned,
    /// Compaction has finished it and it is durable: it takes the place of what it was made from, after a crash too.
    Swap,
    /// To be removed.
    Deleted,
}

impl Standing {
    /// The suffix, empty for a file of the log.
    pub fn suffix(self) -> &'static str {
        match self {
            Standing::Present => "",
            Standing::Cleaned => ".cleaned",
            Standing::Swap => ".swap",
            Standing::Deleted => ".deleted",
        }
    }
}

/// Ends the name of a partition directory that is to be removed.
pub const DELETE_DIRECTORY_SUFFIX: &str = "-delete";
/// Ends the name of a partition directory whose topic is deleted and can be restored.
pub const KEPT_DIRECTORY_SUFFIX: &str = "-kept";
/// Ends the name of a directory that a partition is being copied into.
pub const FUTURE_DIRECTORY_SUFFIX: &str = "-future";
/// Ends the name of a partition's directory while a copy in another data directory takes its place.
pub const MOVED_DIRECTORY_SUFFIX: &str = "-moved";
/// `leader-epoch-checkpoint`, in each partition's directory.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// `partition.metadata`, in each partition's directory.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// What a file named after an offset holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// `.log`
    Log,
    /// `.index`
    OffsetIndex,
    /// `.timeindex`
    TimeIndex,
    /// `.txnindex`
    TransactionIndex,
    /// `.snapshot`
    ProducerSnapshot,
}

impl FileKind {
    const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::ProducerSnapshot,
    ];

    fn suffix(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::OffsetIndex => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TransactionIndex => ".txnindex",
            FileKind::ProducerSnapshot => ".snapshot",
        }
    }
}

/// The name of a file: twenty digits of offset and the suffix of its kind.
pub fn file_name(offset: Offset, kind: FileKind) -> String {
    format!("{offset:020}{}", kind.suffix())
}

/// Takes such a name apart; `None` for any other.
pub fn parse_file_name(name: &str) -> Option<(Offset, FileKind)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    let kind = FileKind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, kind))
}

/// The directory of a partition.
pub fn partition_directory_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The partition of a directory; `None` for names that are none of ours.
pub fn parse_partition_directory_name(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    validate_topic_name(topic).ok()?;
    let number: i32 = partition.parse().ok()?;
    // "a-01" and "a-+1" are not names that we write.
    (number >= 0 && number.to_string() == partition).then(|| TopicPartition::new(topic, number))
}

/// The name of a partition's directory that is to be removed; `id` makes it unlike all others. The
/// topic's name is shortened so that the whole stays below 255 bytes, as Kafka does.
pub fn deleted_directory_name(partition: &TopicPartition, id: Uuid) -> String {
    renamed_directory_name(partition, id, DELETE_DIRECTORY_SUFFIX)
}

/// True for the name of a directory that is to be removed.
pub fn is_deleted_directory_name(name: &str) -> bool {
    name.strip_suffix(DELETE_DIRECTORY_SUFFIX).and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, id)| is_hex(id))
}

/// The name of a partition's directory whose topic is deleted and can be restored, shortened as above. The topic's id
/// and the partition's number tell what it is.
pub fn kept_directory_name(partition: &TopicPartition, topic_id: TopicId) -> String {
    renamed_directory_name(partition, topic_id.0, KEPT_DIRECTORY_SUFFIX)
}

/// Takes such a name apart; `None` for any other.
pub fn parse_kept_directory_name(name: &str) -> Option<(TopicId, i32)> {
    let (front, id) = name.strip_suffix(KEPT_DIRECTORY_SUFFIX)?.rsplit_once('.')?;
    let (_, partition) = front.rsplit_once('-')?;
    Some((TopicId(parse_hex(id)?), partition.parse().ok()?))
}

/// The longest name of a directory.
const DIRECTORY_NAME_MAX: usize = 255;

/// The name of a directory that a partition is being copied into; `None` when the topic's name is too long for that.
/// The whole name of the partition is in it, so nothing is shortened (nor is it by Kafka).
pub fn future_directory_name(partition: &TopicPartition, id: Uuid) -> Option<String> {
    let name = whole_directory_name(partition, id, FUTURE_DIRECTORY_SUFFIX);
    (name.len() <= DIRECTORY_NAME_MAX).then_some(name)
}

/// Takes such a name apart; `None` for any other.
pub fn parse_future_directory_name(name: &str) -> Option<TopicPartition> {
    parse_whole_directory_name(name, FUTURE_DIRECTORY_SUFFIX).map(|(partition, _)| partition)
}

/// The name of a partition's directory while a copy takes its place. Shorter than that of the copy.
pub fn moved_directory_name(partition: &TopicPartition, id: Uuid) -> String {
    whole_directory_name(partition, id, MOVED_DIRECTORY_SUFFIX)
}

/// Takes such a name apart; `None` for any other.
pub fn parse_moved_directory_name(name: &str) -> Option<(TopicPartition, Uuid)> {
    parse_whole_directory_name(name, MOVED_DIRECTORY_SUFFIX)
}

fn whole_directory_name(partition: &TopicPartition, id: Uuid, suffix: &str) -> String {
    format!("{partition}.{}{suffix}", hex(id))
}

fn parse_whole_directory_name(name: &str, suffix: &str) -> Option<(TopicPartition, Uuid)> {
    let (partition, id) = name.strip_suffix(suffix)?.rsplit_once('.')?;
    Some((parse_partition_directory_name(partition)?, parse_hex(id)?))
}

fn hex(id: Uuid) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn renamed_directory_name(partition: &TopicPartition, id: Uuid, suffix: &str) -> String {
    let end = format!("-{}.{}{suffix}", partition.partition, hex(id));
    let topic: String = partition.topic.chars().take(DIRECTORY_NAME_MAX - end.len()).collect();
    topic + &end
}

fn parse_hex(id: &str) -> Option<Uuid> {
    let number = u128::from_str_radix(id, 16).ok().filter(|_| is_hex(id))?;
    Some(Uuid(number.to_be_bytes()))
}

fn is_hex(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(file_name(42, FileKind::Log), "00000000000000000042.log");
        assert_eq!(parse_file_name("00000000000000000042.timeindex"), Some((42, FileKind::TimeIndex)));
        for other in
            ["42.log", "00000000000000000042.log.deleted", "000000000000000000x2.log", "99999999999999999999.log"]
        {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_directories() {
        let partition = TopicPartition::new("a-b.c", 7);
        assert_eq!(partition_directory_name(&partition), "a-b.c-7");
        assert_eq!(parse_partition_directory_name("a-b.c-7"), Some(partition.clone()));
        for other in ["a", "a-", "a-01", "a-+1", "-1", "a/b-1"] {
            assert_eq!(parse_partition_directory_name(other), None, "{other}");
        }
        let deleted = deleted_directory_name(&partition, Uuid([0xab; 16]));
        assert_eq!(deleted, format!("a-b.c-7.{}-delete", "ab".repeat(16)));
        assert!(is_deleted_directory_name(&deleted));
        assert!(parse_partition_directory_name(&deleted).is_none());
        let long = deleted_directory_name(&TopicPartition::new("x".repeat(249), 12345), Uuid::ZERO);
        assert_eq!(long.len(), 255);
        let kept = kept_directory_name(&partition, TopicId(Uuid([0xab; 16])));
        assert_eq!(kept, format!("a-b.c-7.{}-kept", "ab".repeat(16)));
        assert_eq!(parse_kept_directory_name(&kept), Some((TopicId(Uuid([0xab; 16])), 7)));
        assert!(parse_partition_directory_name(&kept).is_none() && !is_deleted_directory_name(&kept));
        assert_eq!(parse_kept_directory_name(&deleted), None);
        let long = kept_directory_name(&TopicPartition::new("x".repeat(249), 12345), TopicId(Uuid([7; 16])));
        assert_eq!((long.len(), parse_kept_directory_name(&long)), (255, Some((TopicId(Uuid([7; 16])), 12345))));
    }

    #[test]
    fn names_of_directories_on_the_move() {
        let (partition, id) = (TopicPartition::new("a-b.c", 7), Uuid([0xab; 16]));
        let future = future_directory_name(&partition, id).unwrap();
        let moved = moved_directory_name(&partition, id);
        assert_eq!(future, format!("a-b.c-7.{}-future", "ab".repeat(16)));
        assert_eq!(moved, format!("a-b.c-7.{}-moved", "ab".repeat(16)));
        assert_eq!(parse_future_directory_name(&future), Some(partition.clone()));
        assert_eq!(parse_moved_directory_name(&moved), Some((partition, id)));
        for other in [&*moved, "a-b.c-7.ab-future", "a-b.c.ab-future", "a-b.c-7"] {
            assert_eq!(parse_future_directory_name(other), None, "{other}");
        }
        assert!(parse_partition_directory_name(&future).is_none() && !is_deleted_directory_name(&moved));
        let long = |length: usize| future_directory_name(&TopicPartition::new("x".repeat(length), 0), Uuid::ZERO);
        assert_eq!(long(213).map(|name| name.len()), Some(255));
        assert_eq!(long(214), None);
    }
}
