//! The range assignor.

use std::collections::BTreeMap;

use super::{Assignee, Assignment};
use crate::model::TopicId;

/// See [`super::Assignor::Range`]. Static members come first, in the order of their instances, so that they keep
/// their partitions when they come back under another member id.
pub(super) fn assign(members: &[Assignee], partitions: &BTreeMap<TopicId, i32>) -> Assignment {
    let mut in_order: Vec<&Assignee> = members.iter().collect();
    in_order.sort_by_key(|member| (member.instance_id.is_none(), &member.instance_id, &member.member_id));
    let mut assignment: Assignment = members.iter().map(|m| (m.member_id.clone(), Default::default())).collect();
    for (topic, count) in partitions {
        let subscribers: Vec<_> = in_order.iter().filter(|member| member.topics.contains(topic)).collect();
        let Some(each) = usize::try_from(*count).unwrap_or_default().checked_div(subscribers.len()) else { continue };
        let extra = usize::try_from(*count).unwrap_or_default() % subscribers.len();
        let mut indexes = 0..*count;
        for (at, member) in subscribers.iter().enumerate() {
            let run = indexes.by_ref().take(each + usize::from(at < extra));
            assignment.entry(member.member_id.clone()).or_default().extend(run.map(|index| (*topic, index)));
        }
    }
    assignment
}
