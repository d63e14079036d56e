//! How a copy in another data directory takes a log's place, and what a start makes of what a crash left of that.
//!
//! ```text
//!   current directory             copy                         a start takes
//!   <partition>                   ….-future, grows             the current one; the copy is begun anew
//!   <partition>                   ….-future, durable           the same
//!   ….-moved, durable             ….-future, durable           the current one, which gets its name back
//!   ….-moved, durable             <partition>                  the copy
//!   removed                       <partition>, durable         the copy
//! ```
//!
//! There is never more than one directory of the partition's name, on no file system and after no crash, and while
//! there is none the one that stepped aside is whole: appends go to it until the very moment at which the copy, with all
//! of them, gets the name. Nothing is synced under the partition's lock: what is appended after the copy was made
//! durable is no more durable in the copy than it was in the log. What a sync had confirmed is: nobody syncs the log
//! meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::model::{Offset, TopicPartition, Uuid};

use super::disk::{Disk, DiskFile};
use super::file_names::{
    FileKind, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, deleted_directory_name, file_name,
    parse_moved_directory_name,
};
use super::future_log::{Extent, FutureLog};
use super::partition_log::{LeftBehind, SmallFiles};
use super::{DataDirectory, LogError, PartitionLog, partition_metadata};

/// What may be left to be copied under the partition's lock.
const REST_BYTES_MAX: u64 = 1 << 20;
/// So often the rest is copied without the lock at most; afterwards it is copied under it, however much it is.
const REST_ROUNDS_MAX: usize = 8;

/// A way to a log that others use, too.
pub trait LogAccess<D: Disk> {
    /// Runs `work` on the log under its lock; `None` when the log has been closed or deleted.
    fn with<T>(&self, work: impl FnOnce(&mut PartitionLog<D>) -> T) -> Option<T>;
}

/// How [`FutureLog::take_place`] ends.
#[derive(Debug)]
pub enum Relocated<D: Disk> {
    /// The log is the copy now, durably. What it has left behind is still there.
    Done(LeftBehind<D>),
    /// The copy does not cover the log any more: it was truncated or cleaned. Nothing has happened.
    Again(FutureLog<D>),
    /// The log has been closed or deleted.
    Gone,
}

impl<D: Disk> FutureLog<D> {
    /// One round of copying, see [`FutureLog`]: the bytes that it found to copy. `None` when the log is gone, or `pace`
    /// has said `false`.
    pub fn copy_round(
        &mut self,
        log: &impl LogAccess<D>,
        pace: &mut impl FnMut(u64) -> bool,
    ) -> Result<Option<u64>, LogError> {
        let Some(extent) = log.with(|log| log.extent()).flatten() else { return Ok(None) };
        match self.copy(&extent, pace) {
            // Whoever reads a log that is truncated or cleaned meanwhile may find anything.
            Err(error) if !error.is_below(self.target.path()) && has_changed(log, &extent) => Ok(Some(u64::MAX)),
            copied => copied,
        }
    }

    /// Takes the log's place. To be called when little is left to copy, and nobody may sync, close or delete the log
    /// until it returns; appends and reads go on. `high_watermark` is the hint that goes with the log, `id` must be
    /// unique, and `on_taken` is called under the log's lock at the moment from which on appends go to the copy.
    ///
    /// After an error the log is what it was, unless `on_taken` has been called.
    pub fn take_place(
        mut self,
        log: &impl LogAccess<D>,
        high_watermark: Offset,
        id: Uuid,
        on_taken: impl FnOnce(),
    ) -> Result<Relocated<D>, LogError> {
        if !self.make_durable(log, high_watermark)? {
            return Ok(Relocated::Gone);
        }
        let Some(aside) = log.with(|log| log.step_aside(id)).transpose()? else { return Ok(Relocated::Gone) };
        let disk = self.target.disk().clone();
        let taken = sync_dir(&disk, &aside)
            .and_then(|()| self.copy_rest(log))
            .and_then(|()| log.with(|log| give_place(log, &mut self, on_taken)).transpose());
        match taken {
            Ok(Some(Some(left))) => self.finish(left),
            Ok(Some(None)) => self.step_back(log, &disk).map(|()| Relocated::Again(self)),
            // Its directory has failed, and stays as it is until the next start.
            Ok(None) => Ok(Relocated::Gone),
            Err(error) => {
                self.step_back(log, &disk)?;
                Err(error)
            }
        }
    }

