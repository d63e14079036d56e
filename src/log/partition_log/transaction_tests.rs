//! Transactions in a partition's log: what is decided, what was aborted, and that no crash makes it otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::log::{AbortedTransaction, AppendOutcome, Fault, FilePool, ProducerRefusal, SimDisk};
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Batches, EndTransactionMarker, Records, TransactionResult};

const NOW: Wall = Wall(1_000_000);
const EPOCH: LeaderEpoch = LeaderEpoch(0);

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// With small segments, after a stop that was none.
fn open(disk: &SimDisk) -> Result<PartitionLog<SimDisk>, LogError> {
    let config = LogConfig { segment_bytes: 500, index_interval_bytes: 100, ..LogConfig::default() };
    open_with(disk, config, false)
}

fn open_with(disk: &SimDisk, config: LogConfig, clean: bool) -> Result<PartitionLog<SimDisk>, LogError> {
    let directory = DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 4)), Path::new("/data"))?;
    let partition = TopicPartition::new("t", 0);
    PartitionLog::open(&directory, partition, None, Arc::new(config), clean, NOW).map(|(log, _)| log)
}

fn records(producer: (i64, i16), sequence: i32, transactional: bool) -> Bytes {
    let builder = BatchBuilder::new().producer(ProducerId(producer.0), ProducerEpoch(producer.1), sequence);
    let mut builder = if transactional { builder.transactional() } else { builder };
    builder.append(NOW.0, None, Some(&[b'v'; 20]), &[]);
    builder.build()
}

/// Appends as a client does that has its transaction verified.
fn append(log: &mut PartitionLog<SimDisk>, producer: (i64, i16), sequence: i32) -> Result<AppendOutcome, LogError> {
    let batch = records(producer, sequence, true);
    let guard = log.start_verification(ProducerId(producer.0), ProducerEpoch(producer.1), NOW);
    log.append_as_leader(&batch, &BatchHeader::parse(&batch).unwrap(), EPOCH, guard, NOW)
}

fn marker(coordinator_epoch: i32, result: TransactionResult) -> EndTransactionMarker {
    EndTransactionMarker { result, coordinator_epoch }
}

fn end(
    log: &mut PartitionLog<SimDisk>,
    producer: (i64, i16),
    result: TransactionResult,
) -> Result<AppendOutcome, LogError> {
    log.append_marker(marker(0, result), (ProducerId(producer.0), ProducerEpoch(producer.1)), 1, EPOCH, NOW)
}

fn abort(log: &mut PartitionLog<SimDisk>, id: i64) {
    assert!(matches!(end(log, (id, 0), TransactionResult::Abort).unwrap(), AppendOutcome::Appended(_)));
}

fn commit(log: &mut PartitionLog<SimDisk>, id: i64) {
    assert!(matches!(end(log, (id, 0), TransactionResult::Commit).unwrap(), AppendOutcome::Appended(_)));
}

fn write(log: &mut PartitionLog<SimDisk>, id: i64, sequence: i32) {
    assert!(matches!(append(log, (id, 0), sequence).unwrap(), AppendOutcome::Appended(_)));
}

