//! What a partition's log does while a copy in another data directory takes its place. The order of these steps, and
//! what is made durable between them, is the business of `relocation`.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::DataDirectory;
use super::super::LogError;
use super::super::checkpoint::format_leader_epochs;
use super::super::disk::Disk;
use super::super::file_names::{deleted_directory_name, moved_directory_name};
use super::super::file_pool::LogDirectory;
use super::super::future_log::{Extent, FutureLog};
use super::PartitionLog;
use crate::model::{Offset, TopicId, TopicPartition, Uuid};

/// What a copy needs beside the segments.
#[derive(Debug)]
pub(in crate::log) struct SmallFiles<D: Disk> {
    pub(in crate::log) directory: PathBuf,
    pub(in crate::log) source: DataDirectory<D>,
    pub(in crate::log) topic_id: Option<TopicId>,
    pub(in crate::log) leader_epochs: String,
    pub(in crate::log) snapshots: Vec<Offset>,
    pub(in crate::log) log_start_offset: Offset,
}

/// A log's directory that a copy has taken the place of. To be given up when nobody reads in it any more.
#[derive(Debug)]
#[must_use = "it takes room until it is given up"]
pub struct LeftBehind<D: Disk> {
    directory: Arc<LogDirectory>,
    pub(in crate::log) source: DataDirectory<D>,
    partition: TopicPartition,
}

impl<D: Disk> LeftBehind<D> {
    /// True while somebody reads in it who began before the copy took its place: an index that is removed then would look
    /// like one without entries.
    pub fn is_read(&self) -> bool {
        Arc::strong_count(&self.directory) > 1
    }

    /// Gives it up, to be removed by [`DataDirectory::remove_deleted`]. `id` must be unique.
    pub fn give_up(self, id: Uuid) -> Result<(), LogError> {
        let from = self.directory.path();
        let to = self.source.path().join(deleted_directory_name(&self.partition, id));
        self.source.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        self.directory.set_path(to);
        Ok(())
    }
}

impl<D: Disk> PartitionLog<D> {
    pub(in crate::log) fn extent(&self) -> Option<Extent<D>> {
        self.log.extent()
    }

    pub(in crate::log) fn small_files(&self) -> SmallFiles<D> {
        SmallFiles {
            directory: self.log.path(),
            source: self.directory.clone(),
            topic_id: self.topic_id,
            leader_epochs: format_leader_epochs(&self.leader_epochs),
            snapshots: self.snapshot_offsets(),
            log_start_offset: self.log_start_offset(),
        }
    }

    /// Renames the directory, so that no start takes it for the partition's while there is another. The log goes on in
    /// it. Returns the data directory, which is to be synced.
    pub(in crate::log) fn step_aside(&mut self, id: Uuid) -> Result<PathBuf, LogError> {
        let to = self.directory.path().join(moved_directory_name(&self.partition, id));
        self.rename_directory(to)
    }

    /// Takes [`PartitionLog::step_aside`] back.
    pub(in crate::log) fn step_back(&mut self) -> Result<PathBuf, LogError> {
        let to = self.directory.partition_path(&self.partition);
        self.rename_directory(to)
    }

    fn rename_directory(&mut self, to: PathBuf) -> Result<PathBuf, LogError> {
        let from = self.log.path();
        self.directory.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        self.log.directory().set_path(to);
        Ok(self.directory.path().to_owned())
    }

    /// Copies the rest into `future`, gives that the partition's name, and goes on in it. `None`, and nothing has
    /// happened, when the copy does not cover this log any more.
    pub(in crate::log) fn give_place_to(
        &mut self,
        future: &mut FutureLog<D>,
    ) -> Result<Option<LeftBehind<D>>, LogError> {
        let Some(extent) = self.log.extent().filter(|extent| future.covers(extent)) else { return Ok(None) };
        future.copy(&extent, &mut |_| true)?;
        let (from, to) = (future.directory.path(), future.target.partition_path(&self.partition));
        future.target.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        future.directory.set_path(to);
        // From here on nothing can fail.
        let (directory, source) = (self.log.directory().clone(), self.directory.clone());
        let left = LeftBehind { directory, source, partition: self.partition.clone() };
        let (segments, since_index_entry) = future.segments();
        self.log.relocate(future.directory.clone(), segments, since_index_entry, future.durable_offset);
        left.directory.mark_deleted();
        // What has changed since the copy was made durable.
        future.target.set_log_start_offset(&self.partition, self.log_start_offset());
        if let Some(first_dirty_offset) = self.directory.first_dirty_offset(&self.partition) {
            future.target.set_first_dirty_offset(&self.partition, first_dirty_offset);
        }
        self.directory = future.target.clone();
        self.set_snapshots(&future.snapshots);
        self.leader_epochs_dirty = true;
        self.new_on_disk = false;
        Ok(Some(left))
    }
}
