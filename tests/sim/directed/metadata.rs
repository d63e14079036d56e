//! Histories of what the controller decides.

use ottla::cluster::LifecycleState;
use ottla::metadata::{Batch, ClusterDefaults, ClusterImage, uuid_bytes};
use ottla::model::{BrokerEpoch, BrokerId, StartNumber, Uuid};
use ottla::rpc::metadata::{
    AlterPartition, AlterPartitionReassignments, BrokerIds, CreatableTopic, CreateTopics, FenceBroker,
    InitializeCluster, IsrMember, LeaderRecoveryState, MetadataCommand, PartitionProposal, ReassignablePartition,
    UnfenceBroker, metadata_command::Kind,
};

use super::{Verdict, must};
use crate::quorum::{CLUSTER_ID, TOPIC, broker_id, node_of, register};

const TOPIC_ID: Uuid = Uuid([9; 16]);

/// The metadata log and what it adds up to.
struct Controller(ClusterImage);

impl Controller {
    /// Brokers 1 to `brokers`, all active.
    fn new(brokers: usize) -> Self {
        let mut controller = Self(ClusterImage::default());
        controller.decide(Kind::InitializeCluster(InitializeCluster { cluster_id: CLUSTER_ID.into() }));
        for node in 0..brokers {
            controller.command(&register(node, node as u64 + 1, -1, StartNumber(1)));
            controller.unfence(node);
        }
        controller
    }

    fn epoch(&self, node: usize) -> i64 {
        self.0.broker(broker_id(node)).expect("it is registered").epoch.0
    }

    fn decide(&mut self, kind: Kind) {
        self.command(&MetadataCommand { kind: Some(kind) });
    }

    fn command(&mut self, command: &MetadataCommand) {
        let records = {
            let defaults = ClusterDefaults { min_insync_replicas: 1, ..ClusterDefaults::default() };
            let mut batch = Batch::new(&self.0, &defaults);
            batch.decide(command);
            batch.into_records()
        };
        self.0.replay_all(&records).expect("what was decided can be replayed");
    }

    fn reassign(&mut self, replicas: Option<Vec<i32>>) {
        let replicas = replicas.map(|ids| BrokerIds { ids });
        let partitions = vec![ReassignablePartition { topic: TOPIC.to_owned(), partition: 0, replicas }];
        let reassign = AlterPartitionReassignments { partitions, allow_replication_factor_change: true };
        self.decide(Kind::AlterPartitionReassignments(reassign));
    }

    /// A topic of one partition, of `replicas` replicas; the first of them leads.
    fn create_topic(&mut self, replicas: i32) -> Vec<usize> {
        let topic = CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: 1,
            replication_factor: replicas,
            topic_id: uuid_bytes(TOPIC_ID),
            ..Default::default()
        };
        self.decide(Kind::CreateTopics(CreateTopics { topics: vec![topic], ..CreateTopics::default() }));
        self.complete().into_iter().map(node_of).collect()
    }

    fn fence(&mut self, node: usize) {
        let fence = FenceBroker { broker_id: broker_id(node).0, broker_epoch: self.epoch(node) };
        self.decide(Kind::FenceBroker(fence));
    }

    fn unfence(&mut self, node: usize) {
        let epoch = self.epoch(node);
        let unfence =
            UnfenceBroker { broker_id: broker_id(node).0, broker_epoch: epoch, current_metadata_index: epoch };
        self.decide(Kind::UnfenceBroker(unfence));
    }

    /// The leader's proposal of another ISR, on the present epochs.
    fn proposal(&self, leader: usize, nodes: &[usize]) -> MetadataCommand {
        let now = self.0.topic_by_name(TOPIC).and_then(|topic| topic.partition(0)).expect("the topic was created");
        let member = |&node: &usize| IsrMember { broker_id: broker_id(node).0, broker_epoch: self.epoch(node) };
        let proposal = PartitionProposal {
            topic_id: uuid_bytes(TOPIC_ID),
            partition: 0,
            leader_epoch: now.leader_epoch.0,
            partition_epoch: now.partition_epoch.0,
            isr: nodes.iter().map(member).collect(),
            leader_recovery_state: LeaderRecoveryState::Recovered.into(),
        };
        let alter = AlterPartition {
            broker_id: broker_id(leader).0,
            broker_epoch: self.epoch(leader),
            partitions: vec![proposal],
        };
        MetadataCommand { kind: Some(Kind::AlterPartition(alter)) }
    }

    /// Replicas that hold everything, as far as the image knows.
    fn complete(&self) -> Vec<BrokerId> {
        let Some(partition) = self.0.topic_by_name(TOPIC).and_then(|topic| topic.partition(0)) else {
            return Vec::new();
        };
        let complete = partition.isr.iter().chain(&partition.elr).copied();
        complete.filter(|replica| partition.replicas.contains(replica)).collect()
    }
}

