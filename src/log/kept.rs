//! Partitions of deleted topics that can be restored: their directories under another name.
//!
//! A log is set aside whole and synced, so nothing has to be recovered when it comes back. What the checkpoints of the
//! data directory said of it goes with it, in a file of its own: the name may belong to another partition by then.
//!
//! | file | when |
//! |---|---|
//! | `<topic>-<partition>.<topic id>-kept/kept-checkpoint` | while the partition is set aside |

use std::path::{Path, PathBuf};

use crate::model::{TopicId, TopicPartition, Uuid};

use super::checkpoint::{format_named_offsets, read_named_offsets};
use super::disk::Disk;
use super::file_names::{deleted_directory_name, kept_directory_name, parse_kept_directory_name};
use super::{DataDirectory, LogError, partition_metadata};

const KEPT_CHECKPOINT: &str = "kept-checkpoint";

impl<D: Disk> DataDirectory<D> {
    /// Sets a partition's directory aside; its log must be closed. Returns where it is now, durably.
    pub(super) fn set_aside(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<PathBuf, LogError> {
        let from = self.partition_path(partition);
        let checkpoint = from.join(KEPT_CHECKPOINT);
        let offsets = format_named_offsets(&self.offsets_of(partition));
        self.disk().write_atomically(&checkpoint, offsets.as_bytes()).map_err(LogError::io("write", checkpoint))?;
        let to = self.path().join(kept_directory_name(partition, topic_id));
        self.rename_durably(&from, &to)?;
        self.forget(partition);
        Ok(to)
    }

    /// The partitions that are set aside here: topic id and index.
    pub(super) fn kept(&self) -> Result<Vec<(TopicId, i32)>, LogError> {
        Ok(self.directories_named(parse_kept_directory_name)?.into_iter().map(|(kept, _)| kept).collect())
    }

    /// True when this partition is set aside here.
    pub fn keeps(&self, partition: &TopicPartition, topic_id: TopicId) -> bool {
        self.disk().exists(&self.path().join(kept_directory_name(partition, topic_id)))
    }

    /// Gives a partition that is set aside its name back, which must be free, and what the checkpoints said of it. A
    /// crash in between leaves the one or the other.
    pub fn restore(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<(), LogError> {
        let from = self.path().join(kept_directory_name(partition, topic_id));
        let offsets = read_named_offsets(self.disk(), &from.join(KEPT_CHECKPOINT))?;
        self.set_offsets(partition, &offsets)?;
        let to = self.partition_path(partition);
        self.rename_durably(&from, &to)?;
        let checkpoint = to.join(KEPT_CHECKPOINT);
        match self.disk().exists(&checkpoint) {
            true => self.disk().remove_file(&checkpoint).map_err(LogError::io("remove", checkpoint)),
            false => Ok(()),
        }
    }

    /// Which topic the directory of this name belongs to; `None` when there is none, or none that says so.
    pub fn topic_id_of(&self, partition: &TopicPartition) -> Result<Option<TopicId>, LogError> {
        partition_metadata::read(self.disk(), &self.partition_path(partition))
    }

    /// Gives up a partition's directory that no log was opened in, to be removed by
    /// [`DataDirectory::remove_deleted`]. `id` must be unique.
    pub fn give_up(&self, partition: &TopicPartition, id: Uuid) -> Result<(), LogError> {
        let to = self.path().join(deleted_directory_name(partition, id));
        self.rename_durably(&self.partition_path(partition), &to)?;
        self.forget(partition);
        Ok(())
    }

    /// Gives up those of the partitions set aside here that are not wanted, to be removed by
    /// [`DataDirectory::remove_deleted`]. `id` must be unique.
    pub fn give_up_kept(&self, is_wanted: impl Fn(TopicId, i32) -> bool, id: Uuid) -> Result<(), LogError> {
        let kept = self.directories_named(parse_kept_directory_name)?.into_iter();
        for ((topic_id, index), from) in kept.filter(|((topic_id, index), _)| !is_wanted(*topic_id, *index)) {
            let to = self.path().join(deleted_directory_name(&TopicPartition::new(topic_id.to_string(), index), id));
            self.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        }
        Ok(())
    }

    pub(super) fn rename_durably(&self, from: &Path, to: &Path) -> Result<(), LogError> {
        self.disk().rename(from, to).map_err(LogError::io("rename", from))?;
        self.disk().sync_dir(self.path()).map_err(LogError::io("sync", self.path()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::log::{Fault, FilePool, LogConfig, PartitionLog, SimDisk};
    use crate::model::{LeaderEpoch, Wall};
    use crate::record::{BatchBuilder, BatchHeader};

    const ID: TopicId = TopicId(Uuid([7; 16]));
    const OTHER: TopicId = TopicId(Uuid([8; 16]));
    const NOW: Wall = Wall(1_000);

    fn partition() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn directory(disk: &SimDisk) -> DataDirectory<SimDisk> {
        DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 10)), Path::new("/data")).unwrap()
    }

    fn open(directory: &DataDirectory<SimDisk>, id: TopicId) -> PartitionLog<SimDisk> {
        let config = Arc::new(LogConfig::default());
        PartitionLog::open(directory, partition(), Some(id), config, true, NOW).unwrap().0
    }

    fn batch() -> Bytes {
        let mut batch = BatchBuilder::new();
        batch.append(0, None, Some(b"value"), &[]);
        batch.build()
    }

    /// A log of three records, the first of which is deleted.
    fn filled(disk: &SimDisk) -> (DataDirectory<SimDisk>, PartitionLog<SimDisk>) {
        let directory = directory(disk);
        disk.sync_dir(Path::new("/")).unwrap();
        let mut log = open(&directory, ID);
        for _ in 0..3 {
            let batch = batch();
            log.append_as_leader(&batch, &BatchHeader::parse(&batch).unwrap(), LeaderEpoch(4), None, NOW).unwrap();
        }
        log.advance_log_start_offset(1).unwrap();
        log.flush().unwrap();
        directory.write_checkpoints().unwrap();
        (directory, log)
    }

    /// What must be there whenever the log is opened.
    fn check(directory: &DataDirectory<SimDisk>) {
        let log = open(directory, ID);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (1, 3));
    }

    #[test]
    fn a_log_that_is_set_aside_leaves_nothing_under_its_name() {
        let disk = SimDisk::new();
        let (directory, log) = filled(&disk);
        log.set_aside(ID, 2).unwrap();
        assert_eq!((directory.partitions().unwrap(), directory.kept().unwrap()), (vec![], vec![(ID, 0)]));
        assert_eq!((directory.high_watermark(&partition()), directory.recovery_point(&partition())), (None, None));
        let other = open(&directory, OTHER);
        assert_eq!((other.log_start_offset(), other.log_end_offset()), (0, 0));
        other.delete(Uuid([9; 16])).unwrap();
        directory.restore(&partition(), ID).unwrap();
        assert_eq!(
            (directory.high_watermark(&partition()), directory.recovery_point(&partition())),
            (Some(2), Some(3))
        );
        check(&directory);
        assert!(!disk.exists(Path::new("/data/t-0/kept-checkpoint")));
    }

    #[test]
    fn only_what_is_not_wanted_is_given_up() {
        let disk = SimDisk::new();
        let (directory, log) = filled(&disk);
        log.set_aside(ID, 2).unwrap();
        open(&directory, OTHER).set_aside(OTHER, 0).unwrap();
        directory.give_up_kept(|id, _| id == OTHER, Uuid([1; 16])).unwrap();
        assert_eq!(directory.kept().unwrap(), [(OTHER, 0)]);
        assert_eq!(directory.remove_deleted().unwrap(), 1);
    }

    /// The power goes at each operation of the way there and back. The next life does what was not done.
    #[test]
    fn a_cut_on_the_way_there_or_back_loses_nothing() {
        let mut cut_at = 0;
        loop {
            let disk = SimDisk::new();
            let (directory, log) = filled(&disk);
            let before = disk.operations();
            disk.fail_at(before + cut_at, Fault::Cut);
            let done = log.set_aside(ID, 3).and_then(|()| directory.restore(&partition(), ID));
            let operations = disk.operations() - before;
            disk.crash((cut_at % 2 == 0).then_some(cut_at));
            let next = self::directory(&disk);
            if next.keeps(&partition(), ID) {
                next.restore(&partition(), ID).unwrap();
            }
            check(&next);
            if done.is_ok() {
                assert!(operations > 8, "{operations}");
                return;
            }
            cut_at += 1;
        }
    }
}
