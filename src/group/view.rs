//! What DescribeGroups and ListGroups show.

use bytes::Bytes;

use super::{ClassicGroup, State};

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
