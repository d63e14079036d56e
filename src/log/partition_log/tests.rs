//! A partition's log over a disk that crashes.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::log::{
    AppendOutcome, CleanupPolicy, DiskFile, Fault, FilePool, OsDisk, ProducerRefusal, SimDisk, TimestampTarget,
};
use crate::model::{Monotonic, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Batches};

const NOW: Wall = Wall(1_000_000);

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// A small log: segments of 600 bytes, an index entry every 100.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 100, ..LogConfig::default() }
}

fn directory<D: Disk>(disk: &D, path: &str) -> DataDirectory<D> {
    DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 4)), Path::new(path)).unwrap()
}

fn sim() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open_with<D: Disk>(
    directory: &DataDirectory<D>,
    config: LogConfig,
    clean: bool,
) -> Result<(PartitionLog<D>, OpenReport), LogError> {
    let topic_id = Some(TopicId(Uuid([7; 16])));
    PartitionLog::open(directory, partition(), topic_id, Arc::new(config), clean, NOW)
}

fn open<D: Disk>(disk: &D) -> (PartitionLog<D>, OpenReport) {
    open_with(&directory(disk, "/data"), config(), false).unwrap()
}

/// A batch of `count` records of some 80 bytes each, the n-th with timestamp `timestamp` + n.
fn batch(producer: Option<(i64, i32)>, count: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some((id, base_sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), base_sequence);
    }
    for n in 0..count {
        builder.append(timestamp + n as i64, Some(&timestamp.to_be_bytes()), Some(&[b'v'; 60]), &[]);
    }
    builder.build()
}

fn append<D: Disk>(log: &mut PartitionLog<D>, batch: &Bytes, epoch: i32) -> Result<AppendOutcome, LogError> {
    log.append_as_leader(batch, &BatchHeader::parse(batch).unwrap(), LeaderEpoch(epoch), None, NOW)
}

fn appended<D: Disk>(log: &mut PartitionLog<D>, batch: &Bytes, epoch: i32) -> Offset {
    match append(log, batch, epoch).unwrap() {
        AppendOutcome::Appended(info) => info.base_offset,
        outcome => panic!("{outcome:?}"),
    }
}

/// All batches from `offset` on, as they are read, each by itself.
fn read_all<D: Disk>(reader: &LogReader<D>, mut offset: Offset) -> Vec<Bytes> {
    let mut batches = Vec::new();
    while offset < reader.log_end_offset() {
        let read = reader.read(offset, 1 << 20, Offset::MAX, true).unwrap();
        let mut bytes = Vec::new();
        read.slice.expect("there is something below the end").read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            offset = batch.header.next_offset();
            batches.push(Bytes::copy_from_slice(batch.bytes));
        }
    }
    batches
}

#[test]
fn batches_come_back_with_offset_and_epoch() {
    let (mut log, report) = open(&sim());
    assert!(report.created);
    let sent: Vec<Bytes> = (0..20).map(|n| batch(None, 1 + n % 3, n as i64 * 10)).collect();
    let mut expected = 0;
    for (n, batch) in sent.iter().enumerate() {
        assert_eq!(appended(&mut log, batch, n as i32 / 7), expected);
        expected += 1 + (n % 3) as i64;
    }
    let stored = read_all(&log.reader(), 0);
    assert_eq!(stored.len(), sent.len());
    for (n, (stored, sent)) in stored.iter().zip(&sent).enumerate() {
        assert_eq!(stored[16..], sent[16..]);
        assert_eq!(BatchHeader::parse(stored).unwrap().partition_leader_epoch, LeaderEpoch(n as i32 / 7));
    }
    assert!(log.log.segments().len() > 3, "the log was rolled");
    assert_eq!(log.leader_epochs().entries().len(), 3);
}

