//! OffsetFetch, versions 1 to 10.
//!
//! Answers what a group has committed, -1 where it has nothing; what was committed for a topic since deleted is
//! nothing. From version 2 on a missing list of topics asks for all of them, and there is an error of the whole
//! answer; 5 has leader epochs (KIP-320), 6 is flexible, 7 can insist on offsets that no open transaction may change
//! (KIP-447): one that may is UNSTABLE_OFFSET_COMMIT. Version 8 asks for many groups (KIP-709), 9 names a member
//! (KIP-848; its epoch must be current, which classic groups do not ask), 10 names topics by id.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator::{FetchedOffset, OffsetsOf};
use crate::metadata::ClusterImage;
use crate::model::{ErrorCode, TopicId, Uuid};
use crate::protocol::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// First version with an error of the whole answer.
const TOP_LEVEL_ERROR: i16 = 2;
/// First version with many groups.
const BATCHED: i16 = 8;
const TOPIC_IDS: i16 = 10;
const NO_OFFSET: i64 = -1;
const NO_LEADER_EPOCH: i32 = -1;

/// Answers what is committed.
pub async fn handle(context: &Context, call: Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let version = call.api_version;
    if version >= BATCHED {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            groups.push(fetch(context, version, group, request.require_stable).await);
        }
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let asked = request.topics.clone();
    let topic = |topic: OffsetFetchRequestTopic| OffsetFetchRequestTopics {
        name: topic.name,
        topic_id: Uuid::ZERO,
        partition_indexes: topic.partition_indexes,
    };
    let topics = request.topics.map(|topics| topics.into_iter().map(topic).collect());
    let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() };
    unbatched(version, asked.unwrap_or_default(), fetch(context, version, group, request.require_stable).await)
}

/// Who asks for which group's offsets.
#[derive(Clone, Copy)]
struct Asker<'a> {
    group_id: &'a str,
    /// Member id and epoch, if it says so.
    member: (Option<&'a str>, i32),
    require_stable: bool,
}

async fn fetch(
    context: &Context,
    version: i16,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let image = context.image();
    let OffsetFetchRequestGroup { group_id, topics, member_id, member_epoch } = group;
    let asker = Asker { group_id: &group_id, member: (member_id.as_deref(), member_epoch), require_stable };
    let fetched = match topics {
        None => fetch_all(context, &image, version, asker).await,
        Some(topics) => fetch_some(context, &image, version, asker, topics).await,
    };
    match fetched {
        Ok(topics) => OffsetFetchResponseGroup { group_id, topics, error_code: ErrorCode::None },
        Err(error_code) => OffsetFetchResponseGroup { group_id, topics: Vec::new(), error_code },
    }
}

async fn fetch_all(
    context: &Context,
    image: &ClusterImage,
    version: i16,
    asker: Asker<'_>,
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let mut by_topic: BTreeMap<Arc<str>, OffsetFetchResponseTopics> = BTreeMap::new();
    for fetched in committed(context, image, asker, &OffsetsOf::All).await? {
        let Some(offset) = &fetched.offset else { continue };
        let current = image.topic_id(&fetched.topic);
        let committed_for = Some(offset.topic_id).filter(|id| id.0 != Uuid::ZERO);
        let belongs = current.is_none() || committed_for.is_none() || current == committed_for;
        let topic_id = committed_for.or(current);
        if !belongs || (version >= TOPIC_IDS && topic_id.is_none()) {
            continue;
        }
        let topic = by_topic.entry(fetched.topic.clone()).or_insert_with(|| OffsetFetchResponseTopics {
            name: fetched.topic.to_string(),
            topic_id: topic_id.unwrap_or_default().0,
            partitions: Vec::new(),
        });
        topic.partitions.push(found(&fetched, asker.require_stable));
    }
    Ok(by_topic.into_values().collect())
}

/// What is committed, but for deleted topics: their offsets wait for them to be restored.
async fn committed(
    context: &Context,
    image: &ClusterImage,
    asker: Asker<'_>,
    wanted: &OffsetsOf,
) -> Result<Vec<FetchedOffset>, ErrorCode> {
    let mut fetched = context.groups.fetch_offsets(asker.group_id, asker.member, wanted).await?;
    for fetched in &mut fetched {
        fetched.offset.take_if(|offset| image.deleted_topic(offset.topic_id).is_some());
    }
    Ok(fetched)
}

async fn fetch_some(
    context: &Context,
    image: &ClusterImage,
    version: i16,
    asker: Asker<'_>,
    topics: Vec<OffsetFetchRequestTopics>,
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let mut wanted = Vec::new();
    for topic in &topics {
        if let Some((name, id)) = identify(image, version, topic) {
            wanted.extend(topic.partition_indexes.iter().map(|&partition| (name.clone(), id, partition)));
        }
    }
    let wanted = OffsetsOf::Partitions(wanted);
    let mut fetched = committed(context, image, asker, &wanted).await?.into_iter();
    let mut answers = Vec::with_capacity(topics.len());
    for topic in topics {
        let is_known = identify(image, version, &topic).is_some();
        let answer = |&index: &i32| match is_known {
            true => fetched
                .next()
                .map_or_else(|| nothing(index, ErrorCode::None), |fetched| found(&fetched, asker.require_stable)),
            false => nothing(index, ErrorCode::UnknownTopicId),
        };
        let partitions = topic.partition_indexes.iter().map(answer).collect();
        answers.push(OffsetFetchResponseTopics { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    Ok(answers)
}

/// The topic that is meant; `None` for an id that no topic has. A name may be that of no topic: then nothing is
/// committed for it.
fn identify(image: &ClusterImage, version: i16, topic: &OffsetFetchRequestTopics) -> Option<(Arc<str>, TopicId)> {
    if version >= TOPIC_IDS {
        return image.topic(TopicId(topic.topic_id)).map(|topic| (topic.name.clone(), topic.id));
    }
    Some((topic.name.as_str().into(), image.topic_id(&topic.name).unwrap_or_default()))
}

fn found(fetched: &FetchedOffset, require_stable: bool) -> OffsetFetchResponsePartitions {
    if require_stable && fetched.unstable {
        return nothing(fetched.partition, ErrorCode::UnstableOffsetCommit);
    }
    let Some(offset) = &fetched.offset else { return nothing(fetched.partition, ErrorCode::None) };
    OffsetFetchResponsePartitions {
        partition_index: fetched.partition,
        committed_offset: offset.offset,
        committed_leader_epoch: offset.leader_epoch,
        metadata: Some(offset.metadata.to_string()),
        error_code: ErrorCode::None,
    }
}

fn nothing(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: NO_LEADER_EPOCH,
        metadata: Some(String::new()),
        error_code,
    }
}

/// The answer in the shape of versions before 8. Version 1 has no error of the whole: each partition bears it.
fn unbatched(
    version: i16,
    asked: Vec<OffsetFetchRequestTopic>,
    group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let topics = if group.error_code != ErrorCode::None && version < TOP_LEVEL_ERROR {
        let failed = |topic: OffsetFetchRequestTopic| OffsetFetchResponseTopics {
            partitions: topic.partition_indexes.iter().map(|&index| nothing(index, group.error_code)).collect(),
            name: topic.name,
            topic_id: Uuid::ZERO,
        };
        asked.into_iter().map(failed).collect()
    } else {
        group.topics
    };
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        throttle_time_ms: 0,
        topics: topics.into_iter().map(topic).collect(),
        error_code: group.error_code,
        groups: Vec::new(),
    }
}
