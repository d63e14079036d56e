//! What a seed decides before the run: the shape of the cluster, the rates of all faults, and the schedule of those
//! that hit nodes and links.
//!
//! Every rate is drawn anew for each seed, and many are zero: runs at fixed rates find far fewer mistakes, because
//! some need one kind of fault often and another one never.

use crate::random::Random;

/// The shape of a run.
#[derive(Clone, Debug)]
pub struct Swarm {
    pub brokers: usize,
    pub partitions: i32,
    pub replication_factor: i32,
    pub min_isr: i32,
    pub session_timeout_ms: u64,
    pub grace_ms: u64,
    pub lag_time_max_ms: u64,
    pub fetch_wait_max_ms: u64,
    pub request_timeout_ms: u64,
    pub flush_interval_ms: u64,
    pub segment_bytes: u64,
    /// `flush.before.ack`: any number of brokers may lose power.
    pub flush_before_ack: bool,
    /// From an append to the sync that it asks for.
    pub commit_delay_ms: u64,
    pub idempotent_producers: usize,
    pub plain_producers: usize,
    pub consumers: usize,
    pub send_interval_ms: u64,
    pub in_flight_max: usize,
    pub rates: Rates,
    /// Bytes of a record's value.
    pub value_bytes: u64,
    pub transactional_producers: usize,
    pub transaction_timeout_ms: u64,
    pub group_members: usize,
    pub group_session_timeout_ms: u64,
    /// The members of the group process what they read: they write in transactions, which commit their offsets.
    pub processes: bool,
    /// How often a leader deletes records from the beginning of its log, at each heartbeat.
    pub deletes_per_mille: u64,
}

/// Rates of what befalls single messages and entries of the metadata log. All are 0 while the cluster heals.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub delay_max_ms: u64,
    pub drop_per_mille: u64,
    pub duplicate_per_mille: u64,
    pub hold_per_mille: u64,
    pub hold_max_ms: u64,
    pub feed_delay_max_ms: u64,
    pub commit_delay_max_ms: u64,
    pub proposal_lost_per_mille: u64,
    pub reply_lost_per_mille: u64,
    pub proposal_doubled_per_mille: u64,
    pub torn_per_mille: u64,
    /// How many of the messages that have outlived their sender's process arrive.
    pub late_per_mille: u64,
    pub ambush_per_mille: u64,
    /// How many coordinators are killed behind a decision, and brokers behind a write that found the disk full.
    pub ambush_behind_per_mille: u64,
    /// How often a transactional producer or a member of a group dies, at each look.
    pub client_death_per_mille: u64,
    /// How many messages of transactions come again, much later.
    pub straggler_per_mille: u64,
    /// How many of the transactional producers that were replaced go on all the same.
    pub zombie_per_mille: u64,
    /// How often a producer gives up what is under way, at each look.
    pub impatience_per_mille: u64,
    /// How often a member of a group sends a request of its last generation, at each look.
    pub stray_per_mille: u64,
}

impl Rates {
    /// A network and a quorum that merely take their time.
    pub fn healthy() -> Self {
        Self { delay_max_ms: 3, feed_delay_max_ms: 3, commit_delay_max_ms: 2, ..Self::default() }
    }

    fn draw(random: &mut Random, conduct: &mut Random) -> Self {
        let draw =
            |random: &mut Random, chance, max| if random.per_mille(chance) { random.log_between(1, max) } else { 0 };
        let mut sometimes = |chance: u64, max: u64| draw(random, chance, max);
        let mut at_times = |chance: u64, max: u64| draw(conduct, chance, max);
        Self {
            delay_max_ms: 1 + sometimes(900, 60),
            drop_per_mille: sometimes(500, 150),
            duplicate_per_mille: sometimes(400, 100),
            hold_per_mille: sometimes(500, 40),
            hold_max_ms: 10 + sometimes(900, 6_000),
            feed_delay_max_ms: 1 + sometimes(700, 800),
            commit_delay_max_ms: 1 + sometimes(700, 200),
            proposal_lost_per_mille: sometimes(400, 200),
            reply_lost_per_mille: sometimes(500, 400),
            proposal_doubled_per_mille: sometimes(300, 300),
            torn_per_mille: sometimes(700, 1000),
            late_per_mille: sometimes(500, 1000),
            ambush_per_mille: sometimes(400, 500),
            client_death_per_mille: sometimes(600, 200),
            ambush_behind_per_mille: at_times(600, 500),
            straggler_per_mille: at_times(500, 600),
            zombie_per_mille: at_times(800, 9) * 100,
            impatience_per_mille: at_times(500, 100),
            stray_per_mille: at_times(600, 200),
        }
    }
}