#[test]
fn reads_begin_anywhere_and_stop_where_they_are_told() {
    let (mut log, _) = open(&sim());
    for n in 0..30 {
        appended(&mut log, &batch(None, 2, n), 0);
    }
    let reader = log.reader();
    let headers = |offset, max_bytes, upper, min_one| {
        let read = reader.read(offset, max_bytes, upper, min_one).unwrap();
        let Some(slice) = read.slice else { return Vec::new() };
        let mut bytes = Vec::new();
        slice.read_into(&mut bytes).unwrap();
        Batches::new(&bytes).map(|batch| batch.unwrap().header.base_offset).collect::<Vec<_>>()
    };
    for offset in 0..60 {
        // From inside of a batch the whole batch is read (T7).
        assert_eq!(headers(offset, 1, Offset::MAX, true), [offset / 2 * 2], "from {offset}");
        assert_eq!(headers(offset, 1, Offset::MAX, false), [0; 0]);
        for upper in 0..60 {
            let found = headers(offset, 1 << 20, upper, true);
            assert!(found.iter().all(|base| base + 1 < upper), "{found:?} below {upper}");
            assert_eq!(found.is_empty(), offset / 2 * 2 + 1 >= upper, "from {offset} to {upper}");
        }
    }
    assert_eq!(headers(60, 100, Offset::MAX, true), [0; 0]);
    for offset in [-1, 61] {
        assert!(matches!(
            reader.read(offset, 1, Offset::MAX, true),
            Err(LogError::OffsetOutOfRange { log_start_offset: 0, log_end_offset: 60, .. })
        ));
    }
}

#[test]
fn a_retry_is_answered_with_its_first_offset_also_after_a_restart() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..6 {
        assert_eq!(appended(&mut log, &batch(Some((5, n)), 1, 0), 0), i64::from(n));
    }
    let check = |log: &mut PartitionLog<SimDisk>| {
        for n in 1..6 {
            match append(log, &batch(Some((5, n)), 1, 0), 0).unwrap() {
                AppendOutcome::Duplicate(info) => assert_eq!(info.base_offset, i64::from(n)),
                outcome => panic!("{outcome:?}"),
            }
        }
        let gap = append(log, &batch(Some((5, 9)), 1, 0), 0).unwrap();
        assert!(matches!(gap, AppendOutcome::Refused(ProducerRefusal::OutOfOrderSequence { .. })), "{gap:?}");
    };
    check(&mut log);
    drop(log);
    disk.kill();
    let (mut log, report) = open(&disk);
    assert!(report.scanned_bytes > 0);
    check(&mut log);
    log.directory.write_checkpoints().unwrap();
    let directory = log.directory.clone();
    log.close().unwrap();
    directory.write_checkpoints().unwrap();
    disk.crash(None);
    let (mut log, report) = open_with(&self::directory(&disk, "/data"), config(), true).unwrap();
    assert_eq!(report, OpenReport::default());
    check(&mut log);
}

#[test]
fn an_append_that_fails_has_appended_nothing() {
    // Segments are rolled, indexes and snapshots written on the way; each operation on the disk fails once.
    let mut failures = 0;
    for operation in 0..200 {
        let disk = sim();
        let (mut log, _) = open(&disk);
        disk.fail_at(disk.operations() + operation, Fault::Full);
        for sequence in 0..60 {
            let next = batch(Some((7, sequence)), 1, i64::from(sequence));
            if let Err(error) = append(&mut log, &next, 0) {
                assert!(error.is_out_of_space(), "{error}");
                assert_eq!(log.log_end_offset(), i64::from(sequence), "operation {operation}");
                failures += 1;
                appended(&mut log, &next, 0);
            }
            assert_eq!(log.describe_producers()[0].last_sequence, sequence, "operation {operation}");
            assert_eq!(log.log_end_offset(), i64::from(sequence) + 1, "operation {operation}");
        }
        assert_eq!(read_all(&log.reader(), 0).len(), 60, "operation {operation}");
    }
    assert!(failures > 20, "{failures}");
}

