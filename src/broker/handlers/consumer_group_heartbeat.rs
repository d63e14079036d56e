//! ConsumerGroupHeartbeat, versions 0 to 1.
//!
//! All that a member of the consumer protocol (KIP-848) ever asks: it joins (epoch 0), stays, tells what it wants and
//! owns, and leaves (epoch -1, or -2 for a while); it is told what it may own. Version 1 brings topics by regular
//! expression, and members that choose their own ids (KIP-1082). Answered UNSUPPORTED_VERSION where
//! `group.coordinator.rebalance.protocols` leaves the protocol out.

use crate::broker::call::Call;
use crate::broker::client_host::client_host;
use crate::broker::context::Context;
use crate::group::{ConsumerHeartbeat, ConsumerHeartbeatReply, Partitions, Refusal};
use crate::model::{ErrorCode, TopicId, Uuid};
use crate::protocol::messages::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};

/// First version whose members bring their own ids.
const MEMBER_ID: i16 = 1;
/// "Has not changed."
const NO_TIMEOUT: i32 = -1;

/// Lets a member say that it is there.
pub async fn handle(
    context: &Context,
    call: Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if request.group_id.is_empty() {
        return refused(Refusal::new(ErrorCode::InvalidRequest, "GroupId can't be empty."));
    }
    let group_id = request.group_id.clone();
    match context.groups.consumer_heartbeat(&group_id, &heartbeat(&call, request)).await {
        Ok(reply) => response(reply),
        Err(refusal) => refused(refusal),
    }
}

fn heartbeat(call: &Call, request: ConsumerGroupHeartbeatRequest) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_id: request.member_id,
        random_id: Uuid::from_random_bytes(rand::random()).to_string(),
        brings_member_id: call.api_version >= MEMBER_ID,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|&ms| ms != NO_TIMEOUT),
        client_id: call.client_id.clone().unwrap_or_default(),
        client_host: client_host(&call.client),
        topics: request.subscribed_topic_names.map(|names| names.into_iter().collect()),
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned: request.topic_partitions.map(|topics| partitions(&topics)),
    }
}

fn partitions(topics: &[ConsumerGroupHeartbeatTopicPartitions]) -> Partitions {
    let of = |topic: &ConsumerGroupHeartbeatTopicPartitions| {
        let id = TopicId(topic.topic_id);
        topic.partitions.clone().into_iter().map(move |index| (id, index))
    };
    topics.iter().flat_map(of).collect()
}

fn assignment(partitions: Partitions) -> ConsumerGroupHeartbeatAssignment {
    let mut topics: Vec<ConsumerGroupHeartbeatTopicPartitions> = Vec::new();
    for (topic, index) in partitions {
        match topics.last_mut().filter(|last| last.topic_id == topic.0) {
            Some(last) => last.partitions.push(index),
            None => {
                topics.push(ConsumerGroupHeartbeatTopicPartitions { topic_id: topic.0, partitions: vec![index] });
            }
        }
    }
    ConsumerGroupHeartbeatAssignment { topic_partitions: topics }
}

fn response(reply: ConsumerHeartbeatReply) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None,
        error_message: None,
        member_id: Some(reply.member_id),
        member_epoch: reply.member_epoch,
        heartbeat_interval_ms: reply.heartbeat_interval_ms,
        assignment: reply.assignment.map(assignment),
    }
}

fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refusal.error,
        error_message: Some(refusal.message).filter(|message| !message.is_empty()),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
