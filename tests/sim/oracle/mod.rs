//! The oracle: what has really happened, and whether it may.
//!
//! It sees every append, truncation, election, acknowledgement and answer at the moment it happens, keeps a shadow of
//! every log and the one true history of each partition, and checks the invariants by their names. The first
//! violation ends the run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use ottla::metadata::{ClusterImage, PartitionImage};
use ottla::model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Uuid};
use ottla::record::BatchHeader;
use ottla::replication::{IsrProposal, Leader};
use ottla::rpc::metadata::{
    LeaderRecoveryState, MetadataCommand, MetadataReply, metadata_command::Kind, metadata_reply::Kind as Reply,
};

use crate::quorum::{broker_id, node_of};
use crate::swarm::Swarm;
use groups::Groups;
use offsets::Offsets;
use transactions::Transactions;

/// `check!(self, "A5", condition, "what {}", went_wrong)` counts the check and keeps the first failure.
macro_rules! check {
    ($oracle:expr, $name:literal, $holds:expr, $($what:tt)*) => {{
        $oracle.count($name);
        if !$holds {
            let what = format!($($what)*);
            $oracle.fail($name, what);
        }
    }};
}

mod clients;
mod deletions;
mod groups;
mod metadata;
mod offsets;
mod replicas;
mod transactions;

/// What tells a batch from all others, wherever it lies: its CRC, and a hash of what else is the same everywhere. Two
/// among a run's thousands of batches share a CRC now and then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchId {
    crc: u32,
    rest: u64,
}

impl BatchId {
    pub fn of(header: &BatchHeader) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let BatchHeader { crc, batch_length, max_timestamp, producer_id, base_sequence, record_count, .. } = *header;
        let mut hasher = DefaultHasher::new();
        (batch_length, max_timestamp, producer_id.0, base_sequence, record_count).hash(&mut hasher);
        Self { crc, rest: hasher.finish() }
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.crc)
    }
}

/// One record as the oracle knows it: the epoch it was appended in, its batch, and its place there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub epoch: LeaderEpoch,
    pub batch: BatchId,
    pub delta: u16,
}

/// The records of a batch.
pub fn entries_of(header: &BatchHeader) -> impl Iterator<Item = Entry> + use<> {
    let (epoch, batch) = (header.partition_leader_epoch, BatchId::of(header));
    (0..header.record_count as u16).map(move |delta| Entry { epoch, batch, delta })
}

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

/// The checks, by the invariants' names. Each must have been made in a run of many seeds.
pub const CHECKS: [(&str, &str); 37] = [
    ("A1", "an acknowledged record is committed where it was acknowledged"),
    ("A2", "one value per committed offset, in the leader's log and for every reader"),
    ("A3", "one content per offset and leader epoch, above the high watermark too"),
    ("A4", "offsets follow real time"),
    ("A5", "the high watermark rises only over what all of the maximal ISR hold, with the minimum in it"),
    ("A6", "a leader begins with everything committed"),
    ("A7", "every member of ISR and ELR holds everything committed"),
    ("A8", "the leader's maximal ISR holds the controller's ISR and ELR"),
    ("A9", "one leader per leader epoch"),
    ("A10", "epochs rise; an ISR is decided on the epochs it was proposed on"),
    ("A11", "logs agree below their high watermarks"),
    ("A12", "who may have lost its tail is in no ISR or ELR until it has caught up"),
    ("A13", "the latest offset a client is told never goes back"),
    ("A14", "the ISR is joined by living members only, and left only after the lag time"),
    ("A15", "the rules of ISR, ELR and leader in the image"),
    ("A16", "a refused record is in no log"),
    ("A17", "no truncation takes committed records"),
    ("A20", "replicas go only with a new leader epoch; a reassignment ends with all that it added in sync"),
    ("B1", "each sequence number of a producer once, without a gap"),
    ("B2", "readers of committed records see no aborted or open transaction, and all of the committed ones"),
    ("B3", "a transaction ends the same way everywhere, and as its producer was told"),
    (
        "B2/C1",
        "a member is told the offset of a committed transaction, the last one before its generation or a later one",
    ),
    ("B3/C1", "each committed transaction has consumed what the one before it left, and moves the group's offset"),
    ("C2/B3", "offsets in transactions of the current generation alone"),
    ("B4", "no record of a transaction behind its end"),
    ("B5", "once healed, no transaction stays open"),
    ("B6", "nothing of a producer's earlier epoch after a later one has begun"),
    ("B7", "a transaction's end is committed before its markers are written, and stands"),
    ("B8", "a producer hears of one end of its transaction"),
    ("C1", "an acknowledged commit of an offset is committed"),
    ("C2", "commits of the current generation alone"),
    ("C3", "one owner of a partition in a generation"),
    ("C4", "a coordinator finds the offset that its log says"),
    ("D3", "images at one index are equal"),
    ("D5", "broker epochs are the index of the registration, and rise"),
    ("D7", "nobody leads or appends before its own registration is applied"),
    ("F3", "once healed, the cluster converges"),
];

