//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{ErrorCode, LeaderEpoch, Offset, TopicId};
use crate::record::RecordError;

/// A fault of the log, or a request that the log cannot serve as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `sync`, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The disk's words.
        source: io::Error,
    },
    /// Bytes below the recovery point are not what was written. Nothing was changed on disk.
    #[error("{} is corrupt at byte {position}, where offset {offset} should begin: {reason}", path.display())]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// The offset expected there.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The log ends before what was flushed once.
    #[error(
        "the log in {} ends at offset {log_end_offset} but was flushed up to {recovery_point}: records are missing",
        path.display()
    )]
    EndsBeforeRecoveryPoint {
        /// The partition's directory.
        path: PathBuf,
        /// The end found.
        log_end_offset: Offset,
        /// What the checkpoint says.
        recovery_point: Offset,
    },
    /// A small file that cannot be understood.
    #[error("{} is malformed: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The directory belongs to another topic.
    #[error("{} belongs to topic id {found}, not to {expected}", path.display())]
    InconsistentTopicId {
        /// The partition's directory.
        path: PathBuf,
        /// What the metadata says.
        expected: TopicId,
        /// What `partition.metadata` says.
        found: TopicId,
    },
    /// The log of a deleted topic is wanted back, and somebody has taken it away.
    #[error("the log of {partition} was kept when its topic was deleted, and is not there any more")]
    KeptLogIsGone {
        /// Which partition.
        partition: String,
    },
    /// Asked for an offset that the log does not hold.
    #[error("offset {offset} is outside of the log, which holds {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The first offset.
        log_start_offset: Offset,
        /// One past the last.
        log_end_offset: Offset,
    },
    /// A leader's batches do not continue the log.
    #[error("a batch of offsets {base_offset} to {last_offset} cannot follow log end offset {log_end_offset}")]
    OffsetsNotContinuous {
        /// First offset of the batch.
        base_offset: Offset,
        /// Its last.
        last_offset: Offset,
        /// Where it should have begun.
        log_end_offset: Offset,
    },
    /// A batch of a leader older than one that has written already.
    #[error("a batch of leader epoch {leader_epoch} cannot follow one of epoch {latest_epoch}")]
    LeaderEpochBackwards {
        /// The batch's epoch.
        leader_epoch: LeaderEpoch,
        /// The newest epoch in the log.
        latest_epoch: LeaderEpoch,
    },
    /// A batch larger than a segment may be.
    #[error("a batch of {size} bytes does not fit into a segment of {segment_bytes}")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// `segment.bytes`.
        segment_bytes: u64,
    },
    /// Bytes handed in, or found, that are no batch.
    #[error("not a record batch: {0}")]
    Record(#[from] RecordError),
    /// An earlier write failed half-way and could not be undone: the log takes no more appends.
    #[error("the log in {} failed earlier and takes no more writes", path.display())]
    Failed {
        /// The partition's directory.
        path: PathBuf,
    },
}

impl LogError {
    /// Wraps an I/O error with what was tried on which path.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> LogError {
        move |source| LogError::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// True when the disk is full: retriable once space is free, and no reason to give up the directory.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, LogError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    /// True when a flush ended with this because there was no room for one of its small files, and may be tried again
    /// (see [`super::PartitionLog::flush_later`]). A sync that failed is final, whatever the reason.
    pub fn lets_flush_wait(&self) -> bool {
        self.is_out_of_space() && !self.is_failed_sync()
    }

    /// True when the disk, or the file system, has failed and not merely refused: what it has taken so far is in doubt.
    pub fn is_disk_fault(&self) -> bool {
        use rustix::io::Errno;
        const FAULTS: &[Errno] = &[Errno::IO, Errno::NXIO, Errno::NODEV, Errno::ROFS, Errno::UCLEAN, Errno::STALE];
        let LogError::Io { source, .. } = self else { return false };
        source.raw_os_error().is_some_and(|code| FAULTS.iter().any(|fault| fault.raw_os_error() == code))
    }

    /// True when a sync has failed: what it should have made durable may be gone from the page cache.
    pub fn is_failed_sync(&self) -> bool {
        matches!(self, LogError::Io { action: "sync", .. })
    }

    /// True for a fault of a file or directory in `directory`, or of that itself.
    pub fn is_below(&self, directory: &Path) -> bool {
        matches!(self, LogError::Io { path, .. } if path.starts_with(directory))
    }

    /// What a client is answered.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            LogError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            LogError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
            LogError::Record(_) => ErrorCode::CorruptMessage,
            LogError::InconsistentTopicId { .. } => ErrorCode::InconsistentTopicId,
            LogError::Io { .. }
            | LogError::Corrupt { .. }
            | LogError::EndsBeforeRecoveryPoint { .. }
            | LogError::Malformed { .. }
            | LogError::KeptLogIsGone { .. }
            | LogError::OffsetsNotContinuous { .. }
            | LogError::LeaderEpochBackwards { .. }
            | LogError::Failed { .. } => ErrorCode::KafkaStorageError,
        }
    }
}
