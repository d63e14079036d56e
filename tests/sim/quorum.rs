//! The metadata quorum as brokers see it: a linearizable sequencer in the place of openraft.
//!
//! Real are `metadata::Batch::decide`, `ClusterImage::replay` and the `Liveness` machine. Modelled is the rest of
//! `controller/`: one batch in flight, a commit that takes its time, proposals that get lost or are proposed twice
//! when another voter begins to lead, answers that never arrive, and a feed with a lag of its own to each broker.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ottla::controller::{Liveness, LivenessLimits, StreamNumber};
use ottla::metadata::{Batch, ClusterDefaults, ClusterImage, supported_features, uuid_bytes};
use ottla::model::{BrokerEpoch, BrokerId, ErrorCode, Monotonic, StartNumber, Uuid};
use ottla::rpc::metadata::{
    AlterPartitionReassignments, BeginControlledShutdown, BrokerIds, CreatableTopic, CreateTopics, ElectLeaders,
    Endpoint, FenceBroker, InitializeCluster, MetadataCommand, MetadataRecord, MetadataReply, ReassignablePartition,
    RegisterBroker, UnfenceBroker, elect_leaders, metadata_command::Kind,
};

use crate::context::{Context, Timer, count};
use crate::message::{Address, Message};
use crate::random::Random;

pub const CLUSTER_ID: &str = "simulated";
pub const TOPIC: &str = "t";

/// Who asked for a command.
type Asker = Option<(Address, u64)>;

struct Entry {
    number: u64,
    base_index: i64,
    records: Vec<MetadataRecord>,
    replies: Vec<(Asker, MetadataReply)>,
    /// An operator's command that moves a partition is among those it was decided for.
    moves: bool,
}

pub struct Quorum {
    image: ClusterImage,
    /// All records ever committed; the first has index 1.
    log: Vec<MetadataRecord>,
    defaults: ClusterDefaults,
    liveness: Liveness,
    queue: Vec<(Asker, Rc<MetadataCommand>)>,
    in_flight: Option<Entry>,
    entries: u64,
    stalled_until: u64,
    unfencing: BTreeSet<(BrokerId, BrokerEpoch)>,
    led_nothing_at: BTreeMap<(BrokerId, BrokerEpoch), i64>,
}

fn command(kind: Kind) -> Rc<MetadataCommand> {
    Rc::new(MetadataCommand { kind: Some(kind) })
}

/// The registration of a broker's new life.
pub fn register(
    node: usize,
    incarnation: u64,
    previous_broker_epoch: i64,
    start_number: StartNumber,
) -> Rc<MetadataCommand> {
    let id = |high: u8, low: u64| {
        let mut bytes = [high; 16];
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        uuid_bytes(Uuid(bytes))
    };
    command(Kind::RegisterBroker(RegisterBroker {
        broker_id: broker_id(node).0,
        cluster_id: CLUSTER_ID.to_owned(),
        incarnation_id: id(1, incarnation),
        directory_ids: vec![id(2, node as u64 + 1)],
        endpoints: vec![Endpoint { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 }],
        rack: None,
        features: supported_features(),
        previous_broker_epoch,
        start_number: start_number.0,
    }))
}

/// The broker wants to stop.
pub fn begin_controlled_shutdown(id: BrokerId, epoch: BrokerEpoch) -> Rc<MetadataCommand> {
    command(Kind::BeginControlledShutdown(BeginControlledShutdown { broker_id: id.0, broker_epoch: epoch.0 }))
}

/// Brokers are numbered from 0 here and have ids from 1.
pub fn broker_id(node: usize) -> BrokerId {
    BrokerId(node as i32 + 1)
}

/// The broker's number.
pub fn node_of(id: BrokerId) -> usize {
    usize::try_from(id.0 - 1).expect("a broker's id")
}

impl Quorum {
    pub fn new(ctx: &mut Context) -> Self {
        let swarm = &ctx.swarm;
        let defaults = ClusterDefaults { min_insync_replicas: swarm.min_isr, ..ClusterDefaults::default() };
        let limits = LivenessLimits { session_timeout_ms: swarm.session_timeout_ms, grace_ms: swarm.grace_ms };
        let mut quorum = Self {
            image: ClusterImage::default(),
            log: Vec::new(),
            defaults,
            liveness: Liveness::new(limits),
            queue: Vec::new(),
            in_flight: None,
            entries: 0,
            stalled_until: 0,
            unfencing: BTreeSet::new(),
            led_nothing_at: BTreeMap::new(),
        };
        quorum.submit(None, command(Kind::InitializeCluster(InitializeCluster { cluster_id: CLUSTER_ID.into() })), ctx);
        ctx.timer(Address::Quorum, 1, Timer::Liveness);
        quorum
    }

    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    /// The records with these indexes.
    pub fn records(&self, from: i64, to: i64) -> &[MetadataRecord] {
        &self.log[from as usize - 1..to as usize]
    }

