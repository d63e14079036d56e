//! Compaction of a partition's log: what stays, what goes, and what a crash leaves.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::log::{AppendOutcome, CleanupPolicy, CompactionLimits, Fault, FilePool, SimDisk};
use crate::model::{Monotonic, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Batches, Codec, EndTransactionMarker, Records, TransactionResult};

const NOW: Wall = Wall(1_000_000);
const LIMITS: CompactionLimits = CompactionLimits { keys_bytes_max: 1 << 20, inflated_bytes_max: 1 << 20 };

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 600,
        index_interval_bytes: 100,
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1_000,
        ..LogConfig::default()
    }
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> PartitionLog<SimDisk> {
    try_open(disk).unwrap()
}

fn try_open(disk: &SimDisk) -> Result<PartitionLog<SimDisk>, LogError> {
    let directory = DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 4)), Path::new("/data"))?;
    let id = Some(TopicId(Uuid([7; 16])));
    Ok(PartitionLog::open(&directory, TopicPartition::new("t", 0), id, Arc::new(config()), false, NOW)?.0)
}

/// Keys with values; no value is a tombstone.
type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

fn builder(pairs: Pairs<'_>) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for (key, value) in pairs {
        builder.append(NOW.0, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder
}

fn try_append(log: &mut PartitionLog<SimDisk>, batch: &Bytes) -> Result<Offset, LogError> {
    let header = BatchHeader::parse(batch).unwrap();
    let guard = log.start_verification(header.producer_id, header.producer_epoch, NOW);
    match log.append_as_leader(batch, &header, LeaderEpoch(0), guard, NOW)? {
        AppendOutcome::Appended(info) => Ok(info.base_offset),
        outcome => panic!("{outcome:?}"),
    }
}

fn put(log: &mut PartitionLog<SimDisk>, pairs: Pairs<'_>) -> Offset {
    try_append(log, &builder(pairs).build()).unwrap()
}

/// Rolls and flushes, so that all there is may be cleaned, and cleans it. False when nothing was due.
fn compact(log: &mut PartitionLog<SimDisk>, now: Wall) -> bool {
    try_compact(log, now, LIMITS).unwrap()
}

fn try_compact(log: &mut PartitionLog<SimDisk>, now: Wall, limits: CompactionLimits) -> Result<bool, LogError> {
    log.log.roll(now)?;
    log.flush()?;
    let decided = log.first_unstable_offset(log.log_end_offset()).unwrap_or(log.log_end_offset());
    let Some(job) = log.compaction_job(decided, now)? else { return Ok(false) };
    let compacted = job.run(limits, |_| true)?.expect("nobody stops it");
    log.put_compacted(compacted)
}

/// All records: offset, key, value.
fn records(log: &PartitionLog<SimDisk>) -> Vec<(Offset, String, Option<String>)> {
    let reader = log.reader();
    let (mut offset, mut found) = (reader.log_start_offset(), Vec::new());
    while offset < reader.log_end_offset() {
        let read = reader.read(offset, 1 << 20, Offset::MAX, true).unwrap();
        let mut bytes = Vec::new();
        read.slice.expect("there is something below the end").read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            assert!(batch.header.last_offset() >= offset, "offsets rise");
            offset = batch.header.next_offset();
            if batch.header.is_control() {
                continue;
            }
            for record in Records::new(&batch.header, &batch.plain_records(1 << 20).unwrap()) {
                let record = record.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((record.offset, text(record.key.unwrap()), record.value.map(text)));
            }
        }
    }
    found
}

fn expected(records: &[(Offset, &str, Option<&str>)]) -> Vec<(Offset, String, Option<String>)> {
    records.iter().map(|(offset, key, value)| (*offset, (*key).to_owned(), value.map(str::to_owned))).collect()
}

/// The headers of all batches, markers included.
fn headers(log: &PartitionLog<SimDisk>) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    for segment in log.log.segments().iter() {
        let walked = segment.walk(0, segment.size(), |batch| {
            headers.push(batch.header);
            Ok(true)
        });
        walked.unwrap();
    }
    headers
}

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    let mut log = open(&disk());
    put(&mut log, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    put(&mut log, &[("b", Some("2")), ("d", Some("1"))]);
    put(&mut log, &[("a", Some("2")), ("b", Some("3"))]);
    assert!(compact(&mut log, NOW));
    let left = expected(&[(2, "c", Some("1")), (4, "d", Some("1")), (5, "a", Some("2")), (6, "b", Some("3"))]);
    assert_eq!(records(&log), left);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 7));
    assert!(!compact(&mut log, NOW), "nothing is dirty any more");
    put(&mut log, &[("c", Some("2"))]);
    assert!(compact(&mut log, NOW));
    assert_eq!(
        records(&log)[..],
        expected(&[(4, "d", Some("1")), (5, "a", Some("2")), (6, "b", Some("3")), (7, "c", Some("2"))])
    );
}

