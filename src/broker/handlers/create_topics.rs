//! CreateTopics, versions 0 to 7.
//!
//! The controllers create each topic or say why not; one bad topic does not stop the others. Version 1 brings
//! `validate_only` and error messages. From version 4 on, -1 stands for the cluster's default number of partitions and
//! replicas (KIP-464); earlier ones are served alike. Version 5 is flexible and tells the partitions, replicas and
//! configs of the new topic (KIP-525), version 7 its id. An unknown config is refused with its nearest name. A time-out
//! of 0 or less leaves the time to the broker, where Kafka would refuse. The answer comes when this broker has applied
//! the new topics, so its clients can write to those that it leads.
//!
//! Partitions count against `controller_mutation_rate` (KIP-599), those that are only validated too, as in Kafka. From
//! version 6 on a topic that exceeds it gets THROTTLING_QUOTA_EXCEEDED; for earlier versions it is created, and the client
//! waits afterwards.
//!
//! Ours: with the config `ottla.topic.undelete` a deleted topic is restored instead (docs/adr/0010).

use std::collections::HashMap;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{ask, error_code, message, unexpected};
use crate::broker::quotas::mutation_quota;
use crate::config::{self, ConfigMap};
use crate::metadata::{ClusterImage, ConfigResource};
use crate::model::{ErrorCode, Uuid};
use crate::partition;
use crate::protocol::messages::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::rpc::metadata as command;

/// The version from which on clients understand that a topic exceeds their quota.
const STRICT_SINCE: i16 = 6;

/// Creates topics.
pub async fn handle(context: &Context, call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let kind = command::metadata_command::Kind::CreateTopics(command::CreateTopics {
        topics: request.topics.iter().map(wanted).collect(),
        validate_only: request.validate_only,
        quota: Some(mutation_quota(call.client_id.as_deref(), call.api_version >= STRICT_SINCE)),
        ..command::CreateTopics::default()
    });
    let answer = match ask(context, kind, request.timeout_ms).await {
        Ok(command::metadata_reply::Kind::CreateTopics(reply)) => {
            call.throttle.raise_for(reply.spent.as_ref());
            Ok(reply.topics)
        }
        Ok(_) => Err(unexpected()),
        Err(refused) => Err(refused),
    };
    let topics = match answer {
        Ok(results) if call.api_version >= 5 => {
            let image = context.image();
            let configs: HashMap<&str, &CreatableTopic> =
                request.topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
            let described = |result: command::CreatableTopicResult| {
                let asked = configs.get(result.name.as_str()).copied();
                let result = outcome(result);
                let configs = asked.filter(|_| !result.error_code.is_error());
                CreatableTopicResult {
                    configs: configs.map(|topic| topic_configs(context, &image, topic)).or(Some(Vec::new())),
                    ..result
                }
            };
            results.into_iter().map(described).collect()
        }
        Ok(results) => results.into_iter().map(outcome).collect(),
        Err(refused) => {
            let failed = |topic: CreatableTopic| CreatableTopicResult {
                name: topic.name,
                error_code: refused.error_code,
                error_message: refused.error_message.clone(),
                configs: Some(Vec::new()),
                ..CreatableTopicResult::default()
            };
            request.topics.into_iter().map(failed).collect()
        }
    };
    CreateTopicsResponse { throttle_time_ms: call.throttle.throttle_time_ms(), topics }
}

fn wanted(topic: &CreatableTopic) -> command::CreatableTopic {
    let assignment = |assignment: &crate::protocol::messages::CreatableReplicaAssignment| command::ReplicaAssignment {
        partition: assignment.partition_index,
        replicas: assignment.broker_ids.clone(),
    };
    let config = |config: &crate::protocol::messages::CreatableTopicConfig| command::ConfigEntry {
        key: config.name.clone(),
        value: config.value.clone(),
    };
    command::CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor.into(),
        assignments: topic.assignments.iter().map(assignment).collect(),
        configs: topic.configs.iter().map(config).collect(),
        // The controllers draw the id and the seed.
        ..command::CreatableTopic::default()
    }
}

fn outcome(result: command::CreatableTopicResult) -> CreatableTopicResult {
    let topic_id = <[u8; 16]>::try_from(result.topic_id.as_ref()).map_or(Uuid::ZERO, Uuid);
    CreatableTopicResult {
        name: result.name,
        topic_id,
        error_code: error_code(result.error_code),
        error_message: message(result.error_message),
        topic_config_error_code: ErrorCode::None,
        num_partitions: result.num_partitions,
        replication_factor: i16::try_from(result.replication_factor).unwrap_or(-1),
        configs: None,
    }
}

/// What is in effect for a topic created with these configs, or restored with those that it had.
fn topic_configs(context: &Context, image: &ClusterImage, topic: &CreatableTopic) -> Vec<CreatableTopicConfigs> {
    let own: ConfigMap = match topic.configs.iter().any(|config| config.name == config::UNDELETE_KEY) {
        true => image.config(&ConfigResource::topic(&topic.name)).map(|own| (**own).clone()).unwrap_or_default(),
        false => topic.configs.iter().filter_map(|config| Some((config.name.clone(), config.value.clone()?))).collect(),
    };
    let layers = partition::broker_layers(image, context.broker_id, &context.settings);
    config::describe_topic(layers.layers(), &own)
        .into_iter()
        .map(|described| CreatableTopicConfigs {
            name: described.name,
            value: described.value,
            read_only: described.read_only,
            config_source: described.source.code(),
            is_sensitive: described.is_sensitive,
        })
        .collect()
}
