//! Reads partitions from where a group is, or from an end of them: [`Consumer`] and [`GroupMember`] together.
//!
//! Owns which partitions are read and how far the group has come. It commits positions that were handed out, every five
//! seconds, before partitions go to another member, and at the end; never those of records that were not handed out.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::admin::groups;
use super::admin::offsets::{self, OffsetSpec};
use super::cluster_client::ClusterClient;
use super::cluster_error::ClusterError;
use super::consumer::{Consumed, Consumer, ConsumerOptions, Position};
use super::group_member::GroupMember;
use crate::model::{Offset, TopicPartition};

const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// A reader of partitions.
pub struct Subscription {
    consumer: Consumer,
    member: Option<GroupMember>,
    /// Where reading begins in a partition in which the group has no position.
    start: OffsetSpec,
    committed: BTreeMap<TopicPartition, Offset>,
    committed_at: Instant,
}

impl Subscription {
    /// Reads these partitions outside of any group.
    pub async fn to_partitions(
        client: &mut ClusterClient,
        partitions: &[TopicPartition],
        start: OffsetSpec,
        options: ConsumerOptions,
    ) -> Result<Self, ClusterError> {
        let mut subscription = Self::new(start, options);
        let positions = subscription.first_positions(client, partitions).await?;
        subscription.consumer.assign(positions);
        Ok(subscription)
    }

    /// Reads one partition from an offset on.
    pub fn from_offset(partition: TopicPartition, offset: Offset, options: ConsumerOptions) -> Self {
        let mut subscription = Self::new(OffsetSpec::Latest, options);
        subscription.consumer.assign(BTreeMap::from([(partition, Position { offset, until: None })]));
        subscription
    }

    /// Joins a group and reads what it is assigned of these topics.
    pub async fn to_topics(
        client: &mut ClusterClient,
        group: &str,
        topics: &[String],
        start: OffsetSpec,
        options: ConsumerOptions,
    ) -> Result<Self, ClusterError> {
        let mut subscription = Self::new(start, options);
        subscription.member = Some(GroupMember::join(client, group, topics).await?);
        subscription.take_assignment(client).await?;
        Ok(subscription)
    }

    fn new(start: OffsetSpec, options: ConsumerOptions) -> Self {
        let consumer = Consumer::new(options);
        Self { consumer, member: None, start, committed: BTreeMap::new(), committed_at: Instant::now() }
    }

    /// Asks the brokers once and hands out what came, until `visit` says false.
    pub async fn poll(
        &mut self,
        client: &mut ClusterClient,
        visit: impl FnMut(Consumed<'_>) -> bool,
    ) -> Result<(), ClusterError> {
        self.consumer.poll(client, visit).await?;
        let Some(member) = &mut self.member else { return Ok(()) };
        if !member.heartbeat(client).await? {
            // If it is too late to commit, the records are read again by whoever gets the partitions.
            let _ = self.commit().await;
            if let Some(member) = &mut self.member {
                member.rejoin(client).await?;
            }
            return self.take_assignment(client).await;
        }
        if self.committed_at.elapsed() >= COMMIT_INTERVAL { self.commit().await } else { Ok(()) }
    }

    /// Commits and leaves the group. What fails here is made good by the coordinator.
    pub async fn close(mut self) {
        let farewell = async {
            let _ = self.commit().await;
            if let Some(member) = &mut self.member {
                let _ = member.leave().await;
            }
        };
        let _ = timeout(FAREWELL_MAX, farewell).await;
    }

    async fn first_positions(
        &self,
        client: &mut ClusterClient,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Position>, ClusterError> {
        let offsets = offsets::list_all(client, partitions.iter().cloned(), self.start).await?;
        Ok(offsets.into_iter().map(|(partition, offset)| (partition, Position { offset, until: None })).collect())
    }

    async fn take_assignment(&mut self, client: &mut ClusterClient) -> Result<(), ClusterError> {
        let Some(member) = &self.member else { return Ok(()) };
        let committed = groups::committed(client, member.group()).await?;
        let (known, fresh): (Vec<_>, Vec<_>) =
            member.assignment().iter().cloned().partition(|partition| committed.contains_key(partition));
        let mut positions = self.first_positions(client, &fresh).await?;
        for partition in known {
            let offset = committed[&partition].offset;
            positions.insert(partition, Position { offset, until: None });
        }
        // A position that was only looked up is committed too, as Kafka's consumers do.
        self.committed = committed.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect();
        self.consumer.assign(positions);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), ClusterError> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let positions = self.consumer.positions().iter();
        let changed = positions.filter(|(partition, at)| self.committed.get(partition) != Some(&at.offset));
        let offsets: BTreeMap<_, _> = changed.map(|(partition, at)| (partition.clone(), at.offset)).collect();
        member.commit(&offsets).await?;
        self.committed.extend(offsets);
        self.committed_at = Instant::now();
        Ok(())
    }
}
