//! FindCoordinator, versions 0 to 6.
//!
//! Says which broker coordinates a group or a transactional id: the leader of its partition of `__consumer_offsets` or
//! `__transaction_state`, which is created when the first client asks. Version 1 has the type of key, 3 is flexible, 4
//! asks for many keys at once (KIP-699), 6 has share groups (KIP-932), which are not served: their keys are refused with
//! an error that clients take as final.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator::partition_for;
use crate::metadata::TopicImage;
use crate::model::ErrorCode;
use crate::protocol::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

/// First version with a list of keys.
const BATCHED: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Finds coordinators.
pub async fn handle(context: &Context, call: Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.api_version < BATCHED {
        return unbatched(find(context, &call, request.key_type, request.key).await);
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        coordinators.push(find(context, &call, request.key_type, key).await);
    }
    FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
}

async fn find(context: &Context, call: &Call, key_type: i8, key: String) -> Coordinator {
    let found = match key_type {
        GROUP => match context.groups.offsets_topic().await {
            Ok(topic) => leader(context, call, &topic, &key),
            Err(error) => Err((error, format!("{} is being created", crate::model::CONSUMER_OFFSETS_TOPIC))),
        },
        TRANSACTION => match context.transactions.state_topic().await {
            Ok(topic) => leader(context, call, &topic, &key),
            Err(error) => Err((error, format!("{} is being created", crate::model::TRANSACTION_STATE_TOPIC))),
        },
        other => Err((ErrorCode::InvalidRequest, format!("this broker coordinates nothing of key type {other}"))),
    };
    match found {
        Ok(coordinator) => coordinator,
        Err((error_code, message)) => refused(key, error_code, message),
    }
}

fn leader(
    context: &Context,
    call: &Call,
    topic: &TopicImage,
    group_id: &str,
) -> Result<Coordinator, (ErrorCode, String)> {
    let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    let partition = partition_for(group_id, partitions);
    let image = context.image();
    let leader = image.partition(topic.id, partition).and_then(|partition| partition.leader());
    let suspected = context.replicas.suspected_leaders();
    let leader = leader.filter(|leader| !suspected.contains(leader));
    let broker = leader.and_then(|leader| image.broker(leader)).filter(|broker| !broker.fenced);
    let endpoint = broker.and_then(|broker| broker.endpoint(&call.client.listener));
    let (Some(leader), Some(endpoint)) = (leader, endpoint) else {
        return Err((ErrorCode::CoordinatorNotAvailable, format!("{}-{partition} has no leader", topic.name)));
    };
    Ok(Coordinator {
        key: group_id.to_owned(),
        node_id: leader.0,
        host: endpoint.host.clone(),
        port: i32::try_from(endpoint.port).unwrap_or_default(),
        error_code: ErrorCode::None,
        error_message: Some(String::new()),
    })
}

fn refused(key: String, error_code: ErrorCode, message: String) -> Coordinator {
    let (host, error_message) = (String::new(), Some(message));
    Coordinator { key, node_id: -1, host, port: -1, error_code, error_message }
}

fn unbatched(found: Coordinator) -> FindCoordinatorResponse {
    let message = if found.error_code == ErrorCode::None { Some("NONE".to_owned()) } else { found.error_message };
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}