impl Swarm {
    /// The shape that `seed` stands for.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::stream(seed, "swarm");
        let brokers = random.between(3, 5) as usize;
        let replication_factor = if random.per_mille(850) { 3 } else { random.between(2, brokers as u64) as i32 };
        let min_isr = match random.below(10) {
            0 | 1 => 1,
            2 => replication_factor.min(3),
            _ => 2.min(replication_factor),
        };
        let session_timeout_ms = random.log_between(200, 3_000);
        let mut durability = Random::stream(seed, "power");
        let mut conduct = Random::stream(seed, "conduct");
        let mut swarm = Self {
            flush_before_ack: durability.per_mille(crate::number("SIM_FLUSH_BEFORE_ACK").unwrap_or(0)),
            commit_delay_ms: durability.log_between(1, 300),
            brokers,
            partitions: if random.per_mille(250) { 2 } else { 1 },
            replication_factor,
            min_isr,
            session_timeout_ms,
            grace_ms: random.between(10, session_timeout_ms),
            lag_time_max_ms: random.log_between(100, 4_000),
            fetch_wait_max_ms: random.log_between(10, 300),
            request_timeout_ms: random.log_between(100, 2_000),
            flush_interval_ms: random.log_between(50, 5_000),
            segment_bytes: random.log_between(400, 50_000),
            idempotent_producers: random.between(1, 2) as usize,
            plain_producers: random.between(0, 2) as usize,
            consumers: random.between(1, 2) as usize,
            send_interval_ms: random.log_between(2, 200),
            in_flight_max: random.between(1, 5) as usize,
            rates: Rates::draw(&mut random, &mut conduct),
            value_bytes: if random.per_mille(600) { 24 } else { random.log_between(24, 2_000) },
            transactional_producers: random.below(4).saturating_sub(1) as usize,
            transaction_timeout_ms: random.log_between(300, 10_000),
            group_members: if random.per_mille(600) { 0 } else { random.between(2, 3) as usize },
            group_session_timeout_ms: random.log_between(300, 5_000),
            processes: false,
            deletes_per_mille: 0,
        };
        let mut processing = Random::stream(seed, "processing");
        if processing.per_mille(250) {
            swarm.processes = true;
            swarm.group_members = processing.between(1, 3) as usize;
            // Each transaction takes many messages: what else goes on leaves them room, and nobody waits for long.
            (swarm.idempotent_producers, swarm.plain_producers) = (1, 0);
            swarm.send_interval_ms = processing.log_between(20, 200);
            swarm.group_session_timeout_ms = processing.log_between(300, 1_500);
            swarm.request_timeout_ms = swarm.request_timeout_ms.min(400);
        }
        let mut deleting = Random::stream(seed, "deleting");
        if deleting.per_mille(250) {
            swarm.delete_records(&mut deleting);
        }
        // A transaction or a group of one partition shows little.
        if conduct.per_mille(500) && (swarm.has_transactions() || swarm.group_members > 0) {
            swarm.partitions = 2;
        }
        // Who waits for an acknowledgement waits longer than the two syncs that it takes: retries of what is merely
        // not on disk yet would be all that a cluster gets done.
        swarm.commit_delay_ms = swarm.commit_delay_ms.min(swarm.request_timeout_ms / 5);
        // A batch of three records must fit into a segment, and so must what a coordinator writes.
        // A record of a group holds all that are about to join it.
        let largest_bytes = if swarm.group_members > 0 { 5_000 } else { 600 };
        swarm.segment_bytes = swarm.segment_bytes.max(3 * (swarm.value_bytes + 50) + 100).max(largest_bytes);
        swarm
    }

    /// Leaders delete records. Whoever copies what is left of such a log learns nothing of producers whose records are
    /// all gone, as in Kafka: these send one batch at a time here, and nothing that comes late or twice. Groups begin
    /// where they were, which must be there.
    fn delete_records(&mut self, random: &mut Random) {
        self.deletes_per_mille = random.log_between(20, 500);
        (self.in_flight_max, self.group_members, self.processes) = (1, 0, false);
        self.rates = Rates {
            duplicate_per_mille: 0,
            hold_per_mille: 0,
            late_per_mille: 0,
            client_death_per_mille: 0,
            straggler_per_mille: 0,
            zombie_per_mille: 0,
            impatience_per_mille: 0,
            ..self.rates.clone()
        };
    }

    /// True when anybody writes in transactions.
    pub fn has_transactions(&self) -> bool {
        self.transactional_producers > 0 || self.processes
    }

    /// The partition that keeps what the coordinator of transactions knows; clients write to those before it.
    pub fn transaction_partition(&self) -> i32 {
        self.partitions
    }

    /// All partitions.
    pub fn partitions_in_all(&self) -> usize {
        self.group_partition() as usize + usize::from(self.group_members > 0)
    }

    /// The partition that keeps what the coordinator of the group knows.
    pub fn group_partition(&self) -> i32 {
        self.partitions + i32::from(self.has_transactions())
    }

    /// Between two heartbeats, as Kafka's defaults relate.
    pub fn heartbeat_ms(&self) -> u64 {
        (self.session_timeout_ms / 6).max(10)
    }
}