fn refusal(outcome: Result<AppendOutcome, LogError>) -> ErrorCode {
    match outcome.unwrap() {
        AppendOutcome::Refused(refusal) => refusal.error_code(),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn nothing_is_stable_before_its_end_is_committed() {
    let mut log = open(&disk()).unwrap();
    write(&mut log, 1, 0);
    write(&mut log, 2, 0);
    assert_eq!(log.first_unstable_offset(2), Some(0));
    commit(&mut log, 1);
    // The marker is at offset 2, and not committed while the high watermark is not above it (invariant B2).
    assert_eq!(log.first_unstable_offset(2), Some(0));
    assert_eq!(log.first_unstable_offset(3), Some(1));
    abort(&mut log, 2);
    assert_eq!(log.first_unstable_offset(3), Some(1));
    assert_eq!(log.first_unstable_offset(4), None);
}

#[test]
fn readers_are_told_of_the_aborted_transactions_they_meet() {
    let mut log = open(&disk()).unwrap();
    for round in 0..10 {
        write(&mut log, 1, round);
        write(&mut log, 2, round);
        abort(&mut log, 1);
        commit(&mut log, 2);
    }
    assert!(log.log.segments().len() > 3, "the index of more than one segment is read");
    let reader = log.reader();
    let first = |from, upper| {
        let aborted = reader.aborted_transactions(from, upper).unwrap();
        aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect::<Vec<_>>()
    };
    assert_eq!(first(0, 4), [(1, 0)]);
    // Its records are behind the reader, but not all: the marker is still to come.
    assert_eq!(first(1, 4), [(1, 0)]);
    assert_eq!(first(3, 4), []);
    assert_eq!(first(3, 9), [(1, 4), (1, 8)]);
    assert_eq!(first(0, 40), (0..10).map(|round| (1, 4 * round)).collect::<Vec<_>>());
}

#[test]
fn a_read_names_no_aborted_transaction_beyond_what_it_returns() {
    let mut log = open(&disk()).unwrap();
    for round in 0..10 {
        write(&mut log, 1, round);
        abort(&mut log, 1);
    }
    let reader = log.reader();
    let slice = reader.read(0, 100, Offset::MAX, true).unwrap().slice.unwrap();
    assert!(slice.upper_offset < 10, "{}", slice.upper_offset);
    let whole = reader.read(0, 1 << 20, 3, true).unwrap().slice.unwrap();
    assert_eq!(whole.upper_offset, 3);
}

#[test]
fn a_batch_that_is_late_opens_no_transaction() {
    let mut log = open(&disk()).unwrap();
    let late = records((1, 0), 1, true);
    let header = BatchHeader::parse(&late).unwrap();
    assert_eq!(refusal(log.append_as_leader(&late, &header, EPOCH, None, NOW)), ErrorCode::InvalidTxnState);
    write(&mut log, 1, 0);
    commit(&mut log, 1);
    // Verified while the transaction was open, appended behind its end (invariant B4).
    let guard = log.start_verification(ProducerId(1), ProducerEpoch(0), NOW);
    assert_eq!(guard, log.start_verification(ProducerId(1), ProducerEpoch(0), NOW));
    commit(&mut log, 1);
    assert_eq!(refusal(log.append_as_leader(&late, &header, EPOCH, guard, NOW)), ErrorCode::InvalidTxnState);
    assert_eq!(log.first_unstable_offset(log.log_end_offset()), None);
    // A retry of what is in the log is none of this.
    let again = records((1, 0), 0, true);
    let outcome = log.append_as_leader(&again, &BatchHeader::parse(&again).unwrap(), EPOCH, None, NOW);
    assert!(matches!(outcome.unwrap(), AppendOutcome::Duplicate(_)));
}

#[test]
fn markers_of_the_past_are_refused() {
    let mut log = open(&disk()).unwrap();
    let producer = (ProducerId(1), ProducerEpoch(3));
    append(&mut log, (1, 3), 0).unwrap();
    let mut at = |coordinator: i32, epoch: i16, version: i8| {
        let producer = (producer.0, ProducerEpoch(epoch));
        log.append_marker(marker(coordinator, TransactionResult::Commit), producer, version, EPOCH, NOW)
    };
    assert_eq!(refusal(at(5, 2, 1)), ErrorCode::InvalidProducerEpoch);
    // With the epoch of the open transaction comes only the end of the one before (KIP-890).
    assert_eq!(refusal(at(5, 3, 2)), ErrorCode::InvalidProducerEpoch);
    assert!(matches!(at(5, 4, 2).unwrap(), AppendOutcome::Appended(_)));
    assert!(matches!(at(5, 4, 2).unwrap(), AppendOutcome::Appended(_)), "a retry");
    assert_eq!(refusal(at(4, 4, 2)), ErrorCode::TransactionCoordinatorFenced);
    let zombie = append(&mut log, (1, 3), 1).unwrap();
    assert!(matches!(zombie, AppendOutcome::Refused(ProducerRefusal::InvalidProducerEpoch { .. })), "{zombie:?}");
    assert!(matches!(append(&mut log, (1, 4), 0).unwrap(), AppendOutcome::Appended(_)));
}

#[test]
fn offsets_of_a_group_take_no_place_in_the_producers_sequence() {
    let mut log = open(&disk()).unwrap();
    write(&mut log, 1, 0);
    let mut builder = BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), -1).transactional();
    builder.append(NOW.0, Some(b"key"), Some(b"value"), &[]);
    let offsets = builder.build();
    let header = BatchHeader::parse(&offsets).unwrap();
    for _ in 0..2 {
        let outcome = log.append_as_leader(&offsets, &header, EPOCH, None, NOW).unwrap();
        assert!(matches!(outcome, AppendOutcome::Appended(_)), "{outcome:?}");
    }
    write(&mut log, 1, 1);
}

