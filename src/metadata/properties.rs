//! Random histories: whatever is asked in whatever order, the invariants hold and nothing panics.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::{BrokerId, TopicId, Uuid};
use crate::rpc::metadata::{self as proto, LeaderRecoveryState, MetadataCommand, metadata_command::Kind as Command};

const BROKERS: i32 = 4;
const TOPICS: [&str; 4] = ["a", "b", "x.y", "x_y"];
/// How long deleted topics are kept.
const RETENTION_MS: i64 = 100;

/// What must hold of every image between two commands.
pub(super) fn check_invariants(image: &ClusterImage, defaults: &ClusterDefaults) {
    let records = image.to_records();
    let restored = ClusterImage::restore(&records, image.applied_index()).expect("a snapshot can be restored");
    assert!(restored == *image, "{image:?} became {restored:?}");
    assert_eq!(restored.digest(), image.digest());
    for topic in image.topics() {
        assert_eq!(image.topic_id(&topic.name), Some(topic.id));
        for (index, partition) in topic.partitions() {
            check_partition(image, (topic.id, index), partition, min_isr(image, defaults, topic, partition))
                .unwrap_or_else(|broken| panic!("{}-{index}: {broken}: {partition:?}", topic.name));
        }
    }
}

fn check_partition(
    image: &ClusterImage,
    (topic_id, index): (TopicId, i32),
    partition: &PartitionImage,
    min_isr: usize,
) -> Result<(), &'static str> {
    let PartitionImage { replicas, isr, elr, leader, last_known_leader, adding_replicas, removing_replicas, .. } =
        partition;
    let in_order = |some: &[BrokerId]| {
        let ordered: Vec<_> = replicas.iter().copied().filter(|replica| some.contains(replica)).collect();
        ordered == some
    };
    let holds = [
        (!replicas.is_empty() && replicas.iter().collect::<BTreeSet<_>>().len() == replicas.len(), "replicas"),
        (in_order(isr), "the ISR is among the replicas, in their order"),
        (adding_replicas.iter().chain(removing_replicas).all(|id| replicas.contains(id)), "adding and removing"),
        (adding_replicas.iter().all(|id| !removing_replicas.contains(id)), "nobody is added and removed"),
        (replicas.len() > removing_replicas.len() && replicas.len() > adding_replicas.len(), "both assignments"),
        (in_order(elr), "the ELR is among the replicas, in their order"),
        (isr.iter().all(|member| !elr.contains(member)), "ISR and ELR are disjoint"),
        (isr.iter().all(|member| image.is_active_for(*member, topic_id, index)), "the ISR is active"),
        (isr.len() < min_isr || elr.is_empty(), "a sufficient ISR has no ELR beside it"),
        (isr.is_empty() == (*leader == BrokerId::NONE), "there is a leader when there is an ISR"),
        (isr.is_empty() || isr.contains(leader), "the leader is in the ISR"),
        (isr.is_empty() == (*last_known_leader != BrokerId::NONE), "a last known leader when there is no ISR"),
        (partition.leader_epoch.0 <= partition.partition_epoch.0, "a new leader is a change"),
    ];
    match holds.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(what),
        None => Ok(()),
    }
}

/// The effective minimum, worked out once more.
fn min_isr(image: &ClusterImage, defaults: &ClusterDefaults, topic: &TopicImage, partition: &PartitionImage) -> usize {
    let of = |resource| image.config_value(&resource, "min.insync.replicas").map(|value| value.parse::<usize>());
    let set = of(ConfigResource::topic(&topic.name)).or_else(|| of(ConfigResource::default_broker()));
    let configured = set.map_or(defaults.min_insync_replicas as usize, |value| value.expect("validated"));
    configured.min(partition.replication_factor())
}

fn unclean_enabled(image: &ClusterImage, defaults: &ClusterDefaults, topic: &TopicImage) -> bool {
    let of = |resource| image.config_value(&resource, "unclean.leader.election.enable").map(|value| value == "true");
    of(ConfigResource::topic(&topic.name))
        .or_else(|| of(ConfigResource::default_broker()))
        .unwrap_or(defaults.unclean_leader_election_enable)
}

