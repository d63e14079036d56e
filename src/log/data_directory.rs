//! One entry of `log.dirs`: the partitions in it and its checkpoint files.
//!
//! The offsets of the checkpoints are kept here for all partitions, and written when the owner says so. Only what must
//! not be believed after a crash is written at once: a recovery point that goes down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{CLUSTER_METADATA_TOPIC, Offset, TopicPartition};

use super::checkpoint::{PartitionOffsets, format_offsets, read_offsets};
use super::disk::Disk;
use super::file_names::{is_deleted_directory_name, parse_partition_directory_name, partition_directory_name};
use super::{FilePool, LogError};

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const FIRST_DIRTY_OFFSETS: &str = "cleaner-offset-checkpoint";

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
    pool: Arc<FilePool<D>>,
    checkpoints: Mutex<Checkpoints>,
    /// Held while files are written, so that an older content never replaces a newer one.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Checkpoints {
    recovery_points: Checkpoint,
    log_start_offsets: Checkpoint,
    high_watermarks: Checkpoint,
    first_dirty_offsets: Checkpoint,
    /// Partitions that are gone, but whose recovery points are still in the file: one of the same name that is
    /// created anew must not inherit them.
    forgotten: BTreeSet<TopicPartition>,
}

#[derive(Debug, Default)]
struct Checkpoint {
    offsets: PartitionOffsets,
    dirty: bool,
}

impl Checkpoint {
    fn read(disk: &impl Disk, path: &Path) -> Result<Self, LogError> {
        Ok(Self { offsets: read_offsets(disk, path)?, dirty: false })
    }

    fn set(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(old) = self.offsets.get_mut(partition) {
            self.dirty |= *old != offset;
            *old = offset;
        } else {
            self.offsets.insert(partition.clone(), offset);
            self.dirty = true;
        }
    }

    fn forget(&mut self, partition: &TopicPartition) -> bool {
        let known = self.offsets.remove(partition).is_some();
        self.dirty |= known;
        known
    }

    /// The text to write, when it has changed.
    fn take_dirty(&mut self) -> Option<String> {
        std::mem::take(&mut self.dirty).then(|| format_offsets(&self.offsets))
    }
}

impl<D: Disk> DataDirectory<D> {
    /// Opens `path`, creating it when it is missing, and reads its checkpoint files. The open files of all logs in
    /// it count against `pool`.
    pub fn open(pool: Arc<FilePool<D>>, path: &Path) -> Result<Self, LogError> {
        let disk = pool.disk();
        disk.create_dir(path).map_err(LogError::io("create", path))?;
        let checkpoints = Checkpoints {
            recovery_points: Checkpoint::read(disk, &path.join(RECOVERY_POINTS))?,
            log_start_offsets: Checkpoint::read(disk, &path.join(LOG_START_OFFSETS))?,
            high_watermarks: Checkpoint::read(disk, &path.join(HIGH_WATERMARKS))?,
            first_dirty_offsets: Checkpoint::read(disk, &path.join(FIRST_DIRTY_OFFSETS))?,
            forgotten: BTreeSet::new(),
        };
        let inner =
            Inner { path: path.to_owned(), pool, checkpoints: Mutex::new(checkpoints), writing: Mutex::new(()) };
        let directory = Self { inner: Arc::new(inner) };
        directory.forget_missing()?;
        Ok(directory)
    }

    /// Checkpoints of partitions whose directories are gone say nothing about those that may come.
    fn forget_missing(&self) -> Result<(), LogError> {
        // What has stepped aside for a copy may get its name back.
        let present: BTreeSet<_> = self.partitions()?.into_iter().chain(self.moved()?).collect();
        let known: Vec<_> = self.checkpoints().all_partitions().filter(|known| !present.contains(known)).collect();
        known.iter().for_each(|partition| self.forget(partition));
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The disk it is on.
    pub fn disk(&self) -> &D {
        self.inner.pool.disk()
    }

    pub(super) fn pool(&self) -> &Arc<FilePool<D>> {
        &self.inner.pool
    }

    /// The directory of a partition.
    pub(super) fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.inner.path.join(partition_directory_name(partition))
    }

