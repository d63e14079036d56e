//! The other end of Kafka's wire: connections from this process to brokers.
//!
//! [`Connection`] is one connection to one broker; it knows frames and versions, and never retries. Replication fetches
//! through it, and transaction coordinators send their markers through it. [`ClusterClient`] is a client of a whole
//! cluster, for the command line: it finds the right broker and asks again where that is safe (repeat.rs). What is done
//! with it stands beside it, so that no command line owns it. Nothing here prints or reads arguments.

pub mod admin;
mod bootstrap;
mod cluster_client;
mod cluster_error;
mod cluster_metadata;
mod connection;
mod consumer;
mod consumer_protocol;
mod error;
mod group_member;
mod near;
mod partitioner;
mod producer;
mod repeat;
mod subscription;

pub use bootstrap::{BootstrapServers, DEFAULT_PORT, InvalidBootstrap};
pub use cluster_client::{ClusterClient, ClusterOptions, Coordinates, Target};
pub use cluster_error::ClusterError;
pub use cluster_metadata::ClusterMetadata;
pub use connection::{Connection, ConnectionOptions, Unanswered};
pub use consumer::{Consumed, Consumer, ConsumerOptions, Moved, Position};
pub use error::ClientError;
pub use group_member::GroupMember;
pub use near::names_near;
pub use partitioner::partition_of_key;
pub use producer::{NewRecord, Produced, Producer, ProducerOptions};
pub use subscription::Subscription;

/// A topic as the cluster tells it.
pub type TopicMetadata = crate::protocol::MetadataResponseTopic;
