//! DescribeTopicPartitions, version 0 (KIP-966).
//!
//! Partitions of topics in the order of the topics' names, page by page: at most as many partitions as the client wants,
//! and never more than `max.request.partition.size.limit`. An answer that stops early names where the next one goes on.
//! No topics asks for all; a topic asked for twice is answered once. A cursor below partition 0 is INVALID_REQUEST for
//! every topic. Where the cursor's topic is gone the page begins with the next one, also among named topics, which Kafka
//! would refuse. Eligible leader replicas are told; the last known ones are not kept apart, and that list is empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::broker::authorized_operations;
use crate::broker::call::Call;
use crate::broker::cluster_view::ClusterView;
use crate::broker::context::Context;
use crate::config;
use crate::metadata::{ClusterImage, PartitionImage, TopicImage};
use crate::model::{ErrorCode, TopicId, is_internal_topic, validate_topic_name};
use crate::partition;
use crate::protocol::messages::{
    DescribeTopicPartitionsCursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

/// Describes one page of partitions.
pub async fn handle(
    context: &Context,
    call: Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let view = ClusterView::new(context.image(), Arc::clone(&call.client.listener));
    let limit = limit(context, &view.image).min(usize::try_from(request.response_partition_limit).unwrap_or(0)).max(1);
    page(&view, &request, limit)
}

fn limit(context: &Context, image: &ClusterImage) -> usize {
    let layers = partition::broker_layers(image, context.broker_id, &context.settings);
    let limit = config::effective_broker_value(layers.layers(), "max.request.partition.size.limit");
    limit.and_then(|limit| limit.parse().ok()).unwrap_or(2_000)
}

fn page(view: &ClusterView, request: &DescribeTopicPartitionsRequest, limit: usize) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        let failed = request.topics.iter().map(|topic| failed(&topic.name, ErrorCode::InvalidRequest));
        response.topics = failed.collect();
        return response;
    }
    let cursor = request.cursor.as_ref().map(|cursor| (cursor.topic_name.as_str(), cursor.partition_index));
    let mut room = limit;
    for name in names(&view.image, request) {
        let first = match cursor {
            Some((topic, _)) if name < topic => continue,
            Some((topic, partition)) if name == topic => partition,
            _ => 0,
        };
        let Some(topic) = view.image.topic_by_name(name) else {
            response.topics.push(missing(name));
            continue;
        };
        let next = DescribeTopicPartitionsCursor { topic_name: name.to_owned(), partition_index: first };
        if room == 0 {
            response.next_cursor = Some(next);
            break;
        }
        let partitions: Vec<_> = topic
            .partitions()
            .filter(|(index, _)| *index >= first)
            .take(room)
            .map(|at| partition(view, topic.id, at))
            .collect();
        room -= partitions.len();
        let end = partitions.last().map_or(first, |last| last.partition_index + 1);
        response.topics.push(described(topic, partitions));
        if usize::try_from(end).is_ok_and(|end| end < topic.partition_count()) {
            response.next_cursor = Some(DescribeTopicPartitionsCursor { partition_index: end, ..next });
            break;
        }
    }
    response
}

/// The names asked for, or all, in order and each once.
fn names<'a>(image: &'a ClusterImage, request: &'a DescribeTopicPartitionsRequest) -> BTreeSet<&'a str> {
    match request.topics.as_slice() {
        [] => image.topics().map(|topic| &*topic.name).collect(),
        topics => topics.iter().map(|topic| topic.name.as_str()).collect(),
    }
}

fn failed(name: &str, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error_code = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    let topic_authorized_operations = authorized_operations::TOPIC;
    DescribeTopicPartitionsResponseTopic { topic_authorized_operations, ..failed(name, error_code) }
}

fn described(
    topic: &TopicImage,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None,
        name: Some(topic.name.to_string()),
        topic_id: topic.id.0,
        is_internal: is_internal_topic(&topic.name),
        partitions,
        topic_authorized_operations: authorized_operations::TOPIC,
    }
}