    /// Makes the copy durable as the log is now, with all that belongs to it; false when the log is gone.
    fn make_durable(&mut self, log: &impl LogAccess<D>, high_watermark: Offset) -> Result<bool, LogError> {
        let seen = log.with(|log| Some((log.extent()?, log.small_files()))).flatten();
        let Some((extent, small_files)) = seen else { return Ok(false) };
        self.copy(&extent, &mut |_| true)?;
        self.sync_segments()?;
        self.write_small_files(&small_files, extent.end_offset)?;
        let disk = self.target.disk();
        sync_dir(disk, &self.directory.path())?;
        sync_dir(disk, self.target.path())?;
        small_files.source.carry_offsets(&self.partition, &self.target);
        self.target.set_recovery_point(&self.partition, extent.end_offset);
        self.target.set_log_start_offset(&self.partition, small_files.log_start_offset);
        self.target.set_high_watermark(&self.partition, high_watermark);
        self.target.write_checkpoints()?;
        self.durable_offset = extent.end_offset;
        Ok(true)
    }

    fn write_small_files(&mut self, files: &SmallFiles<D>, end_offset: Offset) -> Result<(), LogError> {
        let (disk, to) = (self.target.disk().clone(), self.directory.path());
        let disk = &disk;
        let epochs = to.join(LEADER_EPOCH_CHECKPOINT);
        disk.write_atomically(&epochs, files.leader_epochs.as_bytes()).map_err(LogError::io("write", epochs))?;
        if let Some(topic_id) = files.topic_id {
            partition_metadata::write(disk, &to, topic_id)?;
            let path = to.join(PARTITION_METADATA);
            let synced = disk.open(&path).and_then(|file| file.sync_data());
            synced.map_err(LogError::io("sync", path))?;
        }
        self.snapshots.clear();
        for offset in files.snapshots.iter().filter(|offset| **offset <= end_offset) {
            let name = file_name(*offset, FileKind::ProducerSnapshot);
            let bytes = match disk.read(&files.directory.join(&name)) {
                Ok(bytes) => bytes,
                // Retention was here, and it was of no use any more.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LogError::io("read", files.directory.join(&name))(error)),
            };
            let path = to.join(name);
            let file = disk.create(&path).map_err(LogError::io("create", &path))?;
            let written = file.set_len(0).and_then(|()| file.write_at(&bytes, &[], 0));
            written.map_err(LogError::io("write", &path))?;
            file.sync_data().map_err(LogError::io("sync", path))?;
            self.snapshots.push(*offset);
        }
        Ok(())
    }

    /// Copies what has been appended meanwhile, until hardly anything is left.
    fn copy_rest(&mut self, log: &impl LogAccess<D>) -> Result<(), LogError> {
        for _ in 0..REST_ROUNDS_MAX {
            // If the copy does not cover the log, that is found under the lock.
            let seen = log.with(|log| log.extent()).flatten();
            let Some(extent) = seen.filter(|extent| self.covers(extent)) else { return Ok(()) };
            if self.missing_bytes(&extent) <= REST_BYTES_MAX {
                return Ok(());
            }
            match self.copy(&extent, &mut |_| true) {
                Err(_) if has_changed(log, &extent) => return Ok(()),
                copied => copied?,
            };
        }
        Ok(())
    }

    fn finish(self, left: LeftBehind<D>) -> Result<Relocated<D>, LogError> {
        sync_dir(self.target.disk(), self.target.path())?;
        self.target.write_checkpoints()?;
        left.source.forget(&self.partition);
        Ok(Relocated::Done(left))
    }

