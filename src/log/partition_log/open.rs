//! Opening a partition's log: what is on disk becomes what is in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition, Wall};

use super::super::checkpoint::read_leader_epochs;
use super::super::disk::Disk;
use super::super::file_names::LEADER_EPOCH_CHECKPOINT;
use super::super::open_log::OpenLog;
use super::super::producer_state::ProducerStates;
use super::super::segmented_log::OpenedLog;
use super::super::{Damage, DataDirectory, LogConfig, LogError, SegmentedLog, partition_metadata};
use super::awaited::Awaited;
use super::producers::Snapshots;
use super::transactions::Verifications;
use super::{OpenReport, PartitionLog};

impl<D: Disk> PartitionLog<D> {
    /// Opens the partition's log in `directory`, creating it when it is missing, and recovers what lies past the
    /// recovery point that `directory` has for it. `clean` says that the last stop was a clean one: then indexes
    /// are trusted as they are. With a `topic_id`, `partition.metadata` must name the same topic.
    pub fn open(
        directory: &DataDirectory<D>,
        partition: TopicPartition,
        topic_id: Option<TopicId>,
        config: Arc<LogConfig>,
        clean: bool,
        now: Wall,
    ) -> Result<(Self, OpenReport), LogError> {
        let path = directory.partition_path(&partition);
        let disk = directory.disk();
        let created = !disk.exists(&path);
        if created {
            directory.begin_partition(&partition)?;
            disk.create_dir(&path).map_err(LogError::io("create", &path))?;
        }
        let topic_id = check_topic_id(disk, &path, topic_id)?;
        let known_recovery_point = directory.recovery_point(&partition);
        let open = OpenLog {
            config,
            recovery_point: known_recovery_point.unwrap_or(0),
            start_offset: directory.log_start_offset(&partition).unwrap_or(0),
            clean,
            now,
        };
        let start_offset = open.start_offset;
        let mut leader_epochs = read_leader_epochs(disk, &path.join(LEADER_EPOCH_CHECKPOINT))?;
        // What lies past the recovery point is told by the batches themselves.
        let mut leader_epochs_dirty = leader_epochs.truncate_from(open.recovery_point);
        let opened = SegmentedLog::open(directory.pool(), path, open, |batch| {
            let epoch = batch.header.partition_leader_epoch;
            if epoch != LeaderEpoch::NONE && !mutant!("recovery-forgets-epochs") {
                leader_epochs_dirty |= leader_epochs.assign(epoch, batch.header.base_offset);
            }
            Ok(())
        })?;
        let OpenedLog { log, damage, scanned_bytes } = opened;
        let mut log = Self {
            log,
            directory: directory.clone(),
            partition,
            topic_id,
            leader_epochs,
            leader_epochs_dirty,
            producers: ProducerStates::default(),
            snapshots: Snapshots::default(),
            ended_transactions: BTreeMap::new(),
            verifications: Verifications::default(),
            awaited: Awaited::default(),
            flushed_bytes: 0,
            new_on_disk: known_recovery_point.is_none(),
        };
        // A snapshot past the recovery point may tell of markers that the transaction indexes have lost.
        let snapshot_max = if clean { Offset::MAX } else { log.recovery_point() };
        log.finish_open(start_offset, damage.as_ref(), snapshot_max)?;
        Ok((log, OpenReport { created, scanned_bytes, cut: damage }))
    }

    fn finish_open(
        &mut self,
        start_offset: Offset,
        damage: Option<&Damage>,
        snapshot_max: Offset,
    ) -> Result<(), LogError> {
        if let Some(damage) = damage {
            tracing::warn!(partition = %self.partition, %damage, "cut the log past its recovery point");
            self.log.cut_damage()?;
        }
        if start_offset > self.log_end_offset() {
            // What was deleted by request is not there to begin with, and its offsets are not given out again.
            self.log.reset_to(start_offset)?;
        }
        self.log.advance_start(start_offset)?;
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        self.leader_epochs_dirty |= self.leader_epochs.truncate_from(log_end_offset);
        self.leader_epochs_dirty |= self.leader_epochs.advance_start(log_start_offset);
        self.log.publish_leader_epochs(self.leader_epochs.clone());
        self.list_snapshots()?;
        self.rebuild_producers(snapshot_max)
    }
}

/// The id in `partition.metadata`, which is written when it is missing.
fn check_topic_id<D: Disk>(disk: &D, path: &Path, topic_id: Option<TopicId>) -> Result<Option<TopicId>, LogError> {
    match (partition_metadata::read(disk, path)?, topic_id) {
        (Some(found), Some(expected)) if found != expected => {
            Err(LogError::InconsistentTopicId { path: path.to_owned(), expected, found })
        }
        (None, Some(expected)) => {
            partition_metadata::write(disk, path, expected)?;
            Ok(topic_id)
        }
        (found, _) => Ok(found),
    }
}
