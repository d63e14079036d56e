//! A scripted run of a partition's log, cut at every operation on the disk.
//!
//! After each cut the power comes back (with everything unsynced forgotten, or a random part of it kept, torn) or only
//! the process is restarted. Then the log is opened and compared with a model of what was appended: everything flushed
//! is there, the log is a prefix of what was appended, indexes lead to the right batches, producers and leader epochs
//! are what the batches say. And it goes on from there.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::log::producer_state::ProducerStates;
use crate::log::{AppendOutcome, Fault, FilePool, OpenLog, SimDisk, TimestampTarget};
use crate::model::{EpochEntry, Monotonic, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Batches, Records};

/// Seeds of torn writes tried at each cut.
const SEEDS: u64 = 2;
const NOW: Wall = Wall(1_000_000);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The producer, and the records of its batch.
    Append(i64, usize),
    Flush,
    WriteCheckpoints,
    Truncate(Offset),
    Advance(Offset),
    Retain,
    BeginAt(Offset),
}
use Step::{Advance, Append, BeginAt, Flush, Retain, Truncate, WriteCheckpoints};

const SCRIPT: &[Step] = &[
    Append(1, 1),
    Append(1, 2),
    Flush,
    Append(2, 3),
    Append(1, 1),
    WriteCheckpoints,
    Append(1, 4),
    Append(2, 1),
    Append(1, 1),
    Flush,
    WriteCheckpoints,
    Append(1, 2),
    Append(1, 3),
    Append(2, 3),
    Truncate(19),
    Append(1, 1),
    Append(2, 2),
    Append(1, 1),
    Append(2, 2),
    Flush,
    WriteCheckpoints,
    Append(1, 2),
    Truncate(12),
    Append(2, 5),
    Append(1, 5),
    Flush,
    Append(2, 1),
    Append(1, 1),
    Append(2, 1),
    Append(1, 1),
    Append(2, 1),
    Append(1, 1),
    Append(2, 1),
    Append(1, 1),
    Append(2, 1),
    Append(1, 1),
    WriteCheckpoints,
    Advance(8),
    Flush,
    Retain,
    WriteCheckpoints,
    Append(1, 1),
    Append(2, 1),
    Flush,
    BeginAt(100),
    Append(1, 1),
    Append(2, 6),
    Flush,
    WriteCheckpoints,
    Append(1, 3),
];

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 150,
        retention_ms: -1,
        retention_bytes: 1_200,
        ..LogConfig::default()
    }
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<(PartitionLog<SimDisk>, OpenReport), LogError> {
    let directory = DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 3)), Path::new("/data"))?;
    let topic_id = Some(TopicId(Uuid([7; 16])));
    PartitionLog::open(&directory, TopicPartition::new("t", 0), topic_id, Arc::new(config()), false, NOW)
}

/// What should be in the log.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Batches as they are stored, oldest first, those below the start included.
    batches: Vec<Bytes>,
    /// Where the first of them begins.
    begin: Offset,
    flushed: Offset,
    /// The start may be anywhere up to here.
    start: Offset,
    /// What was there before an operation that was not finished.
    before: Option<Box<Model>>,
    /// The unfinished operation takes batches away, not all at once.
    shrinking: bool,
    /// The unfinished operation drops everything, the producers first.
    dropping: bool,
}