/// What the batches of the log say was aborted, and where the oldest open transaction begins.
fn told_by_batches(log: &PartitionLog<SimDisk>) -> (Vec<(i64, Offset, Offset)>, Option<Offset>) {
    let (reader, mut offset) = (log.reader(), 0);
    let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
    while offset < reader.log_end_offset() {
        let mut bytes = Vec::new();
        reader.read(offset, 1 << 20, Offset::MAX, true).unwrap().slice.unwrap().read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            let (id, at) = (batch.header.producer_id.0, batch.header.base_offset);
            offset = batch.header.next_offset();
            if !batch.header.is_control() {
                open.entry(id).or_insert(at);
                continue;
            }
            let plain = batch.plain_records(1000).unwrap();
            let record = Records::new(&batch.header, &plain).next().unwrap().unwrap();
            let marker = EndTransactionMarker::from_record(&record).unwrap();
            if let (Some(first), TransactionResult::Abort) = (open.remove(&id), marker.result) {
                aborted.push((id, first, at));
            }
        }
    }
    (aborted, open.into_values().min())
}

fn check(log: &mut PartitionLog<SimDisk>, what: &str) {
    let (aborted, open) = told_by_batches(log);
    let end = log.log_end_offset();
    let indexed: Vec<AbortedTransaction> = log.reader().aborted_transactions(0, end).unwrap();
    let indexed: Vec<_> = indexed.iter().map(|a| (a.producer_id.0, a.first_offset, a.last_offset)).collect();
    assert_eq!(indexed, aborted, "{what}");
    assert_eq!(log.first_unstable_offset(end), open, "{what}");
}

/// Two producers whose transactions cross segments and flushes.
fn run(disk: &SimDisk) -> Result<(), LogError> {
    let mut log = open(disk)?;
    for round in 0..8 {
        append(&mut log, (1, 0), 2 * round)?;
        append(&mut log, (2, 0), round)?;
        append(&mut log, (1, 0), 2 * round + 1)?;
        if round % 3 == 1 {
            log.flush()?;
            log.directory.write_checkpoints()?;
        }
        end(&mut log, (1, 0), if round % 2 == 0 { TransactionResult::Abort } else { TransactionResult::Commit })?;
        if round % 4 == 3 {
            end(&mut log, (2, 0), TransactionResult::Abort)?;
        }
        if round == 5 {
            log.truncate_to(log.log_end_offset() - 3)?;
        }
    }
    log.close()
}

fn operations() -> u64 {
    let disk = disk();
    let before = disk.operations();
    run(&disk).unwrap();
    disk.operations() - before
}

#[test]
fn no_crash_makes_an_aborted_transaction_readable() {
    for cut in 0..=operations() {
        for seed in [None, Some(1), Some(2), Some(3)] {
            let disk = disk();
            disk.fail_at(disk.operations() + cut, Fault::Cut);
            // An error is what the cut is for.
            let _ = run(&disk);
            disk.crash(seed.map(|seed: u64| seed * 10_007 + cut));
            let mut log = open(&disk).unwrap();
            check(&mut log, &format!("power cut before operation {cut}, seed {seed:?}"));
        }
    }
}

#[test]
fn a_killed_process_leaves_the_same_transactions() {
    for cut in 0..=operations() {
        let disk = disk();
        disk.fail_at(disk.operations() + cut, Fault::Cut);
        let _ = run(&disk);
        disk.kill();
        check(&mut open(&disk).unwrap(), &format!("kill before operation {cut}"));
    }
}

/// B2: a snapshot tells who has an open transaction, and not which ends are committed.
#[test]
fn a_marker_above_the_high_watermark_decides_nothing_after_a_truncation_or_a_start() {
    let disk = disk();
    let mut log = open(&disk).unwrap();
    write(&mut log, 1, 0);
    commit(&mut log, 1);
    write(&mut log, 2, 0);
    abort(&mut log, 2);
    log.take_snapshot().unwrap();
    write(&mut log, 3, 0);
    let directory = log.directory.clone();
    directory.set_high_watermark(&TopicPartition::new("t", 0), 1);
    log.truncate_to(4).unwrap();
    assert_eq!([1, 2, 3, 4].map(|at| log.first_unstable_offset(at)), [Some(0), Some(2), Some(2), None]);
    log.close().unwrap();
    directory.write_checkpoints().unwrap();
    let mut log = open_with(&disk, LogConfig::default(), true).unwrap();
    assert_eq!([1, 2, 3, 4].map(|at| log.first_unstable_offset(at)), [Some(0), Some(2), Some(2), None]);
    check(&mut log, "started again");
}

