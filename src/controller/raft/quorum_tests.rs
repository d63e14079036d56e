//! Real Raft machines with the real stores, over a network that cuts, loses, delays and repeats, on disks that lose
//! their power in the midst of an operation.
//!
//! A seed draws the faults; openraft's own timers are not ours to draw, so a run is not the same each time. What must
//! hold does not depend on time: one leader per term (D1), what was acknowledged is there for ever (D2), and images of
//! one index are equal (D3). In the end all machines must agree, however long that takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{Config, OptionalSend, Raft, RaftLogReader, ServerState, SnapshotPolicy};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::log_store::LogStore;
use super::quorum::newest_state;
use super::snapshot::{Snapshot, SnapshotStore};
use super::state_machine::StateMachine;
use super::store_tests::{directory, disk};
use super::types::{Applied, Entry, MetadataBatch, MetadataRaft, RaftId, Vote, Voter};
use crate::controller::error::FaultReport;
use crate::controller::feed::AppliedMetadata;
use crate::log::{Fault, SimDisk};
use crate::metadata::ClusterImage;
use crate::model::Uuid;
use crate::rpc::metadata::{FeatureLevelRecord, MetadataRecord};

const MACHINES: RaftId = 3;
const ROUNDS: usize = 12;
/// Few, so that machines that come back need a snapshot, and logs are purged all the time.
const ENTRIES_BETWEEN_SNAPSHOTS: u64 = 25;
/// For the end, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(180);

type RpcError = RPCError<RaftId, Voter, RaftError<RaftId>>;

/// A machine while it runs.
#[derive(Clone)]
struct Machine {
    raft: Raft<MetadataRaft>,
    log: LogStore<SimDisk>,
    snapshots: Arc<SnapshotStore<SimDisk>>,
    applied: AppliedMetadata,
}

/// Between all machines: who can be reached, and what gets lost.
struct Wires {
    machines: Mutex<BTreeMap<RaftId, Machine>>,
    /// Nothing that the first sends arrives at the second.
    cut: Mutex<BTreeSet<(RaftId, RaftId)>>,
    random: Mutex<StdRng>,
    /// Of a thousand messages, so many get lost.
    loss: Mutex<u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

impl Wires {
    fn below(&self, bound: u32) -> u32 {
        lock(&self.random).random_range(0..bound)
    }

    /// Waits for as long as a message takes; false when it does not arrive.
    async fn pass(&self, from: RaftId, to: RaftId) -> bool {
        tokio::time::sleep(Duration::from_micros(u64::from(self.below(3_000)))).await;
        !lock(&self.cut).contains(&(from, to)) && self.below(1_000) >= *lock(&self.loss)
    }

    fn machine(&self, id: RaftId) -> Option<Machine> {
        lock(&self.machines).get(&id).cloned()
    }

    fn all(&self) -> Vec<(RaftId, Machine)> {
        lock(&self.machines).iter().map(|(id, machine)| (*id, machine.clone())).collect()
    }

    fn isolate(&self, id: RaftId, inwards: bool, outwards: bool) {
        let mut cut = lock(&self.cut);
        for other in (0..MACHINES).filter(|other| *other != id) {
            cut.extend(inwards.then_some((other, id)));
            cut.extend(outwards.then_some((id, other)));
        }
    }

    fn heal(&self) {
        lock(&self.cut).clear();
        *lock(&self.loss) = 0;
    }
}

/// Makes the connections of one machine.
struct Dialler {
    wires: Arc<Wires>,
    from: RaftId,
}

struct Link {
    wires: Arc<Wires>,
    from: RaftId,
    to: RaftId,
}

impl RaftNetworkFactory<MetadataRaft> for Dialler {
    type Network = Link;

    async fn new_client(&mut self, target: RaftId, _: &Voter) -> Link {
        Link { wires: self.wires.clone(), from: self.from, to: target }
    }
}

fn lost() -> std::io::Error {
    std::io::Error::other("lost")
}

impl Link {
    /// The machine at the other end, once a message has got there.
    async fn reach(&self) -> Result<Machine, Unreachable> {
        let arrived = self.wires.pass(self.from, self.to).await;
        self.wires.machine(self.to).filter(|_| arrived).ok_or_else(|| Unreachable::new(&lost()))
    }

    /// Whether the answer gets back.
    async fn answered<T, E: std::error::Error + 'static>(&self, answer: Result<T, E>) -> Result<T, NetworkError> {
        let answer = answer.map_err(|error| NetworkError::new(&error))?;
        if self.wires.pass(self.to, self.from).await { Ok(answer) } else { Err(NetworkError::new(&lost())) }
    }
}