/// One step of a random history. Small numbers pick among what exists.
#[derive(Clone, Debug)]
enum Op {
    Register {
        broker: i32,
        new_incarnation: bool,
        directory: u8,
        tail_is_whole: bool,
    },
    Fence {
        broker: i32,
        stale: bool,
    },
    Unfence {
        broker: i32,
        stale: bool,
    },
    ShutDown {
        broker: i32,
    },
    LoseReplicas {
        broker: i32,
        topic: usize,
        partitions: Vec<i32>,
    },
    Unregister {
        broker: i32,
    },
    CreateTopic {
        topic: usize,
        partitions: i32,
        factor: i32,
        seed: u64,
        validate_only: bool,
    },
    CreateAssigned {
        topic: usize,
        assignments: Vec<Vec<i32>>,
    },
    CreatePartitions {
        topic: usize,
        count: i32,
    },
    DeleteTopic {
        topic: usize,
    },
    AlterPartition {
        topic: usize,
        partition: i32,
        isr: Vec<i32>,
        epoch_delta: i32,
        recovering: bool,
    },
    Elect {
        topic: usize,
        partition: i32,
        kind: i32,
        everywhere: bool,
    },
    /// `target` none: cancels.
    Reassign {
        topic: usize,
        partition: i32,
        target: Option<Vec<i32>>,
    },
    SetConfig {
        topic: Option<usize>,
        key: usize,
        value: usize,
        operation: i32,
    },
    ReplaceConfigs {
        topic: usize,
        key: usize,
        value: usize,
    },
    AllocateProducerIds {
        broker: i32,
    },
    UpdateFeature {
        level: i32,
        upgrade_type: i32,
    },
    /// Restores the topic of this name that was deleted last.
    Undelete {
        topic: usize,
        validate_only: bool,
    },
    /// Time passes, and what is over by then is removed.
    Expire {
        after_ms: i64,
    },
    /// The leader commits a record: from now on only the ISR is known to hold everything.
    Commit {
        topic: usize,
        partition: i32,
    },
}

fn odd_number() -> impl Strategy<Value = i32> {
    prop_oneof![6 => 1..4_i32, 1 => prop::sample::select(vec![-2, -1, 0, 99, i32::MIN, i32::MAX])]
}

fn op() -> impl Strategy<Value = Op> {
    let broker = 1..=BROKERS;
    let topic = 0..TOPICS.len();
    let replicas = prop::collection::vec(0..=BROKERS, 0..4);
    let rarely = || prop::bool::weighted(0.1);
    prop_oneof![
        6 => (broker.clone(), prop::bool::weighted(0.9), 0..3_u8, any::<bool>()).prop_map(
            |(broker, new_incarnation, directory, tail_is_whole)|
                Op::Register { broker, new_incarnation, directory, tail_is_whole }),
        6 => (broker.clone(), rarely()).prop_map(|(broker, stale)| Op::Fence { broker, stale }),
        12 => (broker.clone(), rarely()).prop_map(|(broker, stale)| Op::Unfence { broker, stale }),
        2 => broker.clone().prop_map(|broker| Op::ShutDown { broker }),
        1 => broker.clone().prop_map(|broker| Op::Unregister { broker }),
        3 => (broker.clone(), topic.clone(), prop::collection::vec(0..4_i32, 0..3)).prop_map(
            |(broker, topic, partitions)| Op::LoseReplicas { broker, topic, partitions }),
        4 => (topic.clone(), odd_number(), odd_number(), any::<u64>(), rarely()).prop_map(
            |(topic, partitions, factor, seed, validate_only)|
                Op::CreateTopic { topic, partitions, factor, seed, validate_only }),
        3 => (topic.clone(), prop::collection::vec(replicas.clone(), 0..3))
            .prop_map(|(topic, assignments)| Op::CreateAssigned { topic, assignments }),
        2 => (topic.clone(), odd_number()).prop_map(|(topic, count)| Op::CreatePartitions { topic, count }),
        3 => topic.clone().prop_map(|topic| Op::DeleteTopic { topic }),
        4 => (topic.clone(), rarely()).prop_map(|(topic, validate_only)| Op::Undelete { topic, validate_only }),
        1 => (0..RETENTION_MS).prop_map(|after_ms| Op::Expire { after_ms }),
        16 => (topic.clone(), 0..4_i32, replicas, prop_oneof![9 => Just(0), 1 => Just(-1), 1 => Just(1)], rarely())
            .prop_map(|(topic, partition, isr, epoch_delta, recovering)|
                Op::AlterPartition { topic, partition, isr, epoch_delta, recovering }),
        3 => (topic.clone(), 0..4_i32, -1..3_i32, rarely()).prop_map(
            |(topic, partition, kind, everywhere)| Op::Elect { topic, partition, kind, everywhere }),
        8 => (topic.clone(), 0..4_i32, prop::option::weighted(0.8, prop::collection::vec(0..=BROKERS, 0..4)))
            .prop_map(|(topic, partition, target)| Op::Reassign { topic, partition, target }),
        4 => (prop::option::weighted(0.8, topic.clone()), 0..4_usize, 0..4_usize, -1..5_i32).prop_map(
            |(topic, key, value, operation)| Op::SetConfig { topic, key, value, operation }),
        1 => (topic.clone(), 0..4_usize, 0..4_usize)
            .prop_map(|(topic, key, value)| Op::ReplaceConfigs { topic, key, value }),
        1 => broker.prop_map(|broker| Op::AllocateProducerIds { broker }),
        1 => (-1..7_i32, 0..4_i32).prop_map(|(level, upgrade_type)| Op::UpdateFeature { level, upgrade_type }),
        6 => (topic, 0..4_i32).prop_map(|(topic, partition)| Op::Commit { topic, partition }),
    ]
}