/// A partition moves from its only replica to two others. One of them is in sync when the old one falls silent, and
/// leads on alone; then somebody gives the move up.
pub fn a_reassignment_given_up_too_late() -> Verdict {
    let mut controller = Controller::new(3);
    let [old] = controller.create_topic(1)[..] else { return Err("the topic has not one replica".to_owned()) };
    let others: Vec<usize> = (0..3).filter(|node| *node != old).collect();
    let new = others[0];
    controller.reassign(Some(others.iter().map(|node| broker_id(*node).0).collect()));
    let proposal = controller.proposal(old, &[old, new]);
    controller.command(&proposal);
    must(controller.complete().len() == 2, "the added replica is not taken into the ISR")?;
    controller.fence(old);
    must(controller.complete() == [broker_id(new)], "the added replica is not the only complete one")?;
    controller.reassign(None);
    must(controller.complete().contains(&broker_id(new)), "the only replica that holds every record is none any more")
}

/// A leader proposes a follower that is fenced for a moment, and is refused: it waits for that follower no more. Then
/// a copy of the proposal arrives, when the follower is active again.
pub fn a_refused_proposal_that_comes_again() -> Verdict {
    let mut controller = Controller::new(2);
    let [leader, follower] = controller.create_topic(2)[..] else {
        return Err("there are not two replicas".to_owned());
    };
    controller.fence(follower);
    must(!controller.complete().contains(&broker_id(follower)), "a fenced broker is in the ISR")?;
    let proposal = controller.proposal(leader, &[leader, follower]);
    controller.command(&proposal);
    controller.unfence(follower);
    controller.command(&proposal);
    must(!controller.complete().contains(&broker_id(follower)), "a refused proposal was accepted when it came again")
}

/// A broker that led is killed and registers anew; what it is told first of the metadata is from before its restart,
/// where its former life is active and leads. It must lead nothing by that: somebody else may lead by now.
pub fn a_feed_that_begins_before_the_restart() -> Verdict {
    let mut controller = Controller::new(2);
    let former = BrokerEpoch(controller.epoch(0));
    controller.command(&register(0, 9, former.0, StartNumber(2)));
    let present = BrokerEpoch(controller.epoch(0));
    must(present > former, "the restart began no life of its own")?;
    let registered = LifecycleState::Starting.on_registered(present);
    let early = registered.on_image(present.0 - 1, Some((former, false)));
    must(!early.has_caught_up(), "the broker goes by metadata from before its registration")?;
    must(
        early.on_image(present.0, Some((present, true))).has_caught_up(),
        "the broker does not take up its registration",
    )
}

/// What a broker's process sent before it was killed is held up until the next one is in sync. It vouches for nothing, and
/// would take the replica out of ISR and ELR that has all that is committed.
pub fn a_registration_that_comes_late() -> Verdict {
    let mut controller = Controller::new(2);
    let replicas = controller.create_topic(2);
    let late = register(replicas[0], 8, -1, StartNumber(2));
    let former = controller.epoch(replicas[0]);
    controller.command(&register(replicas[0], 9, former, StartNumber(3)));
    controller.unfence(replicas[0]);
    let present = controller.epoch(replicas[0]);
    let complete = controller.complete();
    controller.command(&late);
    must(controller.epoch(replicas[0]) == present, "a process of long ago took the place of a living one")?;
    must(controller.complete() == complete, "a complete replica counts as incomplete")
}
