//! The cluster's metadata machine: image, commands, records, decide, replay.
//!
//! ```text
//!             leader of the quorum only                          every node
//!   command ─▶ Batch::decide(image, command) ─▶ records ─▶ log ─▶ ClusterImage::replay(record)
//!                        └▶ reply                                        └▶ ImageDelta(old, new)
//! ```
//!
//! The leader decides over an image and the log carries the facts that follow; [`ClusterImage::replay`]
//! is the only code that changes an image, and so the only code that all versions must agree on.
//! `decide` is total: a refusal is a reply.
//!
//! Everything here is pure: no clock, no disk, no socket, no randomness, no hash order. Random values
//! (topic ids, placement seeds) arrive inside the command. The records, commands and replies are the
//! prost messages of proto/metadata.proto ([`crate::rpc::metadata`]).

mod broker_control;
mod broker_image;
mod brokers_to_isrs;
mod changes;
mod client_quota_control;
mod client_quotas;
mod cluster_control;
mod cluster_defaults;
mod config_control;
mod config_image;
mod decide;
mod deleted_topic_control;
mod deleted_topic_image;
mod deleted_topics;
mod draft;
mod election_control;
mod feature_control;
mod fragile_topics;
mod image;
mod isr_control;
mod leader_balance;
mod mutation_quota;
mod offline_control;
mod partition_change;
mod partition_control;
mod placement;
mod quota_lookup;
mod reassignment_control;
mod record;
mod replay;
mod replay_error;
mod snapshot;
mod topic_control;
mod topic_image;

pub use broker_image::BrokerImage;
pub use changes::ImageDelta;
pub use client_quotas::{EntityName, QuotaEntity, QuotaLimits, QuotaShare};
pub use cluster_defaults::ClusterDefaults;
pub use config_image::{ConfigImage, ConfigResource, ConfigResourceType};
pub use decide::Batch;
pub use deleted_topic_image::DeletedTopic;
pub use feature_control::{knows_offline_replicas, supported_features};
pub use fragile_topics::{Fragility, fragile_topics};
pub use image::ClusterImage;
pub use leader_balance::misplaced_leaders;
pub use partition_change::unclean_elections;
pub use record::{partition_name, uuid_bytes, uuid_from_bytes};
pub use replay_error::ReplayError;
pub use topic_image::{PartitionImage, TopicImage};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod script_tests;