#[test]
fn a_flush_that_met_a_full_disk_can_be_done_later() {
    let (mut waited, mut failed) = (0, 0);
    for operation in 0..40 {
        let disk = sim();
        let (mut log, _) = open(&disk);
        for n in 0..20 {
            appended(&mut log, &batch(Some((5, n)), 1, 0), n / 4);
        }
        let before = (read_all(&log.reader(), 0), log.leader_epochs().clone());
        disk.fail_at(disk.operations() + operation, Fault::Full);
        if let Err(error) = log.flush() {
            if !error.lets_flush_wait() {
                failed += 1;
                continue;
            }
            waited += 1;
            assert_eq!(log.recovery_point(), 0, "operation {operation}");
            log.flush_later();
            log.flush().unwrap();
        }
        disk.fail_at(u64::MAX, Fault::Full);
        log.directory.write_checkpoints().unwrap();
        disk.crash(None);
        let (log, report) = open(&disk);
        assert_eq!((report.scanned_bytes, report.cut), (0, None), "operation {operation}");
        assert_eq!((read_all(&log.reader(), 0), log.leader_epochs().clone()), before, "operation {operation}");
        assert_eq!(log.describe_producers()[0].last_sequence, 19, "operation {operation}");
    }
    assert!(waited > 2 && failed > 2, "{waited} waited, {failed} failed");
}

#[test]
fn truncation_takes_whole_batches_epochs_and_producers() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..12 {
        appended(&mut log, &batch(Some((5, 2 * n)), 2, 0), n / 4);
    }
    log.flush().unwrap();
    log.directory.write_checkpoints().unwrap();
    let before = read_all(&log.reader(), 0);
    assert!(log.truncate_to(13).unwrap());
    assert_eq!((log.log_end_offset(), log.recovery_point()), (12, 12));
    assert_eq!(log.leader_epochs().latest().unwrap().epoch, LeaderEpoch(1));
    assert_eq!(log.describe_producers()[0].last_sequence, 11);
    assert!(!log.truncate_to(12).unwrap());
    log.assign_leader_epoch_start(LeaderEpoch(5)).unwrap();
    assert!(!log.truncate_to(12).unwrap());
    assert_eq!(log.leader_epochs().latest().unwrap().epoch, LeaderEpoch(1), "an epoch without records goes too");
    // The cut is durable: nothing of it comes back.
    disk.crash(None);
    let (mut log, report) = open(&disk);
    assert_eq!((log.log_end_offset(), report.cut), (12, None));
    assert_eq!(read_all(&log.reader(), 0), before[..6]);
    assert_eq!(appended(&mut log, &batch(Some((5, 12)), 2, 0), 7), 12);
    assert!(log.truncate_to(0).unwrap());
    assert_eq!((log.log_end_offset(), log.describe_producers().len(), log.leader_epochs().entries().len()), (0, 0, 0));
}

#[test]
fn a_log_begins_anew_elsewhere() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..12 {
        appended(&mut log, &batch(Some((5, n)), 1, 0), 0);
    }
    log.flush().unwrap();
    log.directory.write_checkpoints().unwrap();
    log.truncate_fully_and_start_at(1_000).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (1_000, 1_000));
    disk.crash(None);
    let (mut log, report) = open(&disk);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), report.cut), (1_000, 1_000, None));
    assert_eq!(log.describe_producers(), []);
    assert_eq!(appended(&mut log, &batch(None, 1, 0), 3), 1_000);
}

#[test]
fn deleted_records_stay_deleted() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..20 {
        appended(&mut log, &batch(None, 1, n), n as i32 / 8);
    }
    let segments = log.log.segments().len();
    assert!(log.advance_log_start_offset(13).unwrap());
    assert!(!log.advance_log_start_offset(5).unwrap());
    assert!(matches!(log.advance_log_start_offset(21), Err(LogError::OffsetOutOfRange { .. })));
    assert!(log.log.segments().len() < segments);
    assert!(log.reader().read(12, 1, Offset::MAX, true).is_err());
    let first = log.leader_epochs().entries()[0];
    assert_eq!((first.epoch, first.start_offset), (LeaderEpoch(1), 8), "the epoch of the last record that is deleted");
    log.flush().unwrap();
    log.directory.write_checkpoints().unwrap();
    disk.crash(None);
    let (log, _) = open(&disk);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (13, 20));
    assert_eq!(BatchHeader::parse(&read_all(&log.reader(), 13)[0]).unwrap().base_offset, 13);
}

