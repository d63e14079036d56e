//! CreatePartitions, versions 0 to 3.
//!
//! Raises the number of partitions of topics; it never falls. Every topic that was asked for is in the answer, whether
//! it succeeded or not. Version 2 is flexible; version 3 may be throttled, which does not happen here. The new
//! partitions reach producers and consumers with their next metadata.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{ask, error_code, message, unexpected};
use crate::protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::rpc::metadata::{
    BrokerIds, CreatePartitions, TopicPartitions, TopicResult, metadata_command, metadata_reply,
};

/// Adds partitions.
pub async fn handle(context: &Context, _: Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let command =
        CreatePartitions { topics: request.topics.iter().map(wanted).collect(), validate_only: request.validate_only };
    let answer = match ask(context, metadata_command::Kind::CreatePartitions(command), request.timeout_ms).await {
        Ok(metadata_reply::Kind::CreatePartitions(reply)) => Ok(reply.topics),
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
    CreatePartitionsResponse { throttle_time_ms: 0, results }
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
