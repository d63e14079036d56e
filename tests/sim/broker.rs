//! A broker: its disk, its lives, and how its replicas follow the metadata.
//!
//! Real are the disk's files (`DataDirectory`, `PartitionLog`, the markers of the last life), `LifecycleState` and
//! the image. What `node/`, `cluster/` and `partition/replicas.rs` do with tasks is done here with events.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla::cluster::LifecycleState;
use ottla::log::{
    CleanShutdown, DataDirectory, Disk, Fault as DiskFault, FilePool, LogConfig, LogError, PartitionLog, PastLife,
    RunMarker, SimDisk,
};
use ottla::metadata::{ClusterImage, ImageDelta, PartitionImage};
use ottla::model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, TopicId, TopicPartition, Wall};
use ottla::record::{BatchHeader, Batches};
use ottla::replication::{IsrMember, LeaderStart};
use ottla::rpc::metadata::{LeaderRecoveryState, MetadataReply, metadata_reply::Kind as Reply};

use crate::context::{Context, Timer, count};
use crate::message::{Address, Message};
use crate::oracle::Entry;
use crate::quorum::{Quorum, TOPIC, broker_id, register};
use crate::replica::{Me, Replica};

const DATA: &str = "/data";
/// Virtual wall time at the start.
const WALL_START_MS: i64 = 1_700_000_000_000;
/// How long a stopping broker waits to be let go.
const CONTROLLED_SHUTDOWN_MS: u64 = 5_000;

/// A process of a broker.
struct Process {
    lifecycle: LifecycleState,
    past: PastLife,
    directory: DataDirectory<SimDisk>,
    incarnation: u64,
    /// The image as the feed has it; it may be ahead of what the replicas follow.
    image: ClusterImage,
    /// The image that the replicas follow.
    applied: ClusterImage,
    noted: Option<BrokerEpoch>,
    apply_waits: bool,
    replicas: BTreeMap<i32, Replica>,
    /// The registration that waits for an answer.
    registering: Option<u64>,
    stop_by: Option<u64>,
}

/// How a process comes to its end at the next failing operation of the disk.
#[derive(Clone, Copy)]
struct Doom {
    power: bool,
    down_ms: u64,
    tear: u64,
}

pub struct Broker {
    node: usize,
    id: BrokerId,
    disk: SimDisk,
    boot: u32,
    lives: u32,
    process: Option<Process>,
    doom: Option<Doom>,
    disk_fault: bool,
    /// Nothing runs, and all that was written is durable.
    stopped_cleanly: bool,
    /// A sync failed once: the page cache holds what will never be durable, and a power loss would show it. Not
    /// simulated yet: the log would refuse to open.
    sync_failed: bool,
    pub paused_until: u64,
    clock_base: (u64, u64),
    clock_percent: u64,
    wall_jump_ms: i64,
}

/// What ended a step of a process.
type Step = Result<(), LogError>;

