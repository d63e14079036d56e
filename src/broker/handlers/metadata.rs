//! Metadata, versions 0 to 13: brokers, topics, leaders, from the image as this broker has applied it.
//!
//! Version 0 asks for all topics with an empty list, later versions with null. Version 4 may forbid auto-creation.
//! Version 8 asks for authorised operations (KIP-430). From version 10 on topics have ids (KIP-516), from 12 on they
//! may be asked for by id alone. Version 13 has a top-level error, used for re-bootstrapping (KIP-1102); never here.
//! A topic that does not exist is created when `auto.create.topics.enable` says so, and answered once it can be
//! written to; it counts against the client's `controller_mutation_rate` (KIP-599) and does not exist while that is used
//! up. Addresses are those of the listener that the client came in by.

use std::sync::Arc;

use crate::broker::authorized_operations;
use crate::broker::call::Call;
use crate::broker::cluster_view::{ClusterView, port};
use crate::broker::context::Context;
use crate::config;
use crate::metadata::{ClusterImage, PartitionImage, TopicImage};
use crate::model::{ErrorCode, TopicId, Uuid, is_internal_topic, validate_topic_name};
use crate::partition;
use crate::protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};

/// Answers what the image says.
pub async fn handle(context: &Context, call: Call, request: MetadataRequest) -> MetadataResponse {
    let all = request.topics.is_none() || (call.api_version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty));
    let asked = if all { Vec::new() } else { request.topics.unwrap_or_default() };
    let operations = |asked: bool, all: i32| if asked { all } else { authorized_operations::NOT_ASKED };
    let creation_errors = create_missing(context, &call, &asked, request.allow_auto_topic_creation).await;
    let answer = Answer {
        topic_operations: operations(request.include_topic_authorized_operations, authorized_operations::TOPIC),
        view: ClusterView::new(context.image(), Arc::clone(&call.client.listener))
            .doubting(context.replicas.suspected_leaders()),
    };
    let topics = if all {
        answer.view.image.topics().map(|topic| answer.topic(topic)).collect()
    } else {
        asked.iter().map(|topic| answer.asked(topic, &creation_errors)).collect()
    };
    MetadataResponse {
        brokers: answer.brokers(),
        cluster_id: answer.view.image.cluster_id().map(|id| id.to_string()),
        // Any broker passes commands on, so each names itself.
        controller_id: context.broker_id.0,
        topics,
        cluster_authorized_operations: operations(
            request.include_cluster_authorized_operations,
            authorized_operations::CLUSTER,
        ),
        ..MetadataResponse::default()
    }
}

/// Creates what is asked for by name and does not exist; answers why what could not be created was not.
async fn create_missing(
    context: &Context,
    call: &Call,
    asked: &[MetadataRequestTopic],
    allowed: bool,
) -> Vec<(String, ErrorCode)> {
    let image = context.image();
    let missing: Vec<&str> = asked
        .iter()
        .filter(|topic| topic.topic_id.is_zero())
        .filter_map(|topic| topic.name.as_deref())
        .filter(|name| image.topic_by_name(name).is_none() && validate_topic_name(name).is_ok())
        .collect();
    if missing.is_empty() || !allowed || !auto_creates(context, &image) {
        return Vec::new();
    }
    let client_id = call.client_id.as_deref();
    let creations = missing
        .into_iter()
        .map(|name| async move { (name.to_owned(), context.auto_create.create(name, client_id).await) });
    futures::future::join_all(creations).await
}

fn auto_creates(context: &Context, image: &ClusterImage) -> bool {
    let layers = partition::broker_layers(image, context.broker_id, &context.settings);
    config::effective_broker_value(layers.layers(), "auto.create.topics.enable").as_deref() == Some("true")
}

struct Answer {
    topic_operations: i32,
    view: ClusterView,
}

impl Answer {
    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        self.view
            .brokers(false)
            .map(|(broker, endpoint)| MetadataResponseBroker {
                node_id: broker.id.0,
                host: endpoint.host.clone(),
                port: port(endpoint),
                rack: broker.rack.as_deref().map(str::to_owned),
            })
            .collect()
    }

    fn asked(&self, asked: &MetadataRequestTopic, creation_errors: &[(String, ErrorCode)]) -> MetadataResponseTopic {
        if !asked.topic_id.is_zero() {
            return match self.view.image.topic(TopicId(asked.topic_id)) {
                Some(topic) => self.topic(topic),
                None => self.failed(asked.topic_id, None, ErrorCode::UnknownTopicId),
            };
        }
        let Some(name) = asked.name.as_deref() else {
            return self.failed(Uuid::ZERO, None, ErrorCode::UnknownTopicId);
        };
        if let Some(topic) = self.view.image.topic_by_name(name) {
            return self.topic(topic);
        }
        let error = match creation_errors.iter().find(|(created, _)| created == name) {
            _ if validate_topic_name(name).is_err() => ErrorCode::InvalidTopicException,
            Some((_, error)) if error.is_error() => *error,
            // Created, but not applied here yet.
            Some(_) => ErrorCode::LeaderNotAvailable,
            None => ErrorCode::UnknownTopicOrPartition,
        };
        self.failed(Uuid::ZERO, Some(name), error)
    }

    fn failed(&self, topic_id: Uuid, name: Option<&str>, error_code: ErrorCode) -> MetadataResponseTopic {
        MetadataResponseTopic {
            error_code,
            // Versions before 12 cannot say null.
            name: Some(name.unwrap_or_default().to_owned()),
            topic_id,
            is_internal: name.is_some_and(is_internal_topic),
            ..MetadataResponseTopic::default()
        }
    }

    fn topic(&self, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
        MetadataResponseTopic {
            error_code: ErrorCode::None,
            name: Some(topic.name.to_string()),
            topic_id: topic.id.0,
            is_internal: is_internal_topic(&topic.name),
            partitions: topic
                .partitions()
                .map(|(index, partition)| self.partition(topic.id, index, partition))
                .collect(),
            topic_authorized_operations: self.topic_operations,
        }
    }

    fn partition(
        &self,
        topic_id: TopicId,
        partition_index: i32,
        partition: &PartitionImage,
    ) -> MetadataResponsePartition {
        let partition = self.view.partition(topic_id, partition_index, partition);
        MetadataResponsePartition {
            error_code: partition.error_code,
            partition_index,
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas,
            isr_nodes: partition.isr,
            offline_replicas: partition.offline,
        }
    }
}
