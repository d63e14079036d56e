//! Runs the group machine on the partitions of `__consumer_offsets` that this broker leads, and the transaction machine
//! on those of `__transaction_state`.
//!
//! - `offsets_topic.rs` which partition a group lives on, and Kafka's records of it
//! - `consumer_records.rs` Kafka's records of groups of the consumer protocol
//! - `topic_creation.rs` creates the topics when they are first needed
//! - `host.rs` follows leadership: loads a partition, hands it out under its lock, drops it
//! - `load.rs` reads a partition from its start
//! - `groups.rs` the groups of one partition: carries out what their machines decide
//! - `alarm.rs` wakes the groups whose time has come
//! - `group_coordinator.rs` what handlers call about groups
//! - `consumer_groups.rs` the same about groups of the consumer protocol
//! - `consumer_view.rs` the topics and settings that their machines go by
//! - `transaction_state_topic.rs` Kafka's records of transactional ids
//! - `transactions.rs` the transactional ids of one partition: carries out what their machines decide
//! - `markers.rs` ends transactions in their partitions, here and at other brokers
//! - `peers.rs` requests to other brokers
//! - `producer_ids.rs` hands out producer ids
//! - `transaction_coordinator.rs` what handlers call about transactions
//!
//! A partition is served by the broker that leads it, under one mutex, and only when all of it has been replayed.
//! Decisions are appended, then replayed; answers that depend on a record are given when it is committed, that
//! is, when the high watermark has passed it. An append that fails in a way that leaves its outcome open drops
//! the partition's groups and loads them anew. Every append names the leader epoch it was decided under, so that
//! what a former coordinator decided can never follow what its successor wrote (invariant C4).
//!
//! Lock order: the mutex of an offsets partition, then the lock of its replica. No lock is held across an await.

mod alarm;
mod config;
mod consumer_groups;
mod consumer_records;
mod consumer_view;
mod group_coordinator;
mod groups;
mod host;
mod load;
mod markers;
pub mod metrics;
mod notes;
pub mod offsets_topic;
mod peers;
mod producer_ids;
#[cfg(test)]
mod tests;
mod topic_creation;
mod transaction_coordinator;
pub mod transaction_state_topic;
mod transactions;

pub use config::{GroupCoordinatorConfig, TransactionCoordinatorConfig};
pub use consumer_view::{Bounded, ConsumerGroupLimits};
pub use group_coordinator::{FetchedOffset, GroupCoordinator, ListedGroup, OffsetCommitError, OffsetsOf};
pub use markers::LocalMarkers;
pub use offsets_topic::partition_for;
pub use producer_ids::ProducerIds;
pub use transaction_coordinator::{Membership, TransactionCoordinator, verified_code};
