//! `partition.metadata`: which topic a partition's directory belongs to.
//!
//! Kafka's format, persisted, keep stable: the lines `version: 0` and `topic_id: <UUID in base64>`.

use std::io;
use std::path::Path;

use crate::model::TopicId;

use super::LogError;
use super::disk::{Disk, DiskFile};
use super::file_names::PARTITION_METADATA;

/// Reads the topic's id. `None` when there is no file, or one that a power cut left without its content: it is
/// synced together with the first batches.
pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<TopicId>, LogError> {
    let path = directory.join(PARTITION_METADATA);
    let content = match disk.read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("read", &path)(error)),
    };
    if content.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&content);
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:")).and_then(|id| id.trim().parse().ok());
    let reason = || format!("no topic_id in {text:?}");
    id.map(|id| Some(TopicId(id))).ok_or_else(|| LogError::Malformed { path: path.clone(), reason: reason() })
}

/// Writes the file. Not durable: the first flush of the log sees to that.
pub fn write(disk: &impl Disk, directory: &Path, topic_id: TopicId) -> Result<(), LogError> {
    let path = directory.join(PARTITION_METADATA);
    let text = format!("version: 0\ntopic_id: {topic_id}\n");
    let file = disk.create(&path).map_err(LogError::io("create", &path))?;
    file.write_at(text.as_bytes(), &[], 0).map_err(LogError::io("write", path))
}
