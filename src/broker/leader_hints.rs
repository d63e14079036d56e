//! Who leads instead: answers to clients that came to the wrong broker (KIP-951).

use std::collections::BTreeMap;

use crate::model::{BrokerId, TopicPartition};
use crate::protocol::messages::{LeaderIdAndEpoch, NodeEndpoint};

use super::call::Call;
use super::context::Context;

/// Collects the leaders that one answer names, and where they are.
pub struct LeaderHints<'a> {
    context: &'a Context,
    listener: std::sync::Arc<str>,
    known_by_client: bool,
    endpoints: BTreeMap<BrokerId, NodeEndpoint>,
}

impl<'a> LeaderHints<'a> {
    /// For an answer to `call`; versions from `first_version` on have the fields.
    pub fn new(context: &'a Context, call: &Call, first_version: i16) -> Self {
        let listener = call.client.listener.clone();
        Self { context, listener, known_by_client: call.api_version >= first_version, endpoints: BTreeMap::new() }
    }

    /// The partition's leader now, −1 when there is none or the client could not read it.
    pub fn leader_of(&mut self, partition: &TopicPartition) -> LeaderIdAndEpoch {
        if !self.known_by_client {
            return LeaderIdAndEpoch::default();
        }
        let image = self.context.image();
        let Some(state) = image.topic_by_name(&partition.topic).and_then(|topic| topic.partition(partition.partition))
        else {
            return LeaderIdAndEpoch::default();
        };
        if let Some(leader) = state.leader()
            && let Some(broker) = image.broker(leader)
            && let Some(endpoint) = broker.endpoint(&self.listener)
        {
            self.endpoints.insert(
                leader,
                NodeEndpoint {
                    node_id: leader.0,
                    host: endpoint.host.clone(),
                    port: i32::try_from(endpoint.port).unwrap_or_default(),
                    rack: broker.rack.as_deref().map(str::to_owned),
                },
            );
        }
        LeaderIdAndEpoch { leader_id: state.leader.0, leader_epoch: state.leader_epoch.0 }
    }

    /// The brokers that were named.
    pub fn into_endpoints(self) -> Vec<NodeEndpoint> {
        self.endpoints.into_values().collect()
    }
}
