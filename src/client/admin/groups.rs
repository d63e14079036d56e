//! Lists, describes and deletes consumer groups, reads and moves their offsets.

use std::collections::BTreeMap;

use super::offsets::{self, OffsetSpec};
use super::unanimous;
use crate::client::consumer_protocol::{decode_assignment, decode_subscription};
use crate::client::{ClientError, ClusterClient, ClusterError, Coordinates, Target};
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember,
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, DescribedGroup, DescribedGroupMember,
    ListGroupsRequest, ListedGroup, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetFetchRequest,
    OffsetFetchRequestGroup,
};

/// The last version of OffsetFetch and OffsetCommit that names topics; later ones give their ids.
const OFFSETS_BY_NAME: i16 = 9;
/// Kafka's number for a member of the classic protocol.
const CLASSIC_MEMBER: i8 = 0;

/// A group as its coordinator describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// `classic` or `consumer` (KIP-848).
    pub group_type: &'static str,
    /// `Stable`, `Empty`, `PreparingRebalance`, …
    pub state: String,
    /// What assigns the partitions, such as `range`; empty when nobody is there.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Its group epoch and the one its target assignment is for; only of the consumer protocol.
    pub epochs: Option<(i32, i32)>,
    /// When it last shared out its partitions anew, in milliseconds since the Unix epoch, and why; `None` where its
    /// coordinator has not seen it, or is none of Ottla's.
    pub last_rebalance: Option<(i64, String)>,
    /// Who is in it.
    pub members: Vec<MemberDescription>,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    /// Its id, given by the coordinator or by itself.
    pub member_id: String,
    /// Its lasting name (KIP-345), if it has one.
    pub group_instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Whence it connects, as `/address`.
    pub client_host: String,
    /// The topics it wants, and the regular expression for them if it has one.
    pub topics: Vec<String>,
    /// The partitions it reads.
    pub assignment: Vec<TopicPartition>,
    /// The epoch it was told last, and the partitions it shall read in the end; only of a member of the consumer
    /// protocol.
    pub target: Option<(i32, Vec<TopicPartition>)>,
    /// True for a member of the classic protocol in a group of the consumer protocol.
    pub upgraded: bool,
}

/// How far a group is in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionLag {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset the group goes on from; `None` when it has committed none.
    pub committed: Option<Offset>,
    /// What the group stored with it.
    pub metadata: String,
    /// Where the partition begins; `None` when that cannot be found out.
    pub log_start: Option<Offset>,
    /// Where the partition ends; `None` when that cannot be found out.
    pub log_end: Option<Offset>,
    /// Records between the two; `None` when one of them is not known. Never negative.
    pub lag: Option<Offset>,
}

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The offset the group goes on from.
    pub offset: Offset,
    /// Epoch of the leader the record before came from; −1 when it is not known.
    pub leader_epoch: i32,
    /// What the client stored with it.
    pub metadata: String,
}

/// The groups of all live brokers, in the order of their names.
pub async fn list(client: &mut ClusterClient) -> Result<Vec<ListedGroup>, ClusterError> {
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let mut groups = Vec::new();
    for broker in brokers {
        let request = ListGroupsRequest::default();
        let response = client.ask(&Target::Broker(broker), &request, |response| response.error_code).await?;
        if response.error_code.is_error() {
            return Err(ClusterError::refused(format!("the groups of broker {broker}"), response.error_code, None));
        }
        groups.extend(response.groups);
    }
    groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    Ok(groups)
}

/// Describes one group, whichever protocol its members speak.
pub async fn describe(client: &mut ClusterClient, group: &str) -> Result<GroupDescription, ClusterError> {
    let target = coordinator(group);
    if let Some(described) = describe_consumer(client, &target, group).await? {
        return Ok(described);
    }
    let groups = vec![group.to_owned()];
    let request = DescribeGroupsRequest { groups, include_last_rebalance: true, ..DescribeGroupsRequest::default() };
    let response = client
        .ask(&target, &request, |response| unanimous(response.groups.iter().map(|group| group.error_code)))
        .await?;
    let unknown = || refused(group, ErrorCode::GroupIdNotFound, None);
    let described = response.groups.into_iter().next().ok_or_else(unknown)?;
    match described.error_code {
        // Before version 6 an unknown group is a dead one.
        ErrorCode::None if described.group_state == "Dead" => Err(unknown()),
        ErrorCode::None => classic(client, &target, described).await,
        code => Err(refused(group, code, described.error_message)),
    }
}

/// Deletes a group that has no members.
pub async fn delete(client: &mut ClusterClient, group: &str) -> Result<(), ClusterError> {
    let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    let verdict = |codes: Vec<ErrorCode>| unanimous(codes.into_iter());
    let response = client
        .ask(&coordinator(group), &request, |response| {
            verdict(response.results.iter().map(|result| result.error_code).collect())
        })
        .await?;
    match response.results.first().map(|result| result.error_code) {
        Some(ErrorCode::None) => Ok(()),
        code => Err(refused(group, code.unwrap_or(ErrorCode::UnknownServerError), None)),
    }
}

