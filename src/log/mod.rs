//! Logs on disk: the segments of a partition and of the Raft log, in Kafka's formats.
//!
//! Row 2, synchronous. [`SegmentedLog`] stores record batches in segments with an offset and a time
//! index. [`PartitionLog`] is a Kafka partition on top of it: leader epochs, producer state, retention,
//! compaction, DeleteRecords, recovery. [`LogReader`] reads both without their lock, so that a fetch never waits on
//! an append. [`DataDirectory`] is one entry of `log.dirs` with its checkpoint files and markers.
//!
//! What never happens here: a sync of a file under the partition's lock (a [`FlushHandle`] does that
//! outside), a clock read (time is an argument), a silent cut of bytes below the recovery point
//! (invariant A19), and a file opened other than through [`Disk`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod append;
mod batch_walk;
mod checkpoint;
mod compaction;
mod config;
mod data_directory;
mod disk;
mod error;
mod file_names;
mod file_pool;
mod flush;
mod future_log;
#[cfg(test)]
mod golden_tests;
mod index_file;
mod inspect;
#[cfg(test)]
mod kafka_tools_tests;
mod kept;
mod markers;
mod meta_properties;
mod offset_index;
mod open_log;
mod partition_log;
mod partition_metadata;
mod past_life;
mod producer_snapshot;
mod producer_state;
mod reader;
mod recovery;
mod relocation;
#[cfg(test)]
mod relocation_tests;
mod retention;
mod segment;
mod segment_writer;
mod segmented_log;
mod time_index;
mod timestamps;
mod transaction_index;

pub use append::{AppendInfo, AppendOutcome, ProducerRefusal};
pub use compaction::{Compacted, CompactionJob, CompactionLimits};
pub use config::{CleanupPolicy, LogConfig};
pub use data_directory::DataDirectory;
pub use disk::{DirectoryEntry, Disk, DiskFile, Fault, OsDisk, OsFile, SimDisk, SimFile};
pub use error::LogError;
pub use file_pool::FilePool;
pub use flush::{FlushHandle, Flushed};
pub use future_log::{CopyProgress, FutureLog};
pub use inspect::{
    IndexedOffset, IndexedTime, LogFileKind, SnapshotProducer, log_file_kind, offset_index_entries, snapshot_producers,
    time_index_entries, transaction_index_entries,
};
pub use markers::{CleanShutdown, RunMarker, StartMarker};
pub use meta_properties::MetaProperties;
pub use open_log::OpenLog;
pub use partition_log::{LeftBehind, OpenReport, PartitionLog, RetentionOutcome, VerificationGuard};
pub use past_life::PastLife;
pub use producer_state::ProducerInfo;
pub use reader::{FileSlice, LogRead, LogReader};
pub use recovery::{Damage, DamageReason};
pub use relocation::{LogAccess, Relocated, settle_relocations};
pub use segmented_log::{OpenedLog, SegmentedLog};
pub use timestamps::{TimestampTarget, TimestampedOffset};
pub use transaction_index::AbortedTransaction;
