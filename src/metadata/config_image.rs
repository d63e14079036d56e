//! What is set on a topic, a broker, all brokers or a group.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::config::ResourceType as ConfigResourceType;
use crate::model::BrokerId;

/// What a configuration belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConfigResource {
    /// Whose.
    pub resource_type: ConfigResourceType,
    /// A topic's name, a broker's id in decimal (or empty: all brokers), a group's id.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// The configuration of a topic.
    pub fn topic(name: &str) -> Self {
        Self { resource_type: ConfigResourceType::Topic, name: name.into() }
    }

    /// The configuration of one broker.
    pub fn broker(id: BrokerId) -> Self {
        Self { resource_type: ConfigResourceType::Broker, name: id.to_string().into() }
    }

    /// The dynamic default of all brokers.
    pub fn default_broker() -> Self {
        Self { resource_type: ConfigResourceType::Broker, name: "".into() }
    }

    /// The configuration of a consumer group.
    pub fn group(id: &str) -> Self {
        Self { resource_type: ConfigResourceType::Group, name: id.into() }
    }
}

/// The keys set on one resource.
pub type ConfigImage = BTreeMap<String, String>;