    pub fn create_topic(&mut self, ctx: &mut Context) {
        let topic = CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: ctx.swarm.partitions_in_all() as i32,
            replication_factor: ctx.swarm.replication_factor,
            topic_id: uuid_bytes(Uuid([9; 16])),
            placement_seed: ctx.random.next(),
            ..Default::default()
        };
        let create = CreateTopics { topics: vec![topic], ..CreateTopics::default() };
        self.submit(None, command(Kind::CreateTopics(create)), ctx);
    }

    pub fn elect_preferred(&mut self, ctx: &mut Context) {
        let elect = ElectLeaders { kind: elect_leaders::Kind::Preferred.into(), partitions: None };
        self.submit(None, command(Kind::ElectLeaders(elect)), ctx);
    }

    /// Moves a partition to other brokers, or gives such a move up.
    pub fn reassign(&mut self, choice: u64, cancel: bool, ctx: &mut Context) {
        let mut random = Random::stream(choice, "reassignment");
        let partition = random.index(ctx.swarm.partitions_in_all()) as i32;
        let mut brokers: Vec<i32> = (0..ctx.swarm.brokers).map(|node| broker_id(node).0).collect();
        let ids: Vec<_> =
            (0..ctx.swarm.replication_factor).map(|_| brokers.swap_remove(random.index(brokers.len()))).collect();
        let target = (!cancel).then_some(ids);
        if !ctx.oracle.may_move(partition, target.as_deref()) {
            return;
        }
        let replicas = target.map(|ids| BrokerIds { ids });
        let partitions = vec![ReassignablePartition { topic: TOPIC.to_owned(), partition, replicas }];
        let reassign = AlterPartitionReassignments { partitions, allow_replication_factor_change: false };
        self.submit(None, command(Kind::AlterPartitionReassignments(reassign)), ctx);
    }

    /// Takes a broker for dead.
    pub fn fence(&mut self, id: BrokerId, ctx: &mut Context) {
        if let Some(broker) = self.image.broker(id) {
            let fence = FenceBroker { broker_id: id.0, broker_epoch: broker.epoch.0 };
            self.submit(None, command(Kind::FenceBroker(fence)), ctx);
        }
    }

    /// Another voter leads from now on.
    pub fn fail_over(&mut self, stall_ms: u64, forgets: bool, ctx: &mut Context) {
        self.stalled_until = ctx.now + stall_ms;
        let waiting = std::mem::take(&mut self.queue);
        for (asker, _) in waiting {
            self.answer_not_controller(asker, ctx);
        }
        self.note_moves(ctx);
        self.unfencing.clear();
        self.led_nothing_at.clear();
        self.liveness.stand_down();
        if forgets {
            let limits =
                LivenessLimits { session_timeout_ms: ctx.swarm.session_timeout_ms, grace_ms: ctx.swarm.grace_ms };
            self.liveness = Liveness::new(limits);
        }
        ctx.timer(Address::Quorum, stall_ms, Timer::Commit { entry: 0 });
    }

    pub fn on_message(&mut self, from: Address, message: Message, ctx: &mut Context) {
        match message {
            Message::Command { request, command } => {
                if ctx.now < self.stalled_until {
                    return self.answer_not_controller(Some((from, request)), ctx);
                }
                self.submit(Some((from, request)), command, ctx);
            }
            Message::Heartbeat { broker_epoch, metadata_index, stream, wants_shut_down } => {
                self.on_heartbeat(from, broker_epoch, metadata_index, stream, wants_shut_down, ctx);
            }
            Message::StreamBroken { broker_epoch, stream } => {
                let id = sender(from);
                let (epoch, now) = (BrokerEpoch(broker_epoch), Monotonic(ctx.now));
                self.liveness.on_stream_broken(id, epoch, StreamNumber(stream), now);
            }
            other => unreachable!("the quorum gets no {other:?}"),
        }
    }

    pub fn on_timer(&mut self, timer: Timer, ctx: &mut Context) {
        match timer {
            Timer::Liveness => {
                self.fence_overdue(ctx);
                let pause = (ctx.swarm.session_timeout_ms / 8).max(10);
                ctx.timer(Address::Quorum, pause, Timer::Liveness);
            }
            Timer::Commit { entry } => {
                self.commit(entry, ctx);
                self.note_moves(ctx);
            }
            other => unreachable!("the quorum has no timer {other:?}"),
        }
    }

    fn fence_overdue(&mut self, ctx: &mut Context) {
        if ctx.now < self.stalled_until {
            return;
        }
        let unfenced = self.image.brokers().filter(|broker| !broker.fenced).map(|broker| (broker.id, broker.epoch));
        for (broker, epoch) in self.liveness.overdue(unfenced, Monotonic(ctx.now)) {
            ctx.note(|| format!("quorum: broker {broker} is silent"));
            let fence = FenceBroker { broker_id: broker.0, broker_epoch: epoch.0 };
            self.submit(None, command(Kind::FenceBroker(fence)), ctx);
        }
    }

    fn on_heartbeat(
        &mut self,
        from: Address,
        broker_epoch: i64,
        metadata_index: i64,
        stream: u64,
        wants_shut_down: bool,
        ctx: &mut Context,
    ) {
        let id = sender(from);
        let epoch = BrokerEpoch(broker_epoch);
        let error = self.image.check_broker_epoch(id, epoch);
        let mut may_stop = false;
        if error == ErrorCode::None {
            self.liveness.on_heard(id, epoch, Some(StreamNumber(stream)), metadata_index, Monotonic(ctx.now));
            let fenced = self.image.broker(id).is_none_or(|broker| broker.fenced);
            if fenced && !wants_shut_down && metadata_index >= broker_epoch && self.unfencing.insert((id, epoch)) {
                let unfence = UnfenceBroker { broker_id: id.0, broker_epoch, current_metadata_index: metadata_index };
                self.submit(None, command(Kind::UnfenceBroker(unfence)), ctx);
            }
            may_stop = wants_shut_down && self.may_stop(id, epoch);
        }
        ctx.send(Address::Quorum, from, Message::HeartbeatReply { broker_epoch, error, may_stop });
        if metadata_index < self.image.applied_index() {
            self.feed(from, metadata_index, ctx);
        }
    }

    /// As `controller::Sessions` has it: the broker leads nothing, and all others know.
    fn may_stop(&mut self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        let leads = self.image.partitions_in_sync_on(broker).any(|(topic, partition)| {
            self.image.partition(topic, partition).is_some_and(|partition| partition.leader == broker)
        });
        if leads {
            self.led_nothing_at.remove(&(broker, epoch));
            return false;
        }
        let index = *self.led_nothing_at.entry((broker, epoch)).or_insert(self.image.applied_index());
        let mut others = self.image.brokers().filter(|other| other.id != broker && !other.fenced);
        others.all(|other| self.liveness.applied_index(other.id, other.epoch).is_some_and(|applied| applied >= index))
    }

    fn submit(&mut self, asker: Asker, command: Rc<MetadataCommand>, ctx: &mut Context) {
        self.queue.push((asker, command));
        self.propose(ctx);
        self.note_moves(ctx);
    }

    fn note_moves(&self, ctx: &mut Context) {
        let decided = self.in_flight.as_ref().is_some_and(|entry| entry.moves);
        ctx.oracle.move_under_way(decided || self.queue.iter().any(|(_, command)| moves_a_partition(command)));
    }

    /// One batch is in flight at a time; it is decided over what is applied.
    fn propose(&mut self, ctx: &mut Context) {
        if self.in_flight.is_some() || self.queue.is_empty() || ctx.now < self.stalled_until {
            return;
        }
        let mut batch = Batch::new(&self.image, &self.defaults);
        let mut replies = Vec::new();
        let moves = self.queue.iter().any(|(_, command)| moves_a_partition(command));
        for (asker, command) in std::mem::take(&mut self.queue) {
            let before = batch.image().clone();
            let reply = batch.decide(&command);
            ctx.oracle.decided(&before, batch.image(), &command, &reply);
            replies.push((asker, reply));
        }
        self.entries += 1;
        let base_index = batch.base_index();
        let entry = Entry { number: self.entries, base_index, records: batch.into_records(), replies, moves };
        let delay = ctx.random.below(ctx.rates.commit_delay_max_ms + 1);
        ctx.timer(Address::Quorum, delay, Timer::Commit { entry: entry.number });
        self.in_flight = Some(entry);
    }

    fn commit(&mut self, number: u64, ctx: &mut Context) {
        let Some(entry) = self.in_flight.take_if(|entry| entry.number == number) else {
            return self.propose(ctx);
        };
        for (asker, _) in &entry.replies {
            if asker.is_none() {
                self.unfencing.clear();
            }
        }
        if ctx.random.per_mille(ctx.rates.proposal_lost_per_mille) {
            ctx.message_faults[count::PROPOSAL_LOST] += 1;
            for (asker, _) in entry.replies {
                self.answer_not_controller(asker, ctx);
            }
            return self.propose(ctx);
        }
        self.apply(entry.base_index, &entry.records, ctx);
        if ctx.random.per_mille(ctx.rates.proposal_doubled_per_mille) {
            ctx.message_faults[count::PROPOSAL_DOUBLED] += 1;
            self.apply(entry.base_index, &entry.records, ctx);
        }
        for (asker, reply) in entry.replies {
            let Some((asker, request)) = asker else { continue };
            if ctx.random.per_mille(ctx.rates.reply_lost_per_mille) {
                ctx.message_faults[count::REPLY_LOST] += 1;
            } else {
                ctx.send(Address::Quorum, asker, Message::Reply { request, reply: Rc::new(reply) });
            }
        }
        self.propose(ctx);
    }

    /// An entry that finds another image than it was decided on is dropped, as the state machine of Raft does.
    fn apply(&mut self, base_index: i64, records: &[MetadataRecord], ctx: &mut Context) {
        if base_index != self.image.applied_index() || records.is_empty() {
            return;
        }
        let before = self.image.clone();
        self.image.replay_all(records).expect("what was decided can be replayed");
        self.log.extend_from_slice(records);
        ctx.note(|| format!("quorum: committed {}", show_records(base_index, records)));
        ctx.oracle.committed_metadata(&before, &self.image);
        for node in 0..ctx.swarm.brokers {
            if ctx.lives[node] != 0 {
                self.feed(Address::Broker(node), base_index, ctx);
            }
        }
    }

    /// What follows the broker's index, sometimes as a snapshot.
    fn feed(&mut self, to: Address, from_index: i64, ctx: &mut Context) {
        let records = from_index + 1..self.image.applied_index();
        let snapshot = from_index == 0 && ctx.random.per_mille(300);
        ctx.send(Address::Quorum, to, Message::Feed { records, snapshot });
    }

    fn answer_not_controller(&mut self, asker: Asker, ctx: &mut Context) {
        if let Some((asker, request)) = asker {
            ctx.send(Address::Quorum, asker, Message::NotController { request });
        }
    }
}