/// A controller, and what a leader's word has made true of the logs behind the metadata.
struct World {
    image: ClusterImage,
    defaults: ClusterDefaults,
    /// Which brokers are known to hold every committed record of a partition.
    complete: BTreeMap<(TopicId, i32), BTreeSet<BrokerId>>,
    drawn: u128,
    next_producer_id: i64,
    now_ms: i64,
}

impl World {
    fn draw(&mut self) -> Bytes {
        self.drawn += 1;
        uuid_bytes(Uuid(self.drawn.to_be_bytes()))
    }

    fn epoch(&self, broker: i32) -> i64 {
        self.image.broker(BrokerId(broker)).map_or(-1, |broker| broker.epoch.0)
    }

    fn step(&mut self, op: &Op) {
        if let Op::Commit { topic, partition } = *op {
            return self.commit(TOPICS[topic], partition);
        }
        let command = MetadataCommand { kind: Some(self.command(op)) };
        let before = self.image.clone();
        let mut batch = Batch::new(&before, &self.defaults);
        let reply = batch.decide(&command);
        let expected = batch.image().clone();
        let records = batch.into_records();
        assert!(reply.error_code == 0 || records.is_empty(), "a refusal leaves no record: {reply:?}");
        assert_eq!(reply.metadata_index, expected.applied_index());
        self.image.replay_all(&records).expect("what was decided can be replayed");
        assert!(self.image == expected);
        check_invariants(&self.image, &self.defaults);
        self.check_step(op, &before);
        self.check_producer_ids(&reply);
        check_delta(before, self.image.clone());
    }

