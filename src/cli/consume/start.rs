//! Where reading begins and ends.

use std::collections::BTreeMap;

use crate::client::admin::offsets::{self, OffsetSpec};
use crate::client::{ClusterClient, ClusterError, Position};
use crate::model::TopicPartition;

/// Where reading begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// At the first record there is.
    Beginning,
    /// With what is written from now on.
    End,
    /// At an offset; a negative one counts from the end.
    Offset(i64),
    /// At the first record of a time or later, in milliseconds since the Unix epoch.
    Time(i64),
}

/// The partitions of topics that are known; `only` narrows them down.
pub(super) fn partitions(
    client: &ClusterClient,
    topics: &[String],
    only: &[i32],
) -> Result<Vec<TopicPartition>, ClusterError> {
    let mut partitions = Vec::new();
    for name in topics {
        let topic = client.metadata().topic(name)?;
        let count = topic.partitions.len();
        let mut there: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        there.sort_unstable();
        if let Some(missing) = only.iter().find(|index| !there.contains(index)) {
            return Err(ClusterError::UnknownPartition { topic: name.clone(), partition: *missing, count });
        }
        let wanted = there.into_iter().filter(|index| only.is_empty() || only.contains(index));
        partitions.extend(wanted.map(|index| TopicPartition::new(name.as_str(), index)));
    }
    Ok(partitions)
}

/// Where to begin in each partition, and where to end if that is at the end.
pub(super) async fn positions(
    client: &mut ClusterClient,
    partitions: &[TopicPartition],
    start: Start,
    end_at_end: bool,
) -> Result<BTreeMap<TopicPartition, Position>, ClusterError> {
    let all = || partitions.iter().cloned();
    let ends = offsets::list_all(client, all(), OffsetSpec::Latest).await?;
    let begins = match start {
        Start::End => ends.clone(),
        Start::Time(time) => offsets::list_all(client, all(), OffsetSpec::AtTime(time)).await?,
        Start::Beginning | Start::Offset(_) => offsets::list_all(client, all(), OffsetSpec::Earliest).await?,
    };
    let position = |(partition, end): (TopicPartition, i64)| {
        let begin = begins.get(&partition).copied().unwrap_or(end);
        let offset = match start {
            Start::Offset(offset) if offset < 0 => end.saturating_add(offset).max(begin),
            Start::Offset(offset) => offset,
            // No record is that young.
            Start::Time(_) if begin < 0 => end,
            _ => begin,
        };
        (partition, Position { offset, until: end_at_end.then_some(end) })
    };
    Ok(ends.into_iter().map(position).collect())
}

/// Lets each partition end where it ends now.
pub(super) async fn end_at_end(
    client: &mut ClusterClient,
    positions: &mut BTreeMap<TopicPartition, Position>,
) -> Result<(), ClusterError> {
    let ends = offsets::list_all(client, positions.keys().cloned(), OffsetSpec::Latest).await?;
    for (partition, position) in positions {
        position.until = ends.get(partition).copied();
    }
    Ok(())
}
