//! CreatePartitions, versions 0 to 3.
//!
//! Raises the number of partitions of topics; it never falls. Every topic that was asked for is in the answer, whether
//! it succeeded or not. Version 2 is flexible. The new partitions reach producers and consumers with their next metadata.
//!
//! They count against `controller_mutation_rate` (KIP-599), those that are only validated too, as in Kafka. In version 3 a
//! topic that exceeds it gets THROTTLING_QUOTA_EXCEEDED; for earlier versions it is widened, and the client waits
//! afterwards.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{ask, error_code, message, unexpected};
use crate::broker::quotas::mutation_quota;
use crate::protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::rpc::metadata::{
    BrokerIds, CreatePartitions, TopicPartitions, TopicResult, metadata_command, metadata_reply,
};

/// The version from which on clients understand that a topic exceeds their quota.
const STRICT_SINCE: i16 = 3;

/// Adds partitions.
pub async fn handle(context: &Context, call: Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let command = CreatePartitions {
        topics: request.topics.iter().map(wanted).collect(),
        validate_only: request.validate_only,
        quota: Some(mutation_quota(call.client_id.as_deref(), call.api_version >= STRICT_SINCE)),
    };
    let answer = match ask(context, metadata_command::Kind::CreatePartitions(command), request.timeout_ms).await {
        Ok(metadata_reply::Kind::CreatePartitions(reply)) => {
            call.throttle.raise_for(reply.spent.as_ref());
            Ok(reply.topics)
        }
        Ok(_) => Err(unexpected()),
        Err(refused) => Err(refused),
    };
    let results = match answer {
        Ok(results) => results.into_iter().map(outcome).collect(),
        Err(refused) => {
            let failed = |topic: CreatePartitionsTopic| CreatePartitionsTopicResult {
                name: topic.name,
                error_code: refused.error_code,
                error_message: refused.error_message.clone(),
            };
            request.topics.into_iter().map(failed).collect()
        }
    };
    CreatePartitionsResponse { throttle_time_ms: call.throttle.throttle_time_ms(), results }
}

fn wanted(topic: &CreatePartitionsTopic) -> TopicPartitions {
    let assignments = topic.assignments.iter().flatten();
    TopicPartitions {
        name: topic.name.clone(),
        count: topic.count,
        assignments: assignments.map(|assignment| BrokerIds { ids: assignment.broker_ids.clone() }).collect(),
        // The controllers draw the seed.
        placement_seed: 0,
    }
}

fn outcome(result: TopicResult) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult {
        name: result.name.unwrap_or_default(),
        error_code: error_code(result.error_code),
        error_message: message(result.error_message),
    }
}
