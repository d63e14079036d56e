//! `meta.properties`: whose data directory this is.

use std::path::Path;

use crate::model::{BrokerId, DirectoryId};

use super::LogError;
use super::disk::Disk;

/// The identity of a data directory, Kafka's version 1.
///
/// | key | value |
/// |---|---|
/// | `version` | `1` |
/// | `cluster.id` | text, 22 characters of base64 when Kafka made it |
/// | `node.id` | number |
/// | `directory.id` | UUID in base64 |
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// `cluster.id`; `None` before the cluster has one.
    pub cluster_id: Option<String>,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `directory.id`.
    pub directory_id: DirectoryId,
}

impl MetaProperties {
    /// Reads the file; `None` when there is none.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }
}
