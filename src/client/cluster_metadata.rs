//! What a cluster has told about its brokers and topics.

use std::collections::BTreeMap;

use super::cluster_error::ClusterError;
use super::near::names_near;
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{MetadataResponse, MetadataResponseBroker, MetadataResponseTopic};

/// The brokers as last told, and every topic that was asked about, as it was told last.
#[derive(Clone, Default, Debug)]
pub struct ClusterMetadata {
    /// The cluster's id, where the brokers know one.
    pub cluster_id: Option<String>,
    /// The broker that takes requests for the controller.
    pub controller_id: Option<i32>,
    /// The live brokers by their id.
    pub brokers: BTreeMap<i32, MetadataResponseBroker>,
    /// Topics by their name. Errors of single partitions stand in them.
    pub topics: BTreeMap<String, MetadataResponseTopic>,
}

impl ClusterMetadata {
    /// Takes in an answer. `whole` says that all topics were asked, so that others are gone.
    pub(super) fn absorb(&mut self, response: MetadataResponse, whole: bool) {
        self.cluster_id = response.cluster_id;
        self.controller_id = Some(response.controller_id).filter(|id| *id >= 0);
        self.brokers = response.brokers.into_iter().map(|broker| (broker.node_id, broker)).collect();
        if whole {
            self.topics.clear();
        }
        for topic in response.topics {
            let Some(name) = topic.name.clone() else { continue };
            match topic.error_code {
                // A leader that is missing is told with the partitions that have one.
                ErrorCode::None | ErrorCode::LeaderNotAvailable => self.topics.insert(name, topic),
                _ => self.topics.remove(&name),
            };
        }
    }

    /// `host:port` of a live broker.
    pub fn address(&self, broker: i32) -> Option<String> {
        self.brokers.get(&broker).map(|broker| match broker.host.contains(':') {
            true => format!("[{}]:{}", broker.host, broker.port),
            false => format!("{}:{}", broker.host, broker.port),
        })
    }

    /// The broker that leads a partition of a topic that was asked about.
    pub fn leader(&self, partition: &TopicPartition) -> Result<i32, ClusterError> {
        let topic = self.topic(&partition.topic)?;
        let found = topic.partitions.iter().find(|candidate| candidate.partition_index == partition.partition);
        let found = found.ok_or_else(|| ClusterError::UnknownPartition {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            count: topic.partitions.len(),
        })?;
        let leads = found.leader_id >= 0 && self.brokers.contains_key(&found.leader_id);
        if leads { Ok(found.leader_id) } else { Err(ClusterError::NoLeader(partition.clone())) }
    }

    /// A topic that was asked about.
    pub fn topic(&self, name: &str) -> Result<&MetadataResponseTopic, ClusterError> {
        self.topics.get(name).ok_or_else(|| self.unknown_topic(name))
    }

    /// The error for a name that no topic has, with the known names that look like it.
    pub fn unknown_topic(&self, name: &str) -> ClusterError {
        let near = names_near(name, self.topics.keys().map(String::as_str));
        ClusterError::UnknownTopic { topic: name.to_owned(), near }
    }
}