    fn command(&mut self, op: &Op) -> Command {
        match op.clone() {
            Op::Register { broker, new_incarnation, directory, tail_is_whole } => {
                self.registration(broker, new_incarnation, directory, tail_is_whole)
            }
            Op::Fence { broker, stale } => Command::FenceBroker(proto::FenceBroker {
                broker_id: broker,
                broker_epoch: self.epoch(broker) - i64::from(stale),
            }),
            Op::Unfence { broker, stale } => Command::UnfenceBroker(proto::UnfenceBroker {
                broker_id: broker,
                broker_epoch: self.epoch(broker),
                current_metadata_index: if stale { 0 } else { self.image.applied_index() },
            }),
            Op::ShutDown { broker } => Command::BeginControlledShutdown(proto::BeginControlledShutdown {
                broker_id: broker,
                broker_epoch: self.epoch(broker),
            }),
            Op::LoseReplicas { broker, topic, partitions } => {
                let topic_id = self.image.topic_id(TOPICS[topic]).map_or_else(Bytes::new, |id| uuid_bytes(id.0));
                let name = |partition| proto::TopicIdPartition { topic_id: topic_id.clone(), partition };
                Command::ReportOfflineReplicas(proto::ReportOfflineReplicas {
                    broker_id: broker,
                    broker_epoch: self.epoch(broker),
                    replicas: partitions.into_iter().map(name).collect(),
                })
            }
            Op::Unregister { broker } => Command::UnregisterBroker(proto::UnregisterBroker { broker_id: broker }),
            Op::CreateTopic { topic, partitions, factor, seed, validate_only } => {
                let wanted = proto::CreatableTopic {
                    num_partitions: partitions,
                    replication_factor: factor,
                    placement_seed: seed,
                    ..Default::default()
                };
                self.creation(topic, wanted, validate_only)
            }
            Op::CreateAssigned { topic, assignments } => {
                let assignment = |(partition, replicas)| proto::ReplicaAssignment { partition, replicas };
                let assignments = (0..).zip(assignments).map(assignment).collect();
                self.creation(topic, proto::CreatableTopic { assignments, ..without_shape() }, false)
            }
            Op::CreatePartitions { topic, count } => {
                let topic = proto::TopicPartitions { name: TOPICS[topic].to_owned(), count, ..Default::default() };
                Command::CreatePartitions(proto::CreatePartitions { topics: vec![topic], ..Default::default() })
            }
            Op::DeleteTopic { topic } => {
                let topic = Some(proto::deletable_topic::Topic::Name(TOPICS[topic].to_owned()));
                let topics = vec![proto::DeletableTopic { topic }];
                Command::DeleteTopics(proto::DeleteTopics { topics, now_ms: self.now_ms, ..Default::default() })
            }
            Op::Undelete { topic, validate_only } => {
                let key = crate::config::UNDELETE_KEY.to_owned();
                let configs = vec![proto::ConfigEntry { key, value: Some(String::new()) }];
                self.creation(topic, proto::CreatableTopic { configs, ..without_shape() }, validate_only)
            }
            Op::Expire { after_ms } => {
                self.now_ms += after_ms;
                Command::RemoveExpiredTopics(proto::RemoveExpiredTopics { now_ms: self.now_ms })
            }
            Op::AlterPartition { topic, partition, isr, epoch_delta, recovering } => {
                self.proposal(TOPICS[topic], partition, isr, epoch_delta, recovering)
            }
            Op::Elect { topic, partition, kind, everywhere } => {
                let named = proto::NamedPartition { topic: TOPICS[topic].to_owned(), partition };
                let partitions = (!everywhere).then(|| proto::NamedPartitions { partitions: vec![named] });
                Command::ElectLeaders(proto::ElectLeaders { kind, partitions })
            }
            Op::Reassign { topic, partition, target } => {
                let replicas = target.map(|ids| proto::BrokerIds { ids });
                let asked = proto::ReassignablePartition { topic: TOPICS[topic].to_owned(), partition, replicas };
                let (partitions, allow_replication_factor_change) = (vec![asked], true);
                Command::AlterPartitionReassignments(proto::AlterPartitionReassignments {
                    partitions,
                    allow_replication_factor_change,
                })
            }
            Op::SetConfig { topic, key, value, operation } => {
                let (key, value) = config(key, value);
                let resource = Some(config_resource(topic));
                let operations = vec![proto::ConfigOperation { key, operation, value: Some(value) }];
                let resources = vec![proto::IncrementalConfigChange { resource, operations }];
                Command::IncrementalAlterConfigs(proto::IncrementalAlterConfigs { resources, validate_only: false })
            }
            Op::ReplaceConfigs { topic, key, value } => {
                let (key, value) = config(key, value);
                let resource = Some(config_resource(Some(topic)));
                let configs = vec![proto::ConfigEntry { key, value: Some(value) }];
                let resources = vec![proto::ConfigReplacement { resource, configs }];
                Command::AlterConfigs(proto::AlterConfigs { resources, validate_only: false })
            }
            Op::AllocateProducerIds { broker } => Command::AllocateProducerIds(proto::AllocateProducerIds {
                broker_id: broker,
                broker_epoch: self.epoch(broker),
            }),
            Op::UpdateFeature { level, upgrade_type } => Command::UpdateFeatures(proto::UpdateFeatures {
                updates: vec![proto::FeatureUpdate { name: "ottla.version".to_owned(), level, upgrade_type }],
                validate_only: false,
            }),
            Op::Commit { .. } => unreachable!("no command"),
        }
    }

