//! Invariants A1 and B1 when a batch comes before its predecessor: neither is the producer told that it is out of order,
//! on which clients send again in a new epoch what other partitions have already, nor is it taken for the first one.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::log::{AppendOutcome, Fault, FilePool, SimDisk};
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader};

const PATIENCE_MS: i64 = 30_000;

/// A log whose leader's epoch and time are set by hand.
struct Led {
    log: PartitionLog<SimDisk>,
    disk: SimDisk,
    epoch: LeaderEpoch,
    now: Wall,
}

impl Led {
    fn new() -> Self {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/data")).unwrap();
        let directory = DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 4)), Path::new("/data")).unwrap();
        let now = Wall(1_000_000);
        let partition = TopicPartition::new("t", 0);
        let (log, _) = PartitionLog::open(&directory, partition, None, Arc::default(), false, now).unwrap();
        let mut led = Self { log, disk, epoch: LeaderEpoch(0), now };
        led.log.assign_leader_epoch_start(led.epoch).unwrap();
        led
    }

    fn with_next_leader(mut self) -> Self {
        self.epoch = LeaderEpoch(self.epoch.0 + 1);
        self.log.assign_leader_epoch_start(self.epoch).unwrap();
        self
    }

    fn after(&mut self, ms: i64) {
        self.now = Wall(self.now.0 + ms);
    }

    fn append(&mut self, producer: (i64, i16), sequence: i32) -> Result<AppendOutcome, LogError> {
        let batch = record(producer, sequence);
        let header = BatchHeader::parse(&batch).unwrap();
        self.log.append_as_leader(&batch, &header, self.epoch, None, self.now)
    }

    /// Where one record of a producer, an id and an epoch, is now.
    fn appended(&mut self, producer: (i64, i16), sequence: i32) -> Offset {
        match self.append(producer, sequence).unwrap() {
            AppendOutcome::Appended(info) => info.base_offset,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn refused(&mut self, producer: (i64, i16), sequence: i32) -> ErrorCode {
        match self.append(producer, sequence).unwrap() {
            AppendOutcome::Refused(refusal) => refusal.error_code(),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// A batch that was refused before it came to the log.
    fn turned_away(&mut self, producer: (i64, i16), sequence: i32) {
        let header = BatchHeader::parse(&record(producer, sequence)).unwrap();
        self.log.note_refused(&header, self.now);
    }
}

fn record((id, epoch): (i64, i16), sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    builder.append(1_000_000, None, Some(b"v"), &[]);
    builder.build()
}

#[test]
fn what_was_sent_behind_a_batch_that_found_the_disk_full_is_too_early_and_not_out_of_order() {
    let mut led = Led::new();
    led.appended((1, 0), 0);
    led.appended((2, 0), 0);
    led.disk.fail_at(led.disk.operations(), Fault::Full);
    assert!(led.append((1, 0), 1).unwrap_err().is_out_of_space());
    assert_eq!(led.refused((1, 0), 2), ErrorCode::NotEnoughReplicas);
    assert_eq!(led.refused((2, 0), 2), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(led.appended((1, 0), 1), 2);
    assert_eq!(led.appended((1, 0), 2), 3);
    assert_eq!(led.refused((1, 0), 9), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn what_was_sent_behind_a_batch_that_found_too_few_replicas_is_too_early_and_not_out_of_order() {
    let mut led = Led::new();
    led.appended((1, 0), 0);
    led.turned_away((1, 0), 1);
    assert_eq!(led.refused((1, 0), 2), ErrorCode::NotEnoughReplicas);
    led.turned_away((1, 0), 2);
    assert_eq!(led.appended((1, 0), 1), 1);
    assert_eq!(led.appended((1, 0), 2), 2);
    assert_eq!(led.refused((1, 0), 4), ErrorCode::OutOfOrderSequenceNumber);
}

/// Taken in, it would make a late duplicate of the first one, which then counts as acknowledged and is not there.
#[test]
fn the_second_batch_of_a_producer_is_not_taken_for_its_first() {
    let mut led = Led::new();
    led.turned_away((1, 0), 0);
    assert_eq!(led.refused((1, 0), 1), ErrorCode::NotEnoughReplicas);
    assert_eq!(led.appended((1, 0), 0), 0);
    assert_eq!(led.appended((1, 0), 1), 1);
}

#[test]
fn a_new_leader_waits_for_what_went_to_the_one_before() {
    let mut led = Led::new();
    led.appended((1, 0), 0);
    let mut led = led.with_next_leader();
    assert_eq!(led.refused((1, 0), 2), ErrorCode::NotEnoughReplicas);
    assert_eq!(led.refused((2, 0), 1), ErrorCode::NotEnoughReplicas, "nobody knows whether it is this one's first");
    assert_eq!(led.appended((1, 0), 1), 1);
    assert_eq!(led.appended((1, 0), 2), 2);
    assert_eq!(led.appended((2, 0), 0), 3);
    assert_eq!(led.appended((2, 0), 1), 4);
    // From now on all that it sends comes here.
    assert_eq!(led.refused((1, 0), 4), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn the_first_leader_waits_for_nothing() {
    let mut led = Led::new();
    assert_eq!(led.appended((1, 0), 7), 0, "a producer that was forgotten goes on where it was");
    assert_eq!(led.refused((1, 0), 9), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn patience_ends() {
    let mut led = Led::new();
    led.appended((1, 0), 0);
    let mut led = led.with_next_leader();
    for _ in 0..2 {
        assert_eq!(led.refused((1, 0), 2), ErrorCode::NotEnoughReplicas);
        assert_eq!(led.refused((2, 0), 7), ErrorCode::NotEnoughReplicas);
        led.after(PATIENCE_MS / 2);
    }
    assert_eq!(led.refused((1, 0), 2), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(led.appended((2, 0), 7), 1);
    led.turned_away((2, 0), 8);
    led.after(PATIENCE_MS - 1);
    assert_eq!(led.refused((2, 0), 9), ErrorCode::NotEnoughReplicas);
    led.after(1);
    assert_eq!(led.refused((2, 0), 9), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn a_new_epoch_of_the_producer_waits_for_nothing_of_the_old() {
    let mut led = Led::new();
    led.appended((1, 0), 0);
    led.turned_away((1, 0), 1);
    assert_eq!(led.appended((1, 1), 0), 1);
    assert_eq!(led.refused((1, 1), 2), ErrorCode::OutOfOrderSequenceNumber);
}

#[test]
fn sequences_that_went_round_are_behind_those_that_did_not() {
    let mut led = Led::new();
    led.appended((1, 0), i32::MAX - 1);
    led.turned_away((1, 0), i32::MAX);
    assert_eq!(led.refused((1, 0), 0), ErrorCode::NotEnoughReplicas);
    assert_eq!(led.appended((1, 0), i32::MAX), 1);
    assert_eq!(led.appended((1, 0), 0), 2);
}
