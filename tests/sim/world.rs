//! A run: faults while everything is checked at every step, then healing, after which the cluster must converge.

use std::collections::BTreeSet;

use ottla::log::Fault as DiskFault;

use crate::broker::Broker;
use crate::clients::Client;
use crate::context::{Context, Event, MESSAGE_FAULTS, Relief, count};
use crate::message::{Address, Message};
use crate::oracle::{CHECKS, Violation};
use crate::quorum::{Quorum, TOPIC, broker_id, node_of};
use crate::swarm::{FAULT_NAMES, Fault, FaultKind, Swarm, schedule};

/// Virtual time in which a healed cluster must have converged (F3).
const CONVERGE_MS: u64 = 60_000;
/// Logs on disk are compared with what was appended this often, in steps.
const COMPARE_EVERY: u64 = 2_000;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Steps under faults.
    pub steps: u64,
    /// Entries of the fault schedule that do not happen.
    pub masked: BTreeSet<usize>,
    /// The network and the quorum do no harm of their own.
    pub calm_messages: bool,
    pub traced: bool,
}

impl Plan {
    pub fn new(seed: u64, steps: u64) -> Self {
        Self { seed, steps, masked: BTreeSet::new(), calm_messages: false, traced: false }
    }
}

/// What a run was like.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub steps: u64,
    pub virtual_ms: u64,
    pub trace_hash: u64,
    pub violation: Option<Violation>,
    pub checks: [u64; CHECKS.len()],
    pub faults: [u64; FAULT_NAMES.len()],
    /// Numbers in the schedule of the faults that struck.
    pub struck: Vec<usize>,
    pub message_faults: [u64; MESSAGE_FAULTS.len()],
    pub records_committed: u64,
    pub records_acked: u64,
    pub unclean_elections: u64,
    pub transactions: (u64, u64),
    /// Offsets that transactions have moved, offsets of aborted ones, and fetches that had to wait for their end.
    pub offsets: [u64; 3],
    pub lines: Vec<String>,
}

struct World {
    ctx: Context,
    quorum: Quorum,
    brokers: Vec<Broker>,
    clients: Vec<Client>,
    schedule: Vec<Fault>,
    plan: Plan,
    faults: [u64; FAULT_NAMES.len()],
    struck: Vec<usize>,
    created: bool,
}

