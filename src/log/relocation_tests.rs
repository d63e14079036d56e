//! A log moves from `/a` to `/b`, two file systems, while it is written to; and the move is cut, fails, or is meddled
//! with at every point.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition, Uuid, Wall};
use crate::record::{BatchBuilder, BatchHeader, Batches, EndTransactionMarker, TransactionResult};

const ID: TopicId = TopicId(Uuid([7; 16]));
const NOW: Wall = Wall(1_000);
/// Writes on and on.
const PLAIN: i64 = 1;
/// Its transactions are aborted.
const ABORTED: i64 = 2;
/// Has written only what is deleted before the move.
const GONE: i64 = 3;
/// Where the log starts before the move: in the middle of a segment.
const START: Offset = 8;

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn config() -> LogConfig {
    let cleanup_policy = CleanupPolicy { delete: true, compact: true };
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 150,
        retention_ms: -1,
        retention_bytes: 100,
        cleanup_policy,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    }
}

fn directories(disk: &SimDisk) -> [DataDirectory<SimDisk>; 2] {
    let pool = Arc::new(FilePool::new(disk.clone(), 20));
    ["/a", "/b"].map(|path| DataDirectory::open(Arc::clone(&pool), Path::new(path)).unwrap())
}

fn open(directory: &DataDirectory<SimDisk>) -> PartitionLog<SimDisk> {
    PartitionLog::open(directory, partition(), Some(ID), Arc::new(config()), false, NOW).unwrap().0
}

/// What somebody else does to the log in the middle of the move.
type Meddle = fn(&mut PartitionLog<SimDisk>);

struct World {
    disk: SimDisk,
    a: DataDirectory<SimDisk>,
    b: DataDirectory<SimDisk>,
    log: RefCell<Option<PartitionLog<SimDisk>>>,
    /// What was acknowledged: where it is, and its bytes from the sixteenth on, which no log changes.
    acknowledged: RefCell<Vec<(Offset, Bytes)>>,
    /// First offset and marker of each aborted transaction.
    aborted: RefCell<Vec<(Offset, Offset)>>,
    /// Below this everything was confirmed by a sync.
    flushed: Cell<Offset>,
    /// Something is appended whenever the log is used.
    is_busy: bool,
    meddle: Option<(u32, Meddle)>,
    uses: Cell<u32>,
    taken: Cell<bool>,
}

impl LogAccess<SimDisk> for World {
    fn with<T>(&self, work: impl FnOnce(&mut PartitionLog<SimDisk>) -> T) -> Option<T> {
        let mut log = self.log.borrow_mut();
        let log = log.as_mut()?;
        self.uses.set(self.uses.get() + 1);
        if let Some((_, meddle)) = self.meddle.filter(|(at, _)| *at == self.uses.get()) {
            meddle(log);
        }
        if self.is_busy {
            self.append(log, PLAIN);
            if self.uses.get().is_multiple_of(2) {
                self.abort(log);
            }
        }
        Some(work(log))
    }
}

impl World {
    /// Several segments, of which the first are deleted again; two aborted transactions; and a tail that is not flushed.
    fn new() -> Self {
        let disk = SimDisk::new();
        let [a, b] = directories(&disk);
        disk.sync_dir(Path::new("/")).unwrap();
        let log = RefCell::new(Some(open(&a)));
        let (acknowledged, aborted, flushed) = (RefCell::default(), RefCell::default(), Cell::default());
        let (uses, taken) = (Cell::new(0), Cell::new(false));
        let world = Self { disk, a, b, log, acknowledged, aborted, flushed, is_busy: false, meddle: None, uses, taken };
        world.used(|log| {
            log.assign_leader_epoch_start(LeaderEpoch(3)).unwrap();
            (0..START - 1).for_each(|_| world.append(log, GONE));
            (0..3).for_each(|_| world.append(log, PLAIN));
            world.abort(log);
            log.flush().unwrap();
            log.advance_log_start_offset(START).unwrap();
            log.assign_leader_epoch_start(LeaderEpoch(5)).unwrap();
            (0..4).for_each(|_| world.append(log, PLAIN));
            world.abort(log);
            log.flush().unwrap();
            world.a.set_high_watermark(&partition(), log.log_end_offset());
            world.a.write_checkpoints().unwrap();
            world.flushed.set(log.recovery_point());
            (0..3).for_each(|_| world.append(log, PLAIN));
        });
        world
    }

