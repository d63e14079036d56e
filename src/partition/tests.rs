//! Replicas over a real directory, led through changes of the metadata.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::StaticConfig;
use crate::log::TimestampTarget;
use crate::metadata::{ClusterImage, ImageDelta, uuid_bytes};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Uuid, Wall};
use crate::record::BatchBuilder;
use crate::rpc::metadata::{
    ConfigRecord, MetadataRecord, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
};

use super::{AppendRequest, Isolation, LogDirectory, PartitionError, Replica, Replicas, ReplicasConfig};

pub(super) const ME: i32 = 1;

/// A broker's replicas with the metadata they follow.
pub(super) struct World {
    pub(super) replicas: Arc<Replicas>,
    pub(super) image: ClusterImage,
}

impl World {
    fn open(path: &Path, image: ClusterImage) -> Self {
        let world = Self { replicas: Self::not_started(path), image };
        world.replicas.apply(&ImageDelta::between(ClusterImage::default(), world.image.clone()));
        world
    }

    /// Replicas that have seen no metadata yet.
    fn not_started(path: &Path) -> Arc<Replicas> {
        Self::not_started_in(&[path])
    }

    fn not_started_in(paths: &[&Path]) -> Arc<Replicas> {
        let log_dirs = paths.iter().map(|&path| LogDirectory { path: path.to_owned(), clean: false, vital: false });
        let replicas = Replicas::open(ReplicasConfig {
            broker_id: BrokerId(ME),
            log_dirs: log_dirs.collect(),
            lost_log_dirs: Vec::new(),
            open_files_max: 100,
            recovery_threads: 2,
            mover_threads: None,
            retention_interval: std::time::Duration::from_secs(300),
            replica_lag_time_max_ms: 30_000,
            // Tests that clean do it themselves, and two cleanings of a log at a time are none.
            settings: Arc::new(StaticConfig::from_overrides(&[("log.cleaner.enable", "false")])),
        });
        replicas.unwrap()
    }

    pub(super) fn new(path: &Path) -> Self {
        Self::new_in(&[path])
    }

    /// A registered broker with several directories.
    pub(super) fn new_in(paths: &[&Path]) -> Self {
        let mut world = Self { replicas: Self::not_started_in(paths), image: ClusterImage::default() };
        let broker = RegisterBrokerRecord {
            broker_id: ME,
            broker_epoch: 1,
            incarnation_id: uuid_bytes(Uuid([9; 16])),
            ..Default::default()
        };
        world.apply([broker.into()]);
        world
    }

    pub(super) fn apply(&mut self, records: impl IntoIterator<Item = MetadataRecord>) {
        let old = self.image.clone();
        for record in records {
            self.image.replay(&record, self.image.applied_index() + 1).unwrap();
        }
        self.replicas.apply(&ImageDelta::between(old, self.image.clone()));
    }

    pub(super) fn create(&mut self, name: &str, id: u8, leader_epoch: i32) {
        let topic_id = uuid_bytes(Uuid([id; 16]));
        let topic = TopicRecord { name: name.to_owned(), topic_id: topic_id.clone() };
        let partition = PartitionRecord {
            topic_id,
            replicas: vec![ME],
            isr: vec![ME],
            leader: ME,
            leader_epoch,
            last_known_leader: -1,
            ..Default::default()
        };
        self.apply([topic.into(), partition.into()]);
    }

    pub(super) fn remove(&mut self, id: u8) {
        self.apply([RemoveTopicRecord { topic_id: uuid_bytes(Uuid([id; 16])) }.into()]);
    }

    pub(super) fn replica(&self, topic: &str) -> Arc<Replica> {
        self.replicas.find(topic, 0).unwrap()
    }
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (at, value) in values.iter().enumerate() {
        builder.append(1_000 + at as i64, None, Some(value.as_bytes()), &[]);
    }
    builder.build()
}

fn internal(replica: &Replica, values: &[&str]) -> AppendRequest {
    AppendRequest::internal(batch(values), replica.leader_epoch().unwrap_or(LeaderEpoch(0)))
}

pub(super) fn append(replica: &Replica, values: &[&str]) -> i64 {
    replica.append(internal(replica, values), Wall(5_000)).unwrap().base_offset
}

fn read(replica: &Replica, offset: i64) -> Vec<u8> {
    let read = replica.read(offset, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    let mut bytes = Vec::new();
    read.slice.into_iter().for_each(|slice| slice.read_into(&mut bytes).unwrap());
    bytes
}

#[test]
fn what_is_appended_is_committed_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 0);
    let replica = world.replica("t");
    assert_eq!((append(&replica, &["a", "b"]), append(&replica, &["c"])), (0, 2));
    assert_eq!((replica.high_watermark(), replica.log_end_offset()), (3, 3));
    let bytes = read(&replica, 1);
    assert!(bytes.windows(1).any(|w| w == b"a"), "the whole batch that holds offset 1");
    let latest = replica.offset_for(TimestampTarget::Latest, Isolation::ReadUncommitted).unwrap().unwrap();
    assert_eq!((latest.offset, latest.timestamp), (3, -1));
    let at = replica.offset_for(TimestampTarget::At(1_001), Isolation::ReadUncommitted).unwrap().unwrap();
    assert_eq!(at.offset, 1);
    world.replicas.close().unwrap();
}