    fn registration(&mut self, broker: i32, new_incarnation: bool, directories: u8, tail_is_whole: bool) -> Command {
        let known = self.image.broker(BrokerId(broker)).map(|broker| uuid_bytes(broker.incarnation_id));
        let incarnation_id = known.filter(|_| !new_incarnation).unwrap_or_else(|| self.draw());
        Command::RegisterBroker(proto::RegisterBroker {
            broker_id: broker,
            incarnation_id,
            directory_ids: (0..directories).map(|d| uuid_bytes(Uuid([broker as u8 * 16 + d; 16]))).collect(),
            endpoints: vec![proto::Endpoint::default()],
            rack: (broker > 2).then(|| "rack".to_owned()),
            features: supported_features(),
            previous_broker_epoch: if tail_is_whole { self.epoch(broker) } else { -1 },
            start_number: self.image.applied_index(),
            ..Default::default()
        })
    }

    /// One topic is to be created or restored.
    fn creation(&mut self, topic: usize, wanted: proto::CreatableTopic, validate_only: bool) -> Command {
        let topic = proto::CreatableTopic { name: TOPICS[topic].to_owned(), topic_id: self.draw(), ..wanted };
        Command::CreateTopics(proto::CreateTopics {
            topics: vec![topic],
            validate_only,
            now_ms: self.now_ms,
            ..Default::default()
        })
    }

    /// The leader's proposal. A leader in good order names only replicas that have caught up with it, which is
    /// what makes a member complete.
    fn proposal(&self, topic: &str, partition: i32, isr: Vec<i32>, epoch_delta: i32, recovering: bool) -> Command {
        let topic = self.image.topic_by_name(topic);
        let state = topic.and_then(|topic| topic.partition(partition));
        let leader = state.map_or(-1, |state| state.leader.0);
        let isr: BTreeSet<i32> = isr.into_iter().chain([leader]).collect();
        Command::AlterPartition(proto::AlterPartition {
            broker_id: leader,
            broker_epoch: self.epoch(leader),
            partitions: vec![proto::PartitionProposal {
                topic_id: topic.map(|topic| uuid_bytes(topic.id.0)).unwrap_or_default(),
                partition,
                leader_epoch: state.map_or(0, |state| state.leader_epoch.0),
                partition_epoch: state.map_or(0, |state| state.partition_epoch.0) + epoch_delta,
                isr: isr
                    .into_iter()
                    .map(|id| proto::IsrMember { broker_id: id, broker_epoch: self.epoch(id) })
                    .collect(),
                leader_recovery_state: i32::from(recovering),
            }],
        })
    }

    fn commit(&mut self, topic: &str, partition: i32) {
        let Some(topic) = self.image.topic_by_name(topic) else { return };
        let Some(state) = topic.partition(partition) else { return };
        if state.isr.len() >= min_isr(&self.image, &self.defaults, topic, state) {
            self.complete.insert((topic.id, partition), state.isr.iter().copied().collect());
        }
    }