    fn busy() -> Self {
        Self { is_busy: true, ..Self::new() }
    }

    fn used<T>(&self, work: impl FnOnce(&mut PartitionLog<SimDisk>) -> T) -> T {
        work(self.log.borrow_mut().as_mut().unwrap())
    }

    /// Appends what comes next of a producer, as one that is told when it fails.
    fn append(&self, log: &mut PartitionLog<SimDisk>, producer: i64) {
        let known = log.describe_producers().into_iter().find(|info| info.producer_id.0 == producer);
        let sequence = known.map_or(0, |info| info.last_sequence + 1);
        let builder = BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(0), sequence);
        let mut builder = if producer == ABORTED { builder.transactional() } else { builder };
        builder.append(NOW.0 + i64::from(sequence), Some(&[producer as u8]), Some(&[sequence as u8; 30]), &[]);
        let batch = builder.build();
        let guard = log.start_verification(ProducerId(producer), ProducerEpoch(0), NOW);
        let epoch = log.leader_epochs().latest().map_or(LeaderEpoch(3), |latest| latest.epoch);
        let header = BatchHeader::parse(&batch).unwrap();
        if let Ok(AppendOutcome::Appended(info)) = log.append_as_leader(&batch, &header, epoch, guard, NOW) {
            self.acknowledged.borrow_mut().push((info.base_offset, batch.slice(16..)));
        }
    }

    fn abort(&self, log: &mut PartitionLog<SimDisk>) {
        self.append(log, ABORTED);
        // A cut may have left it open before.
        let open = log.describe_producers().into_iter().find(|info| info.producer_id.0 == ABORTED);
        let Some(first_offset) = open.and_then(|info| info.current_txn_start_offset) else { return };
        let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 0 };
        let epoch = log.leader_epochs().latest().unwrap().epoch;
        let producer = (ProducerId(ABORTED), ProducerEpoch(0));
        if let Ok(AppendOutcome::Appended(info)) = log.append_marker(marker, producer, 1, epoch, NOW) {
            self.aborted.borrow_mut().push((first_offset, info.base_offset));
        }
    }

    /// The whole move, as a broker goes about it.
    fn relocate(&self) -> Result<bool, LogError> {
        self.b.create_future(&partition(), Uuid([1; 16]))?;
        let mut future = FutureLog::begin(&self.b, &partition(), Uuid([1; 16]))?;
        for attempt in 2.. {
            loop {
                match future.copy_round(self, &mut |_| true)? {
                    // The log has failed.
                    None => return Ok(false),
                    Some(bytes) if bytes <= 1_000 => break,
                    Some(_) => {}
                }
            }
            match future.take_place(self, self.flushed.get() + 1, Uuid([attempt; 16]), || self.taken.set(true))? {
                Relocated::Again(again) => future = again,
                Relocated::Gone => return Ok(false),
                Relocated::Done(left) => {
                    assert!(!left.is_read());
                    left.give_up(Uuid([0; 16]))?;
                    return Ok(true);
                }
            }
        }
        unreachable!("a move ends")
    }

    /// What a start finds, after the moves are settled.
    fn restart(&self) -> (DataDirectory<SimDisk>, PartitionLog<SimDisk>) {
        let directories = directories(&self.disk);
        settle_relocations(&directories, false).unwrap();
        let mut here: Vec<_> =
            directories.iter().filter(|directory| !directory.partitions().unwrap().is_empty()).collect();
        assert_eq!(here.len(), 1, "exactly one directory has the partition's name");
        let directory = here.remove(0).clone();
        directories.iter().for_each(|directory| assert_eq!(directory.moved().unwrap(), []));
        let log = open(&directory);
        (directory, log)
    }

    /// The log holds what was acknowledged, from its start to its end, which is at `least` or above.
    fn check(&self, log: &PartitionLog<SimDisk>, least: Offset) {
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert!(start >= START, "what was deleted is back: {start}");
        assert!(end >= least, "the log ends at {end} instead of {least} or later");
        let expected: Vec<_> =
            self.acknowledged.borrow().iter().filter(|(at, _)| (start..end).contains(at)).cloned().collect();
        let held: Vec<_> = stored(log).into_iter().filter(|(at, _)| *at >= start).collect();
        assert_eq!(held, expected, "from {start} to {end}");
        let aborted = log.reader().aborted_transactions(start, end).unwrap();
        let aborted: Vec<_> = aborted.iter().map(|one| (one.first_offset, one.last_offset)).collect();
        let expected: Vec<_> =
            self.aborted.borrow().iter().filter(|(_, last)| (start..end).contains(last)).copied().collect();
        assert_eq!(aborted, expected);
        let mut ids: Vec<_> = log.describe_producers().iter().map(|info| info.producer_id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, [PLAIN, ABORTED, GONE], "a producer whose records are gone is remembered");
        let plain = log.describe_producers().into_iter().find(|info| info.producer_id.0 == PLAIN).unwrap();
        let batches = self.acknowledged.borrow().iter().filter(|(at, batch)| *at < end && is_plain(batch)).count();
        assert_eq!(plain.last_sequence as usize + 1, batches, "its next sequence number");
        let epochs = log.leader_epochs().entries();
        assert!(epochs.iter().any(|entry| entry.epoch == LeaderEpoch(5)), "{epochs:?}");
        for (offset, _) in held {
            let slice = log.reader().read(offset, 1, Offset::MAX, true).unwrap().slice.unwrap();
            let mut bytes = Vec::new();
            slice.read_into(&mut bytes).unwrap();
            assert_eq!(BatchHeader::parse(&bytes).unwrap().base_offset, offset, "by the index");
        }
    }
}

