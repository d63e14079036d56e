//! A member of a classic consumer group: joins, tells that it lives, commits, leaves.
//!
//! It has a connection to the coordinator of its own, because joining takes as long as the slowest member.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cluster_client::{ClusterClient, Coordinates, Target};
use super::cluster_error::ClusterError;
use super::consumer_protocol::{
    assign_ranges, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use super::{Connection, ConnectionOptions};
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupMember,
    LeaveGroupRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, SyncGroupRequest,
    SyncGroupRequestAssignment,
};

const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);
const COMMIT_BY_NAME: i16 = 9;

/// Membership in a group.
pub struct GroupMember {
    connection: Connection,
    group: String,
    topics: Vec<String>,
    member_id: String,
    generation: i32,
    assignment: Vec<TopicPartition>,
    beat: Instant,
}

impl GroupMember {
    /// Joins a group as a reader of `topics` and waits for partitions.
    pub async fn join(client: &mut ClusterClient, group: &str, topics: &[String]) -> Result<Self, ClusterError> {
        let mut member = Self {
            connection: connect(client, group).await?,
            group: group.to_owned(),
            topics: topics.to_vec(),
            member_id: String::new(),
            generation: -1,
            assignment: Vec::new(),
            beat: Instant::now(),
        };
        member.rejoin(client).await?;
        Ok(member)
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The partitions that are this member's to read.
    pub fn assignment(&self) -> &[TopicPartition] {
        &self.assignment
    }

    /// Tells the coordinator that this member lives, when it is time to. False when the partitions are dealt anew:
    /// then the member has to commit what it has read, and [`GroupMember::rejoin`].
    pub async fn heartbeat(&mut self, client: &mut ClusterClient) -> Result<bool, ClusterError> {
        if self.beat.elapsed() < HEARTBEAT_INTERVAL {
            return Ok(true);
        }
        self.beat = Instant::now();
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: None,
        };
        let Ok(response) = self.connection.send(&request).await else {
            self.connection = connect(client, &self.group).await?;
            return Ok(false);
        };
        match response.error_code {
            ErrorCode::None => Ok(true),
            ErrorCode::RebalanceInProgress => Ok(false),
            code => self.lost(client, code).await.map(|()| false),
        }
    }

    /// Joins again: after a rebalance began, or after the membership was lost.
    pub async fn rejoin(&mut self, client: &mut ClusterClient) -> Result<(), ClusterError> {
        let deadline = Instant::now() + REBALANCE_TIMEOUT + client.options().patience;
        loop {
            match self.join_once(client).await? {
                ErrorCode::None => {
                    self.beat = Instant::now();
                    return Ok(());
                }
                code if Instant::now() > deadline => {
                    return Err(ClusterError::refused(format!("group {:?}", self.group), code, None));
                }
                ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress => {}
                code => {
                    self.lost(client, code).await?;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Stores how far this member has read.
    pub async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, Offset>) -> Result<(), ClusterError> {
        if offsets.is_empty() {
            return Ok(());
        }
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
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        let response = self.connection.send_at_most(COMMIT_BY_NAME, &request).await?;
        let codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
        match codes.into_iter().find(|code| code.is_error()) {
            Some(code) => Err(ClusterError::refused(format!("group {:?}", self.group), code, None)),
            None => Ok(()),
        }
    }

    /// Leaves the group, so that others get its partitions at once.
    pub async fn leave(&mut self) -> Result<(), ClusterError> {
        let leaver = LeaveGroupMember { member_id: self.member_id.clone(), ..LeaveGroupMember::default() };
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: self.member_id.clone(),
            members: vec![leaver],
        };
        self.connection.send(&request).await?;
        Ok(())
    }

    async fn join_once(&mut self, client: &mut ClusterClient) -> Result<ErrorCode, ClusterError> {
        let protocol =
            JoinGroupRequestProtocol { name: ASSIGNOR.to_owned(), metadata: encode_subscription(&self.topics) };
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: milliseconds(SESSION_TIMEOUT),
            rebalance_timeout_ms: milliseconds(REBALANCE_TIMEOUT),
            member_id: self.member_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        let joined = self.connection.send(&request).await?;
        match joined.error_code {
            ErrorCode::None => {}
            ErrorCode::MemberIdRequired => {
                self.member_id = joined.member_id;
                return Ok(ErrorCode::MemberIdRequired);
            }
            code => return Ok(code),
        }
        self.member_id.clone_from(&joined.member_id);
        self.generation = joined.generation_id;
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let assignments = if leads { deal(client, &joined).await? } else { Vec::new() };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: joined.protocol_name,
            assignments,
            ..SyncGroupRequest::default()
        };
        let synced = self.connection.send(&request).await?;
        if !synced.error_code.is_error() {
            self.assignment = decode_assignment(&synced.assignment).map_err(|error| {
                let message = Some(format!("the assignment cannot be read: {error}"));
                ClusterError::refused(format!("group {:?}", self.group), ErrorCode::UnknownServerError, message)
            })?;
        }
        Ok(synced.error_code)
    }

    /// Gets ready to join again after `code`, or passes it on when joining again is of no use.
    async fn lost(&mut self, client: &mut ClusterClient, code: ErrorCode) -> Result<(), ClusterError> {
        match code {
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.member_id.clear(),
            code if code.is_retriable() => self.connection = connect(client, &self.group).await?,
            code => return Err(ClusterError::refused(format!("group {:?}", self.group), code, None)),
        }
        Ok(())
    }
}

/// The leader's duty: deals all partitions out to all members.
async fn deal(
    client: &mut ClusterClient,
    joined: &JoinGroupResponse,
) -> Result<Vec<SyncGroupRequestAssignment>, ClusterError> {
    let mut subscriptions = BTreeMap::new();
    for member in &joined.members {
        subscriptions.insert(member.member_id.clone(), decode_subscription(&member.metadata).unwrap_or_default());
    }
    client.learn_topics(None).await?;
    let topics = client.metadata().topics.iter();
    let counts = topics.map(|(name, topic)| (name.clone(), topic.partitions.len())).collect();
    let assignment = |(member_id, partitions): (String, Vec<TopicPartition>)| SyncGroupRequestAssignment {
        member_id,
        assignment: encode_assignment(&partitions),
    };
    Ok(assign_ranges(&subscriptions, &counts).into_iter().map(assignment).collect())
}

/// A connection to the group's coordinator that waits as long as a rebalance takes.
async fn connect(client: &mut ClusterClient, group: &str) -> Result<Connection, ClusterError> {
    let options = ConnectionOptions {
        request_timeout: REBALANCE_TIMEOUT + Duration::from_secs(5),
        ..client.options().connection.clone()
    };
    let target = Target::Coordinator(Coordinates::Group, group.to_owned());
    client.open_another(&target, options).await
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).expect("below 25 days")
}