    /// The partitions that have a directory here, in the order of their names. The metadata quorum's log, which may
    /// lie among them, is none of them.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, LogError> {
        let named = self.directories_named(parse_partition_directory_name)?.into_iter().map(|(partition, _)| partition);
        Ok(named.filter(|partition| *partition.topic != *CLUSTER_METADATA_TOPIC).collect())
    }

    /// The directories in it whose names `parse` understands: what each name says, and where it is.
    pub(super) fn directories_named<T>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<(T, PathBuf)>, LogError> {
        let entries = self.disk().list(self.path()).map_err(LogError::io("list", self.path()))?;
        let directories = entries.into_iter().filter(|entry| entry.is_dir);
        Ok(directories.filter_map(|entry| Some((parse(&entry.name)?, self.path().join(entry.name)))).collect())
    }

    /// Removes the directories of deleted partitions; the number removed. Also once at start.
    pub fn remove_deleted(&self) -> Result<usize, LogError> {
        let deleted = self.directories_named(|name| is_deleted_directory_name(name).then_some(()))?;
        for (_, path) in &deleted {
            self.disk().remove_dir_all(path).map_err(LogError::io("remove", path))?;
        }
        Ok(deleted.len())
    }

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.inner.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The high watermark written last for a partition, as a hint at start.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.checkpoints().high_watermarks.offsets.get(partition).copied()
    }

    /// Notes a partition's high watermark; durable with [`DataDirectory::write_checkpoints`].
    pub fn set_high_watermark(&self, partition: &TopicPartition, high_watermark: Offset) {
        self.checkpoints().high_watermarks.set(partition, high_watermark);
    }

    pub(super) fn recovery_point(&self, partition: &TopicPartition) -> Option<Offset> {
        self.checkpoints().recovery_points.offsets.get(partition).copied()
    }

    pub(super) fn set_recovery_point(&self, partition: &TopicPartition, offset: Offset) {
        self.checkpoints().recovery_points.set(partition, offset);
    }

    /// Lowers a recovery point and makes that durable, before the log is cut below it: a crash in between must not
    /// make the cut look like a loss.
    pub(super) fn lower_recovery_point(&self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.checkpoints().recovery_points.set(partition, offset);
        self.write_checkpoints()
    }

    pub(super) fn log_start_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.checkpoints().log_start_offsets.offsets.get(partition).copied()
    }

    pub(super) fn set_log_start_offset(&self, partition: &TopicPartition, offset: Offset) {
        self.checkpoints().log_start_offsets.set(partition, offset);
    }

    pub(super) fn first_dirty_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.checkpoints().first_dirty_offsets.offsets.get(partition).copied()
    }

    /// Notes how far a compacted partition is cleaned. Losing it costs a cleaning, nothing else.
    pub(super) fn set_first_dirty_offset(&self, partition: &TopicPartition, offset: Offset) {
        self.checkpoints().first_dirty_offsets.set(partition, offset);
    }

    /// What the checkpoints say of a partition, by their names.
    pub(super) fn offsets_of(&self, partition: &TopicPartition) -> BTreeMap<String, Offset> {
        let mut checkpoints = self.checkpoints();
        let named = checkpoints.by_name().into_iter();
        named.filter_map(|(name, checkpoint)| Some((name.to_owned(), *checkpoint.offsets.get(partition)?))).collect()
    }

    /// Has the checkpoints of `to` say of the partition what those here say, in memory.
    pub(super) fn carry_offsets(&self, partition: &TopicPartition, to: &Self) {
        let offsets = self.offsets_of(partition);
        to.checkpoints().set_all(partition, &offsets);
    }

    /// Makes the checkpoints say that again, durably.
    pub(super) fn set_offsets(
        &self,
        partition: &TopicPartition,
        offsets: &BTreeMap<String, Offset>,
    ) -> Result<(), LogError> {
        self.checkpoints().set_all(partition, offsets);
        self.write_checkpoints()
    }

    /// Forgets a partition that is gone.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        let mut checkpoints = self.checkpoints();
        let mut known = checkpoints.recovery_points.forget(partition);
        known |= checkpoints.log_start_offsets.forget(partition);
        known |= checkpoints.high_watermarks.forget(partition);
        known |= checkpoints.first_dirty_offsets.forget(partition);
        if known {
            checkpoints.forgotten.insert(partition.clone());
        }
    }

    /// Before a partition is created: makes sure that no checkpoint of an earlier one of the same name is left.
    pub(super) fn begin_partition(&self, partition: &TopicPartition) -> Result<(), LogError> {
        self.forget(partition);
        let stale = self.checkpoints().forgotten.contains(partition);
        if stale { self.write_checkpoints() } else { Ok(()) }
    }

    /// Writes the checkpoint files that have changed: recovery points, log start offsets, high
    /// watermarks, first dirty offsets.
    pub fn write_checkpoints(&self) -> Result<(), LogError> {
        let _writing = self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (texts, forgotten) = {
            let mut checkpoints = self.checkpoints();
            let texts = [
                // A log start that is known only after its recovery point is harmless, and so is the other order.
                (RECOVERY_POINTS, checkpoints.recovery_points.take_dirty()),
                (LOG_START_OFFSETS, checkpoints.log_start_offsets.take_dirty()),
                (HIGH_WATERMARKS, checkpoints.high_watermarks.take_dirty()),
                (FIRST_DIRTY_OFFSETS, checkpoints.first_dirty_offsets.take_dirty()),
            ];
            (texts, std::mem::take(&mut checkpoints.forgotten))
        };
        let written = self.write_files(&texts);
        if written.is_err() {
            let mut checkpoints = self.checkpoints();
            checkpoints.mark_all_dirty();
            checkpoints.forgotten.extend(forgotten);
        }
        written
    }

    fn write_files(&self, texts: &[(&str, Option<String>)]) -> Result<(), LogError> {
        for (name, text) in texts {
            if let Some(text) = text {
                let path = self.path().join(name);
                self.disk().write_atomically(&path, text.as_bytes()).map_err(LogError::io("write", path))?;
            }
        }
        Ok(())
    }
}

