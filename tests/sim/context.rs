//! What all nodes share: virtual time, the queue of what will happen, the network, the oracle, and the record of it.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::message::{Address, Message};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::swarm::{QUORUM, Rates, Swarm};

/// How many lines of the trace are kept.
const TRACE_LINES: usize = 3000;
/// Places in tables of links: five brokers, the quorum, clients.
const PLACES: usize = QUORUM + 1 + 12;

/// Something that happens at its time.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message arrives. The lives are those of sender and receiver when it was sent: a connection ends with either.
    Deliver { from: Address, to: Address, lives: (u32, u32), message: Message },
    /// A node's own timer; it ends with the process.
    Timer { node: Address, life: u32, timer: Timer },
    /// The fault with this number in the schedule.
    Fault(usize),
    /// The end of a fault that lasts.
    Relief(Relief),
    /// A broker ends in the midst of something that it has just begun; with `power`, its disk forgets.
    Ambush { node: usize, power: bool, down_ms: u64, tear: u64 },
}

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    Start,
    Heartbeat,
    Command { request: u64 },
    Flush,
    LagTick,
    FetchTimeout { partition: i32, request: u64 },
    FetchSoon { partition: i32 },
    ParkedFetch { partition: i32, ticket: u64 },
    AckTimeout { partition: i32, ticket: u64 },
    ProposalRetry { partition: i32, request: u64 },
    Apply,
    PutOnDisk { partition: i32 },
    Liveness,
    Commit { entry: u64 },
    Send,
    ClientTimeout { request: u64 },
    JoinTimeout { request: u64 },
    TransactionTimeouts { partition: i32 },
    Markers { id: u64 },
    GroupTimers { partition: i32 },
}

/// What a fault that lasts leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relief {
    Partition { side: u32 },
    OneWay { from: usize, to: usize },
    Slow { node: usize, delay_ms: u64 },
}

struct Scheduled {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first: the earliest, and of those the first that was scheduled.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// What befell the messages.
pub const MESSAGE_FAULTS: [&str; 20] = [
    "message delayed",
    "message dropped",
    "message duplicated",
    "message held",
    "message cut off by a partition",
    "message to a dead process",
    "proposal lost",
    "reply of the quorum lost",
    "proposal doubled",
    "torn write at a power loss",
    "unsynced write lost at a power loss",
    "message of an earlier life",
    "ambush of a joining replica",
    "ambush behind a decision or a failed write",
    "late copy of a message of a transaction",
    "producer that goes on beside its successor",
    "request of an earlier generation",
    "records deleted from the beginning of a log",
    "log that begins anew where its leader's begins",
    "consumer sent on to where the log begins",
];

/// Places in [`MESSAGE_FAULTS`].
pub mod count {
    pub const DELAYED: usize = 0;
    pub const DROPPED: usize = 1;
    pub const DUPLICATED: usize = 2;
    pub const HELD: usize = 3;
    pub const CUT_OFF: usize = 4;
    pub const TO_THE_DEAD: usize = 5;
    pub const PROPOSAL_LOST: usize = 6;
    pub const REPLY_LOST: usize = 7;
    pub const PROPOSAL_DOUBLED: usize = 8;
    pub const TORN: usize = 9;
    pub const UNSYNCED_LOST: usize = 10;
    pub const EARLIER_LIFE: usize = 11;
    pub const AMBUSH: usize = 12;
    pub const AMBUSH_BEHIND: usize = 13;
    pub const STRAGGLER: usize = 14;
    pub const ZOMBIE: usize = 15;
    pub const STRAY: usize = 16;
    pub const DELETED: usize = 17;
    pub const BEGUN_ANEW: usize = 18;
    pub const SENT_ON: usize = 19;
}

/// The world around a node.
pub struct Context {
    pub now: u64,
    pub steps: u64,
    pub swarm: Swarm,
    pub rates: Rates,
    pub oracle: Oracle,
    pub random: Random,
    pub message_faults: [u64; MESSAGE_FAULTS.len()],
    /// Which life of each broker runs; 0 while it is down.
    pub lives: [u32; QUORUM],
    pub healing: bool,
    /// Requests to write markers that their coordinators still wait for.
    pub awaited_markers: BTreeSet<u64>,
    network: Random,
    ghosts: Random,
    pub deleting: Random,
    queue: BinaryHeap<Scheduled>,
    sequence: u64,
    requests: u64,
    /// How many faults cut each link.
    cut: [[u8; PLACES]; PLACES],
    slow_ms: [u64; PLACES],
    trace_hash: u64,
    lines: Option<VecDeque<String>>,
}

impl Context {
    pub fn new(seed: u64, swarm: Swarm, traced: bool) -> Self {
        Self {
            now: 0,
            steps: 0,
            rates: swarm.rates.clone(),
            oracle: Oracle::new(&swarm),
            swarm,
            random: Random::stream(seed, "nodes"),
            message_faults: [0; MESSAGE_FAULTS.len()],
            awaited_markers: BTreeSet::new(),
            lives: [0; QUORUM],
            healing: false,
            network: Random::stream(seed, "network"),
            ghosts: Random::stream(seed, "ghosts"),
            deleting: Random::stream(seed, "deletions"),
            queue: BinaryHeap::new(),
            sequence: 0,
            requests: 0,
            cut: [[0; PLACES]; PLACES],
            slow_ms: [0; PLACES],
            trace_hash: seed,
            lines: traced.then(VecDeque::new),
        }
    }