    /// What may change in one step, partition by partition.
    fn check_step(&mut self, op: &Op, before: &ClusterImage) {
        if let Op::Register { broker, tail_is_whole, .. } = *op
            && let Some(new) = self.image.broker(BrokerId(broker))
            && before.broker(BrokerId(broker)) != Some(new)
            && !before
                .broker(BrokerId(broker))
                .is_some_and(|old| tail_is_whole && old.directory_ids.iter().all(|id| new.directory_ids.contains(id)))
        {
            self.complete.values_mut().for_each(|complete| _ = complete.remove(&BrokerId(broker)));
        }
        let image = self.image.clone();
        if let Op::LoseReplicas { broker, .. } = *op {
            let broker = BrokerId(broker);
            let lost = image.broker(broker).map(|broker| broker.offline_replicas.clone()).unwrap_or_default();
            let lost = self.complete.iter_mut().filter(|(partition, _)| lost.contains(*partition));
            lost.for_each(|(_, complete)| _ = complete.remove(&broker));
        }
        for topic in image.topics() {
            for (index, new) in topic.partitions() {
                let complete = self.complete.entry((topic.id, index)).or_default();
                // A replica that goes deletes its log, so it starts as empty should it come back (A20).
                complete.retain(|replica| new.replicas.contains(replica));
                let kept = before.deleted_topic(topic.id).and_then(|deleted| deleted.topic.partition(index));
                match before.partition(topic.id, index) {
                    None if kept.is_some() => kept.into_iter().for_each(|old| check_restoration(old, new, complete)),
                    None => complete.extend(&new.isr),
                    Some(old) => {
                        check_partition_step(op, unclean_enabled(&image, &self.defaults, topic), old, new, complete)
                    }
                }
                let vouched = new.isr.iter().chain(&new.elr).all(|member| complete.contains(member));
                assert!(vouched, "{op:?} led to {new:?}, but complete are {complete:?}");
            }
        }
    }

    fn check_producer_ids(&mut self, reply: &proto::MetadataReply) {
        if let Some(proto::metadata_reply::Kind::AllocateProducerIds(reply)) = &reply.kind {
            assert_eq!(reply.start, self.next_producer_id, "no id twice, none left out");
            self.next_producer_id += i64::from(reply.length);
        }
    }
}

/// A restored partition has the replicas that it had, a new leadership (A10), and a leader that lacks nothing, unless
/// nobody has everything any more (A7, A12).
fn check_restoration(old: &PartitionImage, new: &PartitionImage, complete: &mut BTreeSet<BrokerId>) {
    assert_eq!(new.replicas, old.replicas);
    assert!(new.leader_epoch > old.leader_epoch && new.partition_epoch > old.partition_epoch, "{old:?} to {new:?}");
    let may_be_in_sync = |member: &BrokerId| old.isr.contains(member) || old.elr.contains(member);
    if let Some(leader) = new.leader()
        && !complete.contains(&leader)
    {
        assert_eq!(new.leader_recovery_state, LeaderRecoveryState::Recovering, "{old:?} to {new:?}");
        complete.insert(leader);
    } else {
        assert!(new.isr.iter().all(may_be_in_sync), "{old:?} to {new:?}");
    }
}

fn check_partition_step(
    op: &Op,
    unclean_enabled: bool,
    old: &PartitionImage,
    new: &PartitionImage,
    complete: &mut BTreeSet<BrokerId>,
) {
    assert_eq!(old != new, new.partition_epoch == old.partition_epoch.next(), "{op:?}: {old:?} to {new:?}");
    let lost_replica = old.replicas.iter().any(|replica| !new.replicas.contains(replica));
    let new_leadership = old.leader != new.leader || lost_replica;
    assert_eq!(new_leadership, new.leader_epoch > old.leader_epoch, "{op:?}: {old:?} to {new:?}");
    check_reassignment_step(op, old, new);
    if matches!(op, Op::AlterPartition { .. }) {
        complete.extend(&new.isr);
    }
    if let Some(leader) = new.leader()
        && !complete.contains(&leader)
    {
        let asked_for = matches!(op, Op::Elect { kind: 1, .. });
        let nobody_is_complete = !old.isr.iter().chain(&old.elr).any(|member| complete.contains(member));
        let nobody_is_complete = nobody_is_complete && old.last_known_leader == leader;
        assert!(asked_for || nobody_is_complete || unclean_enabled, "{op:?}: {old:?} to {new:?}");
        assert_eq!(new.leader_recovery_state, LeaderRecoveryState::Recovering, "{op:?}: {old:?} to {new:?}");
        complete.insert(leader);
    }
}

