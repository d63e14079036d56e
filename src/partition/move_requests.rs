//! Wishes that a replica be in a certain data directory (KIP-113), and what is told of those that are on their way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::log::{DataDirectory, LogError, OsDisk};
use crate::model::{ErrorCode, Offset, TopicPartition};

use super::directory::{Directory, random_id};
use super::error::PartitionError;
use super::moves::{Moves, Step};
use super::replica::Replica;
use super::replicas::Replicas;

/// Why a replica does not move where it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum MoveRefusal {
    /// Kafka's limit, too.
    #[error("the topic's name leaves no room for what its directory is called while it moves")]
    NameTooLong,
    /// None of `log.dirs` is called so.
    #[error("{0} is none of this broker's log.dirs")]
    UnknownDirectory(String),
    /// The directory has failed, or could not be used at the start.
    #[error("the log directory {} is offline", .0.display())]
    DirectoryOffline(PathBuf),
    /// The replica cannot be used.
    #[error("the log of {0} is offline")]
    ReplicaOffline(TopicPartition),
    /// There is no such replica here. One that comes later goes where it was asked to.
    #[error("{0} is not on this broker, or not yet")]
    NotHere(TopicPartition),
    /// The directory does not take the copy.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl MoveRefusal {
    /// What a client is answered.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::NameTooLong => ErrorCode::InvalidTopicException,
            Self::UnknownDirectory(_) => ErrorCode::LogDirNotFound,
            Self::DirectoryOffline(_) | Self::ReplicaOffline(_) | Self::Log(_) => ErrorCode::KafkaStorageError,
            Self::NotHere(_) => ErrorCode::ReplicaNotAvailable,
        }
    }
}

/// What lies in one of `log.dirs`.
#[derive(Debug)]
pub struct DirectoryContent {
    /// Where it is.
    pub path: PathBuf,
    /// The replicas in it; `None` when it has failed.
    pub replicas: Option<Vec<Arc<Replica>>>,
    /// The copies of those that are on their way to it.
    pub futures: Vec<FutureReplica>,
}

/// A copy that is to become the replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FutureReplica {
    /// Of which partition.
    pub topic_partition: TopicPartition,
    /// Bytes copied.
    pub size_bytes: u64,
    /// Offsets that are not copied yet.
    pub offset_lag: Offset,
}

impl Replicas {
    /// AlterReplicaLogDirs: has the replica move to `log_dir`, an absolute path, or remembers the wish for when it comes.
    /// The directory it is in ends a move; another one replaces it. Blocks on the disk.
    pub fn move_replica(&self, partition: &TopicPartition, log_dir: &str) -> Result<(), MoveRefusal> {
        if !DataDirectory::<OsDisk>::can_name_future(partition) {
            return Err(MoveRefusal::NameTooLong);
        }
        let wanted = self.usable_directory(log_dir)?;
        let replica = match self.find(&partition.topic, partition.partition) {
            Ok(replica) => replica,
            Err(PartitionError::Offline(_)) => return Err(MoveRefusal::ReplicaOffline(partition.clone())),
            Err(_) => {
                self.places().prefer(partition, wanted);
                return Err(MoveRefusal::NotHere(partition.clone()));
            }
        };
        // No copy takes its place meanwhile.
        let _stays = replica.stay();
        let step = self.moves().step(partition, replica.directory(), wanted);
        match step {
            Step::Nothing => {}
            Step::End => self.end_move(partition),
            Step::Begin => {
                self.end_move(partition);
                self.begin_move(partition, wanted)?;
            }
        }
        Ok(())
    }

    fn usable_directory(&self, log_dir: &str) -> Result<usize, MoveRefusal> {
        let asked = Path::new(log_dir);
        let unknown = || MoveRefusal::UnknownDirectory(log_dir.to_owned());
        if !asked.is_absolute() {
            return Err(unknown());
        }
        let real = asked.canonicalize().ok();
        let is_it = |path: &Path| path == asked || real.as_deref() == Some(path);
        if self.config.lost_log_dirs.iter().any(|path| is_it(path)) {
            return Err(MoveRefusal::DirectoryOffline(asked.to_owned()));
        }
        let at = self.directories.iter().position(|directory| is_it(directory.log.path())).ok_or_else(unknown)?;
        if self.places().has_failed(at) { Err(MoveRefusal::DirectoryOffline(asked.to_owned())) } else { Ok(at) }
    }