#[test]
fn every_offset_can_be_read_from_after_many_cleanings() {
    let disk = disk();
    let mut log = open(&disk);
    let mut newest = BTreeMap::new();
    for round in 0..60 {
        let (key, value) = (format!("key-{}", round % 7), format!("value-{round}"));
        let batch = builder(&[(&key, Some(&value)), ("same", Some(&value))]);
        let batch = if round % 3 == 0 { batch.codec(Codec::Lz4, None) } else { batch };
        let offset = try_append(&mut log, &batch.build()).unwrap();
        newest.insert(key, (offset, value.clone()));
        newest.insert("same".to_owned(), (offset + 1, value));
        if round % 9 == 8 {
            compact(&mut log, NOW);
        }
    }
    compact(&mut log, NOW);
    let mut left: Vec<_> = newest.into_iter().map(|(key, (offset, value))| (offset, key, Some(value))).collect();
    left.sort();
    assert_eq!(records(&log), left);
    for offset in 0..log.log_end_offset() {
        let read = log.reader().read(offset, 1 << 20, Offset::MAX, true).unwrap();
        let mut bytes = Vec::new();
        read.slice.expect("a batch at or above").read_into(&mut bytes).unwrap();
        assert!(Batches::new(&bytes).next().unwrap().unwrap().header.last_offset() >= offset);
    }
    log.close().unwrap();
    assert_eq!(records(&open(&disk)), left);
}

#[test]
fn a_tombstone_goes_only_after_its_time() {
    let mut log = open(&disk());
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
    put(&mut log, &[("a", None)]);
    assert!(compact(&mut log, NOW));
    let kept = expected(&[(1, "b", Some("1")), (2, "a", None)]);
    assert_eq!(records(&log), kept);
    let horizon = headers(&log).into_iter().find_map(|header| header.delete_horizon());
    assert_eq!(horizon, Some(NOW.0 + 1_000));
    put(&mut log, &[("x", Some("1"))]);
    assert!(compact(&mut log, Wall(NOW.0 + 999)));
    assert_eq!(records(&log)[..2], kept);
    put(&mut log, &[("x", Some("2"))]);
    assert!(compact(&mut log, Wall(NOW.0 + 1_000)));
    assert_eq!(records(&log), expected(&[(1, "b", Some("1")), (4, "x", Some("2"))]));
}

#[test]
fn aborted_records_go_and_committed_ones_are_compacted() {
    let mut log = open(&disk());
    let send = |log: &mut PartitionLog<SimDisk>, id, sequence, pairs: Pairs<'_>| {
        let producer = (ProducerId(id), ProducerEpoch(0));
        try_append(log, &builder(pairs).producer(producer.0, producer.1, sequence).transactional().build()).unwrap()
    };
    let end = |log: &mut PartitionLog<SimDisk>, id, result| {
        let marker = EndTransactionMarker { result, coordinator_epoch: 0 };
        log.append_marker(marker, (ProducerId(id), ProducerEpoch(0)), 0, LeaderEpoch(0), NOW).unwrap();
    };
    put(&mut log, &[("a", Some("old")), ("b", Some("old"))]);
    send(&mut log, 1, 0, &[("a", Some("aborted"))]);
    send(&mut log, 2, 0, &[("b", Some("committed")), ("c", Some("committed"))]);
    end(&mut log, 1, TransactionResult::Abort);
    end(&mut log, 2, TransactionResult::Commit);
    send(&mut log, 1, 1, &[("d", Some("committed"))]);
    end(&mut log, 1, TransactionResult::Commit);
    send(&mut log, 2, 2, &[("a", Some("undecided"))]);
    log.log.roll(NOW).unwrap();
    assert!(compact(&mut log, NOW));
    let aborted_never_supersedes = [(0, "a", Some("old")), (3, "b", Some("committed")), (4, "c", Some("committed"))];
    let rest = [(7, "d", Some("committed")), (9, "a", Some("undecided"))];
    assert_eq!(records(&log), expected(&[&aborted_never_supersedes[..], &rest[..]].concat()));
    let markers = || headers(&log).iter().filter(|header| header.is_control()).count();
    assert_eq!(markers(), 3, "a marker outlives the records it decided about");
}

#[test]
fn markers_go_once_nobody_can_need_them() {
    let mut log = open(&disk());
    let producer = (ProducerId(1), ProducerEpoch(0));
    let batch = builder(&[("a", Some("1"))]).producer(producer.0, producer.1, 0).transactional().build();
    try_append(&mut log, &batch).unwrap();
    let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 0 };
    log.append_marker(marker, producer, 0, LeaderEpoch(0), NOW).unwrap();
    for (later, markers) in [(0, 1), (1, 1), (1_001, 0)] {
        put(&mut log, &[("x", Some("1"))]);
        assert!(compact(&mut log, Wall(NOW.0 + later)));
        let found = headers(&log).iter().filter(|header| header.is_control() && header.record_count > 0).count();
        assert_eq!(found, markers, "{later} ms later");
    }
}