/// A fault that hits a node, a link or the quorum. Nodes are numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// SIGKILL, and a start after `down_ms`.
    Kill { node: usize, down_ms: u64 },
    /// The power fails: what was not synced is gone, or torn. As a kill when that would be one loss too many.
    PowerLoss { node: usize, down_ms: u64, tear: u64 },
    /// The node stops at its n-th operation on the disk from now on, in the midst of whatever it does.
    CutAtOperation { node: usize, operations: u64, power: bool, down_ms: u64, tear: u64 },
    /// All threads stand still.
    Pause { node: usize, ms: u64 },
    /// SIGTERM: a controlled shutdown and a start.
    Restart { node: usize, down_ms: u64 },
    /// The n-th sync or write from now on fails once.
    DiskError { node: usize, operations: u64 },
    /// The disk is full for one operation.
    DiskFull { node: usize, operations: u64 },
    /// A partition: nodes in `side` (a bit each, the quorum's is `QUORUM_BIT`) against all others.
    Partition { side: u32, ms: u64 },
    /// Nothing passes from one to the other; the way back is open.
    OneWay { from: usize, to: usize, ms: u64 },
    /// The node's messages take longer.
    Slow { node: usize, delay_ms: u64, ms: u64 },
    /// The node's clock runs at so many percent from now on, and its wall clock jumps.
    Clock { node: usize, percent: u64, jump_ms: i64 },
    /// Another voter leads the quorum; what was in flight is lost or has lost its answer. With `forgets` it has
    /// heard of no broker yet.
    QuorumFailover { stall_ms: u64, forgets: bool },
    /// An administrator asks for the preferred leaders.
    ElectPreferred,
    /// The quorum takes a broker for dead that is not.
    Fence { node: usize },
    /// SIGKILL, and a record that was not synced yet rots before the start.
    Rot { node: usize, choice: u64, down_ms: u64 },
    /// A partition moves to other brokers.
    Reassign { choice: u64 },
    /// Such a move is given up, if one is under way.
    CancelReassignment { choice: u64 },
}

/// The kinds by name, in the order of their weights.
pub const FAULT_NAMES: [&str; 17] = [
    "kill",
    "power loss",
    "cut at a disk operation",
    "pause",
    "controlled restart",
    "disk error",
    "disk full",
    "partition",
    "one-way partition",
    "slow node",
    "clock",
    "quorum failover",
    "preferred election",
    "fencing of a live broker",
    "rot of an unsynced record",
    "reassignment",
    "reassignment given up",
];

