//! Looks up offsets by time or at the ends of partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::unanimous;
use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

const PAUSE: Duration = Duration::from_millis(100);

/// Which offset of a partition is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    /// The first one there is.
    Earliest,
    /// The next one to be written: the high watermark.
    Latest,
    /// The first one with this timestamp or a later one, in milliseconds since the Unix epoch.
    AtTime(i64),
    /// The one with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first one on the leader's own disk (KIP-405).
    EarliestLocal,
    /// The last one in remote storage (KIP-1005).
    LatestTiered,
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::AtTime(timestamp) => timestamp,
        }
    }
}

/// An offset that was looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// The offset; −1 when no record has such a timestamp.
    pub offset: Offset,
    /// The record's timestamp; −1 at the ends.
    pub timestamp: i64,
}

/// What is known of each partition that was asked about.
pub type FoundOffsets = BTreeMap<TopicPartition, Result<FoundOffset, ErrorCode>>;

/// Looks up offsets, each at its partition's leader. A partition whose error stays has that error.
pub async fn list(
    client: &mut ClusterClient,
    wanted: &[(TopicPartition, OffsetSpec)],
) -> Result<FoundOffsets, ClusterError> {
    let deadline = Instant::now() + client.options().patience;
    let mut found = FoundOffsets::new();
    let mut rest = wanted.to_vec();
    loop {
        let topics: Vec<String> = rest.iter().map(|(partition, _)| partition.topic.to_string()).collect();
        client.learn_topics(Some(&topics)).await?;
        found.append(&mut list_once(client, &rest).await?);
        let again = |(partition, _): &(TopicPartition, OffsetSpec)| matches!(found.get(partition), Some(Err(code)) if code.is_retriable());
        rest.retain(again);
        if rest.is_empty() || Instant::now() + PAUSE > deadline {
            return Ok(found);
        }
        sleep(PAUSE).await;
    }
}

/// The offsets of all of `partitions` by one measure; a partition that has none is an error.
pub async fn list_all(
    client: &mut ClusterClient,
    partitions: impl Iterator<Item = TopicPartition>,
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Offset>, ClusterError> {
    let wanted: Vec<_> = partitions.map(|partition| (partition, spec)).collect();
    let offset = |(partition, found): (TopicPartition, Result<FoundOffset, ErrorCode>)| match found {
        Ok(found) => Ok((partition, found.offset)),
        Err(ErrorCode::LeaderNotAvailable) => Err(ClusterError::NoLeader(partition)),
        Err(code) => Err(ClusterError::refused(format!("the offsets of {partition}"), code, None)),
    };
    list(client, &wanted).await?.into_iter().map(offset).collect()
}

async fn list_once(
    client: &mut ClusterClient,
    wanted: &[(TopicPartition, OffsetSpec)],
) -> Result<FoundOffsets, ClusterError> {
    let mut found = FoundOffsets::new();
    let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<ListOffsetsPartition>>> = BTreeMap::new();
    for (partition, spec) in wanted {
        let leader = match client.metadata().leader(partition) {
            Err(ClusterError::NoLeader(_)) => {
                found.insert(partition.clone(), Err(ErrorCode::LeaderNotAvailable));
                continue;
            }
            leader => leader?,
        };
        by_leader.entry(leader).or_default().entry(&partition.topic).or_default().push(ListOffsetsPartition {
            partition_index: partition.partition,
            timestamp: spec.timestamp(),
            ..ListOffsetsPartition::default()
        });
    }
    for (leader, topics) in by_leader {
        let topic = |(name, partitions): (&str, _)| ListOffsetsTopic { name: name.to_owned(), partitions };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: topics.into_iter().map(topic).collect(),
            timeout_ms: 30_000,
            ..ListOffsetsRequest::default()
        };
        let response = client
            .ask(&Target::Broker(leader), &request, |response| {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                // Another leader is looked up by the caller.
                let code = unanimous(partitions.map(|partition| partition.error_code));
                if code == ErrorCode::NotLeaderOrFollower { ErrorCode::None } else { code }
            })
            .await?;
        for topic in response.topics {
            for partition in topic.partitions {
                let place = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                let offset = FoundOffset { offset: partition.offset, timestamp: partition.timestamp };
                let code = partition.error_code;
                found.insert(place, if code.is_error() { Err(code) } else { Ok(offset) });
            }
        }
    }
    Ok(found)
}
