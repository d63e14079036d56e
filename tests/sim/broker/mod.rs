//! A broker: its disk, its lives, and how its replicas follow the metadata.
//!
//! Real are the disk's files (`DataDirectory`, `PartitionLog`, the markers of the last life), `LifecycleState` and
//! the image. What `node/`, `cluster/` and `partition/replicas.rs` do with tasks is done here with events.

mod control;
mod events;
mod lives;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ottla::cluster::LifecycleState;
use ottla::log::{
    CleanShutdown, DataDirectory, Disk, Fault as DiskFault, FilePool, LogConfig, LogError, PartitionLog, PastLife,
    RunMarker, SimDisk, StartMarker, VerificationGuard,
};
use ottla::metadata::{ClusterImage, ImageDelta, PartitionImage};
use ottla::model::{
    BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, StartNumber, TopicId, TopicPartition, Uuid, Wall,
};
use ottla::record::Batches;
use ottla::replication::{IsrMember, LeaderStart};
use ottla::rpc::metadata::{LeaderRecoveryState, MetadataReply, metadata_reply::Kind as Reply};

use crate::context::{Context, Timer, count};
use crate::coordination::{Coordinator, GroupCoordinator, leader_of, name};
use crate::message::{Address, ConsumedOffset, GroupAnswer, GroupAsk, Message, ProducedBatch, Transactional};
use crate::quorum::{Quorum, TOPIC, broker_id, register};
use crate::replica::{Me, Replica};

const DATA: &str = "/data";
/// Where in a batch the bytes begin whose damage is seen: behind base offset, length and leader epoch.
const PROTECTED_FROM: usize = 16;
/// Virtual wall time at the start.
const WALL_START_MS: i64 = 1_700_000_000_000;
/// How long a stopping broker waits to be let go.
const CONTROLLED_SHUTDOWN_MS: u64 = 5_000;

/// A process of a broker.
struct Process {
    lifecycle: LifecycleState,
    past: PastLife,
    start_number: StartNumber,
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
    /// Coordinates transactions while this broker leads the partition that keeps them.
    coordinator: Coordinator,
    /// The same for the group.
    groups: GroupCoordinator,
    /// What waits for the coordinator's word on its transaction, by the request that asks for it.
    joining: BTreeMap<u64, Joining>,
    stop_by: Option<u64>,
}

/// The first write of a transaction in a partition.
struct Joining {
    client: Address,
    request: u64,
    what: Joins,
    guard: VerificationGuard,
}

enum Joins {
    Batch { partition: i32, batch: Rc<ProducedBatch> },
    Offset(ConsumedOffset),
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

    /// Compares what lies on the disk with what the oracle saw.
    pub fn compare(&mut self, ctx: &mut Context) {
        let Some(process) = &self.process else { return };
        for (index, replica) in &process.replicas {
            match replica.entries() {
                Ok(entries) => ctx.oracle.compare(self.node, *index, replica.log_start_offset(), &entries),
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
fn flush(node: usize, process: &mut Process, ctx: &mut Context) -> Step {
    for (partition, replica) in &mut process.replicas {
        replica.log().flush()?;
        ctx.oracle.flushed(node, *partition, replica.recovery_point());
        let high_watermark = replica.high_watermark();
        process.directory.set_high_watermark(&TopicPartition::new(TOPIC, *partition), high_watermark);
    }
    process.directory.write_checkpoints()
}
