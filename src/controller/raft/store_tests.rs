//! The store against openraft's own suite, against power cuts at every write and sync, and against rot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{EntryPayload, RaftLogReader};
use prost::Message;
use tokio::runtime::Runtime;

use super::log_store::LogStore;
use super::snapshot::{AppliedState, SnapshotStore};
use super::state_machine::StateMachine;
use super::types::{Applied, Entry, MetadataBatch, MetadataRaft, StorageError, Vote, log_id};
use crate::controller::error::{ControllerError, FaultReport};
use crate::log::{Disk, Fault, SimDisk};
use crate::rpc::metadata::{FeatureLevelRecord, MetadataRecord};

const RAFT_ID: u64 = 42;

pub(super) fn directory() -> PathBuf {
    PathBuf::from("/data/__cluster_metadata-0")
}

/// A new disk with the folder that holds the directory.
pub(super) fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<LogStore<SimDisk>, ControllerError> {
    LogStore::open(disk.clone(), &directory(), RAFT_ID, FaultReport::default())
}

struct Builder;

impl StoreBuilder<MetadataRaft, LogStore<SimDisk>, StateMachine<SimDisk>> for Builder {
    async fn build(&self) -> Result<((), LogStore<SimDisk>, StateMachine<SimDisk>), StorageError> {
        let disk = disk();
        let log = open(&disk).unwrap();
        let snapshots = Arc::new(SnapshotStore::open(disk, directory()).unwrap());
        Ok(((), log, StateMachine::new(AppliedState::default(), snapshots, None)))
    }
}

#[test]
fn a_record_of_an_unknown_kind_stops_the_machine_and_a_stale_batch_changes_nothing() {
    let runtime = runtime();
    let ((), _log, mut machine) = runtime.block_on(Builder.build()).unwrap();
    let apply = |machine: &mut StateMachine<SimDisk>, index, base_index, records: Vec<Bytes>| {
        let payload = EntryPayload::Normal(MetadataBatch { base_index, records });
        runtime.block_on(machine.apply([Entry { log_id: log_id(1, index), payload }])).map_err(Box::new)
    };
    let known: MetadataRecord = FeatureLevelRecord { name: "f".to_owned(), level: 1 }.into();
    let known = Bytes::from(known.encode_to_vec());
    assert_eq!(apply(&mut machine, 1, 0, vec![known.clone()]).unwrap(), [Applied::Replayed]);
    assert_eq!(apply(&mut machine, 2, 0, vec![known.clone()]).unwrap(), [Applied::Superseded]);
    assert_eq!(machine.applied().image().applied_index(), 1);
    // Field 99, which no version knows yet, and bytes that are no message.
    for unknown in [&[0x9a, 0x06, 0x00][..], &[0xff][..]] {
        let refused = apply(&mut machine, 3, 1, vec![known.clone(), Bytes::copy_from_slice(unknown)]);
        assert!(refused.is_err(), "{unknown:?}");
        assert_eq!(machine.applied().image().applied_index(), 1, "nothing of the batch counts");
    }
}

#[test]
fn openrafts_suite_passes() {
    Suite::test_all(Builder).unwrap();
}

/// One thing a Raft machine asks of its store.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Votes in this term.
    Vote(u64),
    /// Appends entries of this term, in so many calls of which only the last is waited for.
    Append { term: u64, calls: u64 },
    /// Notes that everything is committed.
    Commit,
    /// Removes the last so many entries.
    Truncate(u64),
    /// Takes a snapshot at the last entry.
    Snapshot,
    /// Purges all but the last so many entries.
    Purge(u64),
    /// Installs a snapshot that is so many entries ahead, of this term: the log begins anew behind it.
    Install { term: u64, ahead: u64 },
}

const SCRIPT: &[Step] = &[
    Step::Vote(1),
    Step::Append { term: 1, calls: 1 },
    Step::Append { term: 1, calls: 3 },
    Step::Commit,
    Step::Append { term: 1, calls: 2 },
    Step::Truncate(2),
    Step::Vote(2),
    Step::Append { term: 2, calls: 1 },
    Step::Append { term: 2, calls: 1 },
    Step::Commit,
    Step::Snapshot,
    Step::Purge(2),
    Step::Append { term: 2, calls: 2 },
    Step::Commit,
    Step::Vote(3),
    Step::Snapshot,
    Step::Purge(0),
    Step::Append { term: 3, calls: 2 },
    Step::Commit,
    Step::Install { term: 3, ahead: 5 },
    Step::Append { term: 3, calls: 1 },
    Step::Commit,
];

