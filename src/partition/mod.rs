//! The replicas hosted here: append, read, waiters, fetchers, ISR proposals.
//!
//! The shell around `log` and `replication`: it carries out what they decide. No lock of a partition is held
//! across an await, and no fsync runs under one.
//!
//! The files look downwards only. From the ground up: what a replica shares with the threads of its directory
//! (`directory`, `flush_signal`, `room`, `waiters`, …); one `replica`, and what it does in each role (`append`, `read`,
//! `leading`, `following`, `flushing`); all `replicas` of the broker, and what happens to them (`image_applier`,
//! `deleted_topics`, `directory_faults`, `move_requests`); the threads and tasks that go over them (`flusher`, `cleaner`,
//! `mover`, `fetcher`, `isr_proposals`, …); and `lifetime`, which starts and ends those.

mod append;
mod cleaner;
mod commit_queue;
mod committer;
mod config;
mod deleted_topics;
mod directory;
#[cfg(test)]
mod directory_fault_tests;
mod directory_faults;
mod disk_space;
mod error;
mod fetch_session;
mod fetcher;
mod fetchers;
mod flush_signal;
mod flusher;
mod flushing;
mod following;
mod housekeeping;
mod image_applier;
mod isr_proposals;
mod leading;
mod lifetime;
pub mod metrics;
mod move_requests;
mod mover;
mod moves;
mod offline_reports;
mod places;
mod proposed_isr;
mod read;
mod replica;
mod replicas;
mod room;
mod round_thread;
mod suspicions;
#[cfg(test)]
mod tests;
mod throttle;
#[cfg(test)]
mod topic_config_tests;
mod traffic;
mod waiters;

pub use append::{AppendRequest, Appended, MarkerRequest};
pub use config::{BrokerLayers, ReplicaConfig, broker_layers};
pub use directory::LogDirectory;
pub use error::PartitionError;
pub use fetcher::FetcherConfig;
pub use leading::FollowerRead;
pub use lifetime::ReplicationConfig;
pub use move_requests::{DirectoryContent, FutureReplica, MoveRefusal};
pub use read::{Isolation, ReadRecords};
pub use replica::Replica;
pub use replicas::{LeadershipChange, Replicas, ReplicasConfig};
pub use throttle::{ReplicationThrottle, ReplicationThrottles, ThrottledReplicas};
pub use waiters::{Registration, Waiters, Waker, Watched};