fn partition(
    view: &ClusterView,
    topic_id: TopicId,
    (partition_index, partition): (i32, &Arc<PartitionImage>),
) -> DescribeTopicPartitionsResponsePartition {
    let partition = view.partition(topic_id, partition_index, partition);
    DescribeTopicPartitionsResponsePartition {
        error_code: partition.error_code,
        partition_index,
        leader_id: partition.leader_id,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas,
        isr_nodes: partition.isr,
        eligible_leader_replicas: Some(partition.eligible_leader_replicas),
        last_known_elr: Some(Vec::new()),
        offline_replicas: partition.offline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::cluster_view::tests::view;
    use crate::protocol::messages::DescribeTopicPartitionsTopic;

    /// One page: each topic with its error and partitions, and where the next page begins.
    type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

    fn asked(names: &[&str], cursor: Option<(&str, i32)>, limit: usize) -> Page {
        let view = view(&[("t1", 1), ("t2", 3), ("__consumer_offsets", 2)]);
        let request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(|name| DescribeTopicPartitionsTopic { name: (*name).to_owned() }).collect(),
            response_partition_limit: 0,
            cursor: cursor.map(|(topic_name, partition_index)| DescribeTopicPartitionsCursor {
                topic_name: topic_name.to_owned(),
                partition_index,
            }),
        };
        let response = page(&view, &request, limit);
        let topics = response.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.unwrap_or_default(), topic.error_code.code(), partitions)
        });
        (topics.collect(), response.next_cursor.map(|cursor| (cursor.topic_name, cursor.partition_index)))
    }

    fn topic(name: &str, code: i16, partitions: &[i32]) -> (String, i16, Vec<i32>) {
        (name.to_owned(), code, partitions.to_vec())
    }

    #[test]
    fn topics_come_in_order_and_once() {
        let (topics, next) = asked(&["t2", "t1", "nope", "t2", "a b"], None, 100);
        let expected = [topic("a b", 17, &[]), topic("nope", 3, &[]), topic("t1", 0, &[0]), topic("t2", 0, &[0, 1, 2])];
        assert_eq!((topics.as_slice(), next), (&expected[..], None));
    }

    #[test]
    fn a_page_ends_at_the_limit_and_says_where_it_goes_on() {
        assert_eq!(asked(&["t2"], None, 1), (vec![topic("t2", 0, &[0])], Some(("t2".to_owned(), 1))));
        let at_the_end_of_a_topic = asked(&["t1", "t2"], None, 1);
        assert_eq!(at_the_end_of_a_topic, (vec![topic("t1", 0, &[0])], Some(("t2".to_owned(), 0))));
        assert_eq!(asked(&["t2"], Some(("t2", 1)), 10), (vec![topic("t2", 0, &[1, 2])], None));
        assert_eq!(asked(&["t1", "t2"], Some(("t2", 99)), 10), (vec![topic("t2", 0, &[])], None));
        assert_eq!(asked(&["t2", "t1"], Some(("t15", 1)), 10), (vec![topic("t2", 0, &[0, 1, 2])], None));
    }

    #[test]
    fn pages_add_up_to_everything() {
        for limit in 1..8 {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let from = cursor.as_ref().map(|(topic, partition): &(String, i32)| (topic.as_str(), *partition));
                let (topics, next) = asked(&[], from, limit);
                let partitions =
                    topics.into_iter().flat_map(|(name, _, at)| at.into_iter().map(move |at| (name.clone(), at)));
                seen.extend(partitions);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            let all =
                [("__consumer_offsets", 0), ("__consumer_offsets", 1), ("t1", 0), ("t2", 0), ("t2", 1), ("t2", 2)];
            assert_eq!(seen, all.map(|(topic, at)| (topic.to_owned(), at)), "limit {limit}");
        }
    }

    #[test]
    fn a_cursor_below_partition_0_is_invalid() {
        assert_eq!(asked(&["t1"], Some(("t1", -1)), 5), (vec![topic("t1", 42, &[])], None));
    }
}