fn header(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

impl Model {
    fn end(&self) -> Offset {
        self.batches.last().map_or(self.begin, |batch| header(batch).next_offset())
    }

    fn cut(&mut self, offset: Offset) {
        self.batches.retain(|batch| header(batch).last_offset() < offset);
        self.flushed = self.flushed.min(self.end());
        self.start = self.start.min(self.end());
    }

    fn producers(&self) -> ProducerStates {
        let mut states = ProducerStates::default();
        self.batches.iter().for_each(|batch| {
            states.update(&header(batch), None);
        });
        states
    }
}

struct Run {
    log: PartitionLog<SimDisk>,
    model: Model,
    steps: i32,
}

impl Run {
    fn step(&mut self, step: Step) -> Result<(), LogError> {
        self.steps += 1;
        self.model.before = Some(Box::new(Model { before: None, ..self.model.clone() }));
        let Self { log, model, .. } = self;
        match step {
            Append(producer, count) => append(log, model, producer, count, self.steps)?,
            Flush => {
                log.flush()?;
                model.flushed = model.end();
            }
            WriteCheckpoints => log.directory.write_checkpoints()?,
            Truncate(offset) => {
                model.cut(offset);
                let flushed = model.flushed;
                if let Some(before) = &mut model.before {
                    (before.flushed, before.shrinking) = (before.flushed.min(flushed), true);
                }
                log.truncate_to(offset)?;
                assert_eq!(log.log_end_offset(), model.end());
            }
            Advance(offset) => {
                model.start = offset;
                log.advance_log_start_offset(offset)?;
            }
            Retain => {
                // All of it lies in front of the high watermark.
                model.start = model.end();
                let outcome = log.apply_retention(model.end(), NOW)?;
                assert!(outcome.segments > 0, "{outcome:?}");
                model.start = outcome.log_start_offset;
                log.remove_deleted_files(Monotonic(0))?;
                log.remove_deleted_files(Monotonic(1 << 40))?;
            }
            BeginAt(offset) => {
                let mut before = model.before.take();
                if let Some(before) = &mut before {
                    (before.flushed, before.shrinking, before.dropping) = (0, true, true);
                }
                *model = Model { begin: offset, start: offset, flushed: offset, before, ..Model::default() };
                log.truncate_fully_and_start_at(offset)?;
            }
        }
        self.model.before = None;
        Ok(())
    }
}

/// Appends the producer's next batch, of which nothing is known beforehand but its sequence number.
fn append(
    log: &mut PartitionLog<SimDisk>,
    model: &mut Model,
    producer: i64,
    count: usize,
    step: i32,
) -> Result<(), LogError> {
    let known = log.describe_producers().into_iter().find(|info| info.producer_id.0 == producer);
    let sequence = known.map_or(0, |info| info.last_sequence + 1);
    let mut builder = BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(0), sequence);
    for n in 0..count {
        let timestamp = i64::from(step) * 10 + (n as i64 * 7) % 5;
        builder.append(timestamp, None, Some(&[step as u8; 40]), &[]);
    }
    let batch = builder.build();
    let sent = header(&batch);
    let epoch = LeaderEpoch(step / 8);
    let mut stored = sent.head(model.end(), epoch).to_vec();
    stored.extend_from_slice(&batch[16..]);
    model.batches.push(stored.into());
    match log.append_as_leader(&batch, &sent, epoch, None, NOW)? {
        AppendOutcome::Appended(info) => assert_eq!(info.last_offset + 1, model.end()),
        outcome => panic!("{outcome:?}"),
    }
    Ok(())
}

/// Runs the script until it is through or the disk fails.
fn run(disk: &SimDisk) -> Model {
    let Ok((log, _)) = open(disk) else { return Model::default() };
    let mut run = Run { log, model: Model::default(), steps: 0 };
    for step in SCRIPT {
        if run.step(*step).is_err() {
            return run.model;
        }
    }
    run.model
}

fn stored(log: &PartitionLog<SimDisk>) -> Vec<Bytes> {
    let reader = log.reader();
    let mut offset = log.log_start_offset();
    let mut batches = Vec::new();
    while offset < log.log_end_offset() {
        let mut bytes = Vec::new();
        let read = reader.read(offset, 1 << 20, Offset::MAX, true).unwrap();
        read.slice.unwrap().read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            offset = batch.header.next_offset();
            batches.push(Bytes::copy_from_slice(batch.bytes));
        }
    }
    batches
}

/// Compares the log with the model; a text says what does not fit.
fn differs(log: &PartitionLog<SimDisk>, model: &Model) -> Result<(), String> {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    if end < model.flushed || end > model.end() {
        return Err(format!("ends at {end}, flushed were {}, appended {}", model.flushed, model.end()));
    }
    if start > model.start.min(end).max(model.begin) {
        return Err(format!("starts at {start} instead of {}", model.start));
    }
    let expected: Vec<&Bytes> = model
        .batches
        .iter()
        .filter(|batch| header(batch).last_offset() >= start && header(batch).base_offset < end)
        .collect();
    let stored = stored(log);
    if stored.iter().collect::<Vec<_>>() != expected {
        return Err(format!("holds {} batches from {start} to {end} instead of {}", stored.len(), expected.len()));
    }
    Ok(())
}