    /// An id that no other request has.
    pub fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    pub fn schedule(&mut self, after_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Scheduled { at: self.now + after_ms, sequence: self.sequence, event });
    }

    pub fn timer(&mut self, node: Address, after_ms: u64, timer: Timer) {
        let life = self.life_of(node);
        self.schedule(after_ms, Event::Timer { node, life, timer });
    }

    fn life_of(&self, node: Address) -> u32 {
        match node {
            Address::Broker(number) => self.lives[number],
            Address::Quorum | Address::Client(_) => 0,
        }
    }

    /// The next event, unless it was meant for a process that is gone. Time moves to it.
    pub fn next_event(&mut self) -> Option<Event> {
        let Scheduled { at, event, .. } = self.queue.pop()?;
        self.now = at;
        self.steps += 1;
        Some(event)
    }

    /// True when a message still arrives: the receiver lives. What a dead process has sent is under way for a while,
    /// and now and then, in the receiver's buffers, for longer than it takes to start another.
    pub fn is_connected(&mut self, from: Address, to: Address, lives: (u32, u32)) -> bool {
        if self.life_of(to) != lives.1 {
            return false;
        }
        let sender = self.life_of(from);
        let is_of_this_life = sender == lives.0 || sender == 0 || lives.0 == 0;
        let is_late = !is_of_this_life && self.ghosts.per_mille(self.rates.late_per_mille);
        self.message_faults[count::EARLIER_LIFE] += u64::from(is_late);
        is_of_this_life || is_late
    }

    /// True when the process that an event was meant for still runs.
    pub fn is_alive(&self, node: Address, life: u32) -> bool {
        self.life_of(node) == life
    }

    /// Sends a message through the network as the rates have it.
    pub fn send(&mut self, from: Address, to: Address, message: Message) {
        let lives = (self.life_of(from), self.life_of(to));
        let (source, target) = (from.place(), to.place());
        if message.may_straggle() && self.ghosts.per_mille(self.rates.straggler_per_mille) {
            self.message_faults[count::STRAGGLER] += 1;
            let delay = self.ghosts.log_between(10, 5_000);
            self.schedule(delay, Event::Deliver { from, to, lives, message: message.clone() });
        }
        if self.cut[source][target] > 0 {
            self.message_faults[count::CUT_OFF] += 1;
            return;
        }
        if self.network.per_mille(self.rates.drop_per_mille) {
            self.message_faults[count::DROPPED] += 1;
            return;
        }
        let copies = if self.network.per_mille(self.rates.duplicate_per_mille) && !message.is_fragile() {
            self.message_faults[count::DUPLICATED] += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut delay = self.slow_ms[source] + self.slow_ms[target];
            if self.rates.delay_max_ms > 0 {
                let drawn = self.network.below(self.rates.delay_max_ms + 1);
                self.message_faults[count::DELAYED] += u64::from(drawn > 5);
                delay += drawn;
            }
            if self.network.per_mille(self.rates.hold_per_mille) {
                self.message_faults[count::HELD] += 1;
                delay += self.network.below(self.rates.hold_max_ms + 1);
            }
            self.schedule(delay, Event::Deliver { from, to, lives, message: message.clone() });
        }
    }

