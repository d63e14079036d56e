//! What DescribeGroups, ConsumerGroupDescribe and ListGroups show.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Assignor, ClassicGroup, ConsumerGroup, ConsumerState, Group, GroupConfig, Membership, Partitions, State,
    Subscription,
};

/// Which protocol a group's members speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupType {
    /// JoinGroup and its kin.
    Classic,
    /// ConsumerGroupHeartbeat.
    Consumer,
}

impl GroupType {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// The state of a group of either type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// Of a classic group.
    Classic(State),
    /// Of a group of the consumer protocol.
    Consumer(ConsumerState),
}

impl GroupState {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic(state) => state.name(),
            Self::Consumer(state) => state.name(),
        }
    }
}

/// A group as ConsumerGroupDescribe shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupDescription {
    /// Its state.
    pub state: ConsumerState,
    /// Its group epoch.
    pub epoch: i32,
    /// The group epoch its target assignment was made for.
    pub assignment_epoch: i32,
    /// Who makes its assignments.
    pub assignor: Assignor,
    /// In the order of their ids.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member as ConsumerGroupDescribe shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerMemberDescription {
    /// Its member id.
    pub member_id: Arc<str>,
    /// The epoch it was told last.
    pub epoch: i32,
    /// What it is and wants.
    pub subscription: Arc<Subscription>,
    /// What it may own.
    pub assigned: Partitions,
    /// What it shall own in the end.
    pub target: Arc<Partitions>,
}

impl Group {
    /// Which protocol its members speak; a group that has none yet counts as classic.
    pub fn group_type(&self) -> GroupType {
        match self.membership() {
            Membership::Classic(_) => GroupType::Classic,
            Membership::Consumer(_) => GroupType::Consumer,
        }
    }

    /// Its state.
    pub fn state(&self) -> GroupState {
        match self.membership() {
            Membership::Classic(group) => GroupState::Classic(group.state()),
            Membership::Consumer(group) => GroupState::Consumer(group.state()),
        }
    }

    /// What its members are, such as `consumer`; empty for a group that never had any.
    pub fn protocol_type(&self) -> &str {
        match self.membership() {
            Membership::Classic(group) => group.protocol_type().unwrap_or_default(),
            Membership::Consumer(_) => super::CONSUMER_PROTOCOL_TYPE,
        }
    }
}

impl ConsumerGroup {
    /// The group for ConsumerGroupDescribe.
    pub fn describe(&self, config: &GroupConfig) -> ConsumerGroupDescription {
        let members = self.members().map(|(member_id, member)| ConsumerMemberDescription {
            member_id: member_id.clone(),
            epoch: member.current.epoch,
            subscription: member.subscription.clone(),
            assigned: member.current.assigned.keys().copied().collect(),
            target: member.target.clone(),
        });
        ConsumerGroupDescription {
            state: self.state(),
            epoch: self.epoch(),
            assignment_epoch: self.assignment_epoch(),
            assignor: self.assignor(config),
            members: members.collect(),
        }
    }
}

/// A group as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// Its state.
    pub state: State,
    /// Empty for a group without members.
    pub protocol_type: String,
    /// The chosen protocol; filled only when the group is stable.
    pub protocol: String,
    /// In the order of their ids.
    pub members: Vec<MemberDescription>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    /// Its member id.
    pub member_id: String,
    /// Set for a static member.
    pub group_instance_id: Option<String>,
    /// Client id of its last JoinGroup.
    pub client_id: String,
    /// Address of its last JoinGroup.
    pub client_host: String,
    /// Filled only when the group is stable.
    pub metadata: Bytes,
    /// Filled only when the group is stable.
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// The group for DescribeGroups.
    pub fn describe(&self) -> GroupDescription {
        let protocol = self.protocol().filter(|_| self.state() == State::Stable);
        let members = self.members().iter().map(|member| MemberDescription {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| member.assignment.clone()).unwrap_or_default(),
        });
        GroupDescription {
            state: self.state(),
            protocol_type: self.protocol_type().unwrap_or_default().to_owned(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }
}
