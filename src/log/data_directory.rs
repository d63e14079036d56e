//! One entry of `log.dirs`: the partitions in it and its checkpoint files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Offset, TopicPartition};

use super::disk::Disk;
use super::{FilePool, LogError};

/// A data directory. Cheap to clone; clones share the checkpoints.
#[derive(Debug)]
pub struct DataDirectory<D: Disk> {
    inner: Arc<Inner<D>>,
}

impl<D: Disk> Clone for DataDirectory<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

#[derive(Debug)]
struct Inner<D: Disk> {
    path: PathBuf,
    _pool: Arc<FilePool<D>>,
}

impl<D: Disk> DataDirectory<D> {
    /// Opens `path`, creating it when it is missing, and reads its checkpoint files. The open files of all logs in
    /// it count against `pool`.
    pub fn open(pool: Arc<FilePool<D>>, path: &Path) -> Result<Self, LogError> {
        let _ = (pool, path);
        todo!("in progress")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The disk it is on.
    pub fn disk(&self) -> &D {
        todo!("in progress")
    }

    /// The partitions that have a directory here, in the order of their names.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, LogError> {
        todo!("in progress")
    }

    /// Removes the directories of deleted partitions; the number removed. Also once at start.
    pub fn remove_deleted(&self) -> Result<usize, LogError> {
        todo!("in progress")
    }

    /// The high watermark written last for a partition, as a hint at start.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        let _ = partition;
        todo!("in progress")
    }

    /// Notes a partition's high watermark; durable with [`DataDirectory::write_checkpoints`].
    pub fn set_high_watermark(&self, partition: &TopicPartition, high_watermark: Offset) {
        let _ = (partition, high_watermark);
        todo!("in progress")
    }

    /// Writes the checkpoint files that have changed: recovery points, log start offsets, high watermarks.
    pub fn write_checkpoints(&self) -> Result<(), LogError> {
        todo!("in progress")
    }
}
