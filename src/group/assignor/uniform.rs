//! The uniform assignor: even first, sticky second.
//!
//! Where all members want the same topics, each gets its even share, and keeps of its old target as much as fits
//! into that. Else each partition that is free goes to the member with the least among those that want it, and
//! then partitions move, one at a time, from a member to another that wants it and has less by two or more, until
//! there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Assignee, Assignment};
use crate::group::Partitions;
use crate::model::TopicId;

/// See [`super::Assignor::Uniform`].
pub(super) fn assign(members: &[Assignee], partitions: &BTreeMap<TopicId, i32>) -> Assignment {
    let Some(first) = members.first() else { return Assignment::new() };
    if members.iter().all(|member| member.topics == first.topics) {
        evenly(members, &wanted(&first.topics, partitions))
    } else {
        balanced(members, partitions)
    }
}

fn wanted(topics: &BTreeSet<TopicId>, partitions: &BTreeMap<TopicId, i32>) -> Partitions {
    let of = |topic: &TopicId| (*topic, partitions.get(topic).copied().unwrap_or_default());
    topics.iter().map(of).flat_map(|(topic, count)| (0..count).map(move |index| (topic, index))).collect()
}

/// All members want all of `wanted`.
fn evenly(members: &[Assignee], wanted: &Partitions) -> Assignment {
    let (share, mut extra) = (wanted.len() / members.len(), wanted.len() % members.len());
    let mut free = wanted.clone();
    let mut kept: Vec<_> = members.iter().map(|member| (&member.member_id, keep(&member.target, &mut free))).collect();
    // The odd partitions go to those who have most already.
    kept.sort_by_key(|(member_id, kept)| (std::cmp::Reverse(kept.len()), *member_id));
    let mut assignment = Assignment::new();
    let mut shares = Vec::new();
    for (member_id, kept) in kept {
        let size = share + usize::from(extra > 0);
        extra = extra.saturating_sub(1);
        free.extend(kept.iter().skip(size));
        assignment.insert(member_id.clone(), kept.into_iter().take(size).collect());
        shares.push((member_id, size));
    }
    let mut free = free.into_iter();
    for (member_id, size) in shares {
        let member = assignment.entry(member_id.clone()).or_default();
        let missing = size - member.len();
        member.extend(free.by_ref().take(missing));
    }
    assignment
}

/// What of a former target is still there, and nobody else's.
fn keep(target: &Partitions, free: &mut Partitions) -> Vec<(TopicId, i32)> {
    target.iter().filter(|partition| free.remove(partition)).copied().collect()
}

/// Members want different topics.
fn balanced(members: &[Assignee], partitions: &BTreeMap<TopicId, i32>) -> Assignment {
    let mut subscribers: BTreeMap<TopicId, Vec<&Assignee>> = BTreeMap::new();
    for member in members {
        member.topics.iter().for_each(|topic| subscribers.entry(*topic).or_default().push(member));
    }
    let topics = subscribers.keys().copied().collect();
    let mut free = wanted(&topics, partitions);
    let mut assignment = Assignment::new();
    for member in members {
        let mut target = Partitions::clone(&member.target);
        target.retain(|(topic, _)| member.topics.contains(topic));
        assignment.insert(member.member_id.clone(), keep(&target, &mut free).into_iter().collect());
    }
    give_away(free, &subscribers, &mut assignment);
    while even_out(&subscribers, &mut assignment) {}
    assignment
}

/// Topics that few want come first: others can make up for them.
fn give_away(free: Partitions, subscribers: &BTreeMap<TopicId, Vec<&Assignee>>, assignment: &mut Assignment) {
    let wanted_by = |topic: &TopicId| subscribers.get(topic).map_or(&[][..], Vec::as_slice);
    let mut free: Vec<_> = free.into_iter().collect();
    free.sort_by_key(|(topic, index)| (wanted_by(topic).len(), *topic, *index));
    for (topic, index) in free {
        if let Some(member_id) = least(wanted_by(&topic), assignment) {
            assignment.entry(member_id).or_default().insert((topic, index));
        }
    }
}

fn least(members: &[&Assignee], assignment: &Assignment) -> Option<Arc<str>> {
    let load = |member: &&&Assignee| assignment.get(&member.member_id).map_or(0, BTreeSet::len);
    members.iter().min_by_key(load).map(|member| member.member_id.clone())
}

/// Moves what can be moved to the good; each move makes the squares of the loads sum up to less, so it ends. True
/// when something moved.
fn even_out(subscribers: &BTreeMap<TopicId, Vec<&Assignee>>, assignment: &mut Assignment) -> bool {
    let mut loaded: Vec<(usize, Arc<str>)> = assignment.iter().map(|(id, given)| (given.len(), id.clone())).collect();
    loaded.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut moved = false;
    for (_, from) in loaded {
        for partition in assignment.get(&from).cloned().unwrap_or_default() {
            let Some(to) = subscribers.get(&partition.0).and_then(|members| least(members, assignment)) else {
                continue;
            };
            let load = |member_id: &Arc<str>| assignment.get(member_id).map_or(0, BTreeSet::len);
            if load(&from) >= load(&to) + 2 {
                assignment.entry(from.clone()).or_default().remove(&partition);
                assignment.entry(to).or_default().insert(partition);
                moved = true;
            }
        }
    }
    moved
}
