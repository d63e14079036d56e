//! Histories of a group that speaks the consumer protocol (KIP-848).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla::group::{
    Circumstances, ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerSettings, Group, GroupConfig, JOIN_EPOCH, Now,
    OffsetCommit, OffsetCommitPartition, Partitions, Topics,
};
use ottla::model::{Monotonic, TopicId, Uuid, Wall};

use super::{Verdict, must};

const TOPIC: &str = "t";
const TOPIC_ID: TopicId = TopicId(Uuid([9; 16]));
const NOW: Now = Now { monotonic: Monotonic(0), wall: Wall(1_700_000_000_000) };
const SETTINGS: ConsumerSettings =
    ConsumerSettings { session_timeout_ms: 45_000, heartbeat_interval_ms: 5_000, assignment_interval_ms: 0 };

/// One topic of two partitions.
struct OneTopic;

impl Topics for OneTopic {
    fn version(&self) -> u64 {
        1
    }

    fn find(&self, name: &str) -> Option<(TopicId, i32)> {
        (name == TOPIC).then_some((TOPIC_ID, 2))
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        (id == TOPIC_ID).then(|| TOPIC.into())
    }

    fn names(&self) -> Vec<Arc<str>> {
        vec![TOPIC.into()]
    }
}

/// The coordinator's group, and what its members believe.
struct World {
    group: Group,
    config: GroupConfig,
    /// The epoch that each member was told last, and what it owns.
    members: BTreeMap<&'static str, (i32, Partitions)>,
}

impl World {
    fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        Self { group: Group::default(), config, members: BTreeMap::new() }
    }

    /// A member's heartbeat, which says that it owns `owned`; the member does what the answer says.
    fn beat(&mut self, member: &'static str, owned: Option<Partitions>) -> Verdict {
        let epoch = self.members.get(member).map_or(JOIN_EPOCH, |(epoch, _)| *epoch);
        let joins = epoch == JOIN_EPOCH;
        let request = ConsumerHeartbeat {
            member_id: member.to_owned(),
            random_id: "drawn".to_owned(),
            brings_member_id: true,
            member_epoch: epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: joins.then_some(60_000),
            client_id: "client".to_owned(),
            client_host: "/host".to_owned(),
            topics: joins.then(|| BTreeSet::from([TOPIC.to_owned()])),
            regex: None,
            assignor: None,
            owned: owned.or_else(|| joins.then(Partitions::new)),
        };
        let around = Circumstances { topics: &OneTopic, config: &self.config, settings: SETTINGS, now: NOW };
        let decided = self.group.consumer_heartbeat(&request, &around);
        let (reply, _) = self.group.accept(decided.map_err(|refusal| format!("{member} is refused: {refusal:?}"))?);
        let ConsumerHeartbeatReply { member_epoch, assignment, .. } = reply;
        let (known, owned) = self.members.entry(member).or_default();
        *known = member_epoch;
        *owned = assignment.unwrap_or_else(|| std::mem::take(owned));
        Ok(())
    }

    fn owned(&self, member: &str) -> Partitions {
        self.members.get(member).map(|(_, owned)| owned.clone()).unwrap_or_default()
    }
}

/// One member owns both partitions; another joins, and the first is told to give one up but has not yet. Nobody else
/// may own it meanwhile.
pub fn a_member_that_does_not_let_go() -> Verdict {
    let mut world = World::new();
    world.beat("first", None)?;
    let all = world.owned("first");
    must(all.len() == 2, "the only member does not own everything")?;
    world.beat("second", None)?;
    // It has heard what it may keep, and still works on what it may not.
    world.beat("first", Some(all.clone()))?;
    world.beat("first", Some(all.clone()))?;
    world.beat("second", None)?;
    must(world.owned("second").is_disjoint(&all), "two members own a partition")
}

/// A member that has given a partition up commits in it, in the epoch that it had before.
pub fn a_commit_of_what_was_given_away() -> Verdict {
    let mut world = World::new();
    world.beat("first", None)?;
    let (before, all) = (world.members["first"].0, world.owned("first"));
    world.beat("second", None)?;
    world.beat("first", Some(all.clone()))?;
    let kept = world.owned("first");
    world.beat("first", Some(kept.clone()))?;
    world.beat("second", None)?;
    let given = all.difference(&kept).next().copied().ok_or("nothing was given away")?;
    must(world.owned("second").contains(&given), "what was given away belongs to nobody")?;
    let commit = OffsetCommit {
        member_id: "first".to_owned(),
        group_instance_id: None,
        generation: before,
        knows_member_epochs: true,
        retention_time_ms: None,
        partitions: vec![OffsetCommitPartition {
            topic: Arc::from(TOPIC),
            topic_id: TOPIC_ID,
            partition: given.1,
            offset: 1,
            leader_epoch: -1,
            metadata: None,
        }],
    };
    must(world.group.commit_offsets(&commit, &world.config, NOW).is_err(), "a commit of an older epoch is taken in")
}