/// Leaves what a broker leaves that was killed when "t" had two records; the metadata it had.
fn killed(path: &Path) -> ClusterImage {
    let mut world = World::new(path);
    world.create("t", 1, 0);
    append(&world.replica("t"), &["a", "b"]);
    // Not closed.
    world.image.clone()
}

#[test]
fn records_and_leadership_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), killed(folder.path()));
    let replica = world.replica("t");
    assert_eq!((replica.log_end_offset(), replica.high_watermark()), (2, 2));
    assert_eq!(append(&replica, &["c"]), 2);
    world.replicas.close().unwrap();
}

/// A12: what a killed life left unsynced is on disk only once it was opened and flushed.
#[test]
fn a_stop_is_clean_only_when_all_logs_were_open() {
    let folder = tempfile::tempdir().unwrap();
    let image = killed(folder.path());
    assert!(!World::not_started(folder.path()).close().unwrap(), "the log was not opened");
    assert!(World::open(folder.path(), image).replicas.close().unwrap());
}

#[test]
fn a_topic_deleted_and_created_anew_starts_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 0);
    let old = world.replica("t");
    append(&old, &["old"]);
    world.remove(1);
    assert_eq!(world.replicas.find("t", 0).unwrap_err().error_code(), ErrorCode::UnknownTopicOrPartition);
    let refused = old.append(internal(&old, &["late"]), Wall(0)).unwrap_err();
    assert_eq!(refused.error_code(), ErrorCode::NotLeaderOrFollower);
    world.create("t", 2, 0);
    assert_eq!(append(&world.replica("t"), &["new"]), 0);
    world.replicas.close().unwrap();
}

#[test]
fn a_topic_recreated_while_this_broker_was_away_starts_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 0);
    append(&world.replica("t"), &["old"]);
    world.replicas.close().unwrap();
    let mut elsewhere = World::new(tempfile::tempdir().unwrap().path());
    elsewhere.create("t", 2, 0);
    let world = World::open(folder.path(), elsewhere.image.clone());
    assert_eq!(world.replica("t").log_end_offset(), 0);
    world.replicas.close().unwrap();
}

#[test]
fn epochs_and_offsets_outside_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 5);
    let replica = world.replica("t");
    append(&replica, &["a"]);
    let code = |asked| replica.check_leader_epoch(asked).map_err(|error| error.error_code());
    assert!(code(5).is_ok() && code(-1).is_ok());
    assert_eq!(code(4), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(code(6), Err(ErrorCode::UnknownLeaderEpoch));
    for offset in [-1, 2, i64::MAX] {
        let outside = replica.read(offset, 100, true, Isolation::ReadUncommitted);
        assert!(matches!(outside, Err(PartitionError::OffsetOutOfRange { .. })), "{offset}");
    }
    assert!(replica.read(1, 100, true, Isolation::ReadUncommitted).unwrap().slice.is_none(), "the end is inside");
    world.replicas.close().unwrap();
}

#[test]
fn a_changed_topic_config_acts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 0);
    let replica = world.replica("t");
    let key = |key: &str, value: &str| ConfigRecord {
        resource_type: 2,
        resource_name: "t".to_owned(),
        key: key.to_owned(),
        value: Some(value.to_owned()),
    };
    world.apply([key("max.message.bytes", "100").into()]);
    let large = "x".repeat(200);
    let refused = replica.append(internal(&replica, &[&large]), Wall(0)).unwrap_err();
    assert_eq!(refused.error_code(), ErrorCode::MessageTooLarge);
    world.replicas.close().unwrap();
}

#[test]
fn deleted_records_are_gone_and_the_start_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.create("t", 1, 0);
    let replica = world.replica("t");
    append(&replica, &["a", "b", "c"]);
    assert_eq!(replica.delete_records(2).unwrap(), 2);
    assert!(matches!(
        replica.read(0, 100, true, Isolation::ReadUncommitted),
        Err(PartitionError::OffsetOutOfRange { .. })
    ));
    assert!(matches!(replica.delete_records(4), Err(PartitionError::OffsetOutOfRange { .. })));
    assert_eq!(replica.delete_records(-1).unwrap(), 3);
    world.replicas.close().unwrap();
}

#[test]
fn directories_that_no_topic_explains_are_set_aside_but_not_the_raft_log() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["gone-0", "__cluster_metadata-0"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let mut elsewhere = World::new(tempfile::tempdir().unwrap().path());
    elsewhere.create("t", 1, 0);
    let world = World::open(folder.path(), elsewhere.image.clone());
    let names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-stray") || name.starts_with("__"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name == "__cluster_metadata-0"));
    assert!(names.iter().any(|name| name.starts_with("gone-0.")));
    world.replicas.close().unwrap();
}