/// What the store has promised, and what it was doing when the power went.
#[derive(Clone, Debug, Default)]
struct Promises {
    vote: Option<u64>,
    vote_under_way: Option<u64>,
    entries: BTreeMap<u64, Entry>,
    entries_under_way: BTreeMap<u64, Entry>,
    /// Entries from here on may be gone.
    truncating: Option<u64>,
    purged: Option<u64>,
    purging: Option<u64>,
    snapshot: Option<u64>,
    committed: Option<u64>,
}

impl Promises {
    fn next_index(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(index, _)| index + 1).max(self.purged.map_or(0, |index| index + 1))
    }
}

fn entry(term: u64, index: u64) -> Entry {
    // Some larger than a sector, so that they can be torn.
    let record = Bytes::from(vec![term as u8 ^ index as u8; if index.is_multiple_of(3) { 1_500 } else { 40 }]);
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Normal(MetadataBatch { base_index: 0, records: vec![record] }),
    }
}

/// Runs the script until the disk fails; what was promised by then.
fn run(disk: &SimDisk, runtime: &Runtime) -> Promises {
    let mut promises = Promises::default();
    let Ok(mut store) = open(disk) else { return promises };
    let Ok(snapshots) = SnapshotStore::open(disk.clone(), directory()) else { return promises };
    for step in SCRIPT {
        if carry_out(*step, &mut store, &snapshots, runtime, &mut promises).is_none() {
            break;
        }
    }
    store.close();
    promises
}

fn carry_out(
    step: Step,
    store: &mut LogStore<SimDisk>,
    snapshots: &SnapshotStore<SimDisk>,
    runtime: &Runtime,
    promises: &mut Promises,
) -> Option<()> {
    match step {
        Step::Vote(term) => {
            promises.vote_under_way = Some(term);
            runtime.block_on(store.save_vote(&Vote::new(term, RAFT_ID))).ok()?;
            promises.vote = promises.vote_under_way.take();
        }
        Step::Append { term, calls } => {
            let (done, outcomes) = mpsc::channel();
            for _ in 0..calls {
                let index = promises.next_index() + promises.entries_under_way.len() as u64;
                let entries: Vec<Entry> = (index..index + 2).map(|index| entry(term, index)).collect();
                promises.entries_under_way.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
                let done = done.clone();
                let end = index + 2;
                store.append_entries(entries, move |outcome| drop(done.send((end, outcome))));
            }
            for _ in 0..calls {
                let (end, outcome) = outcomes.recv().unwrap();
                outcome.ok()?;
                let later = promises.entries_under_way.split_off(&end);
                promises.entries.append(&mut std::mem::replace(&mut promises.entries_under_way, later));
            }
        }
        Step::Commit => {
            let last = promises.next_index() - 1;
            let term = promises.entries[&last].log_id.leader_id.term;
            promises.committed = Some(last);
            runtime.block_on(store.save_committed(Some(log_id(term, last)))).ok()?;
        }
        Step::Truncate(count) => {
            let index = promises.next_index() - count;
            promises.truncating = Some(index);
            runtime.block_on(store.truncate(log_id(1, index))).ok()?;
            promises.entries.split_off(&index);
            promises.truncating = None;
        }
        Step::Snapshot => {
            let last = promises.next_index() - 1;
            let last_log_id = Some(promises.entries[&last].log_id);
            snapshots.write(&AppliedState { last_log_id, ..AppliedState::default() }).ok()?;
            promises.snapshot = Some(last);
        }
        Step::Purge(kept) => {
            let index = promises.next_index() - 1 - kept;
            let log_id = promises.entries[&index].log_id;
            promises.purging = Some(index);
            runtime.block_on(store.purge(log_id)).ok()?;
            promises.purged = promises.purging.take();
            promises.entries = promises.entries.split_off(&(index + 1));
        }
        Step::Install { term, ahead } => {
            let index = promises.next_index() - 1 + ahead;
            let last_log_id = Some(log_id(term, index));
            snapshots.write(&AppliedState { last_log_id, ..AppliedState::default() }).ok()?;
            promises.snapshot = Some(index);
            promises.purging = Some(index);
            runtime.block_on(store.purge(log_id(term, index))).ok()?;
            promises.purged = promises.purging.take();
            promises.entries.clear();
        }
    }
    Some(())
}

