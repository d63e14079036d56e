//! Histories of one partition's log: producers, markers, and a disk that fails.

use std::path::Path;
use std::sync::Arc;

use ottla::log::{
    AppendOutcome, CleanShutdown, DataDirectory, Disk, Fault, FilePool, LogConfig, PartitionLog, PastLife, SimDisk,
    VerificationGuard,
};
use ottla::model::{BrokerEpoch, LeaderEpoch, ProducerEpoch, ProducerId, TopicPartition, Wall};
use ottla::record::{BatchBuilder, BatchHeader, EndTransactionMarker, TransactionResult};
use ottla::transaction::TransactionVersion;

use super::{Verdict, must};

const DATA: &str = "/data";
const EPOCH: LeaderEpoch = LeaderEpoch(0);
const NOW: Wall = Wall(1_700_000_000_000);
const PRODUCER: ProducerId = ProducerId(7);

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DATA)).expect("a new disk takes a directory");
    disk.sync_dir(Path::new("/")).expect("a new disk syncs");
    disk
}

fn directory(disk: &SimDisk) -> DataDirectory<SimDisk> {
    let pool = Arc::new(FilePool::new(disk.clone(), 20));
    DataDirectory::open(pool, Path::new(DATA)).expect("the directory is there")
}

/// Opens the log, and tells whether something had to be cut off.
fn open(disk: &SimDisk) -> (PartitionLog<SimDisk>, bool) {
    open_in(&directory(disk))
}

fn open_in(directory: &DataDirectory<SimDisk>) -> (PartitionLog<SimDisk>, bool) {
    let partition = TopicPartition::new("t", 0);
    let config = Arc::new(LogConfig::default());
    let (log, report) = PartitionLog::open(directory, partition, None, config, false, NOW).expect("the log opens");
    (log, report.cut.is_some())
}

fn batch(epoch: i16, sequence: i32, value: &[u8], transactional: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(PRODUCER, ProducerEpoch(epoch), sequence);
    if transactional {
        builder = builder.transactional();
    }
    builder.append(NOW.0, None, Some(value), &[]);
    builder.build().to_vec()
}

fn append(log: &mut PartitionLog<SimDisk>, batch: &[u8], guard: Option<VerificationGuard>) -> Result<bool, String> {
    let header = BatchHeader::parse(batch).map_err(|error| error.to_string())?;
    let outcome = log.append_as_leader(batch, &header, EPOCH, guard, NOW).map_err(|error| error.to_string())?;
    Ok(matches!(outcome, AppendOutcome::Appended(_)))
}

/// The first batch of a transaction, as the coordinator allows it.
fn begin(log: &mut PartitionLog<SimDisk>, epoch: i16, sequence: i32) -> Verdict {
    let guard = log.start_verification(PRODUCER, ProducerEpoch(epoch), NOW);
    must(append(log, &batch(epoch, sequence, b"first", true), guard)?, "the transaction does not begin")
}

/// A marker of the producer in this epoch; true when it is appended.
fn end(
    log: &mut PartitionLog<SimDisk>,
    epoch: i16,
    coordinator_epoch: i32,
    result: TransactionResult,
    version: TransactionVersion,
) -> Result<bool, String> {
    let marker = EndTransactionMarker { result, coordinator_epoch };
    let outcome = log.append_marker(marker, (PRODUCER, ProducerEpoch(epoch)), version.level(), EPOCH, NOW);
    Ok(matches!(outcome.map_err(|error| error.to_string())?, AppendOutcome::Appended(_)))
}

/// The disk is full in the midst of a long batch. A short one finds room; then the process is killed.
pub fn a_full_disk_and_a_kill() -> Verdict {
    let disk = new_disk();
    let (mut log, _) = open(&disk);
    must(append(&mut log, &batch(0, 0, b"first", false), None)?, "the first batch is refused")?;
    disk.fail_at(disk.operations(), Fault::Full);
    let long = append(&mut log, &batch(0, 1, &[7; 1_000], false), None);
    must(long.is_err(), "the disk was not full")?;
    must(append(&mut log, &batch(0, 1, b"short", false), None)?, "nothing can be written any more")?;
    drop(log);
    disk.kill();
    let (log, cut) = open(&disk);
    must(log.log_end_offset() == 2, "a record is missing after the kill")?;
    must(!cut, "behind the last batch lies what was never appended: the log passes for a damaged one")
}

/// In version 1 all transactions of a producer have one epoch. The coordinator that decided to abort the first one is
/// replaced before it has said so; its successor's marker ends that transaction, and the next begins.
pub fn a_marker_of_a_deposed_coordinator() -> Verdict {
    let (mut log, _) = open(&new_disk());
    begin(&mut log, 0, 0)?;
    let ended = end(&mut log, 0, 2, TransactionResult::Abort, TransactionVersion::V1)?;
    must(ended, "the new coordinator's marker is refused")?;
    begin(&mut log, 0, 1)?;
    let late = end(&mut log, 0, 1, TransactionResult::Abort, TransactionVersion::V1)?;
    must(!late, "the deposed coordinator has ended the next transaction")
}