impl RaftNetwork<MetadataRaft> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<MetadataRaft>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RpcError> {
        let machine = self.reach().await?;
        if self.wires.below(20) == 0 {
            // A copy that stays in a buffer until others lead.
            let (wires, to, late) = (self.wires.clone(), self.to, request.clone());
            let delay = Duration::from_millis(u64::from(self.wires.below(400)));
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some(machine) = wires.machine(to) {
                    let _ = machine.raft.append_entries(late).await;
                }
            });
        }
        let answer = machine.raft.append_entries(request).await;
        Ok(self.answered(answer).await?)
    }

    async fn vote(&mut self, request: VoteRequest<RaftId>, _: RPCOption) -> Result<VoteResponse<RaftId>, RpcError> {
        let machine = self.reach().await?;
        let answer = machine.raft.vote(request).await;
        Ok(self.answered(answer).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<RaftId>, StreamingError<MetadataRaft, Fatal<RaftId>>> {
        let machine = self.reach().await?;
        let copy = || {
            let mut incoming = machine.snapshots.begin_receiving()?;
            let (file, mut position) = (&snapshot.snapshot, 0);
            while position < file.len() {
                let chunk = file.read(position, 64).map_err(|_| lost_controller())?;
                position += chunk.len() as u64;
                incoming.append(&chunk)?;
            }
            Ok::<_, crate::controller::error::ControllerError>(incoming.finish())
        };
        let file = copy().map_err(|error| NetworkError::new(&error))?;
        let arrived = Snapshot { meta: snapshot.meta, snapshot: Box::new(file) };
        let answer = machine.raft.install_full_snapshot(vote, arrived).await;
        Ok(self.answered(answer).await?)
    }
}

fn lost_controller() -> crate::controller::error::ControllerError {
    crate::controller::error::ControllerError::Raft("lost".to_owned())
}

fn config() -> Arc<Config> {
    let config = Config {
        heartbeat_interval: 20,
        election_timeout_min: 80,
        election_timeout_max: 200,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_BETWEEN_SNAPSHOTS),
        replication_lag_threshold: 2 * ENTRIES_BETWEEN_SNAPSHOTS,
        max_in_snapshot_log_to_keep: 5,
        ..Config::default()
    };
    Arc::new(config.validate().expect("the configuration holds"))
}

/// What has been seen of all machines, at any time.
#[derive(Default)]
struct Seen {
    /// By term.
    leaders: HashMap<u64, RaftId>,
    /// What an image holds, by its index.
    images: HashMap<i64, u64>,
    /// Names of records that were acknowledged.
    acknowledged: Vec<String>,
}

impl Seen {
    fn look(&mut self, id: RaftId, machine: &Machine) {
        let metrics = machine.raft.metrics().borrow().clone();
        if metrics.state == ServerState::Leader {
            let leader = *self.leaders.entry(metrics.vote.leader_id.term).or_insert(id);
            assert_eq!(leader, id, "D1: two lead in term {}", metrics.vote.leader_id.term);
        }
        let image = machine.applied.image();
        let digest = digest(&image);
        let known = *self.images.entry(image.applied_index()).or_insert(digest);
        assert_eq!(known, digest, "D3: two images of index {}", image.applied_index());
    }
}

fn digest(image: &ClusterImage) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.features().for_each(|feature| feature.hash(&mut hasher));
    hasher.finish()
}

/// The machines' disks, and the machines that run on them.
struct Cluster {
    wires: Arc<Wires>,
    disks: Vec<SimDisk>,
    seen: Arc<Mutex<Seen>>,
    random: StdRng,
}

impl Cluster {
    async fn new(seed: u64) -> Self {
        let wires = Arc::new(Wires {
            machines: Mutex::default(),
            cut: Mutex::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            loss: Mutex::new(0),
        });
        let disks = (0..MACHINES).map(|_| disk()).collect();
        let mut cluster =
            Self { wires, disks, seen: Arc::default(), random: StdRng::seed_from_u64(seed.wrapping_mul(31)) };
        for id in 0..MACHINES {
            cluster.start(id).await;
        }
        let voter = |id: RaftId| Voter {
            node_id: id as i32,
            directory_id: Uuid([id as u8 + 1; 16]),
            host: "nowhere".to_owned(),
            port: 1,
        };
        let voters: BTreeMap<_, _> = (0..MACHINES).map(|id| (id, voter(id))).collect();
        let first = cluster.wires.machine(0).expect("it was just started");
        first.raft.initialize(voters).await.expect("a blank machine forms a quorum");
        cluster
    }

    /// Opens what the disk holds and runs a machine on it.
    async fn start(&mut self, id: RaftId) {
        let disk = &self.disks[id as usize];
        let log = LogStore::open(disk.clone(), &directory(), id, FaultReport::default())
            .unwrap_or_else(|error| panic!("D2: the log of machine {id} does not open: {error}"));
        let snapshots = Arc::new(SnapshotStore::open(disk.clone(), directory()).expect("the snapshots open"));
        let state = newest_state(None, &snapshots, &log).expect("D2: the newest snapshot can be read");
        let machine = StateMachine::new(state, snapshots.clone(), None);
        let applied = machine.applied();
        let dialler = Dialler { wires: self.wires.clone(), from: id };
        let raft = Raft::new(id, config(), dialler, log.clone(), machine).await.expect("the machine starts");
        lock(&self.wires.machines).insert(id, Machine { raft, log, snapshots, applied });
    }