/// Invariant B1: the sequence numbers of a producer outlive its records.
#[test]
fn a_producer_goes_on_after_its_records_are_gone() {
    let disk = disk();
    let mut log = open(&disk);
    let batch = |sequence| builder(&[("a", Some("1"))]).producer(ProducerId(5), ProducerEpoch(0), sequence).build();
    try_append(&mut log, &batch(0)).unwrap();
    try_append(&mut log, &batch(1)).unwrap();
    put(&mut log, &[("a", Some("2"))]);
    put(&mut log, &[("b", Some("1"))]);
    assert!(compact(&mut log, NOW));
    assert_eq!(records(&log), expected(&[(2, "a", Some("2")), (3, "b", Some("1"))]));
    log.remove_snapshots_above(-1).unwrap();
    log.close().unwrap();
    let mut log = open(&disk);
    log.rebuild_producers(0).unwrap();
    assert_eq!(try_append(&mut log, &batch(2)).unwrap(), 4);
}

#[test]
fn a_table_that_is_too_small_cleans_piece_by_piece() {
    let mut log = open(&disk());
    for round in 0..4 {
        for key in 0..10 {
            put(&mut log, &[(&format!("key-{key}"), Some(&format!("value-{round}")))]);
        }
    }
    let limits = CompactionLimits { keys_bytes_max: 4 * 64, ..LIMITS };
    let mut rounds = 0;
    while try_compact(&mut log, NOW, limits).unwrap() {
        rounds += 1;
    }
    assert!(rounds > 5, "{rounds}");
    let left = records(&log);
    assert!(left.iter().all(|(offset, _, value)| *offset >= 30 && value.as_deref() == Some("value-3")), "{left:?}");
    assert_eq!(left.len(), 10);
}

#[test]
fn copies_of_what_was_cut_off_meanwhile_are_dropped() {
    let disk = disk();
    let mut log = open(&disk);
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("a", Some("2"))]);
    log.log.roll(NOW).unwrap();
    log.flush().unwrap();
    let job = log.compaction_job(2, NOW).unwrap().unwrap();
    let compacted = job.run(LIMITS, |_| true).unwrap().unwrap();
    log.truncate_fully_and_start_at(50).unwrap();
    assert!(!log.put_compacted(compacted).unwrap());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (50, 50));
    assert!(disk.list(Path::new("/data/t-0")).unwrap().iter().all(|entry| !entry.name.ends_with(".cleaned")));
}

#[test]
fn one_who_stops_a_cleaning_leaves_nothing_behind() {
    let disk = disk();
    let mut log = open(&disk);
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("a", Some("2"))]);
    log.log.roll(NOW).unwrap();
    log.flush().unwrap();
    let job = log.compaction_job(2, NOW).unwrap().unwrap();
    for steps in 0..4 {
        let mut left = steps;
        let stopped = job.run(LIMITS, |_| {
            left -= 1;
            left >= 0
        });
        assert!(stopped.unwrap().is_none(), "after {steps} steps");
        assert!(disk.list(Path::new("/data/t-0")).unwrap().iter().all(|entry| !entry.name.ends_with(".cleaned")));
    }
}

/// Cut at every operation on the disk, with power lost or only the process killed: the newest record of every key is
/// there, and the log goes on.
#[test]
fn a_crash_at_any_moment_loses_no_newest_record() {
    let write = |log: &mut PartitionLog<SimDisk>, newest: &mut BTreeMap<String, String>| -> Result<(), LogError> {
        for round in 0..9 {
            let (key, value) = (format!("key-{}", round % 4), format!("value-{round}"));
            try_append(log, &builder(&[(&key, Some(&value)), ("same", Some(&value))]).build())?;
            log.flush()?;
            newest.extend([(key, value.clone()), ("same".to_owned(), value)]);
            if round % 4 == 3 {
                try_compact(log, NOW, LIMITS)?;
                log.directory.write_checkpoints()?;
                log.remove_deleted_files(Monotonic(u64::MAX / 2))?;
            }
        }
        Ok(())
    };
    let whole = disk();
    write(&mut open(&whole), &mut BTreeMap::new()).unwrap();
    let operations = whole.operations();
    for cut in disk().operations()..operations {
        for variant in 0..3 {
            let disk = disk();
            disk.fail_at(cut, Fault::Cut);
            let mut newest = BTreeMap::new();
            let ended = try_open(&disk).and_then(|mut log| write(&mut log, &mut newest));
            assert!(ended.is_err(), "cut {cut}");
            match variant {
                0 => disk.crash(None),
                1 => disk.crash(Some(cut)),
                _ => disk.kill(),
            }
            let log = open(&disk);
            let mut found = BTreeMap::new();
            for (_, key, value) in records(&log) {
                found.insert(key, value.unwrap());
            }
            for (key, value) in &newest {
                let later = found.get(key).is_some_and(|found| found >= value);
                assert!(later, "cut {cut} variant {variant}: {key} is {:?}, not {value}", found.get(key));
            }
            let names = disk.list(Path::new("/data/t-0")).unwrap();
            let litter = |name: &str| name.ends_with(".cleaned") || name.ends_with(".swap");
            assert!(names.iter().all(|entry| !litter(&entry.name)), "cut {cut} variant {variant}: {names:?}");
        }
    }
}
