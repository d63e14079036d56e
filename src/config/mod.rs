//! One table of Kafka's property keys: type, default, scope, documentation, validation; file and environment parsing.
//!
//! Values come in layers, as Kafka names them: a topic's own configs, what is set dynamically for this broker,
//! what is set dynamically for all brokers, what the broker was started with (STATIC_BROKER_CONFIG), and the
//! default. [`Layers`] holds the broker's part of them; [`TopicConfig`] and the other typed structs are resolved
//! from it, and the describe functions show it. Nothing here reads or writes metadata.

mod cluster_size;
mod controller_config;
#[cfg(test)]
mod deploy_tests;
mod describe;
mod endpoint;
mod http_config;
mod image;
mod initial_topics;
mod key;
mod layers;
mod listeners;
mod load;
mod module_configs;
mod names;
mod node_config;
mod old_address;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod reference;
mod replication_quota_config;
mod server_config;
mod static_config;
mod table;
#[cfg(test)]
mod tests;
mod topic_config;
mod update;
mod value;
mod voters;

use std::collections::BTreeMap;

pub use controller_config::{ControllerConfig, LeaderRebalance};
pub use describe::{
    ConfigSynonym, DescribedConfig, describe_broker, describe_cluster_default, describe_group, describe_topic,
    effective_broker_value, effective_topic_value,
};
pub use endpoint::{Endpoint, SecurityProtocol, join_address};
pub use http_config::HttpConfig;
pub use initial_topics::InitialTopic;
pub use key::{ConfigKey, ConfigType, Importance, Status, UpdateMode, ValidValues};
pub use layers::{ConfigSource, Layers};
pub use listeners::{Listener, ListenersConfig};
pub use load::{ConfigError, Loaded, Sources, load};
pub use module_configs::{
    CleanerConfig, ClusterConfig, FollowerConfig, GroupConfig, LogConfig, NetworkConfig, TopicCreationConfig,
    TransactionConfig,
};
pub use node_config::{NodeConfig, ProcessRoles};
pub use replication_quota_config::ReplicationQuotaConfig;
pub use server_config::ServerConfig;
pub use static_config::{Origin, Setting, StaticConfig};
pub use table::{broker_key, broker_keys, group_key, group_keys, topic_key, topic_keys};
pub use topic_config::{CompressionType, TimestampType, TopicConfig};
pub use update::{
    AlterOperation, InvalidConfig, ResourceType, apply_operation, validate_broker_config, validate_broker_removal,
    validate_group_config, validate_topic_config, validate_topic_configs,
};
pub use value::ConfigValue;
pub use voters::Voter;

/// The config with which CreateTopics restores a deleted topic instead of creating one: its topic id, or empty for the
/// one of the name that was deleted last (docs/adr/0010-undelete-is-a-creation.md).
pub const UNDELETE_KEY: &str = "ottla.topic.undelete";
/// The resource of type topic that DescribeConfigs answers with the deleted topics that can be restored. No topic can
/// have this name.
pub const DELETED_TOPICS: &str = "ottla:deleted";

/// How long deleted topics can be restored, in milliseconds: a key of all brokers.
pub const TOPIC_DELETE_RETENTION_KEY: &str = "ottla.topic.delete.retention.ms";

/// The configs that one resource has set, by key.
pub type ConfigMap = BTreeMap<String, String>;