/// Opens the store again and holds it to its promises.
fn check(disk: &SimDisk, runtime: &Runtime, promises: &Promises, what: &str) {
    let mut store = open(disk).unwrap_or_else(|error| panic!("{what}: {error}\n{promises:?}"));
    let vote = runtime.block_on(store.read_vote()).unwrap().map(|vote| vote.leader_id.term);
    assert!(vote == promises.vote || vote == promises.vote_under_way, "{what}: vote {vote:?}\n{promises:?}");

    let state = runtime.block_on(store.get_log_state()).unwrap();
    let purged = state.last_purged_log_id.map(|log_id| log_id.index);
    assert!(purged == promises.purged || purged == promises.purging, "{what}: purged {purged:?}\n{promises:?}");
    let entries = runtime.block_on(store.try_get_log_entries(0..)).unwrap();
    let first = purged.map_or(0, |index| index + 1);
    for (expected, found) in (first..).zip(&entries) {
        assert_eq!(expected, found.log_id.index, "{what}: a hole\n{promises:?}");
        let known = promises.entries.get(&expected) == Some(found);
        let under_way = promises.entries_under_way.get(&expected) == Some(found);
        assert!(known || under_way, "{what}: entry {expected} was never written so\n{promises:?}");
    }
    let end = first + entries.len() as u64;
    let promised = promises.entries.keys().copied().filter(|index| *index >= first);
    let kept = promised.filter(|index| promises.truncating.is_none_or(|from| *index < from));
    assert!(kept.max().is_none_or(|last| last < end), "{what}: the log ends at {end}\n{promises:?}");
    let last = state.last_log_id.map(|log_id| log_id.index);
    assert_eq!(last, entries.last().map(|entry| entry.log_id.index).or(purged), "{what}");
    let committed = runtime.block_on(store.read_committed()).unwrap().map(|log_id| log_id.index);
    assert!(committed <= promises.committed, "{what}: committed {committed:?}\n{promises:?}");

    let snapshots = SnapshotStore::open(disk.clone(), directory()).unwrap();
    let newest = snapshots.newest().unwrap();
    let covered = newest.as_ref().and_then(|(meta, _)| meta.last_log_id).map(|log_id| log_id.index);
    assert!(covered >= promises.snapshot, "{what}: snapshot {covered:?}\n{promises:?}");
    assert!(covered >= purged, "{what}: purged up to {purged:?} with a snapshot at {covered:?}");
    if let Some((_, file)) = newest {
        snapshots.load(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    store.close();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// How many operations the script makes when nothing fails.
fn operations(runtime: &Runtime) -> u64 {
    let whole = disk();
    let before = whole.operations();
    let promises = run(&whole, runtime);
    check(&whole, runtime, &promises, "without a fault");
    whole.operations() - before
}

#[test]
fn a_power_cut_at_any_write_or_sync_breaks_no_promise() {
    let runtime = runtime();
    let operations = operations(&runtime);
    assert!(operations > 50, "the script exercises the disk");
    for operation in 0..operations {
        for seed in [None, Some(1), Some(2), Some(3)] {
            let disk = disk();
            disk.fail_at(disk.operations() + operation, Fault::Cut);
            let promises = run(&disk, &runtime);
            disk.crash(seed);
            check(&disk, &runtime, &promises, &format!("cut at operation {operation} with seed {seed:?}"));
        }
    }
}

#[test]
fn a_kill_at_any_write_or_sync_breaks_no_promise() {
    let runtime = runtime();
    for operation in 0..operations(&runtime) {
        let disk = disk();
        disk.fail_at(disk.operations() + operation, Fault::Cut);
        let promises = run(&disk, &runtime);
        disk.kill();
        check(&disk, &runtime, &promises, &format!("killed at operation {operation}"));
    }
}

#[test]
fn after_one_failed_operation_nothing_more_is_promised() {
    let runtime = runtime();
    for fault in [Fault::Error, Fault::Full] {
        for operation in 0..operations(&runtime) {
            let disk = disk();
            disk.fail_at(disk.operations() + operation, fault);
            let promises = run(&disk, &runtime);
            disk.crash(Some(operation));
            check(&disk, &runtime, &promises, &format!("{fault:?} at operation {operation}"));
        }
    }
}

#[test]
fn the_first_fault_is_reported_and_ends_all_writing() {
    let runtime = runtime();
    let disk = disk();
    let faults = FaultReport::default();
    let mut store = LogStore::open(disk.clone(), &directory(), RAFT_ID, faults.clone()).unwrap();
    disk.fail_at(disk.operations() + 1, Fault::Error);
    let (done, outcomes) = mpsc::channel();
    for index in 0..3 {
        let done = done.clone();
        store.append_entries(vec![entry(1, index)], move |outcome| done.send(outcome.is_ok()).unwrap());
        let _ = runtime.block_on(store.save_vote(&Vote::new(1, RAFT_ID)));
    }
    drop(done);
    let outcomes: Vec<bool> = outcomes.iter().collect();
    assert!(outcomes.iter().skip_while(|durable| **durable).all(|durable| !durable), "{outcomes:?}");
    assert!(!outcomes[2], "nothing is written after a fault");
    let fault = runtime.block_on(faults.wait());
    assert!(!matches!(*fault, ControllerError::StoreFailed(_)), "the cause is named: {fault}");
}

/// Ten entries, each durable before the next, and the segment they lie in.
fn ten_entries() -> (SimDisk, PathBuf, Vec<usize>) {
    let disk = disk();
    let store = open(&disk).unwrap();
    let path = directory().join("00000000000000000000.log");
    let mut ends = Vec::new();
    for index in 0..10 {
        let (done, durable) = mpsc::channel();
        store.append_entries(vec![entry(1, index)], move |outcome| done.send(outcome).unwrap());
        durable.recv().unwrap().unwrap();
        let content = disk.read(&path).unwrap();
        ends.push(content.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    }
    store.close();
    (disk, path, ends)
}

#[test]
fn rot_in_an_acknowledged_entry_is_refused() {
    let (_, _, ends) = ten_entries();
    // The last entry has no successor that could vouch for it.
    for position in (0..ends[8]).step_by(97) {
        let (disk, path, _) = ten_entries();
        disk.rot(&path, position);
        let refused = open(&disk).err().unwrap_or_else(|| panic!("byte {position} went unnoticed"));
        assert!(matches!(refused, ControllerError::Damaged { .. } | ControllerError::Log(_)), "{refused}");
    }
}

#[test]
fn rot_in_the_last_entry_is_refused_when_it_was_committed() {
    let runtime = runtime();
    let (disk, path, ends) = ten_entries();
    let mut store = open(&disk).unwrap();
    runtime.block_on(store.save_committed(Some(log_id(1, 9)))).unwrap();
    store.close();
    disk.rot(&path, ends[9] - 5);
    let refused = open(&disk).err().unwrap();
    assert!(matches!(refused, ControllerError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("restore"), "{refused}");
}

#[test]
fn a_log_that_lost_committed_entries_is_refused() {
    let runtime = runtime();
    let (disk, path, ends) = ten_entries();
    let mut store = open(&disk).unwrap();
    runtime.block_on(store.save_committed(Some(log_id(1, 9)))).unwrap();
    store.close();
    use crate::log::DiskFile;
    disk.open(&path).unwrap().set_len(ends[4] as u64).unwrap();
    let refused = open(&disk).err().unwrap();
    assert!(matches!(refused, ControllerError::Damaged { .. }), "{refused}");
}

#[test]
fn old_entries_are_read_from_disk() {
    let runtime = runtime();
    let disk = disk();
    let mut store = open(&disk).unwrap();
    // Enough to push the first ones out of memory.
    for chunk in 0..40 {
        let (done, durable) = mpsc::channel();
        let entries = (chunk * 50..chunk * 50 + 50).map(|index| entry(1, index)).collect();
        store.append_entries(entries, move |outcome| done.send(outcome).unwrap());
        durable.recv().unwrap().unwrap();
    }
    let all = runtime.block_on(store.try_get_log_entries(0..2_000)).unwrap();
    assert_eq!(all.len(), 2_000);
    assert!(all.iter().enumerate().all(|(index, found)| *found == entry(1, index as u64)));
    let limited = runtime.block_on(store.limited_get_log_entries(10, 2_000)).unwrap();
    assert_eq!(limited[0], entry(1, 10));
    assert!(limited.windows(2).all(|pair| pair[0].log_id.index + 1 == pair[1].log_id.index));
    store.close();
}