#[test]
fn retention_deletes_and_readers_read_on() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..20 {
        appended(&mut log, &batch(None, 1, n * 1_000), 0);
    }
    let slice = log.reader().read(0, 1 << 20, Offset::MAX, true).unwrap().slice.unwrap();
    let policy = |delete| CleanupPolicy { delete, compact: !delete };
    let retention = |delete| LogConfig { retention_ms: 10_000, cleanup_policy: policy(delete), ..config() };
    log.set_config(Arc::new(retention(false)));
    assert_eq!(log.apply_retention(20, Wall(20_000)).unwrap(), RetentionOutcome::default());
    log.set_config(Arc::new(retention(true)));
    assert_eq!(log.apply_retention(0, Wall(20_000)).unwrap().segments, 0);
    let outcome = log.apply_retention(20, Wall(20_000)).unwrap();
    assert!(outcome.segments > 0 && outcome.log_start_offset <= 10, "{outcome:?}");
    assert_eq!(log.log_start_offset(), outcome.log_start_offset);
    let names = || disk.list(Path::new("/data/t-0")).unwrap().into_iter().map(|entry| entry.name);
    assert!(names().any(|name| name == "00000000000000000000.log.deleted"));
    assert_eq!(log.remove_deleted_files(Monotonic(5)).unwrap(), 0);
    assert_eq!(log.remove_deleted_files(Monotonic(60_004)).unwrap(), 0);
    assert_eq!(log.remove_deleted_files(Monotonic(60_005)).unwrap(), outcome.segments);
    assert!(!names().any(|name| name.ends_with(".deleted")));
    let mut bytes = Vec::new();
    slice.read_into(&mut bytes).unwrap();
    // All of it may go, the active segment too: a new one is begun first.
    let outcome = log.apply_retention(20, Wall(1_000_000)).unwrap();
    assert_eq!((outcome.log_start_offset, log.log_end_offset(), log.size_bytes()), (20, 20, 0));
    assert_eq!(appended(&mut log, &batch(None, 1, 0), 0), 20);
    assert_eq!(read_all(&log.reader(), 20).len(), 1);
}

#[test]
fn segments_roll_by_the_batches_own_time() {
    let (mut log, _) =
        open_with(&directory(&sim(), "/data"), LogConfig { segment_ms: 1_000, ..config() }, false).unwrap();
    for timestamp in [0, 1_000, 1_001, 1_500, 2_002] {
        appended(&mut log, &batch(None, 1, timestamp), 0);
    }
    let bases: Vec<Offset> = log.log.segments().iter().map(|segment| segment.base_offset()).collect();
    assert_eq!(bases, [0, 2, 4]);
    let jittered = LogConfig { segment_ms: 1_000, segment_jitter_ms: 1_000, ..config() };
    log.set_config(Arc::new(jittered));
    appended(&mut log, &batch(None, 1, 2_002 + 1_001), 0);
    assert_eq!(log.log.segments().len(), 4);
}

#[test]
fn offsets_are_found_by_timestamp_exactly() {
    for codec in [crate::record::Codec::None, crate::record::Codec::Lz4] {
        let (mut log, _) = open(&sim());
        // Timestamps run back and forth: 0 7 4 1 8 5 2 9 6 3, batches of three.
        let timestamps: Vec<i64> = (0..60).map(|n| (n * 7) % 10 + n / 10 * 10).collect();
        for three in timestamps.chunks(3) {
            let mut builder = BatchBuilder::new().codec(codec, None);
            three.iter().for_each(|timestamp| builder.append(*timestamp, None, Some(&[b'v'; 60]), &[]));
            appended(&mut log, &builder.build(), 4);
        }
        let reader = log.reader();
        let find = |target, upper| {
            let found = reader.offset_for_timestamp(target, upper).unwrap()?;
            assert_eq!(found.leader_epoch, LeaderEpoch(4));
            Some((found.offset, found.timestamp))
        };
        for upper in [60, 31, 1] {
            for target in -1..=60 {
                let expected = (0..upper).find(|n| timestamps[*n as usize] >= target);
                let expected = expected.map(|n| (n, timestamps[n as usize]));
                assert_eq!(find(TimestampTarget::At(target), upper), expected, "{target} below {upper}");
            }
            let max = (0..upper).map(|n| timestamps[n as usize]).max().unwrap();
            let expected = (0..upper).find(|n| timestamps[*n as usize] == max).map(|n| (n, max));
            assert_eq!(find(TimestampTarget::MaxTimestamp, upper), expected, "max below {upper}");
            assert_eq!(find(TimestampTarget::Latest, upper), Some((upper, -1)));
            assert_eq!(find(TimestampTarget::Earliest, upper), Some((0, -1)));
        }
    }
    let (log, _) = open(&sim());
    let reader = log.reader();
    assert_eq!(reader.offset_for_timestamp(TimestampTarget::At(0), 0).unwrap(), None);
    assert_eq!(reader.offset_for_timestamp(TimestampTarget::MaxTimestamp, 0).unwrap(), None);
    let latest = reader.offset_for_timestamp(TimestampTarget::Latest, 0).unwrap().unwrap();
    assert_eq!((latest.offset, latest.leader_epoch), (0, LeaderEpoch::NONE));
}