    /// Ends a machine in the midst of one of its next operations on disk; with its power, or as a kill would.
    async fn strike(&mut self, id: RaftId, power: bool) {
        let Some(machine) = self.wires.machine(id) else { return };
        let disk = self.disks[id as usize].clone();
        disk.fail_at(disk.operations() + self.random.random_range(0..12), Fault::Cut);
        tokio::time::sleep(Duration::from_millis(self.random.random_range(20..150))).await;
        // Where it wrote nothing meanwhile, it ends between two operations.
        disk.fail_at(disk.operations(), Fault::Cut);
        lock(&self.wires.machines).remove(&id);
        let _ = machine.raft.shutdown().await;
        machine.log.close();
        if power {
            disk.crash(Some(self.random.random_range(0..u64::MAX)));
        } else {
            disk.kill();
        }
    }

    async fn round(&mut self) {
        let (one, other) = (self.random.random_range(0..MACHINES), self.random.random_range(0..MACHINES));
        let mut struck = Vec::new();
        match self.random.random_range(0..8) {
            0 => self.wires.isolate(one, true, true),
            1 => self.wires.isolate(one, true, false),
            2 => self.wires.isolate(one, false, true),
            3 => *lock(&self.wires.loss) = 300,
            4 => struck = vec![(one, true)],
            5 => struck = vec![(one, false), (other, true)],
            6 => struck = (0..MACHINES).map(|id| (id, true)).collect(),
            _ => {
                self.wires.isolate(one, true, true);
                struck = vec![(other, true)];
            }
        }
        for (id, power) in &struck {
            self.strike(*id, *power).await;
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(50..400))).await;
        for id in 0..MACHINES {
            if self.wires.machine(id).is_none() {
                self.start(id).await;
            }
        }
        if self.random.random_bool(0.7) {
            self.wires.heal();
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(0..400))).await;
    }

    /// Waits until all have the same image, which holds something proposed after the last fault.
    async fn converge(&self) {
        self.wires.heal();
        let before = lock(&self.seen).acknowledged.len();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let indexes: BTreeSet<i64> =
                self.wires.all().iter().map(|(_, machine)| machine.applied.image().applied_index()).collect();
            if lock(&self.seen).acknowledged.len() > before + 5 && indexes.len() == 1 {
                return;
            }
            assert!(Instant::now() < deadline, "F3: the machines do not agree: {indexes:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What was acknowledged is in every image, and logs agree wherever they overlap.
    async fn check(&self) {
        let acknowledged = lock(&self.seen).acknowledged.clone();
        let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
        for (id, mut machine) in self.wires.all() {
            let image = machine.applied.image();
            for name in &acknowledged {
                assert_eq!(image.feature_level(name), 1, "D2: {name} was acknowledged and is not on machine {id}");
            }
            for entry in machine.log.try_get_log_entries(0..).await.expect("the log can be read") {
                let known = entries.entry(entry.log_id.index).or_insert_with(|| entry.clone());
                assert_eq!(*known, entry, "two entries at one index");
            }
        }
    }
}

/// Proposes without end to whoever leads, and looks at everybody.
async fn propose(wires: Arc<Wires>, seen: Arc<Mutex<Seen>>) {
    for number in 0_u64.. {
        let mut leader = None;
        for (id, machine) in wires.all() {
            lock(&seen).look(id, &machine);
            if machine.raft.metrics().borrow().state == ServerState::Leader {
                leader = Some(machine);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        let Some(machine) = leader else { continue };
        let name = format!("record-{number}");
        let record: MetadataRecord = FeatureLevelRecord { name: name.clone(), level: 1 }.into();
        let base_index = machine.applied.image().applied_index();
        let batch = MetadataBatch { base_index, records: vec![record.encode_to_vec().into()] };
        let proposed = tokio::time::timeout(Duration::from_millis(300), machine.raft.client_write(batch)).await;
        if let Ok(Ok(response)) = proposed
            && response.data == Applied::Replayed
        {
            lock(&seen).acknowledged.push(name);
        }
    }
}

async fn live(seed: u64) {
    let mut cluster = Cluster::new(seed).await;
    let proposer = tokio::spawn(propose(cluster.wires.clone(), cluster.seen.clone()));
    for _ in 0..ROUNDS {
        cluster.round().await;
        assert!(!proposer.is_finished(), "seed {seed}: see above");
    }
    cluster.converge().await;
    proposer.abort();
    assert!(proposer.await.is_err_and(|error| error.is_cancelled()), "seed {seed}: see above");
    cluster.check().await;
    for (_, machine) in cluster.wires.all() {
        machine.raft.shutdown().await.expect("the machine ends in order");
        machine.log.close();
    }
}

#[test]
fn the_quorum_keeps_its_promises_through_cuts_kills_and_power_cuts() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = std::env::var("RAFT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let seeds: u64 = std::env::var("RAFT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2);
    for seed in first..first + seeds {
        runtime.block_on(live(seed));
    }
}
