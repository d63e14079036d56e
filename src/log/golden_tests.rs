//! Directories that Apache Kafka 4.3.1 wrote are understood, and what is written is what Kafka writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::OsDisk;
use super::file_names::{FileKind, parse_file_name};
use super::{
    DataDirectory, FilePool, LogConfig, MetaProperties, PartitionLog, ProducerInfo, TimestampTarget, producer_snapshot,
};
use crate::model::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, Wall};
use crate::record::Batches;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3.1/data")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the golden directory, which is removed with the first of the two.
fn data() -> (tempfile::TempDir, DataDirectory<OsDisk>) {
    let temporary = tempfile::tempdir().unwrap();
    copy(&golden(), temporary.path());
    let directory = DataDirectory::open(Arc::new(FilePool::new(OsDisk, 10)), temporary.path()).unwrap();
    (temporary, directory)
}

/// The generator gave the topic of many segments an index entry for each batch but the first of a segment.
fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { index_interval_bytes: 1, ..LogConfig::default() })
}

fn open(directory: &DataDirectory<OsDisk>, partition: &TopicPartition, clean: bool) -> PartitionLog<OsDisk> {
    let (log, report) = PartitionLog::open(directory, partition.clone(), None, config(), clean, Wall(0)).unwrap();
    assert_eq!(report.cut, None, "{partition}");
    assert!(!report.created);
    log
}

fn batches(log: &PartitionLog<OsDisk>) -> Vec<Bytes> {
    let reader = log.reader();
    let mut offset = log.log_start_offset();
    let mut found = Vec::new();
    while let Some(slice) = reader.read(offset, 1 << 20, Offset::MAX, true).unwrap().slice {
        let mut bytes = Vec::new();
        slice.read_into(&mut bytes).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            offset = batch.header.next_offset();
            found.push(Bytes::copy_from_slice(batch.bytes));
        }
    }
    found
}

#[test]
fn every_partition_is_read_as_it_is_and_recovered_from_nothing() {
    let (_temporary, clean) = data();
    let (temporary, bare) = data();
    fs::remove_file(temporary.path().join("recovery-point-offset-checkpoint")).unwrap();
    let bare = DataDirectory::open(bare.pool().clone(), temporary.path()).unwrap();
    let partitions = clean.partitions().unwrap();
    assert_eq!(partitions.len(), 12);
    for partition in &partitions {
        let log = open(&clean, partition, true);
        assert_eq!(Some(log.log_end_offset()), clean.recovery_point(partition), "{partition}");
        assert_eq!(Some(log.log_end_offset()), clean.high_watermark(partition), "{partition}");
        let stored: Vec<u8> = batches(&log).concat();
        let mut files: Vec<_> =
            fs::read_dir(golden().join(partition.to_string())).unwrap().map(|e| e.unwrap()).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        files.retain(|file| file.file_name().to_str().unwrap().ends_with(".log"));
        let written: Vec<u8> = files.iter().flat_map(|file| fs::read(file.path()).unwrap()).collect();
        assert_eq!(stored, written, "{partition}");
        assert!(log.topic_id().is_some());

        let recovered = open(&bare, partition, false);
        assert_eq!(recovered.log_end_offset(), log.log_end_offset(), "{partition}");
        assert_eq!(batches(&recovered), batches(&log), "{partition}");
        assert_eq!(recovered.leader_epochs(), log.leader_epochs(), "{partition}");
        for timestamp in (1_700_000_000_000..1_700_000_000_060).chain([0, i64::MAX]) {
            let target = TimestampTarget::At(timestamp);
            let find = |log: &PartitionLog<OsDisk>| log.reader().offset_for_timestamp(target, Offset::MAX).unwrap();
            assert_eq!(find(&log), find(&recovered), "{partition} at {timestamp}");
        }
    }
}

#[test]
fn indexes_made_anew_are_kafkas_to_the_byte() {
    let (temporary, directory) = data();
    let partition = TopicPartition::new("segments", 0);
    let path = temporary.path().join("segments-0");
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        if let Some((_, FileKind::OffsetIndex | FileKind::TimeIndex)) =
            parse_file_name(entry.file_name().to_str().unwrap())
        {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    open(&directory, &partition, true).close().unwrap();
    let mut compared = 0;
    for entry in fs::read_dir(golden().join("segments-0")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if let Some((_, FileKind::OffsetIndex | FileKind::TimeIndex)) = parse_file_name(name.to_str().unwrap()) {
            assert_eq!(fs::read(path.join(&name)).unwrap(), fs::read(entry.path()).unwrap(), "{name:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 14);
}

#[test]
fn a_preallocated_index_ends_where_its_zeros_begin() {
    let (temporary, directory) = data();
    let partition = TopicPartition::new("segments", 0);
    for (suffix, kafkas_length) in [("index", 16), ("timeindex", 24)] {
        let file = temporary.path().join(format!("segments-0/00000000000000000012.{suffix}"));
        assert_eq!(fs::metadata(&file).unwrap().len(), kafkas_length);
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(10 << 20).unwrap();
    }
    let log = open(&directory, &partition, true);
    let segment = log.log_for_tests().segments()[2].clone();
    assert_eq!((segment.offset_index().len().unwrap(), segment.time_index().len().unwrap()), (2, 2));
    assert_eq!(batches(&log).len(), batches(&open(&data().1, &partition, true)).len());
}

#[test]
fn producer_snapshots_are_read_and_written_alike() {
    let mut read = 0;
    for directory in fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
            if file.file_name().to_str().unwrap().ends_with(".snapshot") {
                let bytes = fs::read(file.path()).unwrap();
                let producers = producer_snapshot::decode(&bytes).unwrap();
                assert_eq!(producer_snapshot::encode(&producers), bytes, "{:?}", file.path());
                read += 1;
            }
        }
    }
    assert!(read > 10);
}

#[test]
fn producers_told_by_the_batches_are_those_of_kafkas_snapshot() {
    let (temporary, directory) = data();
    let partition = TopicPartition::new("idempotent", 0);
    let from_snapshot = open(&directory, &partition, true).describe_producers();
    let expected = ProducerInfo {
        producer_id: ProducerId(0),
        producer_epoch: ProducerEpoch(0),
        last_sequence: 20,
        last_timestamp: from_snapshot[0].last_timestamp,
        coordinator_epoch: -1,
        current_txn_start_offset: None,
    };
    assert_eq!(from_snapshot, [expected]);
    fs::remove_file(temporary.path().join("idempotent-0/00000000000000000021.snapshot")).unwrap();
    assert_eq!(open(&directory, &partition, true).describe_producers(), from_snapshot);

    let partition = TopicPartition::new("transactions", 0);
    let from_snapshot = open(&directory, &partition, true).describe_producers();
    for file in fs::read_dir(temporary.path().join("transactions-0")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "snapshot") {
            fs::remove_file(file).unwrap();
        }
    }
    let log = open(&directory, &partition, true);
    assert_eq!(log.describe_producers(), from_snapshot);
    assert!(!from_snapshot.is_empty());
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(0)), Some((LeaderEpoch(0), log.log_end_offset())));
}

#[test]
fn the_directory_is_the_one_that_kafka_named() {
    let properties = MetaProperties::read(&OsDisk, &golden()).unwrap().unwrap();
    assert_eq!(properties.node_id, BrokerId(1));
    assert_eq!(properties.cluster_id.as_deref(), Some("5L6g3nShT-eMCtK--X86sw"));
    assert_eq!(properties.directory_id.to_string(), "n5vAZF9pcbRbkNrZrPRLuQ");
}