fn is_plain(batch: &Bytes) -> bool {
    // Producer id: at byte 43 of the batch.
    batch[27..35] == PLAIN.to_be_bytes()
}

/// The batches that are no markers.
fn stored(log: &PartitionLog<SimDisk>) -> Vec<(Offset, Bytes)> {
    let (reader, mut offset, mut batches) = (log.reader(), log.log_start_offset(), Vec::new());
    while offset < log.log_end_offset() {
        let mut bytes = Vec::new();
        reader.read(offset, 1 << 20, Offset::MAX, true).unwrap().slice.unwrap().read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            offset = batch.header.next_offset();
            if !batch.header.is_control() {
                batches.push((batch.header.base_offset, Bytes::copy_from_slice(&batch.bytes[16..])));
            }
        }
    }
    batches
}

#[test]
fn a_log_moves_with_all_that_belongs_to_it_while_it_is_written_to() {
    let world = World::busy();
    world.a.set_first_dirty_offset(&partition(), START + 1);
    let reader = world.used(|log| log.reader());
    assert!(matches!(world.relocate(), Ok(true)));
    assert!(world.disk.exists(Path::new("/b/t-0")) && !world.disk.exists(Path::new("/a/t-0")));
    assert_eq!(world.a.remove_deleted().unwrap(), 1, "only what it left behind");
    let end = world.used(|log| {
        world.check(log, log.log_end_offset());
        assert_eq!(reader.log_end_offset(), log.log_end_offset(), "readers have come along");
        let slice = reader.read(START, 1, Offset::MAX, true).unwrap().slice.unwrap();
        slice.read_into(&mut Vec::new()).unwrap();
        (0..30).for_each(|_| world.append(log, PLAIN));
        log.flush().unwrap();
        log.log_end_offset()
    });
    assert_eq!(world.b.high_watermark(&partition()), Some(world.flushed.get() + 1), "the hint of now");
    assert_eq!(world.b.first_dirty_offset(&partition()), Some(START + 1));
    assert!(world.a.offsets_of(&partition()).is_empty());
    world.a.write_checkpoints().unwrap();
    world.b.write_checkpoints().unwrap();
    world.disk.crash(None);
    let (directory, log) = world.restart();
    assert_eq!(directory.path(), Path::new("/b"));
    world.check(&log, end);
    assert_eq!(directory.topic_id_of(&partition()).unwrap(), Some(ID));
}