impl Broker {
    pub fn new(node: usize, ctx: &mut Context) -> Self {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DATA)).expect("a new disk takes a directory");
        disk.sync_dir(Path::new("/")).expect("a new disk syncs");
        let broker = Self {
            node,
            id: broker_id(node),
            disk,
            boot: 0,
            lives: 0,
            process: None,
            doom: None,
            disk_fault: false,
            stopped_cleanly: false,
            sync_failed: false,
            paused_until: 0,
            clock_base: (0, 0),
            clock_percent: 100,
            wall_jump_ms: 0,
        };
        ctx.timer(Address::Broker(node), 0, Timer::Start);
        broker
    }

    fn address(&self) -> Address {
        Address::Broker(self.node)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    fn clock(&self, now: u64) -> Monotonic {
        let (at, local) = self.clock_base;
        Monotonic(local + (now - at) * self.clock_percent / 100)
    }

    pub fn set_clock(&mut self, percent: u64, jump_ms: i64, now: u64) {
        self.clock_base = (now, self.clock(now).0);
        self.clock_percent = percent;
        self.wall_jump_ms = jump_ms;
    }

    fn wall(&self, now: u64) -> Wall {
        Wall(WALL_START_MS + now as i64 + self.wall_jump_ms)
    }

    fn me(&self, process: &Process, now: u64) -> Me {
        Me {
            node: self.node,
            id: self.id,
            broker_epoch: process.lifecycle.broker_epoch().unwrap_or(BrokerEpoch(-1)),
            applied: process.applied.applied_index(),
            clock: self.clock(now),
            wall: self.wall(now),
        }
    }

    // ---------------------------------------------------------------------------------------- lives

    /// A process starts on what the last one left.
    pub fn start(&mut self, ctx: &mut Context) {
        if self.process.is_some() {
            return;
        }
        self.lives += 1;
        self.stopped_cleanly = false;
        ctx.lives[self.node] = self.lives;
        match self.open() {
            Ok(process) => {
                let (id, past) = (self.id, process.past);
                ctx.note(|| format!("broker {id} starts, past life {past:?}"));
                let mut process = process;
                self.register(&mut process, ctx);
                self.process = Some(process);
                ctx.timer(self.address(), ctx.swarm.flush_interval_ms, Timer::Flush);
                ctx.timer(self.address(), ctx.swarm.heartbeat_ms(), Timer::Heartbeat);
                ctx.timer(self.address(), (ctx.swarm.lag_time_max_ms / 2).max(10), Timer::LagTick);
            }
            Err(error) => self.fault(&error, ctx),
        }
    }

    fn open(&self) -> Result<Process, LogError> {
        let past = PastLife::take(&self.disk, Path::new(DATA), Some(&self.boot_id()))?;
        let pool = Arc::new(FilePool::new(self.disk.clone(), 20));
        let directory = DataDirectory::open(pool, Path::new(DATA))?;
        Ok(Process {
            lifecycle: LifecycleState::Starting,
            past,
            directory,
            incarnation: (self.node as u64) << 32 | u64::from(self.lives),
            image: ClusterImage::default(),
            applied: ClusterImage::default(),
            noted: None,
            apply_waits: false,
            replicas: BTreeMap::new(),
            registering: None,
            stop_by: None,
        })
    }

    /// The process is gone. With `power` so is everything that was not synced, or a random part of it.
    fn crash(&mut self, power: bool, tear: u64, gives_up: bool, ctx: &mut Context) {
        let was_cut = self.doom.take().is_some();
        let up = self.process.take().is_some();
        ctx.lives[self.node] = 0;
        let may_lose = ctx.swarm.flush_before_ack || self.min_isr_allows_loss(ctx) || self.stopped_cleanly;
        let power = power && !self.sync_failed && may_lose;
        if power {
            let torn = ctx.random.per_mille(ctx.rates.torn_per_mille);
            ctx.message_faults[if torn { count::TORN } else { count::UNSYNCED_LOST }] += 1;
            self.disk.crash(torn.then_some(tear));
            self.boot += 1;
            if !self.stopped_cleanly {
                ctx.oracle.tail_may_be_lost(self.node);
            }
        } else {
            self.disk.kill();
        }
        self.disk_fault = false;
        ctx.oracle.arm(self.node, false);
        ctx.note(|| format!("broker {} {}", self.id, if power { "loses power" } else { "is killed" }));
        // An append may have been cut off: what it left is found when the log is opened.
        let unknown = (power && !self.stopped_cleanly) || was_cut || gives_up;
        ctx.oracle.process_ended(self.node, unknown);
        if up && !power {
            let (epoch, stream) = (self.last_epoch(ctx), u64::from(self.lives));
            if let Some(broker_epoch) = epoch {
                ctx.send(self.address(), Address::Quorum, Message::StreamBroken { broker_epoch, stream });
            }
        }
    }

    /// As many brokers may have lost their tail at a time as leave one of the minimum ISR.
    fn min_isr_allows_loss(&self, ctx: &Context) -> bool {
        ctx.oracle.lost_tails_beside(self.node) + 1 < ctx.swarm.min_isr as usize
    }

    fn last_epoch(&self, ctx: &Context) -> Option<i64> {
        ctx.oracle.registered_epoch(self.id)
    }

    /// Kills the process, and has it started again later.
    pub fn crash_for(&mut self, power: bool, tear: u64, down_ms: u64, ctx: &mut Context) {
        self.crash(power, tear, false, ctx);
        self.start_after(down_ms, ctx);
    }

    fn start_after(&mut self, down_ms: u64, ctx: &mut Context) {
        ctx.timer(self.address(), down_ms, Timer::Start);
    }

    /// The disk goes on for so many operations, then the process ends within one.
    pub fn cut_at(&mut self, operations: u64, power: bool, down_ms: u64, tear: u64) {
        if self.process.is_some() && !self.disk_fault && self.doom.is_none() {
            self.doom = Some(Doom { power, down_ms, tear });
            // Whether the power may fail then is judged then.
            self.disk.fail_at(self.disk.operations() + operations, DiskFault::Cut);
        }
    }

    /// One operation will fail. A sync that fails costs what it should have written, so this counts as a loss.
    pub fn fail_at(&mut self, operations: u64, fault: DiskFault, ctx: &mut Context) {
        // A flush that finds no space gives up too.
        let allowed = self.min_isr_allows_loss(ctx);
        if self.process.is_some() && self.doom.is_none() && !self.disk_fault && allowed {
            self.disk_fault = true;
            ctx.oracle.arm(self.node, true);
            self.disk.fail_at(self.disk.operations() + operations, fault);
        }
    }

    /// A disk that works again, for good.
    pub fn heal(&mut self, ctx: &mut Context) {
        self.paused_until = 0;
        if self.doom.is_some() {
            self.crash_for(false, 0, 1, ctx);
        }
        if self.disk_fault {
            self.disk.fail_at(u64::MAX, DiskFault::Error);
            self.disk_fault = false;
            ctx.oracle.arm(self.node, false);
        }
        self.start(ctx);
    }

    /// A step of the process has failed at the disk.
    fn fault(&mut self, error: &LogError, ctx: &mut Context) {
        if let Some(Doom { power, down_ms, tear }) = self.doom {
            return self.crash_for(power, tear, down_ms, ctx);
        }
        if !self.disk_fault {
            let id = self.id;
            return ctx.oracle.fail("D2", format!("broker {id}: the disk is in order, but {error}"));
        }
        // As the flusher does: what should be durable may be gone, so the next start must not trust the page cache.
        ctx.note(|| format!("broker {} gives up: {error}", self.id));
        self.sync_failed = true;
        if RunMarker::remove(&self.disk, Path::new(DATA)).is_ok() {
            ctx.oracle.tail_may_be_lost(self.node);
        }
        let down_ms = ctx.swarm.heartbeat_ms();
        self.crash(false, 0, true, ctx);
        self.start_after(down_ms, ctx);
    }

    /// SIGTERM.
    pub fn stop(&mut self, now: u64) {
        if let Some(process) = &mut self.process {
            process.lifecycle = process.lifecycle.on_shut_down_wanted();
            process.stop_by.get_or_insert(now + CONTROLLED_SHUTDOWN_MS);
        }
    }

    /// Everything is flushed and closed, and the marker of a clean stop comes last.
    fn stop_cleanly(&mut self, ctx: &mut Context) -> Step {
        let Some(process) = &mut self.process else { return Ok(()) };
        for (partition, replica) in std::mem::take(&mut process.replicas) {
            process.directory.set_high_watermark(&TopicPartition::new(TOPIC, partition), replica.high_watermark());
            replica.into_log().close()?;
        }
        process.directory.write_checkpoints()?;
        if let Some(broker_epoch) = process.lifecycle.broker_epoch() {
            CleanShutdown { broker_epoch }.write(&self.disk, Path::new(DATA))?;
        }
        ctx.note(|| format!("broker {} has stopped", self.id));
        self.process = None;
        self.stopped_cleanly = true;
        self.doom = None;
        self.disk_fault = false;
        self.disk.kill();
        ctx.oracle.arm(self.node, false);
        ctx.lives[self.node] = 0;
        ctx.oracle.process_ended(self.node, false);
        let down_ms = ctx.swarm.heartbeat_ms();
        self.start_after(down_ms, ctx);
        Ok(())
    }

    // ---------------------------------------------------------------------------------------- events

    pub fn on_timer(&mut self, timer: Timer, ctx: &mut Context) {
        if timer == Timer::Start {
            return self.start(ctx);
        }
        if let Err(error) = self.handle_timer(timer, ctx) {
            self.fault(&error, ctx);
        }
    }

    fn handle_timer(&mut self, timer: Timer, ctx: &mut Context) -> Step {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let me = self.me(&process, ctx.now);
        let replicas = &mut process.replicas;
        let outcome = match timer {
            Timer::Heartbeat => {
                self.heartbeat(&mut process, ctx);
                Ok(())
            }
            Timer::Flush => {
                ctx.timer(self.address(), ctx.swarm.flush_interval_ms, Timer::Flush);
                flush(&mut process)
            }
            Timer::LagTick => {
                ctx.timer(self.address(), (ctx.swarm.lag_time_max_ms / 2).max(10), Timer::LagTick);
                replicas.values_mut().for_each(|replica| replica.tick(&me, ctx));
                Ok(())
            }
            Timer::FetchTimeout { partition, request } => {
                replicas
                    .get_mut(&partition)
                    .into_iter()
                    .for_each(|replica| replica.on_fetch_timeout(request, &me, ctx));
                Ok(())
            }
            Timer::FetchSoon { partition } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.fetch(&me, ctx));
                Ok(())
            }
            Timer::ParkedFetch { partition, ticket } => {
                replicas.get_mut(&partition).map_or(Ok(()), |replica| replica.on_parked_timeout(ticket, &me, ctx))
            }
            Timer::AckTimeout { partition, ticket } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.on_ack_timeout(ticket, &me, ctx));
                Ok(())
            }
            Timer::ProposalRetry { partition, request } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.retry_proposal(request, &me, ctx));
                Ok(())
            }
            Timer::PutOnDisk { partition } => {
                replicas.get_mut(&partition).map_or(Ok(()), |replica| replica.put_on_disk(&me, ctx))
            }
            Timer::Apply => {
                process.apply_waits = false;
                self.apply(&mut process, ctx)
            }
            Timer::Command { request } => {
                if process.registering == Some(request) {
                    self.register(&mut process, ctx);
                }
                Ok(())
            }
            Timer::Start | Timer::Liveness | Timer::Commit { .. } | Timer::Send | Timer::ClientTimeout { .. } => {
                unreachable!("a broker has no timer {timer:?}")
            }
        };
        let stop = process
            .stop_by
            .is_some_and(|by| ctx.now >= by || matches!(process.lifecycle, LifecycleState::MayShutDown { .. }));
        self.process = Some(process);
        outcome?;
        if stop { self.stop_cleanly(ctx) } else { Ok(()) }
    }

    pub fn on_message(&mut self, from: Address, message: Message, quorum: &Quorum, ctx: &mut Context) {
        let Some(mut process) = self.process.take() else { return };
        let outcome = self.handle_message(&mut process, from, message, quorum, ctx);
        self.process = Some(process);
        if let Err(error) = outcome {
            self.fault(&error, ctx);
        }
    }

    fn handle_message(
        &mut self,
        process: &mut Process,
        from: Address,
        message: Message,
        quorum: &Quorum,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        match message {
            Message::Reply { request, reply } => return self.on_reply(process, request, Some(&reply), &me, ctx),
            Message::NotController { request } => return self.on_reply(process, request, None, &me, ctx),
            Message::HeartbeatReply { broker_epoch, error, may_stop } => {
                self.on_heartbeat_reply(process, broker_epoch, error, may_stop, ctx);
            }
            Message::Feed { records, snapshot } => return self.on_feed(process, records, snapshot, quorum, ctx),
            Message::Fetch { request, partition, broker_epoch, next, flushed } => {
                let Address::Broker(node) = from else { unreachable!("only brokers follow") };
                let follower = IsrMember { broker_id: broker_id(node), broker_epoch: BrokerEpoch(broker_epoch) };
                let eligible = process
                    .applied
                    .broker(follower.broker_id)
                    .is_some_and(|broker| broker.is_active() && broker.epoch == follower.broker_epoch);
                if let Some(replica) = process.replicas.get_mut(&partition) {
                    return replica.on_fetch(from, request, follower, eligible, next, flushed, &me, ctx);
                }
            }
            Message::FetchReply { request, partition, answer } => {
                if let Some(replica) = process.replicas.get_mut(&partition) {
                    return replica.on_fetch_answer(request, answer, &me, ctx);
                }
            }
            Message::Produce { request, partition, batch, acks } => match process.replicas.get_mut(&partition) {
                Some(replica) => match replica.produce(from, request, &batch, acks, &me, ctx) {
                    // Producers try again when there is space.
                    Err(error) if error.is_out_of_space() && self.disk_fault => {
                        self.disk_fault = false;
                        ctx.oracle.arm(self.node, false);
                    }
                    outcome => return outcome,
                },
                None => self.refuse_client(
                    from,
                    Message::ProduceReply { request, error: ErrorCode::NotLeaderOrFollower, base_offset: -1 },
                    ctx,
                ),
            },
            Message::Read { request, partition, offset, leader_epoch } => {
                let replica = process.replicas.get(&partition);
                let read = replica.map_or(Err(ErrorCode::NotLeaderOrFollower), |replica| {
                    replica.consume(offset, LeaderEpoch(leader_epoch))
                });
                let (error, bytes) = match read {
                    Ok(bytes) => (ErrorCode::None, bytes),
                    Err(error) => (error, Default::default()),
                };
                ctx.send(self.address(), from, Message::ReadReply { request, error, bytes });
            }
            Message::LatestOffset { request, partition, leader_epoch } => {
                let replica = process.replicas.get(&partition);
                let latest = replica.map_or(Err(ErrorCode::NotLeaderOrFollower), |replica| {
                    replica.latest_offset(LeaderEpoch(leader_epoch))
                });
                let (error, offset) = match latest {
                    Ok(offset) => (ErrorCode::None, offset),
                    Err(error) => (error, -1),
                };
                ctx.send(self.address(), from, Message::LatestOffsetReply { request, error, offset });
            }
            other => unreachable!("a broker gets no {other:?}"),
        }
        Ok(())
    }

    fn refuse_client(&self, to: Address, reply: Message, ctx: &mut Context) {
        ctx.send(self.address(), to, reply);
    }

    // ---------------------------------------------------------------------------------------- the control plane

    fn register(&self, process: &mut Process, ctx: &mut Context) {
        let address = self.address();
        let previous = process.lifecycle.broker_epoch().or(process.past.broker_epoch).map_or(-1, |epoch| epoch.0);
        let request = ctx.next_request();
        process.registering = Some(request);
        let command = register(self.node, process.incarnation, previous);
        ctx.send(address, Address::Quorum, Message::Command { request, command });
        ctx.timer(address, ctx.swarm.request_timeout_ms, Timer::Command { request });
    }

    fn on_reply(
        &mut self,
        process: &mut Process,
        request: u64,
        reply: Option<&MetadataReply>,
        me: &Me,
        ctx: &mut Context,
    ) -> Step {
        if process.registering == Some(request) {
            if let Some(Reply::RegisterBroker(registered)) = reply.and_then(|reply| reply.kind.as_ref()) {
                process.registering = None;
                process.lifecycle = process.lifecycle.on_registered(BrokerEpoch(registered.broker_epoch));
                ctx.oracle.registered(self.node, registered.broker_epoch);
                return self.note_image(process, ctx);
            }
            return Ok(());
        }
        let results = match reply.and_then(|reply| reply.kind.as_ref()) {
            Some(Reply::AlterPartition(reply)) => reply.partitions.first(),
            _ => None,
        };
        for replica in process.replicas.values_mut() {
            if replica.on_proposal_answer(request, results, me, ctx) {
                break;
            }
        }
        Ok(())
    }

    fn heartbeat(&mut self, process: &mut Process, ctx: &mut Context) {
        let pause = ctx.swarm.heartbeat_ms() * 100 / self.clock_percent.max(1);
        ctx.timer(self.address(), pause.max(1), Timer::Heartbeat);
        let Some(broker_epoch) = process.lifecycle.broker_epoch() else { return };
        let heartbeat = Message::Heartbeat {
            broker_epoch: broker_epoch.0,
            metadata_index: process.image.applied_index(),
            stream: u64::from(self.lives),
            wants_shut_down: matches!(process.lifecycle, LifecycleState::ShuttingDown { .. }),
        };
        ctx.send(self.address(), Address::Quorum, heartbeat);
        if matches!(process.lifecycle, LifecycleState::ShuttingDown { .. }) {
            let request = ctx.next_request();
            let command = crate::quorum::begin_controlled_shutdown(self.id, broker_epoch);
            ctx.send(self.address(), Address::Quorum, Message::Command { request, command });
        }
    }

    fn on_heartbeat_reply(
        &mut self,
        process: &mut Process,
        broker_epoch: i64,
        error: ErrorCode,
        may_stop: bool,
        ctx: &mut Context,
    ) {
        let current = process.lifecycle.broker_epoch() == Some(BrokerEpoch(broker_epoch));
        if may_stop && current {
            process.lifecycle = process.lifecycle.on_shut_down_granted();
        }
        if current && matches!(error, ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) {
            // A registration of an earlier life, delayed in the network, may have taken the place of this one's.
            ctx.note(|| format!("broker {} is not registered any more", self.id));
            if process.registering.is_none() {
                self.register(process, ctx);
            }
        }
    }

    fn on_feed(
        &mut self,
        process: &mut Process,
        records: std::ops::Range<i64>,
        snapshot: bool,
        quorum: &Quorum,
        ctx: &mut Context,
    ) -> Step {
        let applied = process.image.applied_index();
        if snapshot && applied == 0 && records.end == quorum.image().applied_index() {
            process.image = quorum.image().clone();
        } else if records.start <= applied + 1 && records.end > applied {
            let news = quorum.records(applied + 1, records.end);
            process.image.replay_all(news).expect("the feed tells what was committed");
        } else {
            return Ok(());
        }
        ctx.oracle.image_applied(self.node, &process.image);
        self.note_image(process, ctx)
    }

    /// The image or the registration moved: the replicas follow, once they may. As in the broker role, the run marker
    /// comes first.
    fn note_image(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let registered = process.image.broker(self.id).map(|broker| (broker.epoch, broker.fenced));
        process.lifecycle = process.lifecycle.on_image(process.image.applied_index(), registered);
        if !process.lifecycle.has_caught_up() {
            return Ok(());
        }
        if let Some(broker_epoch) = process.lifecycle.broker_epoch().filter(|epoch| process.noted != Some(*epoch)) {
            RunMarker { broker_epoch, boot_id: self.boot_id() }.write(&self.disk, Path::new(DATA))?;
            process.noted = Some(broker_epoch);
        }
        if !process.apply_waits {
            process.apply_waits = true;
            let delay = ctx.feed_delay();
            ctx.timer(self.address(), delay, Timer::Apply);
        }
        Ok(())
    }

    /// The replicas follow the image.
    fn apply(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let before = std::mem::replace(&mut process.applied, process.image.clone());
        let changed = ImageDelta::between(before, process.applied.clone()).changed_brokers;
        self.follow_partitions(process, ctx)?;
        let me = self.me(process, ctx.now);
        for id in changed {
            let broker = process.applied.broker(id).filter(|broker| broker.is_active());
            let active = broker.map(|broker| broker.epoch);
            process.replicas.values_mut().for_each(|replica| replica.on_broker(id, active, &me, ctx));
        }
        Ok(())
    }

    fn follow_partitions(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let Some(topic) = process.applied.topic_by_name(TOPIC).cloned() else { return Ok(()) };
        for (index, partition) in topic.partitions() {
            if partition.replicas.contains(&self.id) {
                self.follow(process, topic.id, index, partition, ctx)?;
            }
        }
        Ok(())
    }

    fn follow(
        &mut self,
        process: &mut Process,
        topic_id: TopicId,
        index: i32,
        partition: &PartitionImage,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        if !process.replicas.contains_key(&index) {
            let replica = self.open_replica(process, topic_id, index, &me, ctx)?;
            process.replicas.insert(index, replica);
        }
        let min_isr = (ctx.swarm.min_isr as usize).min(partition.replicas.len());
        let Some(replica) = process.replicas.get_mut(&index) else { return Ok(()) };
        match partition.leader() {
            Some(leader) if leader == self.id => {
                let start = LeaderStart {
                    broker: IsrMember { broker_id: self.id, broker_epoch: me.broker_epoch },
                    leader_epoch: partition.leader_epoch,
                    partition_epoch: partition.partition_epoch,
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.iter().copied().collect(),
                    min_isr,
                    replica_lag_time_max_ms: ctx.swarm.lag_time_max_ms,
                    log_end_offset: 0,
                    high_watermark: 0,
                    flushed_offset: None,
                    recovering: partition.leader_recovery_state == LeaderRecoveryState::Recovering,
                };
                replica.lead(start, &me, ctx)
            }
            Some(leader) => {
                replica.follow(leader, partition.leader_epoch, &me, ctx);
                Ok(())
            }
            None => {
                replica.idle(&me, ctx);
                Ok(())
            }
        }
    }

    fn open_replica(
        &self,
        process: &Process,
        topic_id: TopicId,
        index: i32,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Replica, LogError> {
        let name = TopicPartition::new(TOPIC, index);
        let config =
            LogConfig { segment_bytes: ctx.swarm.segment_bytes, index_interval_bytes: 200, ..LogConfig::default() };
        let (log, report) = PartitionLog::open(
            &process.directory,
            name.clone(),
            Some(topic_id),
            Arc::new(config),
            process.past.clean,
            me.wall,
        )?;
        let high_watermark = process.directory.high_watermark(&name).unwrap_or_default();
        let replica = Replica::new(index, log, high_watermark);
        let entries = replica.entries()?;
        ctx.note(|| format!("broker {} opens {index}: {} records, {report:?}", me.id, entries.len()));
        ctx.oracle.opened(self.node, index, me.broker_epoch.0, entries);
        ctx.oracle.high_watermark(self.node, index, replica.high_watermark());
        Ok(replica)
    }

    // ---------------------------------------------------------------------------------------- for the oracle

    /// Compares what lies on the disk with what the oracle saw.
    pub fn compare(&mut self, ctx: &mut Context) {
        let Some(process) = &self.process else { return };
        for (index, replica) in &process.replicas {
            match replica.entries() {
                Ok(entries) => ctx.oracle.compare(self.node, *index, &entries),
                Err(_) if self.doom.is_some() || self.disk_fault => {}
                Err(error) => ctx.oracle.fail("A11", format!("broker {} cannot read its log: {error}", self.id)),
            }
        }
    }

    /// Which broker this one believes to lead the partition, with the epoch: what its Metadata answer says.
    pub fn believed_leader(&self, partition: i32) -> Option<(usize, i32)> {
        let process = self.process.as_ref()?;
        let image = process.applied.topic_by_name(TOPIC)?.partition(partition)?;
        Some((crate::quorum::node_of(image.leader()?), image.leader_epoch.0))
    }

    /// The log ends and the high watermark here.
    pub fn ends(&self, partition: i32) -> Option<(i64, i64)> {
        let replica = self.process.as_ref()?.replicas.get(&partition)?;
        Some((replica.log_end_offset(), replica.high_watermark()))
    }
}

/// Flushes what is dirty and writes the checkpoints, as the flusher's round does.
fn flush(process: &mut Process) -> Step {
    for (partition, replica) in &mut process.replicas {
        replica.log().flush()?;
        let high_watermark = replica.high_watermark();
        process.directory.set_high_watermark(&TopicPartition::new(TOPIC, *partition), high_watermark);
    }
    process.directory.write_checkpoints()
}

/// The records in what a consumer was sent; a CRC that is wrong is a violation of its own.
pub fn parse_entries(bytes: &[u8], from: i64, ctx: &mut Context) -> Vec<Entry> {
    let mut entries = Vec::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        if batch.verify_crc().is_err() {
            ctx.oracle.fail("A19", format!("a consumer was sent a damaged batch at {}", batch.header.base_offset));
            break;
        }
        let header: BatchHeader = batch.header;
        let skip = (from - header.base_offset).max(0) as usize;
        entries.extend(crate::oracle::entries_of(&header).skip(skip));
    }
    entries
}
