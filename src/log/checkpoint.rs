//! Kafka's checkpoint files: text, a version, a count, one entry per line.
//!
//! Persisted, keep stable:
//!
//! | file | entry |
//! |---|---|
//! | `recovery-point-offset-checkpoint` | topic, partition, offset below which everything is synced |
//! | `log-start-offset-checkpoint` | topic, partition, offset of the first record that can be read |
//! | `replication-offset-checkpoint` | topic, partition, high watermark |
//! | `leader-epoch-checkpoint` | leader epoch, its first offset |
//! | `kept-checkpoint` (ours), in a directory that is kept | name of one of the first three files, the partition's offset in it |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::str::{FromStr, SplitAsciiWhitespace};

use crate::model::{EpochEntry, LeaderEpoch, LeaderEpochs, Offset, TopicPartition};

use super::LogError;
use super::disk::Disk;

/// Offsets by partition.
pub type PartitionOffsets = BTreeMap<TopicPartition, Offset>;

/// The text of an offset checkpoint.
pub fn format_offsets(offsets: &PartitionOffsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    text
}

/// The text of a leader epoch checkpoint.
pub fn format_leader_epochs(epochs: &LeaderEpochs) -> String {
    let mut text = format!("0\n{}\n", epochs.entries().len());
    for entry in epochs.entries() {
        let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
    }
    text
}

/// Reads an offset checkpoint; empty when there is no file.
pub fn read_offsets(disk: &impl Disk, path: &Path) -> Result<PartitionOffsets, LogError> {
    let entry = |fields: &mut SplitAsciiWhitespace<'_>| {
        let topic = fields.next()?.to_owned();
        Some((TopicPartition::new(topic, number(fields)?), number(fields)?))
    };
    Ok(read_entries(disk, path, entry)?.into_iter().collect())
}

/// Reads a leader epoch checkpoint; empty when there is no file.
pub fn read_leader_epochs(disk: &impl Disk, path: &Path) -> Result<LeaderEpochs, LogError> {
    let entry = |fields: &mut SplitAsciiWhitespace<'_>| {
        Some(EpochEntry { epoch: LeaderEpoch(number(fields)?), start_offset: number(fields)? })
    };
    Ok(LeaderEpochs::from_entries(read_entries(disk, path, entry)?))
}

/// The text of a partition's offsets in several checkpoints, by their names.
pub fn format_named_offsets(offsets: &BTreeMap<String, Offset>) -> String {
    let entries: String = offsets.iter().map(|(name, offset)| format!("{name} {offset}\n")).collect();
    format!("0\n{}\n{entries}", offsets.len())
}

/// Reads such offsets; empty when there is no file.
pub fn read_named_offsets(disk: &impl Disk, path: &Path) -> Result<BTreeMap<String, Offset>, LogError> {
    let entry = |fields: &mut SplitAsciiWhitespace<'_>| Some((fields.next()?.to_owned(), number(fields)?));
    Ok(read_entries(disk, path, entry)?.into_iter().collect())
}

fn number<T: FromStr>(fields: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    fields.next()?.parse().ok()
}

fn read_entries<T>(
    disk: &impl Disk,
    path: &Path,
    entry: impl Fn(&mut SplitAsciiWhitespace<'_>) -> Option<T>,
) -> Result<Vec<T>, LogError> {
    let content = match disk.read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogError::io("read", path)(error)),
    };
    let malformed = |reason: String| LogError::Malformed { path: path.to_owned(), reason };
    let text = String::from_utf8(content).map_err(|_| malformed("it is not text".to_owned()))?;
    let mut lines = text.lines();
    match lines.next() {
        Some("0") => {}
        version => return Err(malformed(format!("version {version:?} is not 0"))),
    }
    let count: usize = lines.next().and_then(|line| line.parse().ok()).ok_or_else(|| malformed("no count".into()))?;
    let entries: Vec<T> = lines
        .map(|line| {
            let mut fields = line.split_ascii_whitespace();
            entry(&mut fields).filter(|_| fields.next().is_none()).ok_or_else(|| malformed(format!("line {line:?}")))
        })
        .collect::<Result<_, _>>()?;
    if entries.len() == count {
        Ok(entries)
    } else {
        Err(malformed(format!("{} entries instead of {count}", entries.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SimDisk;

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        disk.write_atomically(Path::new("/d/c"), text.as_bytes()).unwrap();
        disk
    }

    #[test]
    fn offsets_round_trip() {
        let offsets =
            PartitionOffsets::from([(TopicPartition::new("b", 3), 12), (TopicPartition::new("a-c", 0), i64::MAX)]);
        let text = format_offsets(&offsets);
        assert_eq!(text, "0\n2\na-c 0 9223372036854775807\nb 3 12\n");
        assert_eq!(read_offsets(&disk_with(&text), Path::new("/d/c")).unwrap(), offsets);
        assert_eq!(read_offsets(&SimDisk::new(), Path::new("/d/c")).unwrap(), PartitionOffsets::new());
    }

    #[test]
    fn leader_epochs_round_trip() {
        let text = "0\n2\n0 0\n5 100\n";
        let epochs = read_leader_epochs(&disk_with(text), Path::new("/d/c")).unwrap();
        assert_eq!(epochs.entries().len(), 2);
        assert_eq!(format_leader_epochs(&epochs), text);
    }

    #[test]
    fn what_is_malformed_is_named() {
        for text in ["", "1\n0\n", "0\n", "0\n2\na 0 1\n", "0\n1\na 0 1 2\n", "0\n1\na x 1\n", "0\n-1\n"] {
            let error = read_offsets(&disk_with(text), Path::new("/d/c")).unwrap_err();
            assert!(matches!(error, LogError::Malformed { .. }), "{text:?}: {error}");
        }
    }
}