    fn step_back(&self, log: &impl LogAccess<D>, disk: &D) -> Result<(), LogError> {
        self.target.forget(&self.partition);
        match log.with(PartitionLog::step_back) {
            Some(stepped) => sync_dir(disk, &stepped?),
            None => Ok(()),
        }
    }
}

/// Under the log's lock.
fn give_place<D: Disk>(
    log: &mut PartitionLog<D>,
    future: &mut FutureLog<D>,
    on_taken: impl FnOnce(),
) -> Result<Option<LeftBehind<D>>, LogError> {
    let left = log.give_place_to(future)?;
    if left.is_some() {
        on_taken();
    }
    Ok(left)
}

/// True when the log is not what it was, beside what was appended.
fn has_changed<D: Disk>(log: &impl LogAccess<D>, before: &Extent<D>) -> bool {
    let now = log.with(|log| log.extent()).flatten();
    now.is_none_or(|now| {
        now.truncations != before.truncations || before.segments.iter().any(|(segment, _)| !now.has(segment))
    })
}

fn sync_dir<D: Disk>(disk: &D, path: &Path) -> Result<(), LogError> {
    disk.sync_dir(path).map_err(LogError::io("sync", path))
}

impl<D: Disk> DataDirectory<D> {
    /// The partitions that stepped aside for a copy.
    pub fn moved(&self) -> Result<Vec<TopicPartition>, LogError> {
        let moved = self.directories_named(parse_moved_directory_name)?;
        Ok(moved.into_iter().map(|((partition, _), _)| partition).collect())
    }
}

/// A partition's directory that stepped aside for a copy.
struct SteppedAside<'a, D: Disk> {
    directory: &'a DataDirectory<D>,
    path: PathBuf,
    /// The id in its name.
    id: Uuid,
}

impl<D: Disk> SteppedAside<'_, D> {
    fn give_up(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let to = self.directory.path().join(deleted_directory_name(partition, self.id));
        self.directory.disk().rename(&self.path, &to).map_err(LogError::io("rename", &self.path))?;
        self.directory.forget(partition);
        Ok(())
    }

    fn step_back(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let Self { directory, path, .. } = self;
        directory.rename_durably(path, &directory.partition_path(partition))?;
        tracing::info!(%partition, "the log stays in {}: it was not moved to its end", directory.path().display());
        Ok(())
    }

    fn tell_of_waiting(&self, partition: &TopicPartition) {
        tracing::error!(
            %partition,
            "the log in {} stepped aside for a copy in another log directory, which cannot be used now: the partition \
             stays offline until that is back, or is taken out of log.dirs",
            self.path.display()
        );
    }
}

/// What a crash left of logs that a copy was about to take the place of: where the copy has the partition's name, what
/// stepped aside is given up, and where none has it gets its name back. While a directory cannot be used (`any_lost`) the
/// copy may be in that one, and what stepped aside stays so. To be called before the logs are looked at.
pub fn settle_relocations<D: Disk>(directories: &[DataDirectory<D>], any_lost: bool) -> Result<(), LogError> {
    let mut moved: BTreeMap<TopicPartition, Vec<SteppedAside<'_, D>>> = BTreeMap::new();
    let mut current = BTreeSet::new();
    for directory in directories {
        current.extend(directory.partitions()?);
        for ((partition, id), path) in directory.directories_named(parse_moved_directory_name)? {
            moved.entry(partition).or_default().push(SteppedAside { directory, path, id });
        }
    }
    for (partition, places) in moved {
        match places.as_slice() {
            places if current.contains(&partition) => places.iter().try_for_each(|aside| aside.give_up(&partition))?,
            places if any_lost => places.iter().for_each(|aside| aside.tell_of_waiting(&partition)),
            [aside] => aside.step_back(&partition)?,
            [first, second, ..] => {
                let reason = format!("{} has stepped aside for the same partition, too", first.path.display());
                return Err(LogError::Malformed { path: second.path.clone(), reason });
            }
            [] => {}
        }
    }
    Ok(())
}
