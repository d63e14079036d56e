//! The words every other module speaks: ids, epochs, offsets, time, error codes.
//!
//! Row 0 of the house. Nothing here reads a clock, draws a random number or touches the outside.
//! Each id and epoch is a type of its own, so that a broker epoch is never compared with a
//! partition epoch by mistake.

mod error_code;
mod ids;
mod leader_epochs;
mod time;
mod topic_name;
mod uuid;

pub use error_code::ErrorCode;
pub use ids::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch, ProducerEpoch, ProducerId, StartNumber,
    TopicId, TopicPartition,
};
pub use leader_epochs::{EpochEntry, LeaderEpochs};
pub use time::{Monotonic, Wall};
pub use topic_name::{
    CLUSTER_METADATA_TOPIC, CONSUMER_OFFSETS_TOPIC, InvalidTopicName, TRANSACTION_STATE_TOPIC, is_internal_topic,
    validate_topic_name,
};
pub use uuid::{InvalidUuid, Uuid};