/// In version 2 the marker has the epoch of the producer's next transaction, which it must not end when it comes again.
pub fn a_marker_that_comes_twice() -> Verdict {
    let (mut log, _) = open(&new_disk());
    begin(&mut log, 0, 0)?;
    let ended = end(&mut log, 1, 1, TransactionResult::Abort, TransactionVersion::V2)?;
    must(ended, "the marker is refused")?;
    begin(&mut log, 1, 0)?;
    let late = end(&mut log, 1, 1, TransactionResult::Abort, TransactionVersion::V2)?;
    must(!late, "the end of the last transaction has ended this one")
}

/// The coordinator confirms a transaction of version 1; before its word arrives, the transaction ends here. The batch
/// would open another one, which nobody knows of and nobody ends.
pub fn a_batch_behind_the_end() -> Verdict {
    let (mut log, _) = open(&new_disk());
    let guard = log.start_verification(PRODUCER, ProducerEpoch(0), NOW);
    let ended = end(&mut log, 0, 1, TransactionResult::Abort, TransactionVersion::V1)?;
    must(ended, "the marker is refused")?;
    let late = append(&mut log, &batch(0, 0, b"late", true), guard)?;
    must(!late, "a batch was appended behind the end of its transaction")
}

/// A producer gave its first batch up and goes on in another epoch (KIP-360); then that first batch arrives.
pub fn a_batch_of_an_older_epoch() -> Verdict {
    let (mut log, _) = open(&new_disk());
    must(append(&mut log, &batch(1, 0, b"new", false), None)?, "the new epoch's batch is refused")?;
    must(!append(&mut log, &batch(0, 0, b"old", false), None)?, "a batch of an older epoch was appended")
}

/// A broker stops in order, the machine is started again, and the broker's next process is killed before it is
/// registered: its logs are as they were. Another power cut is another matter.
pub fn a_start_that_is_killed_behind_a_clean_stop() -> Verdict {
    let disk = new_disk();
    disk.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
    let epoch = BrokerEpoch(6);
    let start = |boot_id| {
        PastLife::take(&disk, Path::new(DATA), Some(boot_id)).map(|past| past.broker_epoch).map_err(|e| e.to_string())
    };
    CleanShutdown { broker_epoch: epoch }.write(&disk, Path::new(DATA)).map_err(|error| error.to_string())?;
    disk.crash(None);
    must(start("second")? == Some(epoch), "a clean stop does not vouch for the logs")?;
    disk.kill();
    must(start("second")? == Some(epoch), "a kill during the start makes whole logs count as incomplete")?;
    disk.crash(None);
    must(start("third")?.is_none(), "after a power cut the page cache of an earlier boot vouches for the logs")
}

/// A producer's batch reached one replica, in epoch 0. Another one led without it, in epoch 5, and deleted what it had below
/// the end of the first. If the first one could go on there it would remember the batch, and call it committed when the
/// producer sends it again.
pub fn a_log_of_records_that_were_deleted_elsewhere() -> Verdict {
    let (mut stale, _) = open(&new_disk());
    must(append(&mut stale, &batch(0, 0, b"lost", false), None)?, "the batch is refused")?;
    let (mut leader, _) = open(&new_disk());
    let later = LeaderEpoch(5);
    leader.assign_leader_epoch_start(later).map_err(|error| error.to_string())?;
    let mut other = BatchBuilder::new();
    other.append(NOW.0, None, Some(b"other"), &[]);
    let other = other.build();
    let header = BatchHeader::parse(&other).map_err(|error| error.to_string())?;
    leader.append_as_leader(&other, &header, later, None, NOW).map_err(|error| error.to_string())?;
    leader.advance_log_start_offset(1).map_err(|error| error.to_string())?;
    let parts = leader.divergence(EPOCH, stale.log_end_offset());
    must(parts.is_some_and(|(_, end_offset)| end_offset == 0), "a log with nothing in common goes on as if it had all")
}

/// A log begins anew where its leader's begins. The checkpoints are written for another partition, then the power fails: what
/// it knew of epochs before must not count for what the leader has deleted.
pub fn a_log_that_begins_anew_before_the_power_fails() -> Verdict {
    let disk = new_disk();
    let data = directory(&disk);
    let (mut log, _) = open_in(&data);
    must(append(&mut log, &batch(0, 0, b"other", false), None)?, "the batch is refused")?;
    let step = |done: Result<(), ottla::log::LogError>| done.map_err(|error| error.to_string());
    step(log.flush())?;
    step(data.write_checkpoints())?;
    step(log.truncate_fully_and_start_at(5))?;
    step(data.write_checkpoints())?;
    drop(log);
    disk.crash(None);
    let (log, _) = open(&disk);
    let known = log.leader_epochs().entries();
    must(known.is_empty(), &format!("a log without records has a history: {known:?}"))
}