fn moves_a_partition(command: &MetadataCommand) -> bool {
    matches!(command.kind, Some(Kind::AlterPartitionReassignments(_)))
}

fn sender(from: Address) -> BrokerId {
    match from {
        Address::Broker(node) => broker_id(node),
        other => unreachable!("{other:?} is no broker"),
    }
}

fn show_records(base_index: i64, records: &[MetadataRecord]) -> String {
    use ottla::rpc::metadata::metadata_record::Kind;
    let show = |record: &MetadataRecord| match &record.kind {
        Some(Kind::PartitionChange(change)) => format!(
            "partition {} epoch {}{}{}{}{}",
            change.partition,
            change.partition_epoch,
            change.leader.map(|leader| format!(" leader {leader}")).unwrap_or_default(),
            change.leader_epoch.map(|epoch| format!(" leader epoch {epoch}")).unwrap_or_default(),
            change.isr.as_ref().map(|isr| format!(" isr {:?}", isr.ids)).unwrap_or_default(),
            change.elr.as_ref().map(|elr| format!(" elr {:?}", elr.ids)).unwrap_or_default(),
        ),
        Some(Kind::RegisterBroker(broker)) => format!("broker {} registered", broker.broker_id),
        Some(Kind::BrokerRegistrationChange(change)) => {
            format!(
                "broker {} fenced {:?} stopping {:?}",
                change.broker_id, change.fenced, change.in_controlled_shutdown
            )
        }
        Some(Kind::Partition(partition)) => {
            format!("partition {} of {:?} led by {}", partition.partition, partition.replicas, partition.leader)
        }
        Some(_) => "a record".to_owned(),
        None => "nothing".to_owned(),
    };
    let shown: Vec<_> = records.iter().map(show).collect();
    format!("{}..={}: {}", base_index + 1, base_index + records.len() as i64, shown.join("; "))
}