#[test]
fn an_abort_that_fails_has_appended_nothing() {
    // So many that the index writes what has gathered in memory; each operation on the disk about then fails once.
    const ABORTS: i32 = 514;
    let mut failures = 0;
    for operation in 0..8 {
        let disk = disk();
        let mut log = open_with(&disk, LogConfig::default(), false).unwrap();
        for aborted in 0..ABORTS {
            if aborted == ABORTS - 4 {
                disk.fail_at(disk.operations() + operation, Fault::Full);
            }
            if append(&mut log, (1, 0), aborted).is_err() {
                failures += 1;
                write(&mut log, 1, aborted);
            }
            let end_before = log.log_end_offset();
            if end(&mut log, (1, 0), TransactionResult::Abort).is_err() {
                failures += 1;
                assert_eq!(log.log_end_offset(), end_before, "operation {operation}");
                abort(&mut log, 1);
            }
        }
        assert_eq!(log.log_end_offset(), i64::from(2 * ABORTS), "operation {operation}");
        check(&mut log, &format!("operation {operation}"));
        log.flush().unwrap();
        check(&mut log, &format!("flushed after operation {operation}"));
    }
    assert!((2..8).contains(&failures), "{failures}");
}

#[test]
fn the_index_has_kafkas_bytes() {
    let disk = disk();
    let mut log = open(&disk).unwrap();
    write(&mut log, 7, 0);
    abort(&mut log, 7);
    log.flush().unwrap();
    let bytes = disk.read(Path::new("/data/t-0/00000000000000000000.txnindex")).unwrap();
    let fields = [7_i64, 0, 1, 2].map(i64::to_be_bytes).concat();
    assert_eq!(bytes, [&[0, 0][..], &fields].concat());
}

/// The coordinator may say that the next transaction has begun a moment before its marker for the last one arrives, and
/// a coordinator that takes over writes the marker a second time.
#[test]
fn a_marker_of_the_last_transaction_leaves_the_next_alone_each_time_it_comes() {
    let mut log = open(&disk()).unwrap();
    write(&mut log, 1, 0);
    let next = (ProducerId(1), ProducerEpoch(1));
    let guard = log.start_verification(next.0, next.1, NOW);
    for coordinator_epoch in [0, 1] {
        let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch };
        let ended = log.append_marker(marker, next, 2, EPOCH, NOW);
        assert!(matches!(ended, Ok(AppendOutcome::Appended(_))), "{ended:?}");
    }
    let batch = records((1, 1), 0, true);
    let outcome = log.append_as_leader(&batch, &BatchHeader::parse(&batch).unwrap(), EPOCH, guard, NOW);
    assert!(matches!(outcome, Ok(AppendOutcome::Appended(_))), "{outcome:?}");
    let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 2 };
    assert_eq!(refusal(log.append_marker(marker, next, 2, EPOCH, NOW)), ErrorCode::InvalidProducerEpoch, "has begun");
}

/// Before version 2 the epoch stays: a batch that was verified before the end may be one that comes late.
#[test]
fn a_marker_of_the_same_epoch_voids_what_was_verified_in_it() {
    let mut log = open(&disk()).unwrap();
    let guard = log.start_verification(ProducerId(1), ProducerEpoch(0), NOW);
    abort(&mut log, 1);
    let late = records((1, 0), 0, true);
    let outcome = log.append_as_leader(&late, &BatchHeader::parse(&late).unwrap(), EPOCH, guard, NOW);
    assert_eq!(refusal(outcome), ErrorCode::InvalidTxnState);
}

/// Invariant B2.
#[test]
fn aborted_transactions_that_recovery_found_in_earlier_segments_outlive_the_next_stop() {
    let disk = disk();
    let mut log = open(&disk).unwrap();
    for round in 0..10 {
        write(&mut log, 1, round);
        abort(&mut log, 1);
    }
    assert!(log.log.segments().len() > 3);
    drop(log);
    disk.kill();
    let mut log = open(&disk).unwrap();
    check(&mut log, "after a kill");
    let directory = log.directory.clone();
    log.close().unwrap();
    directory.write_checkpoints().unwrap();
    check(&mut open(&disk).unwrap(), "after a kill and a stop in order");
}