impl Checkpoints {
    fn set_all(&mut self, partition: &TopicPartition, offsets: &BTreeMap<String, Offset>) {
        for (name, checkpoint) in self.by_name() {
            if let Some(offset) = offsets.get(name) {
                checkpoint.set(partition, *offset);
            }
        }
    }

    fn by_name(&mut self) -> [(&'static str, &mut Checkpoint); 4] {
        [
            (RECOVERY_POINTS, &mut self.recovery_points),
            (LOG_START_OFFSETS, &mut self.log_start_offsets),
            (HIGH_WATERMARKS, &mut self.high_watermarks),
            (FIRST_DIRTY_OFFSETS, &mut self.first_dirty_offsets),
        ]
    }

    fn all_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let all = [&self.recovery_points, &self.log_start_offsets, &self.high_watermarks, &self.first_dirty_offsets];
        all.into_iter().flat_map(|checkpoint| checkpoint.offsets.keys()).cloned().collect::<BTreeSet<_>>().into_iter()
    }

    fn mark_all_dirty(&mut self) {
        self.recovery_points.dirty = true;
        self.log_start_offsets.dirty = true;
        self.high_watermarks.dirty = true;
        self.first_dirty_offsets.dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Fault, SimDisk};
    use crate::model::Uuid;

    fn open(disk: &SimDisk) -> DataDirectory<SimDisk> {
        DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 10)), Path::new("/data")).unwrap()
    }

    fn disk_with_partition(partition: &TopicPartition) -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir(&Path::new("/data").join(partition.to_string())).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/data")).unwrap();
        disk
    }

    #[test]
    fn checkpoints_survive_once_written() {
        let partition = TopicPartition::new("a", 0);
        let disk = disk_with_partition(&partition);
        let directory = open(&disk);
        directory.set_high_watermark(&partition, 5);
        directory.set_recovery_point(&partition, 7);
        directory.set_log_start_offset(&partition, 2);
        directory.write_checkpoints().unwrap();
        directory.set_high_watermark(&partition, 6);
        disk.crash(None);
        let directory = open(&disk);
        assert_eq!(directory.partitions().unwrap(), std::slice::from_ref(&partition));
        assert_eq!(directory.high_watermark(&partition), Some(5));
        assert_eq!(directory.recovery_point(&partition), Some(7));
        assert_eq!(directory.log_start_offset(&partition), Some(2));
    }

    #[test]
    fn the_metadata_log_is_no_partition() {
        let disk = disk_with_partition(&TopicPartition::new("a", 0));
        disk.create_dir(Path::new("/data/__cluster_metadata-0")).unwrap();
        assert_eq!(open(&disk).partitions().unwrap(), [TopicPartition::new("a", 0)]);
    }

    #[test]
    fn unchanged_checkpoints_are_not_written_again() {
        let partition = TopicPartition::new("a", 0);
        let disk = disk_with_partition(&partition);
        let directory = open(&disk);
        directory.set_high_watermark(&partition, 5);
        directory.write_checkpoints().unwrap();
        let operations = disk.operations();
        directory.set_high_watermark(&partition, 5);
        directory.write_checkpoints().unwrap();
        assert_eq!(disk.operations(), operations);
    }

    #[test]
    fn what_could_not_be_written_is_written_the_next_time() {
        let partition = TopicPartition::new("a", 0);
        let disk = disk_with_partition(&partition);
        let directory = open(&disk);
        directory.set_recovery_point(&partition, 7);
        disk.fail_at(disk.operations() + 1, Fault::Full);
        assert!(directory.write_checkpoints().is_err());
        directory.write_checkpoints().unwrap();
        disk.crash(None);
        assert_eq!(open(&disk).recovery_point(&partition), Some(7));
    }

    #[test]
    fn a_partition_created_anew_inherits_nothing() {
        let partition = TopicPartition::new("a", 0);
        let disk = disk_with_partition(&partition);
        let directory = open(&disk);
        directory.set_recovery_point(&partition, 7);
        directory.write_checkpoints().unwrap();
        directory.forget(&partition);
        assert_eq!(directory.recovery_point(&partition), None);
        directory.begin_partition(&partition).unwrap();
        disk.crash(None);
        assert_eq!(open(&disk).recovery_point(&partition), None);
    }

    #[test]
    fn deleted_directories_are_removed() {
        let partition = TopicPartition::new("a", 0);
        let disk = disk_with_partition(&partition);
        let directory = open(&disk);
        let name = crate::log::file_names::deleted_directory_name(&partition, Uuid([7; 16]));
        disk.rename(Path::new("/data/a-0"), &Path::new("/data").join(name)).unwrap();
        assert_eq!(directory.partitions().unwrap(), []);
        assert_eq!(directory.remove_deleted().unwrap(), 1);
        assert_eq!(directory.remove_deleted().unwrap(), 0);
    }
}