/// Runs a plan to its end, or to the first violation. A panic of a machine is a violation too.
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan.clone());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        world.ctx.oracle.fail("panic", text.to_owned());
    }
    world.outcome()
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut swarm = Swarm::draw(plan.seed);
        if plan.calm_messages {
            swarm.rates = crate::swarm::Rates::healthy();
        }
        let schedule = schedule(plan.seed, &swarm);
        let mut ctx = Context::new(plan.seed, swarm, plan.traced);
        let quorum = Quorum::new(&mut ctx);
        let brokers = (0..ctx.swarm.brokers).map(|node| Broker::new(node, &mut ctx)).collect();
        let clients = Client::all(&mut ctx);
        if plan.traced {
            ctx.note(String::new);
        }
        let mut world = Self {
            ctx,
            quorum,
            brokers,
            clients,
            schedule,
            plan,
            faults: [0; FAULT_NAMES.len()],
            struck: Vec::new(),
            created: false,
        };
        world.schedule_fault(0);
        world
    }

    /// The first fault from `from` on that is not left out.
    fn schedule_fault(&mut self, from: usize) {
        let next = (from..self.schedule.len()).find(|number| !self.plan.masked.contains(number));
        if let Some(number) = next {
            let wait = self.schedule[number].at_ms.saturating_sub(self.ctx.now);
            self.ctx.schedule(wait, Event::Fault(number));
        }
    }

    fn run(&mut self) {
        while self.ctx.steps < self.plan.steps && self.ctx.oracle.violation.is_none() {
            self.step();
        }
        if self.ctx.oracle.violation.is_none() {
            self.heal();
        }
    }

    fn heal(&mut self) {
        self.ctx.note(|| "everything heals".to_owned());
        self.ctx.heal_links();
        for broker in &mut self.brokers {
            broker.heal(&mut self.ctx);
        }
        let deadline = self.ctx.now + CONVERGE_MS + 10 * self.ctx.swarm.lag_time_max_ms;
        let mut look_at = self.ctx.now;
        let mut missing = None;
        while self.ctx.now < deadline && self.ctx.oracle.violation.is_none() {
            self.step();
            if self.ctx.now >= look_at {
                look_at = self.ctx.now + 50;
                missing = self.missing();
                if missing.is_none() {
                    break;
                }
            }
        }
        self.ctx.oracle.converged(missing);
        self.ctx.oracle.transactions_ended();
        self.ctx.oracle.offsets_are_in();
        for broker in &mut self.brokers {
            broker.compare(&mut self.ctx);
        }
    }

    /// What a converged cluster would have that this one has not.
    fn missing(&self) -> Option<String> {
        let image = self.quorum.image();
        if let Some(broker) = (0..self.brokers.len()).find(|node| !image.is_active(broker_id(*node))) {
            return Some(format!("broker {} is not active", broker + 1));
        }
        let Some(topic) = image.topic_by_name(TOPIC) else { return Some("the topic does not exist".to_owned()) };
        for (index, partition) in topic.partitions() {
            if partition.isr.len() < partition.replicas.len() {
                return Some(format!("the ISR of {index} is {:?} of {:?}", partition.isr, partition.replicas));
            }
            let leader = node_of(partition.leader);
            let Some((end, high_watermark)) = self.brokers[leader].ends(index) else {
                return Some(format!("the leader of {index} has not opened it"));
            };
            if high_watermark < end && self.clients.is_empty() {
                return Some(format!("{index} is committed up to {high_watermark} of {end}"));
            }
        }
        let unsettled = self.clients.iter().position(|client| match client {
            Client::Producer(producer) => !producer.is_settled(),
            Client::Transactional(producer) => !producer.is_settled(),
            Client::Processor(processor) => !processor.is_settled(),
            Client::Consumer(_) | Client::Member(_) => false,
        });
        if let Some(at) = unsettled {
            return Some(format!("producer {at} has not got on, or has a request without an answer"));
        }
        self.ctx.oracle.open_transaction().or_else(|| self.unbalanced())
    }

    /// How the group is not what it should be: all members in one generation, and every partition theirs.
    fn unbalanced(&self) -> Option<String> {
        let members = self.clients.iter().filter_map(|client| match client {
            Client::Member(member) => Some(member.owns()),
            Client::Processor(processor) => Some(processor.owns()),
            _ => None,
        });
        let owned: Vec<_> = members.collect();
        let generations: BTreeSet<_> =
            owned.iter().map(|owned| owned.as_ref().map(|(generation, _)| *generation)).collect();
        let partitions: BTreeSet<_> = owned.iter().flatten().flat_map(|(_, partitions)| partitions.clone()).collect();
        let balanced = owned.is_empty()
            || generations.len() == 1
                && !generations.contains(&None)
                && partitions.len() == self.ctx.swarm.partitions as usize;
        (!balanced).then(|| format!("the members of the group own {owned:?}"))
    }

    fn step(&mut self) {
        let Some(event) = self.ctx.next_event() else { return };
        self.mix(&event);
        match event {
            Event::Deliver { from, to, lives, message } => self.deliver(from, to, lives, message),
            Event::Timer { node, life, timer } => self.on_timer(node, life, timer),
            Event::Fault(number) if !self.ctx.healing => {
                self.strike(number);
                self.schedule_fault(number + 1);
            }
            Event::Fault(_) => {}
            Event::Relief(relief) if !self.ctx.healing => self.relieve(relief),
            Event::Relief(_) => {}
            Event::Ambush { node, power, down_ms, tear } if !self.ctx.healing => {
                self.brokers[node].crash_for(power, tear, down_ms, &mut self.ctx);
            }
            Event::Ambush { .. } => {}
        }
        if self.ctx.steps.is_multiple_of(COMPARE_EVERY) {
            for broker in &mut self.brokers {
                broker.compare(&mut self.ctx);
            }
        }
        self.create_topic();
    }

    /// The topic is created once enough brokers are there to hold it.
    fn create_topic(&mut self) {
        if self.created {
            return;
        }
        let image = self.quorum.image();
        let active = image.brokers().filter(|broker| broker.is_active()).count();
        if active == self.brokers.len()
            || (active >= self.ctx.swarm.replication_factor as usize && self.ctx.now > 3_000)
        {
            self.created = image.topic_id(TOPIC).is_some();
            if !self.created && self.ctx.now.is_multiple_of(5) {
                self.quorum.create_topic(&mut self.ctx);
            }
        }
    }

    fn mix(&mut self, event: &Event) {
        let numbers = match event {
            Event::Deliver { from, to, message, .. } => {
                [1, from.place() as u64, to.place() as u64, message_number(message)]
            }
            Event::Timer { node, life, .. } => [2, node.place() as u64, u64::from(*life), 0],
            Event::Fault(number) => [3, *number as u64, 0, 0],
            Event::Relief(_) => [4, 0, 0, 0],
            Event::Ambush { node, .. } => [5, *node as u64, 0, 0],
        };
        let now = self.ctx.now;
        self.ctx.mix(numbers);
        self.ctx.mix([now, self.quorum.image().applied_index() as u64, self.ctx.oracle.committed_total() as u64, 0]);
    }

    fn deliver(&mut self, from: Address, to: Address, lives: (u32, u32), message: Message) {
        if !self.ctx.is_connected(from, to, lives) {
            self.ctx.message_faults[count::TO_THE_DEAD] += 1;
            return;
        }
        match to {
            Address::Broker(node) => {
                if let Some(wait) = self.paused(node) {
                    return self.ctx.schedule(wait, Event::Deliver { from, to, lives, message });
                }
                self.brokers[node].on_message(from, message, &self.quorum, &mut self.ctx);
            }
            Address::Quorum => self.quorum.on_message(from, message, &mut self.ctx),
            Address::Client(number) => {
                self.clients[number].on_message(message, &self.brokers, &mut self.ctx);
            }
        }
    }

    fn on_timer(&mut self, node: Address, life: u32, timer: crate::context::Timer) {
        match node {
            Address::Broker(number) => {
                let starts = timer == crate::context::Timer::Start;
                if !starts && !self.ctx.is_alive(node, life) {
                    return;
                }
                if let Some(wait) = self.paused(number) {
                    return self.ctx.schedule(wait, Event::Timer { node, life, timer });
                }
                self.brokers[number].on_timer(timer, &mut self.ctx);
            }
            Address::Quorum => self.quorum.on_timer(timer, &mut self.ctx),
            Address::Client(number) => self.clients[number].on_timer(timer, &self.brokers, &mut self.ctx),
        }
    }

    /// How long the broker stands still yet.
    fn paused(&self, node: usize) -> Option<u64> {
        let until = self.brokers[node].paused_until;
        (until > self.ctx.now).then(|| until - self.ctx.now)
    }

    fn strike(&mut self, number: usize) {
        let kind = self.schedule[number].kind;
        self.ctx.note(|| format!("fault {number}: {kind:?}"));
        self.faults[kind.number()] += 1;
        self.struck.push(number);
        let ctx = &mut self.ctx;
        match kind {
            FaultKind::Kill { node, down_ms } => self.brokers[node].crash_for(false, 0, down_ms, ctx),
            FaultKind::PowerLoss { node, down_ms, tear } => self.brokers[node].crash_for(true, tear, down_ms, ctx),
            FaultKind::CutAtOperation { node, operations, power, down_ms, tear } => {
                self.brokers[node].cut_at(operations, power, down_ms, tear);
            }
            FaultKind::Pause { node, ms } => self.brokers[node].paused_until = ctx.now + ms,
            FaultKind::Restart { node, .. } => self.brokers[node].stop(ctx.now),
            FaultKind::DiskError { node, operations } => {
                self.brokers[node].fail_at(operations, DiskFault::Error, ctx);
            }
            FaultKind::DiskFull { node, operations } => self.brokers[node].fail_at(operations, DiskFault::Full, ctx),
            FaultKind::Partition { side, ms } => {
                ctx.cut_sides(side, true);
                ctx.schedule(ms, Event::Relief(Relief::Partition { side }));
            }
            FaultKind::OneWay { from, to, ms } => {
                ctx.cut_link(from, to, true);
                ctx.schedule(ms, Event::Relief(Relief::OneWay { from, to }));
            }
            FaultKind::Slow { node, delay_ms, ms } => {
                ctx.slow(node, delay_ms, true);
                ctx.schedule(ms, Event::Relief(Relief::Slow { node, delay_ms }));
            }
            FaultKind::Clock { node, percent, jump_ms } => self.brokers[node].set_clock(percent, jump_ms, ctx.now),
            FaultKind::QuorumFailover { stall_ms, forgets } => self.quorum.fail_over(stall_ms, forgets, ctx),
            FaultKind::ElectPreferred => self.quorum.elect_preferred(ctx),
            FaultKind::Fence { node } => self.quorum.fence(broker_id(node), ctx),
            FaultKind::Reassign { choice } => self.quorum.reassign(choice, false, ctx),
            FaultKind::CancelReassignment { choice } => self.quorum.reassign(choice, true, ctx),
            FaultKind::Rot { node, choice, down_ms } => self.brokers[node].rot_for(choice, down_ms, ctx),
        }
    }

    fn relieve(&mut self, relief: Relief) {
        match relief {
            Relief::Partition { side } => self.ctx.cut_sides(side, false),
            Relief::OneWay { from, to } => self.ctx.cut_link(from, to, false),
            Relief::Slow { node, delay_ms } => self.ctx.slow(node, delay_ms, false),
        }
    }

    fn outcome(self) -> Outcome {
        let Self { ctx, plan, faults, struck, .. } = self;
        Outcome {
            seed: plan.seed,
            steps: ctx.steps,
            virtual_ms: ctx.now,
            trace_hash: ctx.trace_hash(),
            violation: ctx.oracle.violation.clone(),
            checks: ctx.oracle.checks,
            faults,
            struck,
            message_faults: ctx.message_faults,
            records_committed: ctx.oracle.committed_total() as u64,
            records_acked: ctx.oracle.records_acked,
            unclean_elections: ctx.oracle.unclean_elections,
            transactions: ctx.oracle.ended_transactions(),
            offsets: ctx.oracle.offsets_in_transactions(),
            lines: ctx.lines().cloned().collect(),
        }
    }
}