impl FaultKind {
    /// Its place in [`FAULT_NAMES`].
    pub fn number(self) -> usize {
        match self {
            Self::Kill { .. } => 0,
            Self::PowerLoss { .. } => 1,
            Self::CutAtOperation { .. } => 2,
            Self::Pause { .. } => 3,
            Self::Restart { .. } => 4,
            Self::DiskError { .. } => 5,
            Self::DiskFull { .. } => 6,
            Self::Partition { .. } => 7,
            Self::OneWay { .. } => 8,
            Self::Slow { .. } => 9,
            Self::Clock { .. } => 10,
            Self::QuorumFailover { .. } => 11,
            Self::ElectPreferred => 12,
            Self::Fence { .. } => 13,
            Self::Rot { .. } => 14,
            Self::Reassign { .. } => 15,
            Self::CancelReassignment { .. } => 16,
        }
    }
}

/// The quorum's place among the addresses of links and partitions: after at most five brokers.
pub const QUORUM: usize = 5;

/// A fault and when it strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub at_ms: u64,
    pub kind: FaultKind,
}

/// The schedule of a seed. It depends on nothing that happens in the run, so that entries can be left out.
pub fn schedule(seed: u64, swarm: &Swarm) -> Vec<Fault> {
    let mut random = Random::stream(seed, "faults");
    let weights: Vec<u64> = FAULT_NAMES.iter().map(|_| [0, 0, 1, 1, 3, 8][random.index(6)]).collect();
    let mean_gap_ms = random.log_between(80, 4_000);
    let mut at_ms = 200;
    let mut faults = Vec::new();
    while faults.len() < 400 {
        at_ms += random.between(1, 2 * mean_gap_ms);
        let Some(number) = random.weighted(&weights) else { break };
        let burst = if random.per_mille(200) { random.between(2, 3) } else { 1 };
        for _ in 0..burst {
            faults.push(Fault { at_ms, kind: draw(number, &mut random, swarm) });
            at_ms += random.below(20);
        }
    }
    faults
}

fn draw(number: usize, random: &mut Random, swarm: &Swarm) -> FaultKind {
    let node = random.index(swarm.brokers);
    let long = 3 * swarm.session_timeout_ms.max(swarm.lag_time_max_ms);
    let ms = random.log_between(5, long);
    let tear = random.next();
    match number {
        0 => FaultKind::Kill { node, down_ms: ms },
        1 => FaultKind::PowerLoss { node, down_ms: ms, tear },
        2 => {
            let (operations, power) = (random.log_between(1, 60), random.per_mille(400));
            FaultKind::CutAtOperation { node, operations, power, down_ms: ms, tear }
        }
        3 => FaultKind::Pause { node, ms },
        4 => FaultKind::Restart { node, down_ms: ms },
        5 => FaultKind::DiskError { node, operations: random.log_between(1, 60) },
        6 => FaultKind::DiskFull { node, operations: random.log_between(1, 60) },
        7 => {
            // The quorum stands on either side, and sometimes apart from everybody.
            let side = random.below(1 << (swarm.brokers + 1)) as u32;
            let brokers = side & ((1 << swarm.brokers) - 1);
            let quorum = (side >> swarm.brokers) << QUORUM;
            FaultKind::Partition { side: brokers | quorum, ms }
        }
        8 => {
            let place = |at: usize| if at == swarm.brokers { QUORUM } else { at };
            let (from, to) = (random.index(swarm.brokers + 1), random.index(swarm.brokers + 1));
            FaultKind::OneWay { from: place(from), to: place(to), ms }
        }
        9 => FaultKind::Slow { node, delay_ms: random.log_between(10, 800), ms: ms * 3 },
        10 => {
            let jump_ms = random.below(7_200_000) as i64 - 3_600_000;
            FaultKind::Clock { node, percent: random.log_between(50, 300), jump_ms }
        }
        11 => FaultKind::QuorumFailover { stall_ms: ms, forgets: random.per_mille(300) },
        12 => FaultKind::ElectPreferred,
        13 => FaultKind::Fence { node },
        15 => FaultKind::Reassign { choice: tear },
        16 => FaultKind::CancelReassignment { choice: tear },
        _ => FaultKind::Rot { node, choice: tear, down_ms: ms },
    }
}