/// A1 and A12. The power goes, or the process, at each operation of a move and of the flush after it.
#[test]
fn a_cut_at_any_point_leaves_one_log_with_everything_acknowledged() {
    let mut cut_at = 0;
    loop {
        let mut was_done = false;
        for ending in [None, Some(None), Some(Some(1)), Some(Some(2)), Some(Some(3))] {
            let world = World::busy();
            world.disk.fail_at(world.disk.operations() + cut_at, Fault::Cut);
            was_done = matches!(world.relocate(), Ok(true));
            if was_done && world.used(|log| log.flush()).is_ok() {
                world.flushed.set(world.used(|log| log.log_end_offset()));
            }
            let end = world.acknowledged.borrow().last().unwrap().0 + 1;
            let least = match ending {
                None => {
                    world.disk.kill();
                    end
                }
                Some(seed) => {
                    world.disk.crash(seed.map(|seed| seed * 1_000 + cut_at));
                    world.flushed.get()
                }
            };
            let (directory, mut log) = world.restart();
            world.check(&log, least);
            // And it goes on from there, the same move included.
            world.acknowledged.borrow_mut().retain(|(at, _)| *at < log.log_end_offset());
            world.aborted.borrow_mut().retain(|(_, last)| *last < log.log_end_offset());
            world.append(&mut log, PLAIN);
            if ending.is_none() && directory.path() == Path::new("/a") {
                let [a, b] = directories(&world.disk);
                drop(log);
                let next = World { log: RefCell::new(Some(open(&a))), a, b, ..world };
                assert!(matches!(next.relocate(), Ok(true)));
                next.used(|log| next.check(log, end));
            }
        }
        if was_done && cut_at > 40 {
            return;
        }
        cut_at += 1;
    }
}

/// A disk that refuses one operation ends the move, and the log goes on.
#[test]
fn an_error_at_any_point_ends_the_move_and_loses_nothing() {
    let mut error_at = 0;
    loop {
        let world = World::new();
        world
            .disk
            .fail_at(world.disk.operations() + error_at, if error_at % 2 == 0 { Fault::Error } else { Fault::Full });
        let outcome = world.relocate();
        world.disk.fail_at(u64::MAX, Fault::Error);
        let end = world.used(|log| {
            (0..30).for_each(|_| world.append(log, PLAIN));
            log.flush().unwrap();
            world.check(log, log.log_end_offset());
            log.log_end_offset()
        });
        world.disk.kill();
        let (directory, log) = world.restart();
        assert_eq!(directory.path() == Path::new("/b"), world.taken.get());
        world.check(&log, end);
        if outcome.is_ok() {
            assert!(error_at > 20);
            return;
        }
        error_at += 1;
    }
}

