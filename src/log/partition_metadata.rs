//! `partition.metadata`: which topic a partition's directory belongs to.
//!
//! Kafka's format, persisted, keep stable: the lines `version: 0` and `topic_id: <UUID in base64>`.

use std::io;
use std::path::Path;

use crate::model::TopicId;

use super::LogError;
use super::disk::{Disk, DiskFile};
use super::file_names::PARTITION_METADATA;

/// All in front of the id.
const HEAD: &str = "version: 0\ntopic_id: ";
const ID_LENGTH: usize = 22;

/// Reads the topic's id. `None` when there is no file, or one that was not written to its end: it is synced together
/// with the first batches.
pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<TopicId>, LogError> {
    let path = directory.join(PARTITION_METADATA);
    let content = match disk.read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("read", &path)(error)),
    };
    let text = String::from_utf8_lossy(&content);
    if is_unfinished(&text) {
        return Ok(None);
    }
    let id = text.strip_prefix(HEAD).and_then(|id| id.trim_end().parse().ok());
    id.map(|id| Some(TopicId(id)))
        .ok_or_else(|| LogError::Malformed { path, reason: format!("no version 0 with a topic_id in {text:?}") })
}

/// A part of the file, or the zeros that a power cut leaves.
fn is_unfinished(text: &str) -> bool {
    let written = text.trim_end_matches('\0');
    HEAD.starts_with(written) || written.strip_prefix(HEAD).is_some_and(|id| id.len() < ID_LENGTH)
}

/// Writes the file. Not durable: the first flush of the log sees to that.
pub fn write(disk: &impl Disk, directory: &Path, topic_id: TopicId) -> Result<(), LogError> {
    let path = directory.join(PARTITION_METADATA);
    let file = disk.create(&path).map_err(LogError::io("create", &path))?;
    let text = format!("{HEAD}{topic_id}");
    file.set_len(0).and_then(|()| file.write_at(text.as_bytes(), &[], 0)).map_err(LogError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SimDisk;
    use crate::model::Uuid;

    #[test]
    fn whole_unfinished_and_malformed() {
        let disk = SimDisk::new();
        let directory = Path::new("/d");
        disk.create_dir(directory).unwrap();
        assert_eq!(read(&disk, directory).unwrap(), None);
        let topic_id = TopicId(Uuid([7; 16]));
        write(&disk, directory, topic_id).unwrap();
        assert_eq!(read(&disk, directory).unwrap(), Some(topic_id));
        let whole = disk.read(&directory.join(PARTITION_METADATA)).unwrap();
        assert_eq!(whole, b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw");
        let put = |content: &[u8]| disk.write_atomically(&directory.join(PARTITION_METADATA), content).unwrap();
        for length in 0..whole.len() {
            let mut torn = whole[..length].to_vec();
            put(&torn);
            assert_eq!(read(&disk, directory).unwrap(), None);
            torn.resize(whole.len(), 0);
            put(&torn);
            assert_eq!(read(&disk, directory).unwrap(), None);
        }
        for text in ["version: 1\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw", "version: 0\ntopic_id: !wcHBwcHBwcHBwcHBwcHBw"] {
            put(text.as_bytes());
            assert!(matches!(read(&disk, directory), Err(LogError::Malformed { .. })), "{text}");
        }
    }
}