fn check_indexes(log: &PartitionLog<SimDisk>) {
    let reader = log.reader();
    let stored = stored(log);
    let records: Vec<(Offset, i64)> = stored
        .iter()
        .flat_map(|batch| Records::new(&header(batch), &batch[61..]).map(|record| record.unwrap()).collect::<Vec<_>>())
        .map(|record| (record.offset, record.timestamp))
        .filter(|(offset, _)| *offset >= log.log_start_offset())
        .collect();
    for batch in &stored {
        for offset in header(batch).base_offset.max(log.log_start_offset())..=header(batch).last_offset() {
            let mut bytes = Vec::new();
            let slice = reader.read(offset, 1, Offset::MAX, true).unwrap().slice.unwrap();
            slice.read_into(&mut bytes).unwrap();
            assert_eq!(bytes, *batch, "offset {offset}");
        }
    }
    for timestamp in (0..=600).step_by(3) {
        let expected = records.iter().find(|(_, found)| *found >= timestamp).map(|(offset, _)| *offset);
        let found = reader.offset_for_timestamp(TimestampTarget::At(timestamp), Offset::MAX).unwrap();
        assert_eq!(found.map(|found| found.offset), expected, "timestamp {timestamp}");
    }
}

fn check_leader_epochs(log: &PartitionLog<SimDisk>) {
    let (table, log_start_offset) = (log.leader_epochs(), log.log_start_offset());
    // The table's start may be durable when the log's own is not yet.
    let start_offset = table.entries().first().map_or(0, |first| first.start_offset).max(log_start_offset);
    let mut expected = LeaderEpochs::default();
    for batch in stored(log) {
        let header = header(&batch);
        let (epoch, offset) = (header.partition_leader_epoch, header.base_offset.max(start_offset));
        if offset < header.next_offset() {
            assert_eq!(table.epoch_for_offset(offset), Some(epoch), "at {offset}");
            expected.assign(epoch, offset);
        }
    }
    let later = |epochs: &LeaderEpochs| -> Vec<EpochEntry> {
        epochs.entries().iter().copied().filter(|entry| entry.start_offset > start_offset).collect()
    };
    assert_eq!(later(table), later(&expected));
    assert_eq!(*log.reader().leader_epochs(), *table);
}

/// Opens the log after a cut and checks all of it. Returns the model of what is there.
fn check(disk: &SimDisk, model: &Model, what: &str) {
    let (log, report) = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let model = match (differs(&log, model), &model.before) {
        (Ok(()), _) => model,
        (Err(now), None) => panic!("{what}: {now} ({report:?})"),
        (Err(now), Some(before)) => {
            differs(&log, before).unwrap_or_else(|then| panic!("{what}: {now}; before the last step: {then}"));
            before
        }
    };
    check_indexes(&log);
    check_leader_epochs(&log);
    let mut model = model.clone();
    model.cut(log.log_end_offset());
    model.before = None;
    if !model.dropping {
        assert_eq!(log.producers, model.producers(), "{what}");
    }
    go_on(disk, log, model, what);
}

/// Whatever was found, the log goes on from there, and the next crash finds it whole.
fn go_on(disk: &SimDisk, log: PartitionLog<SimDisk>, mut model: Model, what: &str) {
    model.start = model.start.min(log.log_start_offset());
    let mut run = Run { log, model, steps: SCRIPT.len() as i32 };
    for step in [Append(1, 2), Append(3, 1), Append(2, 4), Flush] {
        run.step(step).unwrap_or_else(|error| panic!("{what}, going on: {error}"));
    }
    let Run { log, model, .. } = run;
    drop(log);
    disk.crash(None);
    let (log, _) = open(disk).unwrap_or_else(|error| panic!("{what}, second crash: {error}"));
    differs(&log, &model).unwrap_or_else(|difference| panic!("{what}, second crash: {difference}"));
    if !model.dropping {
        assert_eq!(log.producers, model.producers(), "{what}, second crash");
    }
}

/// How many operations the whole script takes.
fn operations() -> u64 {
    let disk = disk();
    let before = disk.operations();
    let model = run(&disk);
    assert!(model.before.is_none(), "the script runs through on a good disk");
    disk.operations() - before
}

#[test]
fn a_power_cut_at_every_operation() {
    for cut in 0..=operations() {
        for seed in std::iter::once(None).chain((0..SEEDS).map(Some)) {
            let disk = disk();
            disk.fail_at(disk.operations() + cut, Fault::Cut);
            let model = run(&disk);
            disk.crash(seed.map(|seed| seed * 10_007 + cut));
            check(&disk, &model, &format!("power cut before operation {cut}, seed {seed:?}"));
        }
    }
}

