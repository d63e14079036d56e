//! Deleted topics: kept for a while, restored when asked for, removed when their time is over.
//!
//! How long is what `ottla.topic.delete.retention.ms` says at the moment of the decision, so lowering it makes room at
//! once. Time comes in with the command, from the clock of the active controller.
//!
//! While a topic is set aside nobody fetches from anybody, so its logs stay as they were: each replica that was in sync
//! (or eligible) holds every committed record, unless it has lost its unsynced tail or its disk since. A restored
//! partition begins with those of them that are whole and active, under a new leader epoch (A7, A10, A12).

use std::sync::Arc;

use super::deleted_topic_image::DeletedTopic;
use super::draft::{Draft, Refusal};
use super::feature_control::keeps_deleted_topics;
use super::partition_change::PartitionChange;
use super::record::uuid_bytes;
use super::topic_image::{PartitionImage, TopicImage};
use crate::model::{BrokerId, ErrorCode, TopicId, Uuid, Wall};
use crate::rpc::metadata::{RemoveExpiredTopics, RemoveTopicRecord, RestoreTopicRecord, SetTopicAsideRecord};

/// Deletes a topic: for good, or only so far that it can be restored.
pub(super) fn delete(draft: &mut Draft<'_>, id: TopicId, now_ms: i64) {
    let retention_ms = draft.image().topic_delete_retention_ms(draft.defaults());
    let topic_id = uuid_bytes(id.0);
    if retention_ms > 0 && keeps_deleted_topics(draft.image()) {
        let metadata_index = draft.next_index();
        draft.add(SetTopicAsideRecord { topic_id, deleted_ms: now_ms, metadata_index });
    } else {
        draft.add(RemoveTopicRecord { topic_id });
    }
}

/// Removes deleted topics whose time is over.
pub(super) fn remove_expired(draft: &mut Draft<'_>, command: &RemoveExpiredTopics) {
    let expired = draft.image().expired_topics(draft.defaults(), Wall(command.now_ms));
    let expired: Vec<TopicId> = expired.map(|deleted| deleted.topic.id).collect();
    for id in expired {
        draft.add(RemoveTopicRecord { topic_id: uuid_bytes(id.0) });
    }
}

/// Restores a deleted topic whose name is free.
pub(super) fn restore(draft: &mut Draft<'_>, deleted: &DeletedTopic) {
    draft.add(RestoreTopicRecord { topic_id: uuid_bytes(deleted.topic.id.0) });
    for (partition, _) in deleted.topic.partitions() {
        restore_partition(draft, deleted, partition);
    }
}

/// A deleted topic that can be restored: `which` is its id, or empty for the one of the name that was deleted last.
pub(super) fn find_deleted(
    draft: &Draft<'_>,
    name: &str,
    which: &str,
    now: Wall,
) -> Result<Arc<DeletedTopic>, Refusal> {
    let image = draft.image();
    let unknown = |message: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, message);
    let id = match which {
        "" => None,
        id => Some(id.parse::<Uuid>().map(TopicId).map_err(|error| {
            Refusal::new(ErrorCode::InvalidRequest, format!("a deleted topic is named by its topic id: {error}"))
        })?),
    };
    let is_wanted =
        |deleted: &&Arc<DeletedTopic>| *deleted.topic.name == *name && id.is_none_or(|id| id == deleted.topic.id);
    let found = image.deleted_topics().filter(is_wanted).max_by_key(|deleted| deleted.metadata_index);
    let found = found.ok_or_else(|| match id {
        Some(id) => {
            unknown(format!("no deleted topic {name} with the id {id} is kept: its time is over, or it never was"))
        }
        None => unknown(format!(
            "no deleted topic {name} is kept: its time (ottla.topic.delete.retention.ms) is over, or it never was"
        )),
    })?;
    let retention_ms = image.topic_delete_retention_ms(draft.defaults());
    if found.kept_until(retention_ms) <= now {
        return Err(unknown(format!(
            "the time to restore {name} is over: it was deleted more than {retention_ms} ms ago \
             (ottla.topic.delete.retention.ms)"
        )));
    }
    Ok(Arc::clone(found))
}

/// One after the other, those leave the in-sync replicas that cannot be in sync any more. The leader goes last: should
/// all have lost their tails, it is the one that held the most.
fn restore_partition(draft: &mut Draft<'_>, deleted: &DeletedTopic, partition: i32) {
    let topic = &*deleted.topic;
    let Some(before) = topic.partition(partition) else { return };
    let mut members: Vec<BrokerId> = before.isr.iter().chain(&before.elr).copied().collect();
    members.sort_by_key(|member| *member == before.leader);
    let (whole, torn): (Vec<_>, Vec<_>) = members.into_iter().partition(|id| has_kept_log(draft, *id, deleted));
    for broker in torn {
        change(draft, topic, partition, |change| change.without_lost_tail(broker).decide());
    }
    for broker in whole {
        if !draft.image().is_active_for(broker, topic.id, partition) {
            change(draft, topic, partition, |change| change.without(broker).decide());
        }
    }
    change(draft, topic, partition, |change| change.anew().decide());
}

fn change(draft: &mut Draft<'_>, topic: &TopicImage, partition: i32, decide: impl FnOnce(PartitionChange<'_, '_>)) {
    let now: Option<PartitionImage> = draft.image().partition(topic.id, partition).map(|image| (**image).clone());
    if let Some(now) = now {
        decide(PartitionChange::of(draft, topic, partition, &now));
    }
}

/// Whether all that the broker had in its log when the topic was deleted is there still.
fn has_kept_log(draft: &Draft<'_>, id: BrokerId, deleted: &DeletedTopic) -> bool {
    draft.image().broker(id).is_some_and(|broker| broker.logs_intact_since.0 < deleted.metadata_index)
}