    /// Sends a proposal for an ISR. At the rate of ambushes it is held up, and `joining` loses power meanwhile: if the
    /// proposal were taken for the next life's, it would count on what is gone (KIP-903).
    pub fn send_proposal(&mut self, from: Address, message: Message, joining: Option<usize>) {
        let Some(node) = joining.filter(|_| self.ghosts.per_mille(self.rates.ambush_per_mille)) else {
            return self.send(from, Address::Quorum, message);
        };
        self.message_faults[count::AMBUSH] += 1;
        let lives = (self.life_of(from), 0);
        let held_ms = self.ghosts.log_between(20, 4_000);
        let (down_ms, tear) = (self.ghosts.log_between(1, 100), self.ghosts.next());
        let strikes_in_ms = self.ghosts.below(10);
        self.schedule(held_ms, Event::Deliver { from, to: Address::Quorum, lives, message });
        self.schedule(strikes_in_ms, Event::Ambush { node, power: true, down_ms, tear });
    }

    /// At the rate of ambushes, a broker is killed soon: what it has just begun stays as it is.
    pub fn maybe_ambush(&mut self, node: usize) {
        if self.ghosts.per_mille(self.rates.ambush_behind_per_mille) {
            self.message_faults[count::AMBUSH_BEHIND] += 1;
            let (strikes_in_ms, down_ms) = (self.ghosts.log_between(1, 200), self.ghosts.log_between(1, 3_000));
            self.schedule(strikes_in_ms, Event::Ambush { node, power: false, down_ms, tear: 0 });
        }
    }

    /// A delay of the feed to one node.
    pub fn feed_delay(&mut self) -> u64 {
        self.network.below(self.rates.feed_delay_max_ms + 1)
    }

    /// Cuts or restores all links between the nodes in `side` and the others, brokers and quorum.
    pub fn cut_sides(&mut self, side: u32, cut: bool) {
        for from in 0..=QUORUM {
            for to in 0..=QUORUM {
                if (side >> from) & 1 != (side >> to) & 1 {
                    self.cut_link(from, to, cut);
                }
            }
        }
    }

    /// Cuts or restores one direction.
    pub fn cut_link(&mut self, from: usize, to: usize, cut: bool) {
        let link = &mut self.cut[from][to];
        *link = if cut { *link + 1 } else { link.saturating_sub(1) };
    }

    /// Adds to (or takes from) what a node's messages need.
    pub fn slow(&mut self, node: usize, delay_ms: u64, slow: bool) {
        let present = &mut self.slow_ms[node];
        *present = if slow { *present + delay_ms } else { present.saturating_sub(delay_ms) };
    }

    /// Ends all faults of links.
    pub fn heal_links(&mut self) {
        self.cut = [[0; PLACES]; PLACES];
        self.slow_ms = [0; PLACES];
        self.rates = Rates::healthy();
        self.healing = true;
    }

    /// The hash over all that happened: two runs of one seed have the same.
    pub fn trace_hash(&self) -> u64 {
        self.trace_hash
    }

    /// Mixes numbers into the hash of the trace.
    pub fn mix(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.trace_hash = (self.trace_hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            if lines.len() == TRACE_LINES {
                lines.pop_front();
            }
            lines.push_back(format!("{:>6} {:>7} ms  {}", self.steps, self.now, line()));
        }
    }

    /// The last lines of the trace.
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().flatten()
    }
}
