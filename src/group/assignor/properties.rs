//! What every assignment must be, whoever wants what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::Uuid;

fn topic(number: u8) -> TopicId {
    TopicId(Uuid([number; 16]))
}

fn counts() -> impl Strategy<Value = BTreeMap<TopicId, i32>> {
    prop::collection::btree_map((0..5_u8).prop_map(topic), 0..9_i32, 0..5)
}

/// What each member wants, by topic number.
fn wishes() -> impl Strategy<Value = Vec<BTreeSet<u8>>> {
    let one = prop::collection::btree_set(0..5_u8, 0..5);
    let same = (one.clone(), 1..7_usize).prop_map(|(topics, members)| vec![topics; members]);
    prop_oneof![same, prop::collection::vec(one, 1..7)]
}

fn members(wishes: &[BTreeSet<u8>], counts: &BTreeMap<TopicId, i32>, before: &Assignment) -> Vec<Assignee> {
    let member = |(number, topics): (usize, &BTreeSet<u8>)| {
        let member_id: Arc<str> = format!("m{number}").into();
        Assignee {
            instance_id: (number % 3 == 2).then(|| format!("i{}", 9 - number)),
            topics: topics.iter().map(|number| topic(*number)).filter(|id| counts.contains_key(id)).collect(),
            target: Arc::new(before.get(&member_id).cloned().unwrap_or_default()),
            member_id,
        }
    };
    wishes.iter().enumerate().map(member).collect()
}

fn assert_complete(members: &[Assignee], counts: &BTreeMap<TopicId, i32>, assignment: &Assignment) {
    let mut given = BTreeSet::new();
    for member in members {
        for partition in &assignment[&member.member_id] {
            assert!(given.insert(*partition), "{partition:?} is given twice");
            assert!(member.topics.contains(&partition.0), "{} does not want {partition:?}", member.member_id);
        }
    }
    let wanted: BTreeSet<TopicId> = members.iter().flat_map(|member| member.topics.iter().copied()).collect();
    let all = wanted.iter().flat_map(|id| (0..counts[id]).map(move |index| (*id, index))).collect();
    assert_eq!(given, all);
}

fn loads(assignment: &Assignment) -> Vec<usize> {
    assignment.values().map(BTreeSet::len).collect()
}

proptest! {
    #[test]
    fn every_wanted_partition_is_given_once(
        first in counts(), second in counts(), before in wishes(), after in wishes(), range in any::<bool>(),
    ) {
        let assignor = if range { Assignor::Range } else { Assignor::Uniform };
        let then = members(&before, &first, &Assignment::new());
        let old = assignor.assign(&then, &first);
        assert_complete(&then, &first, &old);
        let now = members(&after, &second, &old);
        assert_complete(&now, &second, &assignor.assign(&now, &second));
    }

    #[test]
    fn uniform_is_even_and_does_not_move_what_it_need_not(counts in counts(), wishes in wishes()) {
        let then = members(&wishes, &counts, &Assignment::new());
        let old = Assignor::Uniform.assign(&then, &counts);
        let again = members(&wishes, &counts, &old);
        prop_assert_eq!(&Assignor::Uniform.assign(&again, &counts), &old);
        let same = wishes.iter().all(|topics| topics == &wishes[0]);
        let (least, most) = (loads(&old).into_iter().min().unwrap(), loads(&old).into_iter().max().unwrap());
        prop_assert!(!same || most - least <= 1, "{:?}", old);
        for (member, topics) in then.iter().zip(&wishes) {
            // Nobody who has less by two or more would want any of it.
            for other in &then {
                let less = old[&other.member_id].len() + 2 <= old[&member.member_id].len();
                let wants = |(id, _): &(TopicId, i32)| other.topics.contains(id);
                prop_assert!(!less || !old[&member.member_id].iter().any(wants), "{:?} {:?}", topics, old);
            }
        }
    }

    #[test]
    fn a_member_that_comes_takes_no_more_than_its_share(counts in counts(), topics in 1..6_usize, members_before in 1..6_usize) {
        let all: BTreeSet<u8> = (0..5_u8).take(topics).collect();
        let then = members(&vec![all.clone(); members_before], &counts, &Assignment::new());
        let old = Assignor::Uniform.assign(&then, &counts);
        let now = members(&vec![all; members_before + 1], &counts, &old);
        let new = Assignor::Uniform.assign(&now, &counts);
        let comer = &new[&now[members_before].member_id];
        let moved: usize = then.iter().map(|member| old[&member.member_id].difference(&new[&member.member_id]).count()).sum();
        prop_assert_eq!(moved, comer.len());
    }
}

#[test]
fn range_gives_the_same_members_the_same_indexes() {
    let counts = BTreeMap::from([(topic(0), 3), (topic(1), 3)]);
    let wishes = vec![BTreeSet::from([0, 1]); 2];
    let assignment = Assignor::Range.assign(&members(&wishes, &counts, &Assignment::new()), &counts);
    let both = |indexes: &[i32]| [0, 1].into_iter().flat_map(|t| indexes.iter().map(move |i| (topic(t), *i))).collect();
    assert_eq!(assignment["m0"], both(&[0, 1]));
    assert_eq!(assignment["m1"], both(&[2]));
}
