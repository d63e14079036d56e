//! ElectLeaders, versions 0 to 2.
//!
//! Has leaders elected anew: the preferred replicas, or from version 1 on (KIP-460) any replica that is alive where
//! there is no leader, which may lose records. No partitions named means all of the cluster; the answer then tells
//! only of those that needed an election. An unclean election is asked for by somebody who knows what may be lost,
//! so it does not need `unclean.leader.election.enable`. Version 2 is flexible.

use crate::broker::by_topic::by_topic;
use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{Refused, ask, error_code, message, unexpected};
use crate::model::ErrorCode;
use crate::protocol::messages::{
    ElectLeadersRequest, ElectLeadersResponse, ElectLeadersTopic, ReplicaElectionPartitionResult, ReplicaElectionResult,
};
use crate::rpc::metadata::{
    ElectLeaders, ElectionResult, NamedPartition, NamedPartitions, elect_leaders::Kind, metadata_command,
    metadata_reply,
};

/// Holds elections.
pub async fn handle(context: &Context, _: Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let kind = match request.election_type {
        0 => Kind::Preferred,
        1 => Kind::Unclean,
        other => {
            let why = format!("there is no election type {other}");
            return refused(&request, &Refused::new(ErrorCode::InvalidRequest, why));
        }
    };
    let partitions = request.topic_partitions.as_deref().map(|topics| NamedPartitions { partitions: named(topics) });
    let command = metadata_command::Kind::ElectLeaders(ElectLeaders { kind: kind.into(), partitions });
    match ask(context, command, request.timeout_ms).await {
        Ok(metadata_reply::Kind::ElectLeaders(reply)) => answer(reply.partitions),
        Ok(_) => refused(&request, &unexpected()),
        Err(why) => refused(&request, &why),
    }
}

fn named(topics: &[ElectLeadersTopic]) -> Vec<NamedPartition> {
    let partitions_of = |topic: &ElectLeadersTopic| {
        let name = topic.topic.clone();
        topic.partitions.clone().into_iter().map(move |partition| NamedPartition { topic: name.clone(), partition })
    };
    topics.iter().flat_map(partitions_of).collect()
}

fn answer(results: Vec<ElectionResult>) -> ElectLeadersResponse {
    let results = results.into_iter().map(|result| {
        let partition = ReplicaElectionPartitionResult {
            partition_id: result.partition,
            error_code: error_code(result.error_code),
            error_message: message(result.error_message),
        };
        (result.topic, partition)
    });
    let results = by_topic(results);
    let results =
        results.into_iter().map(|(topic, partition_result)| ReplicaElectionResult { topic, partition_result });
    ElectLeadersResponse { replica_election_results: results.collect(), ..ElectLeadersResponse::default() }
}

/// Version 0 has no error code for the whole, so each partition carries it too.
fn refused(request: &ElectLeadersRequest, why: &Refused) -> ElectLeadersResponse {
    let failed = |partition_id: &i32| ReplicaElectionPartitionResult {
        partition_id: *partition_id,
        error_code: why.error_code,
        error_message: why.error_message.clone(),
    };
    let topics = request.topic_partitions.iter().flatten();
    let results = topics.map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic.partitions.iter().map(failed).collect(),
    });
    ElectLeadersResponse {
        throttle_time_ms: 0,
        error_code: why.error_code,
        replica_election_results: results.collect(),
    }
}