    fn begin_move(&self, partition: &TopicPartition, target: usize) -> Result<(), MoveRefusal> {
        let Some(Directory { log, signal, .. }) = self.directories.get(target) else { return Ok(()) };
        log.create_future(partition, random_id()).inspect_err(|error| signal.note_fault(error))?;
        self.moves().begin(partition, target);
        tracing::info!(%partition, "moves to {}", log.path().display());
        for mover in self.movers() {
            mover.unpark();
        }
        Ok(())
    }

    /// Nobody wants the replica to move any more.
    pub(super) fn end_move(&self, partition: &TopicPartition) {
        let left = self.moves().end(partition);
        if let Some(directory) = left.and_then(|target| self.directories.get(target))
            && let Err(error) = directory.log.give_up_future(partition, random_id())
        {
            directory.signal.note_fault(&error);
            tracing::error!(%partition, "cannot give up its copy: {error}");
        }
    }

    /// Takes up the moves that an earlier life has begun; each copy is begun anew. A second one of a partition goes.
    pub(super) fn find_moves(&self) -> Result<(), LogError> {
        for (at, directory) in self.directories.iter().enumerate() {
            for partition in directory.log.futures()? {
                let known = self.moves().target(&partition);
                match known {
                    Some(target) if target != at => directory.log.give_up_future(&partition, random_id())?,
                    _ => self.moves().begin(&partition, at),
                }
            }
        }
        Ok(())
    }

    /// With the first image: moves of what is not here any more, or has arrived.
    pub(super) fn drop_stray_moves(&self) {
        let found: Vec<(TopicPartition, usize)> =
            self.moves().all().map(|(partition, moving)| (partition.clone(), moving.target)).collect();
        for (partition, target) in found {
            if self.places().find(&partition).is_none_or(|at| at == target) {
                tracing::info!(%partition, "drops the copy of a move that has nothing to move");
                self.end_move(&partition);
            }
        }
    }

    /// A move has met an error that may be the disk's: of the one or of the other directory.
    pub(super) fn on_move_fault(&self, fault: &LogError) {
        let at = self.directories.iter().position(|directory| fault.is_below(directory.log.path()));
        if let Some(at) = at
            && (fault.is_disk_fault() || fault.is_failed_sync())
        {
            self.on_directory_fault(at, fault);
        }
    }

    /// The data directories with what lies in each.
    pub fn by_directory(&self) -> Vec<DirectoryContent> {
        let usable = self.directories.iter().enumerate().map(|(at, directory)| {
            let has_failed = self.places().has_failed(at);
            DirectoryContent {
                path: directory.log.path().to_owned(),
                replicas: (!has_failed).then(|| self.snapshot(|directory| directory == at)),
                futures: self.futures(at),
            }
        });
        let lost = self.config.lost_log_dirs.iter();
        let lost = lost.map(|path| DirectoryContent { path: path.clone(), replicas: None, futures: Vec::new() });
        usable.chain(lost).collect()
    }

    fn futures(&self, at: usize) -> Vec<FutureReplica> {
        let moves: Vec<_> = {
            let moves = self.moves();
            let to_it = moves.all().filter(|(_, moving)| moving.target == at);
            to_it.map(|(partition, moving)| (partition.clone(), Arc::clone(&moving.progress))).collect()
        };
        let of_replicas = moves.into_iter().filter_map(|(topic_partition, progress)| {
            let replica = self.find(&topic_partition.topic, topic_partition.partition).ok();
            // One that has arrived may still have something to clear away.
            let replica = replica.filter(|replica| replica.directory() != at)?;
            let offset_lag = (replica.log_end_offset() - progress.end_offset()).max(0);
            Some(FutureReplica { topic_partition, size_bytes: progress.bytes(), offset_lag })
        });
        of_replicas.collect()
    }

    pub(super) fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