#[test]
fn a_follower_stores_what_the_leader_has() {
    let (mut leader, _) = open(&sim());
    for n in 0..20 {
        appended(&mut leader, &batch(Some((5, n)), 1, i64::from(n)), n / 6);
    }
    let stored = read_all(&leader.reader(), 0);
    let (mut follower, _) = open(&sim());
    let fetched = stored.concat();
    let info = follower.append_as_follower(&fetched[..fetched.len() - 1], 0, NOW).unwrap().unwrap();
    assert_eq!((info.base_offset, info.last_offset), (0, 18));
    follower.append_as_follower(&stored[19], 0, NOW).unwrap();
    assert_eq!(read_all(&follower.reader(), 0), stored);
    assert!(follower.log.segments().len() > 1);
    assert_eq!(follower.leader_epochs(), leader.leader_epochs());
    assert_eq!(follower.describe_producers(), leader.describe_producers());
    assert_eq!(follower.append_as_follower(&[], 0, NOW).unwrap(), None);
    let again = follower.append_as_follower(&stored[19], 0, NOW);
    assert!(matches!(again, Err(LogError::OffsetsNotContinuous { .. })), "{again:?}");
}

/// DeleteRecords may leave a leader a log that begins within a batch. Whoever goes on there is sent all of that: one that had
/// nothing, and one whose records were deleted, too.
#[test]
fn a_follower_that_goes_on_within_a_batch_takes_the_whole_batch() {
    let (mut leader, _) = open(&sim());
    for n in 0..3 {
        appended(&mut leader, &batch(Some((5, 4 * n)), 4, i64::from(n)), n);
    }
    leader.advance_log_start_offset(6).unwrap();
    let sent = read_all(&leader.reader(), 6).concat();
    let mut damaged = sent.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let (mut empty, _) = open(&sim());
    empty.truncate_fully_and_start_at(6).unwrap();
    let (mut stale, _) = open(&sim());
    appended(&mut stale, &batch(None, 6, 0), 0);
    for mut follower in [empty, stale] {
        follower.append_as_follower(&damaged, 6, NOW).unwrap_err();
        let info = follower.append_as_follower(&sent, 6, NOW).unwrap().unwrap();
        assert_eq!((info.base_offset, info.last_offset), (4, 11));
        assert_eq!((follower.log_start_offset(), follower.log_end_offset()), (6, 12));
        assert_eq!(read_all(&follower.reader(), 6).concat(), sent);
        assert_eq!(follower.leader_epochs(), leader.leader_epochs());
    }
}

/// A leader whose log begins elsewhere cannot mean that.
#[test]
fn a_follower_refuses_a_batch_across_its_end() {
    let (mut leader, _) = open(&sim());
    appended(&mut leader, &batch(None, 4, 0), 0);
    let (mut follower, _) = open(&sim());
    appended(&mut follower, &batch(None, 2, 0), 0);
    let sent = read_all(&leader.reader(), 0).concat();
    let refused = follower.append_as_follower(&sent, 0, NOW);
    assert!(matches!(refused, Err(LogError::OffsetsNotContinuous { .. })), "{refused:?}");
    assert_eq!(follower.log_end_offset(), 2);
}

#[test]
fn a_follower_refuses_a_bad_crc() {
    let (mut leader, _) = open(&sim());
    appended(&mut leader, &batch(None, 1, 0), 0);
    let mut bytes = read_all(&leader.reader(), 0).concat();
    *bytes.last_mut().unwrap() ^= 1;
    let (mut follower, _) = open(&sim());
    assert!(matches!(follower.append_as_follower(&bytes, 0, NOW), Err(LogError::Record(_))));
    assert_eq!(follower.log_end_offset(), 0);
}