/// A20: replicas come and go only by a reassignment; it ends when all that it adds are in sync, or restores the
/// original ones.
fn check_reassignment_step(op: &Op, old: &PartitionImage, new: &PartitionImage) {
    let original: Vec<_> = old.original_replicas().collect();
    let mut lost = old.replicas.iter().filter(|replica| !new.replicas.contains(replica));
    match op {
        Op::Reassign { target: None, .. } if old != new => {
            assert!(!new.is_reassigned() && new.replicas == original, "{old:?} to {new:?}");
        }
        Op::Reassign { .. } if new.is_reassigned() => {
            assert!(lost.all(|replica| old.adding_replicas.contains(replica)), "{old:?} to {new:?}");
            assert!(new.original_replicas().all(|replica| original.contains(&replica)), "{old:?} to {new:?}");
        }
        Op::Reassign { .. } => {}
        _ if old.replicas != new.replicas => {
            assert!(old.is_reassigned() && !new.is_reassigned(), "{op:?}: {old:?} to {new:?}");
            assert!(old.adding_replicas.iter().all(|replica| new.isr.contains(replica)), "{op:?}: {old:?} to {new:?}");
        }
        _ => {}
    }
    let unclean = new.leader_recovery_state == LeaderRecoveryState::Recovering;
    let may_join = |replica: &BrokerId| old.replicas.contains(replica) || unclean && *replica == new.leader;
    assert!(new.isr.iter().chain(&new.elr).all(may_join), "{op:?}: {old:?} to {new:?}");
}

fn check_delta(old: ClusterImage, new: ClusterImage) {
    let restored = ClusterImage::restore(&new.to_records(), new.applied_index()).expect("a snapshot can be restored");
    let delta = ImageDelta::between(old.clone(), new);
    let after_snapshot = ImageDelta::between(old.clone(), restored);
    assert_eq!(delta.changed_topics, after_snapshot.changed_topics);
    assert_eq!(delta.changed_brokers, after_snapshot.changed_brokers);
    assert_eq!(delta.changed_configs, after_snapshot.changed_configs);
    assert!(delta.expired_topics().eq(after_snapshot.expired_topics()));
    for topic in old.topics() {
        assert_eq!(delta.changed_topics.contains(&topic.id), delta.new.topic(topic.id) != Some(topic));
    }
}

/// A topic whose partitions and replicas are not said by their numbers.
fn without_shape() -> proto::CreatableTopic {
    proto::CreatableTopic { num_partitions: -1, replication_factor: -1, ..Default::default() }
}

/// A topic's configs, or those of all brokers.
fn config_resource(topic: Option<usize>) -> proto::ConfigResource {
    match topic {
        Some(topic) => proto::ConfigResource { resource_type: 2, resource_name: TOPICS[topic].to_owned() },
        None => proto::ConfigResource { resource_type: 4, resource_name: String::new() },
    }
}

fn config(key: usize, value: usize) -> (String, String) {
    let keys = ["min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy", "no.such.key"];
    let values = [["1", "2", "3", "x"], ["true", "false", "false", "x"], ["compact", "delete", "", "x"], ["x"; 4]];
    (keys[key].to_owned(), values[key][value].to_owned())
}

fn run(ops: &[Op], defaults: ClusterDefaults) {
    let mut world = World {
        image: ClusterImage::default(),
        complete: BTreeMap::new(),
        drawn: 0,
        next_producer_id: 0,
        now_ms: 0,
        defaults,
    };
    // As high as it goes, or nothing would be kept.
    world.step(&Op::UpdateFeature { level: 5, upgrade_type: 1 });
    for broker in 1..=BROKERS {
        world.step(&Op::Register { broker, new_incarnation: true, directory: 1, tail_is_whole: false });
        world.step(&Op::Unfence { broker, stale: false });
    }
    ops.iter().for_each(|op| world.step(op));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_keep_the_invariants(
        ops in prop::collection::vec(op(), 1..80),
        min_insync_replicas in 1..4_i32,
        unclean_leader_election_enable in prop::bool::weighted(0.2),
    ) {
        let topic_delete_retention_ms = RETENTION_MS;
        run(&ops, ClusterDefaults {
            min_insync_replicas, unclean_leader_election_enable, topic_delete_retention_ms, ..Default::default()
        });
    }
}