/// Whatever happens to the log, and whenever, the copy is what the log is.
#[test]
fn what_is_truncated_deleted_or_cleaned_meanwhile_is_so_in_the_copy() {
    let truncate: Meddle = |log| {
        log.truncate_to(log.log_end_offset() - 4).unwrap();
    };
    let reset: Meddle = |log| log.truncate_fully_and_start_at(100).unwrap();
    let delete_records: Meddle = |log| {
        log.advance_log_start_offset(log.log_end_offset() - 3).unwrap();
    };
    let retain: Meddle = |log| {
        assert!(log.apply_retention(log.log_end_offset(), NOW).unwrap().segments > 0);
        log.remove_deleted_files(crate::model::Monotonic(0)).unwrap();
        log.remove_deleted_files(crate::model::Monotonic(1 << 40)).unwrap();
    };
    let clean: Meddle = |log| {
        let job = log.compaction_job(log.recovery_point(), NOW).unwrap().expect("it is dirty");
        let limits = CompactionLimits { keys_bytes_max: 1 << 20, inflated_bytes_max: 1 << 20 };
        let compacted = job.run(limits, |_| true).unwrap().unwrap();
        assert!(log.put_compacted(compacted).unwrap());
        log.remove_deleted_files(crate::model::Monotonic(0)).unwrap();
        log.remove_deleted_files(crate::model::Monotonic(1 << 40)).unwrap();
    };
    for (name, meddle) in
        [("truncate", truncate), ("reset", reset), ("delete", delete_records), ("retain", retain), ("clean", clean)]
    {
        let mut reached = 0;
        for at in 1..12 {
            let world = World { meddle: Some((at, meddle)), ..World::new() };
            // Another log that nobody moves goes the same way.
            let twin = World::new();
            assert!(matches!(world.relocate(), Ok(true)), "{name} {at}");
            if world.uses.get() < at {
                break;
            }
            reached = at;
            twin.used(meddle);
            let (moved, stayed) = (world.log.borrow(), twin.log.borrow());
            let (moved, stayed) = (moved.as_ref().unwrap(), stayed.as_ref().unwrap());
            assert!(moved.reader().log_start_offset() == stayed.log_start_offset(), "{name} {at}");
            assert_eq!(moved.log_end_offset(), stayed.log_end_offset(), "{name} {at}");
            assert_eq!(stored(moved), stored(stayed), "{name} {at}");
            assert_eq!(moved.leader_epochs(), stayed.leader_epochs(), "{name} {at}");
            let segments = |log: &PartitionLog<SimDisk>| {
                let segments = log.log_for_tests().segments();
                segments
                    .iter()
                    .map(|segment| (segment.base_offset(), segment.next_offset_and_size()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(segments(moved), segments(stayed), "{name} {at}");
            let aborted = |log: &PartitionLog<SimDisk>| log.reader().aborted_transactions(0, Offset::MAX).unwrap();
            assert_eq!(aborted(moved), aborted(stayed), "{name} {at}");
            // And what the recovery point claims is on the disk.
            world.b.write_checkpoints().unwrap();
            let below: Vec<_> = stored(moved).into_iter().filter(|(at, _)| *at < moved.recovery_point()).collect();
            world.disk.crash(None);
            let (_, recovered) = world.restart();
            assert!(recovered.log_end_offset() >= moved.recovery_point(), "{name} {at}");
            assert!(stored(&recovered).starts_with(&below), "{name} {at}");
        }
        assert!(reached >= 4, "{name}: at every step of the move, {reached}");
    }
}

/// B2: an index that goes while it is read looks like one that knows of no aborted transaction.
#[test]
fn what_is_left_behind_tells_whether_somebody_still_reads_in_it() {
    let world = World::new();
    let seen = world.used(|log| log.log_for_tests().segments());
    let mut future = FutureLog::begin(&world.b, &partition(), Uuid([1; 16])).unwrap();
    future.copy_round(&world, &mut |_| true).unwrap();
    let outcome = future.take_place(&world, 0, Uuid([2; 16]), || {}).unwrap();
    let Relocated::Done(left) = outcome else { panic!("{outcome:?}") };
    assert!(left.is_read());
    assert!(seen.iter().any(|segment| !segment.transaction_index().since(0).unwrap().is_empty()));
    drop(seen);
    assert!(!left.is_read());
    left.give_up(Uuid([3; 16])).unwrap();
    assert_eq!((world.a.moved().unwrap(), world.a.remove_deleted().unwrap()), (vec![], 1));
}

#[test]
fn a_log_that_is_gone_is_not_brought_back_by_its_copy() {
    let world = World::new();
    let mut future = FutureLog::begin(&world.b, &partition(), Uuid([1; 16])).unwrap();
    assert!(future.copy_round(&world, &mut |_| true).unwrap().is_some());
    world.log.take().unwrap().delete(Uuid([9; 16])).unwrap();
    let outcome = future.take_place(&world, 0, Uuid([2; 16]), || panic!("nothing to take"));
    assert!(matches!(outcome, Ok(Relocated::Gone)));
    assert_eq!((world.b.partitions().unwrap(), world.b.futures().unwrap()), (vec![], vec![partition()]));
    world.b.give_up_future(&partition(), Uuid([3; 16])).unwrap();
    assert_eq!((world.b.futures().unwrap(), world.b.remove_deleted().unwrap()), (vec![], 1));
}

#[test]
fn rot_in_the_log_ends_the_move_and_is_not_copied() {
    let world = World::new();
    let first = world.used(|log| log.log_for_tests().segments().first().unwrap().log().path());
    world.disk.rot(&first, 80);
    assert!(matches!(world.relocate(), Err(LogError::Corrupt { .. })));
    assert!(world.disk.exists(Path::new("/a/t-0")) && !world.disk.exists(Path::new("/b/t-0")));
}

/// While a directory is missing the copy may be in it, with more than what stepped aside.
#[test]
fn what_stepped_aside_stays_so_while_the_copy_may_be_in_a_directory_that_is_missing() {
    let world = World::new();
    world.used(|log| log.step_aside(Uuid([2; 16]))).unwrap();
    world.disk.sync_dir(Path::new("/a")).unwrap();
    world.disk.kill();
    let [a, _] = directories(&world.disk);
    settle_relocations(std::slice::from_ref(&a), true).unwrap();
    assert_eq!((a.partitions().unwrap(), a.moved().unwrap()), (vec![], vec![partition()]));
    settle_relocations(std::slice::from_ref(&a), false).unwrap();
    assert_eq!((a.partitions().unwrap(), a.moved().unwrap()), (vec![partition()], vec![]));
    world.check(&open(&a), world.flushed.get());
}