#[test]
fn rot_below_the_recovery_point_is_a_fault_and_above_it_a_cut() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    let length = batch(None, 1, 0).len();
    for n in 0..3 {
        appended(&mut log, &batch(None, 1, n), 0);
    }
    log.flush().unwrap();
    log.directory.write_checkpoints().unwrap();
    for n in 3..5 {
        appended(&mut log, &batch(None, 1, n), 0);
    }
    drop(log);
    disk.kill();
    let path = Path::new("/data/t-0/00000000000000000000.log");
    disk.rot(path, 3 * length + 70);
    let (log, report) = open(&disk);
    let cut = report.cut.unwrap();
    assert_eq!((cut.offset, cut.position, cut.is_incomplete_tail()), (3, 3 * length as u64, false));
    assert_eq!(log.log_end_offset(), 3);
    drop(log);
    // The magic byte of a batch that was flushed.
    disk.rot(path, 2 * length + 16);
    let error = open_with(&directory(&disk, "/data"), config(), false).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
}

#[test]
fn a_log_that_has_lost_its_flushed_end_is_a_fault() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    for n in 0..3 {
        appended(&mut log, &batch(None, 1, n), 0);
    }
    log.flush().unwrap();
    log.directory.write_checkpoints().unwrap();
    let path = Path::new("/data/t-0/00000000000000000000.log");
    disk.open(path).unwrap().set_len(2 * batch(None, 1, 0).len() as u64).unwrap();
    let error = open_with(&directory(&disk, "/data"), config(), false).unwrap_err();
    assert!(matches!(error, LogError::EndsBeforeRecoveryPoint { log_end_offset: 2, recovery_point: 3, .. }), "{error}");
}

#[test]
fn another_topics_directory_is_refused() {
    let disk = sim();
    drop(open(&disk));
    let other = TopicId(Uuid([8; 16]));
    let refused =
        PartitionLog::open(&directory(&disk, "/data"), partition(), Some(other), Arc::new(config()), true, NOW);
    assert!(matches!(refused, Err(LogError::InconsistentTopicId { expected, .. }) if expected == other));
}

#[test]
fn a_deleted_log_leaves_nothing_for_its_successor() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    appended(&mut log, &batch(None, 1, 0), 3);
    let handle = log.flush_handle().unwrap().unwrap();
    log.flush().unwrap();
    let directory = log.directory.clone();
    directory.write_checkpoints().unwrap();
    let reader = log.reader();
    log.delete(Uuid([1; 16])).unwrap();
    // A flush that was under way finds that the log is gone, and that is no fault.
    let _ = handle.run().unwrap();
    assert_eq!(read_all(&reader, 0).len(), 1);
    assert_eq!(directory.remove_deleted().unwrap(), 1);
    let (log, report) = open_with(&directory, config(), false).unwrap();
    assert!(report.created);
    assert_eq!((log.log_end_offset(), log.leader_epochs().entries().len()), (0, 0));
    disk.crash(None);
    assert_eq!(open(&disk).0.log_end_offset(), 0);
}

#[test]
fn a_flush_that_a_truncation_overtook_claims_nothing() {
    let (mut log, _) = open(&sim());
    for n in 0..5 {
        appended(&mut log, &batch(None, 1, n), 0);
    }
    let handle = log.flush_handle().unwrap().unwrap();
    log.truncate_to(2).unwrap();
    for n in 0..5 {
        appended(&mut log, &batch(None, 1, n), 1);
    }
    let flushed = handle.run().unwrap();
    log.mark_flushed(flushed).unwrap();
    assert_eq!(log.recovery_point(), 0);
    assert!(log.dirty_bytes() > 0);
}

