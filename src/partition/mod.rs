//! The replicas hosted here: append, read, waiters.
//!
//! The shell around `log` and `replication`: it carries out what they decide. No lock of a partition is held
//! across an await, and no fsync runs under one.

mod config;
mod error;
mod flusher;
mod housekeeping;
mod replica;
mod replicas;
#[cfg(test)]
mod tests;
mod waiters;

pub use config::{BrokerLayers, ReplicaConfig, broker_layers};
pub use error::PartitionError;
pub use flusher::FlushSignal;
pub use replica::{AppendRequest, Appended, Isolation, MarkerRequest, ReadRecords, Replica};
pub use replicas::{LeadershipChange, Replicas, ReplicasConfig};
pub use waiters::{Registration, Waiters, Waker, Watched};
