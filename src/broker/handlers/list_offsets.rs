//! ListOffsets, versions 1 to 11.
//!
//! A timestamp asks for the first record that is as late or later; special ones for the log's start (-2), its end (-1),
//! the record with the largest timestamp (-3, from version 7, KIP-734), the local log's start (-4, from version 8), the
//! last tiered offset (-5, from version 9) and the earliest not yet tiered (-6, from version 11). Nothing is tiered, so
//! -4 is the log's start and -5 and -6 find nothing. Version 2 has the isolation level, 4 the leader epoch (KIP-320), 6
//! is flexible, 10 has a time-out for tiered reads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::log::{TimestampTarget, TimestampedOffset};
use crate::model::{ErrorCode, LeaderEpoch};
use crate::partition::{Isolation, PartitionError, Replica};
use crate::protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
    ListOffsetsTopicResponse,
};

/// Finds offsets.
pub async fn handle(context: &Context, call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let asked = counts(&topic);
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let found = match asked.get(&index) {
                Some(1) => find(context, call.api_version, isolation, &topic.name, partition).await,
                _ => Err(ErrorCode::InvalidRequest),
            };
            partitions.push(answer(index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { throttle_time_ms: 0, topics }
}

/// How often each partition is named: a partition named twice gets an error.
fn counts(topic: &ListOffsetsTopic) -> HashMap<i32, usize> {
    let mut counts = HashMap::new();
    for partition in &topic.partitions {
        *counts.entry(partition.partition_index).or_insert(0) += 1;
    }
    counts
}

/// What a timestamp asks for, and the first version that may.
enum Asked {
    Target(TimestampTarget),
    /// Of tiered storage, which holds nothing.
    Nothing,
}

fn asked(timestamp: i64, api_version: i16) -> Result<Asked, ErrorCode> {
    let (asked, first_version) = match timestamp {
        -1 => (Asked::Target(TimestampTarget::Latest), 0),
        -2 => (Asked::Target(TimestampTarget::Earliest), 0),
        -3 => (Asked::Target(TimestampTarget::MaxTimestamp), 7),
        -4 => (Asked::Target(TimestampTarget::Earliest), 8),
        -5 => (Asked::Nothing, 9),
        -6 => (Asked::Nothing, 11),
        0.. => (Asked::Target(TimestampTarget::At(timestamp)), 0),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    if api_version < first_version { Err(ErrorCode::UnsupportedVersion) } else { Ok(asked) }
}

async fn find(
    context: &Context,
    api_version: i16,
    isolation: Isolation,
    topic: &str,
    partition: &ListOffsetsPartition,
) -> Result<Option<TimestampedOffset>, ErrorCode> {
    let replica = context.replicas.find(topic, partition.partition_index).map_err(|error| error.error_code())?;
    let leader_epoch =
        replica.check_leader_epoch(partition.current_leader_epoch).map_err(|error| error.error_code())?;
    let Asked::Target(target) = asked(partition.timestamp, api_version)? else { return Ok(None) };
    // Another may lead since this broker was suspended, and have told of later ones (invariant A13).
    if target == TimestampTarget::Latest && !context.replicas.know_their_roles() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let found = search(replica, target, isolation).await;
    match found {
        // An offset beyond all records belongs to the epoch that will write there.
        Ok(found) => Ok(found.map(|found| match found.leader_epoch {
            LeaderEpoch::NONE => TimestampedOffset { leader_epoch, ..found },
            _ => found,
        })),
        Err(error) => {
            if matches!(error, PartitionError::Log(_)) {
                tracing::error!(topic, partition = partition.partition_index, "cannot list offsets: {error}");
            }
            Err(error.error_code())
        }
    }
}

/// A search by time reads from disk and may inflate batches, so it goes where blocking is allowed.
async fn search(
    replica: Arc<Replica>,
    target: TimestampTarget,
    isolation: Isolation,
) -> Result<Option<TimestampedOffset>, PartitionError> {
    match target {
        TimestampTarget::Earliest | TimestampTarget::Latest => replica.offset_for(target, isolation),
        TimestampTarget::MaxTimestamp | TimestampTarget::At(_) => {
            let found = tokio::task::spawn_blocking(move || replica.offset_for(target, isolation)).await;
            found.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
    }
}

fn answer(partition_index: i32, found: Result<Option<TimestampedOffset>, ErrorCode>) -> ListOffsetsPartitionResponse {
    let nothing = ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match found {
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch.0,
            ..nothing
        },
        Ok(None) => nothing,
        Err(error_code) => ListOffsetsPartitionResponse { error_code, ..nothing },
    }
}