/// A replica's log as it should be.
#[derive(Clone, Debug, Default)]
struct Shadow {
    entries: Vec<Entry>,
    high_watermark: Offset,
    /// How far it has been synced.
    flushed: Offset,
    /// The broker epoch of the life that opened it; −1 while it is closed.
    broker_epoch: i64,
    /// The epoch of the life that opened it last.
    last_epoch: i64,
    /// The power failed since then, or a sync did.
    lost: bool,
    /// The power failed since it was last opened: nobody knows what is left.
    unknown: bool,
    /// It was deleted when the metadata had got to this leader epoch, which no longer counted it a replica.
    given_up: Option<LeaderEpoch>,
}

#[derive(Clone, Debug)]
struct Produced {
    /// Producer id, epoch and first sequence number; −1 for none.
    producer: (i64, i16, i32),
    partition: i32,
    /// The highest acknowledged offset when the producer was asked to send it.
    acked_before: Offset,
    refused: bool,
    appended: bool,
}

pub struct Oracle {
    pub violation: Option<Violation>,
    pub checks: [u64; CHECKS.len()],
    /// By node and partition.
    shadows: Vec<Vec<Shadow>>,
    /// The true history of each partition: everything below the highest high watermark ever.
    committed: Vec<Vec<Entry>>,
    /// Every record ever appended, by partition and offset.
    written: Vec<Vec<Vec<Entry>>>,
    leaders: HashMap<(i32, LeaderEpoch), BrokerId>,
    produced: HashMap<BatchId, Produced>,
    /// The last committed sequence number, by producer id, its epoch, and partition.
    sequences: HashMap<(i64, i16, i32), i32>,
    /// The epoch of a producer's last committed batch, by producer id and partition.
    epochs: HashMap<(i64, i32), i16>,
    transactions: Transactions,
    groups: Groups,
    offsets: Offsets,
    /// The partition that keeps what the coordinator of the group knows.
    group_partition: i32,
    highest_acked: Vec<Offset>,
    /// How far leaders have deleted the records of each partition.
    deleted_to: Vec<Offset>,
    /// Batches whose producers have their answer.
    answered: HashSet<BatchId>,
    pub records_acked: u64,
    image: ClusterImage,
    image_hashes: BTreeMap<i64, u64>,
    /// Replicas whose log may lack what they acknowledged, until they are in sync again, by node and partition.
    lost_tail: Vec<Vec<bool>>,
    /// The life of each broker's process, while there is one.
    lives: Vec<Option<u64>>,
    /// Brokers that may come to lose it at any operation on their disk.
    armed: Vec<bool>,
    /// A command that moves a partition is neither committed nor refused yet.
    move_under_way: bool,
    /// When a follower was at its leader's end, by the leader's clock: partition, epoch, follower.
    caught_up: HashMap<(i32, LeaderEpoch, BrokerId), u64>,
    /// Elections of a last known leader (A18).
    pub unclean_elections: u64,
    min_isr: usize,
    lag_time_max_ms: u64,
    /// Records count when they are on the disk (`flush.before.ack`).
    flush_before_ack: bool,
}

impl Oracle {
    pub fn new(swarm: &Swarm) -> Self {
        let partitions = swarm.partitions_in_all();
        Self {
            violation: None,
            checks: [0; CHECKS.len()],
            shadows: vec![
                vec![Shadow { broker_epoch: -1, last_epoch: -1, ..Shadow::default() }; partitions];
                swarm.brokers
            ],
            committed: vec![Vec::new(); partitions],
            written: vec![Vec::new(); partitions],
            leaders: HashMap::new(),
            produced: HashMap::new(),
            sequences: HashMap::new(),
            epochs: HashMap::new(),
            transactions: Transactions::default(),
            groups: Groups::default(),
            offsets: Offsets::default(),
            group_partition: swarm.group_partition(),
            highest_acked: vec![-1; partitions],
            deleted_to: vec![0; partitions],
            answered: HashSet::new(),
            records_acked: 0,
            image: ClusterImage::default(),
            image_hashes: BTreeMap::new(),
            lost_tail: vec![vec![false; partitions]; swarm.brokers],
            lives: vec![None; swarm.brokers],
            armed: vec![false; swarm.brokers],
            move_under_way: false,
            caught_up: HashMap::new(),
            unclean_elections: 0,
            min_isr: swarm.min_isr as usize,
            lag_time_max_ms: swarm.lag_time_max_ms,
            flush_before_ack: swarm.flush_before_ack,
        }
    }

    pub fn fail(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what });
        }
    }

    fn count(&mut self, name: &str) {
        if let Some(at) = CHECKS.iter().position(|(check, _)| *check == name) {
            self.checks[at] += 1;
        }
    }

    /// How far the partition is committed.
    pub fn committed_end(&self, partition: i32) -> Offset {
        self.committed[partition as usize].len() as Offset
    }

    pub fn committed_total(&self) -> usize {
        self.committed.iter().map(Vec::len).sum()
    }
}