fn message_number(message: &Message) -> u64 {
    match message {
        Message::Command { request, .. } => 1 << 56 | request,
        Message::Heartbeat { metadata_index, .. } => 2 << 56 | *metadata_index as u64,
        Message::StreamBroken { stream, .. } => 3 << 56 | stream,
        Message::Reply { request, .. } => 4 << 56 | request,
        Message::NotController { request } => 5 << 56 | request,
        Message::HeartbeatReply { broker_epoch, .. } => 6 << 56 | *broker_epoch as u64,
        Message::Feed { records, .. } => 7 << 56 | records.end as u64,
        Message::Fetch { request, .. } => 8 << 56 | request,
        Message::FetchReply { request, .. } => 9 << 56 | request,
        Message::Produce { request, .. } => 10 << 56 | request,
        Message::ProduceReply { request, .. } => 11 << 56 | request,
        Message::Read { request, .. } => 12 << 56 | request,
        Message::ReadReply { request, .. } => 13 << 56 | request,
        Message::LatestOffset { request, .. } => 14 << 56 | request,
        Message::LatestOffsetReply { request, .. } => 15 << 56 | request,
        Message::InitProducer { request, .. } => 16 << 56 | request,
        Message::AddPartition { request, .. } => 17 << 56 | request,
        Message::EndTransaction { request, .. } => 18 << 56 | request,
        Message::TransactionReply { request, .. } => 19 << 56 | request,
        Message::WriteMarker { request, .. } => 20 << 56 | request,
        Message::MarkerReply { request, .. } => 21 << 56 | request,
        Message::Group { request, .. } => 22 << 56 | request,
        Message::GroupReply { request, .. } => 23 << 56 | request,
    }
}
