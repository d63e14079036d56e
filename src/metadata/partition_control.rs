//! CreatePartitions. Partitions only ever increase.

use super::draft::{Draft, Refusal};
use super::mutation_quota::Allowance;
use super::placement::{Shape, place};
use super::record::uuid_bytes;
use super::topic_control::{check_assignment, check_room, new_partition, results_by_name};
use super::topic_image::{TopicImage, broker_ids};
use crate::model::{BrokerId, ErrorCode};
use crate::rpc::metadata::{
    CreatePartitions, TopicPartitions, TopicResult, TopicResults, metadata_reply::Kind as Reply,
};

/// Adds partitions to topics, or only says whether it would.
pub(super) fn create_partitions(draft: &mut Draft<'_>, command: &CreatePartitions) -> Reply {
    let mut creation = draft.branch();
    let mut allowance = Allowance::of(command.quota.as_ref());
    let topics = results_by_name(
        &command.topics,
        |topic| &topic.name,
        |topic, duplicate| {
            let result = match duplicate {
                true => Err(Refusal::new(ErrorCode::InvalidRequest, "the request names the topic twice")),
                false => add_partitions(&mut creation, &mut allowance, topic),
            };
            topic_result(&creation, &topic.name, result)
        },
    );
    if !command.validate_only {
        draft.merge(creation);
    }
    Reply::CreatePartitions(TopicResults { topics, spent: allowance.spent() })
}

fn topic_result(draft: &Draft<'_>, name: &str, result: Result<(), Refusal>) -> TopicResult {
    let refusal = result.err();
    TopicResult {
        name: Some(name.to_owned()),
        topic_id: draft.image().topic_id(name).map(|id| uuid_bytes(id.0)).unwrap_or_default(),
        error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
        error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
    }
}

fn add_partitions(draft: &mut Draft<'_>, allowance: &mut Allowance, asked: &TopicPartitions) -> Result<(), Refusal> {
    let topic = draft.existing_topic(&asked.name)?;
    let first_partition = topic.partition_count();
    let count = usize::try_from(asked.count).unwrap_or(0).saturating_sub(first_partition);
    if count == 0 {
        let message = format!("topic {} has {first_partition} partitions, and can only get more", topic.name);
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    }
    check_room(draft, count)?;
    let replicas = match asked.assignments.is_empty() {
        true => {
            let shape = Shape { first_partition, count, replication_factor: topic.replication_factor() };
            place(draft.image(), shape, asked.placement_seed)?
        }
        false => assigned_replicas(draft, &topic, asked, count)?,
    };
    allowance.spend(count)?;
    for (partition, replicas) in (first_partition as i32..).zip(&replicas) {
        draft.add(new_partition(draft.image(), topic.id, partition, replicas));
    }
    Ok(())
}

fn assigned_replicas(
    draft: &Draft<'_>,
    topic: &TopicImage,
    asked: &TopicPartitions,
    count: usize,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if asked.assignments.len() != count {
        let message = format!("{count} partitions are new, but {} have replicas assigned", asked.assignments.len());
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    let replicas: Vec<_> = asked.assignments.iter().map(|assignment| broker_ids(&assignment.ids)).collect();
    replicas.iter().try_for_each(|replicas| check_assignment(draft.image(), replicas, topic.replication_factor()))?;
    Ok(replicas)
}