#[test]
fn a_kill_at_every_operation_loses_nothing() {
    for cut in 0..=operations() {
        let disk = disk();
        disk.fail_at(disk.operations() + cut, Fault::Cut);
        let mut model = run(&disk);
        disk.kill();
        // An operation that was under way may have been done or not; all before it is there.
        if let Some(before) = &mut model.before {
            if !before.shrinking {
                before.flushed = before.end();
            }
        } else {
            model.flushed = model.end();
        }
        check(&disk, &model, &format!("kill before operation {cut}"));
    }
}

/// A sync that failed leaves what it should have written in the page cache alone; the next life makes it durable.
#[test]
fn an_error_at_every_operation_leaves_a_log_that_can_be_opened() {
    for fault in [Fault::Error, Fault::Full] {
        for at in 0..=operations() {
            let disk = disk();
            disk.fail_at(disk.operations() + at, fault);
            let model = run(&disk);
            disk.kill();
            let directory = DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 3)), Path::new("/data")).unwrap();
            directory.write_unsynced_again().unwrap();
            check(&disk, &model, &format!("{fault:?} at operation {at}"));
        }
    }
}

#[test]
fn zeros_written_ahead_are_not_taken_for_damage() {
    let config = Arc::new(LogConfig { zero_fill_ahead_bytes: 300, ..config() });
    let appends: Vec<(i64, usize)> = (0..12).map(|n| (1, 1 + n % 3)).collect();
    let script = |disk: &SimDisk| -> (Vec<Bytes>, usize) {
        let (mut batches, mut synced) = (Vec::new(), 0);
        let pool = Arc::new(FilePool::new(disk.clone(), 3));
        let open = OpenLog { config: config.clone(), recovery_point: 0, start_offset: 0, clean: false, now: NOW };
        let Ok(opened) = SegmentedLog::open(&pool, "/data".into(), open, |_| Ok(())) else { return (batches, synced) };
        let mut log = opened.log;
        for (n, (_, count)) in appends.iter().enumerate() {
            let mut builder = BatchBuilder::new().base_offset(log.log_end_offset()).leader_epoch(LeaderEpoch(1));
            (0..*count).for_each(|_| builder.append(n as i64, None, Some(&[b'r'; 50]), &[]));
            let batch = builder.build();
            batches.push(batch.clone());
            if log.append(&batch, &[], &[header(&batch)], NOW).is_err() {
                return (batches, synced);
            }
            if n % 2 == 1 {
                if log.sync().is_err() {
                    return (batches, synced);
                }
                synced = n + 1;
            }
        }
        (batches, synced)
    };
    let whole = disk();
    script(&whole);
    for cut in 0..=whole.operations() {
        for seed in std::iter::once(None).chain((0..SEEDS).map(Some)) {
            let disk = disk();
            disk.fail_at(disk.operations() + cut, Fault::Cut);
            let (batches, synced) = script(&disk);
            disk.crash(seed.map(|seed| seed * 10_007 + cut));
            let pool = Arc::new(FilePool::new(disk.clone(), 3));
            let open = OpenLog { config: config.clone(), recovery_point: 0, start_offset: 0, clean: false, now: NOW };
            let mut found: Vec<Bytes> = Vec::new();
            let opened = SegmentedLog::open(&pool, "/data".into(), open, |batch| {
                found.push(Bytes::copy_from_slice(batch.bytes));
                Ok(())
            })
            .unwrap();
            assert!(found.len() >= synced, "cut {cut}: {} of {synced} synced, {:?}", found.len(), opened.damage);
            assert_eq!(found, batches[..found.len()], "cut {cut}");
            if seed.is_none() {
                assert_eq!(opened.damage, None, "cut {cut}: zeros are no damage");
            }
            let mut log = opened.log;
            log.cut_damage().unwrap();
            log.sync().unwrap();
            assert_eq!(log.log_end_offset(), found.last().map_or(0, |batch| header(batch).next_offset()));
        }
    }
}

/// The same table whether it was kept or made anew.
#[test]
fn leader_epochs_are_told_by_the_batches() {
    let disk = disk();
    let model = run(&disk);
    disk.kill();
    let (log, _) = open(&disk).unwrap();
    let begins = |entry: &EpochEntry| entry.start_offset >= model.begin;
    assert!(log.leader_epochs().entries().iter().all(begins));
    assert!(!log.leader_epochs().entries().is_empty());
}
