//! The replicas hosted here: append, read, waiters, fetchers, ISR proposals.
//!
//! The shell around `log` and `replication`: it carries out what they decide. No lock of a partition is held
//! across an await, and no fsync runs under one.

mod append;
mod cleaner;
mod committer;
mod config;
mod deleted_topics;
#[cfg(test)]
mod directory_fault_tests;
mod directory_faults;
mod disk_space;
mod error;
mod fetch_session;
mod fetcher;
mod fetchers;
mod flusher;
mod flushing;
mod following;
mod housekeeping;
mod image_applier;
mod isr_proposals;
mod leading;
pub mod metrics;
mod move_requests;
mod mover;
mod moves;
mod offline_reports;
mod places;
mod read;
mod replica;
mod replicas;
mod round_thread;
mod suspicions;
#[cfg(test)]
mod tests;
mod throttle;
#[cfg(test)]
mod topic_config_tests;
mod waiters;

pub use append::{AppendRequest, Appended, MarkerRequest};
pub use config::{BrokerLayers, ReplicaConfig, broker_layers};
pub use error::PartitionError;
pub use fetcher::FetcherConfig;
pub use flusher::FlushSignal;
pub use leading::FollowerRead;
pub use move_requests::{DirectoryContent, FutureReplica, MoveRefusal};
pub use read::{Isolation, ReadRecords};
pub use replica::Replica;
pub use replicas::{LeadershipChange, LogDirectory, Replicas, ReplicasConfig, ReplicationConfig};
pub use throttle::{ReplicationThrottle, ReplicationThrottles, ThrottledReplicas};
pub use waiters::{Registration, Waiters, Waker, Watched};