/// All offsets that a group has committed.
pub async fn committed(
    client: &mut ClusterClient,
    group: &str,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClusterError> {
    let asked = OffsetFetchRequestGroup { group_id: group.to_owned(), topics: None, ..Default::default() };
    let request = OffsetFetchRequest {
        group_id: group.to_owned(),
        topics: None,
        groups: vec![asked],
        ..OffsetFetchRequest::default()
    };
    let response = client
        .ask_at_most(&coordinator(group), OFFSETS_BY_NAME, &request, |response| {
            response.groups.first().map_or(response.error_code, |group| group.error_code)
        })
        .await?;
    let mut found = BTreeMap::new();
    let mut note = |topic: &str, index, offset, leader_epoch, metadata: Option<String>| {
        let metadata = metadata.unwrap_or_default();
        found.insert(TopicPartition::new(topic, index), CommittedOffset { offset, leader_epoch, metadata });
    };
    let code = match response.groups.into_iter().next() {
        Some(group) => {
            for topic in group.topics {
                for at in topic.partitions {
                    let epoch = at.committed_leader_epoch;
                    note(&topic.name, at.partition_index, at.committed_offset, epoch, at.metadata);
                }
            }
            group.error_code
        }
        // Before version 8 the answer is about one group.
        None => {
            for topic in response.topics {
                for at in topic.partitions {
                    let epoch = at.committed_leader_epoch;
                    note(&topic.name, at.partition_index, at.committed_offset, epoch, at.metadata);
                }
            }
            response.error_code
        }
    };
    if code.is_error() {
        return Err(refused(group, code, None));
    }
    Ok(found.into_iter().filter(|(_, committed)| committed.offset >= 0).collect())
}

/// How far a group is in every partition it has committed or is assigned.
pub async fn lag(client: &mut ClusterClient, group: &GroupDescription) -> Result<Vec<PartitionLag>, ClusterError> {
    let mut committed = committed(client, &group.group_id).await?;
    let assigned = group.members.iter().flat_map(|member| &member.assignment).cloned();
    let mut partitions: Vec<TopicPartition> = committed.keys().cloned().chain(assigned).collect();
    partitions.sort();
    partitions.dedup();
    client.learn_topics(None).await?;
    // Offsets outlive the topics they are of.
    let there = |partition: &&TopicPartition| {
        let topic = client.metadata().topics.get(&*partition.topic);
        topic.is_some_and(|topic| topic.partitions.iter().any(|known| known.partition_index == partition.partition))
    };
    let known: Vec<TopicPartition> = partitions.iter().filter(there).cloned().collect();
    let ends = known.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect::<Vec<_>>();
    let starts = known.into_iter().map(|partition| (partition, OffsetSpec::Earliest)).collect::<Vec<_>>();
    let ends = offsets::list(client, &ends).await?;
    let starts = offsets::list(client, &starts).await?;
    let offset = |found: Option<&Result<offsets::FoundOffset, ErrorCode>>| {
        found.and_then(|found| found.ok()).map(|found| found.offset)
    };
    let lag = |partition: TopicPartition| {
        let (log_start, log_end) = (offset(starts.get(&partition)), offset(ends.get(&partition)));
        let (offset, metadata) = match committed.remove(&partition) {
            Some(committed) => (Some(committed.offset), committed.metadata),
            None => (None, String::new()),
        };
        let lag = offset.zip(log_end).map(|(offset, end)| (end - offset.max(log_start.unwrap_or(0))).max(0));
        PartitionLag { partition, committed: offset, metadata, log_start, log_end, lag }
    };
    Ok(partitions.into_iter().map(lag).collect())
}

/// Moves a group's offsets. The group must have no members, because those would go on from where they are.
pub async fn commit(
    client: &mut ClusterClient,
    group: &str,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<(), ClusterError> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, offset) in offsets {
        topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: *offset,
            committed_metadata: Some(String::new()),
            ..OffsetCommitRequestPartition::default()
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: topics.into_iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    };
    let codes = |response: &crate::protocol::OffsetCommitResponse| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).collect::<Vec<_>>()
    };
    let response = client
        .ask_at_most(&coordinator(group), OFFSETS_BY_NAME, &request, |response| unanimous(codes(response).into_iter()))
        .await?;
    match codes(&response).into_iter().find(|code| code.is_error()) {
        Some(code) => Err(refused(group, code, None)),
        None => Ok(()),
    }
}

