//! Replicas that a broker has lost the use of while it goes on: one of its log directories has failed, or a log is
//! damaged.
//!
//! Such a replica may have lost what it had acknowledged, so it is in no ISR and no ELR any more (A12) and leads
//! nothing, whatever else the broker does, until the broker begins another life or gives the partition away.

use super::broker_control::check_epoch;
use super::draft::{Draft, Refusal};
use super::feature_control::check_offline_replicas;
use super::partition_change::PartitionChange;
use super::record::{named_partition, partition_name};
use crate::model::{BrokerId, TopicId};
use crate::rpc::metadata::{OfflineReplicasRecord, ReportOfflineReplicas};

/// The broker says which of its replicas can no longer be used. What it does not host, or has reported already, is
/// passed over.
pub(super) fn report(draft: &mut Draft<'_>, command: &ReportOfflineReplicas) -> Result<(), Refusal> {
    let id = BrokerId(command.broker_id);
    check_epoch(draft.image(), id, command.broker_epoch)?;
    check_offline_replicas(draft.image())?;
    let news: Vec<(TopicId, i32)> = command
        .replicas
        .iter()
        .filter_map(named_partition)
        .filter(|(topic_id, partition)| is_news(draft, id, *topic_id, *partition))
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    let replicas = news.iter().copied().map(partition_name).collect();
    draft.add(OfflineReplicasRecord { broker_id: id.0, broker_epoch: command.broker_epoch, replicas });
    for (topic_id, partition) in news {
        let Some(topic) = draft.image().topic(topic_id).cloned() else { continue };
        let Some(image) = topic.partition(partition) else { continue };
        PartitionChange::of(draft, &topic, partition, image).without_lost_tail(id).decide();
    }
    Ok(())
}

fn is_news(draft: &Draft<'_>, id: BrokerId, topic_id: TopicId, partition: i32) -> bool {
    let hosted = draft.image().partition(topic_id, partition).is_some_and(|image| image.replicas.contains(&id));
    let known = draft.image().broker(id).is_some_and(|broker| broker.offline_replicas.contains(&(topic_id, partition)));
    hosted && !known
}