#[test]
fn synced_records_survive_a_power_cut_and_others_need_not() {
    for torn in [None, Some(1), Some(2), Some(3)] {
        let disk = sim();
        let (mut log, _) = open(&disk);
        // Over several segments, and before any flush has made a snapshot or a checkpoint.
        for n in 0..20 {
            appended(&mut log, &batch(Some((5, n)), 1, i64::from(n)), 0);
            if n % 7 == 0 {
                log.sync().unwrap();
            }
        }
        let synced = log.recovery_point();
        assert_eq!(synced, 15);
        assert!(log.sync_handle().unwrap().is_some() && log.dirty_bytes() > 0);
        disk.crash(torn);
        let (mut log, _) = open(&disk);
        assert!(log.log_end_offset() >= synced, "{} of {synced}", log.log_end_offset());
        // The producer goes on where its records end.
        let next = i32::try_from(log.log_end_offset()).unwrap();
        assert_eq!(appended(&mut log, &batch(Some((5, next)), 1, 0), 0), i64::from(next));
    }
}

#[test]
fn a_sync_costs_one_sync_of_the_segment_and_leaves_the_rest_to_the_flush() {
    let disk = sim();
    let (mut log, _) = open(&disk);
    appended(&mut log, &batch(None, 1, 0), 0);
    log.sync().unwrap();
    appended(&mut log, &batch(None, 1, 0), 0);
    let before = disk.syncs();
    log.sync().unwrap();
    assert_eq!(disk.syncs() - before, 1);
    assert!(log.sync_handle().unwrap().is_none(), "the records are on disk");
    assert!(log.dirty_bytes() > 0, "a start would have to read them for their producers");
    log.flush().unwrap();
    assert_eq!(log.dirty_bytes(), 0);
    assert!(log.flush_handle().unwrap().is_none());
}

#[test]
fn what_could_not_be_written_leaves_no_trace() {
    use crate::log::Fault;
    let disk = sim();
    let (mut log, _) = open(&disk);
    appended(&mut log, &batch(Some((5, 0)), 1, 0), 0);
    disk.fail_at(disk.operations(), Fault::Full);
    let error = append(&mut log, &batch(Some((5, 1)), 3, 0), 1).unwrap_err();
    assert!(error.is_out_of_space(), "{error}");
    assert_eq!((log.log_end_offset(), log.leader_epochs().entries().len()), (1, 1));
    // There is room again.
    assert_eq!(appended(&mut log, &batch(Some((5, 1)), 1, 0), 1), 1);
    drop(log);
    disk.kill();
    let (log, report) = open(&disk);
    assert_eq!((log.log_end_offset(), report.cut), (2, None));
}

#[test]
fn the_real_disk_behaves_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().to_str().unwrap();
    let open = |clean| open_with(&directory(&OsDisk, path), config(), clean).unwrap();
    let (mut log, _) = open(false);
    for n in 0..40 {
        appended(&mut log, &batch(Some((5, n)), 1, i64::from(n)), n / 10);
    }
    let stored = read_all(&log.reader(), 0);
    assert_eq!(stored.len(), 40);
    drop(log);
    let (mut log, report) = open(false);
    assert_eq!((read_all(&log.reader(), 0), report.cut), (stored.clone(), None));
    log.truncate_to(25).unwrap();
    log.advance_log_start_offset(10).unwrap();
    let directory = log.directory.clone();
    log.close().unwrap();
    directory.write_checkpoints().unwrap();
    let (log, report) = open(true);
    assert_eq!((report.scanned_bytes, report.created), (0, false));
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (10, 25));
    assert_eq!(read_all(&log.reader(), 10), stored[10..25]);
}

#[test]
fn readers_see_whole_batches_while_others_append() {
    let (mut log, _) = open(&sim());
    let reader = log.reader();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let (mut offset, mut reads) = (0, 0);
            while offset < 600 {
                let upper = reader.log_end_offset();
                let Some(slice) = reader.read(offset, 400, upper, true).unwrap().slice else { continue };
                let mut bytes = Vec::new();
                slice.read_into(&mut bytes).unwrap();
                for batch in Batches::new(&bytes) {
                    let batch = batch.unwrap();
                    batch.verify_crc().unwrap();
                    assert_eq!(batch.header.base_offset, offset);
                    offset = batch.header.next_offset();
                    assert!(offset <= upper, "read up to {offset}, allowed up to {upper}");
                }
                reads += 1;
            }
            reads
        });
        for n in 0..300 {
            appended(&mut log, &batch(None, 2, n), 0);
        }
        assert!(reading.join().unwrap() > 0);
    });
    assert!(log.log.segments().len() > 50);
}