/// Makes a group forget its offsets of these partitions; each has its own outcome.
pub async fn delete_offsets(
    client: &mut ClusterClient,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, ErrorCode>, ClusterError> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for partition in partitions {
        let index = OffsetDeleteRequestPartition { partition_index: partition.partition };
        topics.entry(&partition.topic).or_default().push(index);
    }
    let topic = |(name, partitions): (&str, _)| OffsetDeleteRequestTopic { name: name.to_owned(), partitions };
    let request = OffsetDeleteRequest { group_id: group.to_owned(), topics: topics.into_iter().map(topic).collect() };
    let response = client.ask(&coordinator(group), &request, |response| response.error_code).await?;
    if response.error_code.is_error() {
        return Err(refused(group, response.error_code, None));
    }
    let outcomes = response.topics.into_iter().flat_map(|topic| {
        let name: std::sync::Arc<str> = topic.name.into();
        topic
            .partitions
            .into_iter()
            .map(move |partition| (TopicPartition::new(name.clone(), partition.partition_index), partition.error_code))
    });
    Ok(outcomes.collect())
}

fn coordinator(group: &str) -> Target {
    Target::Coordinator(Coordinates::Group, group.to_owned())
}

fn refused(group: &str, code: ErrorCode, message: Option<String>) -> ClusterError {
    ClusterError::refused(format!("group {group:?}"), code, message)
}

/// `None` when the group does not speak the consumer protocol, or the broker does not.
async fn describe_consumer(
    client: &mut ClusterClient,
    target: &Target,
    group: &str,
) -> Result<Option<GroupDescription>, ClusterError> {
    let group_ids = vec![group.to_owned()];
    let request = ConsumerGroupDescribeRequest { group_ids, include_last_rebalance: true, ..Default::default() };
    let asked =
        client.ask(target, &request, |response| unanimous(response.groups.iter().map(|group| group.error_code))).await;
    let response = match asked {
        Err(ClusterError::Connection(ClientError::NotServed { .. })) => return Ok(None),
        response => response?,
    };
    let Some(described) = response.groups.into_iter().next() else { return Ok(None) };
    match described.error_code {
        ErrorCode::None => {}
        ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => return Ok(None),
        code => return Err(refused(group, code, described.error_message)),
    }
    let coordinator = client.broker_of(target).await?.unwrap_or(-1);
    let ConsumerGroupDescribeGroup { group_id, group_state, group_epoch, assignment_epoch, .. } = described;
    Ok(Some(GroupDescription {
        group_id,
        group_type: "consumer",
        state: group_state,
        assignor: described.assignor_name,
        coordinator,
        epochs: Some((group_epoch, assignment_epoch)),
        last_rebalance: last_rebalance(described.last_rebalance_at, described.last_rebalance_reason),
        members: described.members.into_iter().map(consumer_member).collect(),
    }))
}

fn last_rebalance(at: i64, reason: String) -> Option<(i64, String)> {
    (at > 0).then_some((at, reason))
}

fn consumer_member(member: ConsumerGroupDescribeMember) -> MemberDescription {
    let partitions = |assignment: ConsumerGroupDescribeAssignment| {
        let topics = assignment.topic_partitions.into_iter();
        let named = topics.flat_map(|topic| {
            let name: std::sync::Arc<str> = topic.topic_name.into();
            topic.partitions.into_iter().map(move |partition| TopicPartition::new(name.clone(), partition))
        });
        named.collect::<Vec<_>>()
    };
    let by_regex = member.subscribed_topic_regex.filter(|regex| !regex.is_empty());
    MemberDescription {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        topics: member.subscribed_topic_names.into_iter().chain(by_regex).collect(),
        assignment: partitions(member.assignment),
        target: Some((member.member_epoch, partitions(member.target_assignment))),
        upgraded: member.member_type == CLASSIC_MEMBER,
    }
}

async fn classic(
    client: &mut ClusterClient,
    target: &Target,
    described: DescribedGroup,
) -> Result<GroupDescription, ClusterError> {
    // Only consumers fill these bytes as consumers do; Connect's workers have their own.
    let consumers = described.protocol_type == "consumer";
    let member = |member: DescribedGroupMember| MemberDescription {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        topics: decode_subscription(&member.member_metadata).ok().filter(|_| consumers).unwrap_or_default(),
        assignment: decode_assignment(&member.member_assignment).ok().filter(|_| consumers).unwrap_or_default(),
        target: None,
        upgraded: false,
    };
    let coordinator = client.broker_of(target).await?.unwrap_or(-1);
    Ok(GroupDescription {
        group_id: described.group_id,
        group_type: "classic",
        state: described.group_state,
        assignor: described.protocol_data,
        coordinator,
        epochs: None,
        last_rebalance: last_rebalance(described.last_rebalance_at, described.last_rebalance_reason),
        members: described.members.into_iter().map(member).collect(),
    })
}
