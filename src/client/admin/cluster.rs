//! Describes the cluster: its brokers, its metadata quorum, and what its brokers serve.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::client::{ClientError, ClusterClient, ClusterError, Target};
use crate::model::{CLUSTER_METADATA_TOPIC, ErrorCode};
use crate::protocol::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeConfigsRequest, DescribeConfigsResource,
    DescribeQuorumPartition, DescribeQuorumPartitionResponse, DescribeQuorumRequest, DescribeQuorumTopic,
};

/// DescribeConfigs' number for topics.
const TOPIC: i8 = 2;
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
/// Topics asked about in one request.
const TOPICS_AT_ONCE: usize = 500;

/// The cluster's id and its brokers, those too that are registered and fenced where the brokers tell them.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The brokers in the order of their ids.
    pub brokers: Vec<DescribeClusterBroker>,
}

/// Describes the cluster.
pub async fn describe(client: &mut ClusterClient) -> Result<ClusterDescription, ClusterError> {
    let request = DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() };
    let response = match client.ask(&Target::Any, &request, |response| response.error_code).await {
        // Brokers before Kafka 2.8.
        Err(ClusterError::Connection(ClientError::NotServed { .. })) => return Ok(from_metadata(client)),
        response => response?,
    };
    if response.error_code.is_error() {
        return Err(ClusterError::refused("the cluster", response.error_code, response.error_message));
    }
    let mut brokers = response.brokers;
    brokers.sort_by_key(|broker| broker.broker_id);
    Ok(ClusterDescription { cluster_id: response.cluster_id, brokers })
}

fn from_metadata(client: &ClusterClient) -> ClusterDescription {
    let metadata = client.metadata();
    let broker = |broker: &crate::protocol::MetadataResponseBroker| DescribeClusterBroker {
        broker_id: broker.node_id,
        host: broker.host.clone(),
        port: broker.port,
        rack: broker.rack.clone(),
        is_fenced: false,
    };
    ClusterDescription {
        cluster_id: metadata.cluster_id.clone().unwrap_or_default(),
        brokers: metadata.brokers.values().map(broker).collect(),
    }
}

/// The metadata quorum; `None` from brokers that have none or do not tell.
pub async fn quorum(client: &mut ClusterClient) -> Result<Option<DescribeQuorumPartitionResponse>, ClusterError> {
    let request = DescribeQuorumRequest {
        topics: vec![DescribeQuorumTopic {
            topic_name: CLUSTER_METADATA_TOPIC.to_owned(),
            partitions: vec![DescribeQuorumPartition { partition_index: 0 }],
        }],
    };
    let response = match client.ask(&Target::Any, &request, |response| response.error_code).await {
        Err(ClusterError::Connection(ClientError::NotServed { .. })) => return Ok(None),
        response => response?,
    };
    let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let code = match (&partition, response.error_code) {
        (_, code) if code.is_error() => code,
        (Some(partition), _) => partition.error_code,
        (None, _) => ErrorCode::UnknownTopicOrPartition,
    };
    match code {
        ErrorCode::None => Ok(partition),
        ErrorCode::ClusterAuthorizationFailed | ErrorCode::UnsupportedVersion => Ok(None),
        code => Err(ClusterError::refused("the metadata quorum", code, response.error_message)),
    }
}

/// `min.insync.replicas` of these topics. Those that may not be asked are left out.
pub async fn min_insync_replicas(
    client: &mut ClusterClient,
    topics: &[String],
) -> Result<BTreeMap<String, usize>, ClusterError> {
    let mut found = BTreeMap::new();
    for topics in topics.chunks(TOPICS_AT_ONCE) {
        let resource = |topic: &String| DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.clone(),
            configuration_keys: Some(vec![MIN_INSYNC_REPLICAS.to_owned()]),
        };
        let resources = topics.iter().map(resource).collect();
        let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
        let response = client.ask(&Target::Any, &request, |_| ErrorCode::None).await?;
        for result in response.results {
            let config = result.configs.into_iter().find(|config| config.name == MIN_INSYNC_REPLICAS);
            if let Some(number) = config.and_then(|config| config.value?.parse().ok()) {
                found.insert(result.resource_name, number);
            }
        }
    }
    Ok(found)
}

/// What a broker serves: the range of versions by the number of the API.
pub async fn api_versions(
    client: &mut ClusterClient,
    broker: i32,
) -> Result<BTreeMap<i16, RangeInclusive<i16>>, ClusterError> {
    Ok(client.connection_to(&Target::Broker(broker)).await?.versions().clone())
}
