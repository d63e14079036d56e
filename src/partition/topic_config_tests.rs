//! Every topic config of Kafka 4.3 by what it does here, or by its refusal: none is taken and then left alone.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use crate::config::{Status, topic_key, topic_keys, validate_topic_config};
use crate::log::CompactionLimits;
use crate::metadata::{Batch, ClusterDefaults, uuid_bytes};
use crate::model::{ErrorCode, LeaderEpoch, Monotonic, Uuid, Wall};
use crate::record::{BatchBuilder, Batches, Codec, Records};
use crate::rpc::metadata::{
    ConfigRecord, FenceBroker, MetadataCommand, PartitionRecord, RegisterBrokerRecord, TopicRecord,
    metadata_command::Kind,
};

use super::tests::{ME, World};
use super::{AppendRequest, Appended, Isolation, PartitionError, Replica};

const NOW: i64 = 5_000_000;
const CLEANING: CompactionLimits = CompactionLimits { keys_bytes_max: 1 << 20, inflated_bytes_max: 1 << 20 };

/// A topic of one partition with the configs to be looked at.
struct Topic {
    folder: TempDir,
    world: World,
    replica: Arc<Replica>,
}

fn topic(configs: &[(&str, &str)]) -> Topic {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    // Before the topic: its first segment is to know them.
    world.apply(configs.iter().map(|(key, value)| config(key, value).into()));
    world.create("t", 1, 0);
    let replica = world.replica("t");
    Topic { folder, world, replica }
}

fn config(key: &str, value: &str) -> ConfigRecord {
    ConfigRecord { resource_type: 2, resource_name: "t".to_owned(), key: key.to_owned(), value: Some(value.to_owned()) }
}

fn batch(timestamp: i64, key: Option<&str>, value: Option<&[u8]>) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(timestamp, key.map(str::as_bytes), value, &[]);
    builder.build()
}

/// Text that packs better the harder one tries.
fn text(length: usize) -> Vec<u8> {
    let words = ["offset", "leader", "epoch", "replica", "segment", "batch", "record", "fetch"];
    let mut state = 7_u64;
    let mut text = Vec::new();
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(words[(state >> 61) as usize].as_bytes());
        text.push(b'a' + (state >> 40) as u8 % 26);
    }
    text.truncate(length);
    text
}

impl Topic {
    fn append(&self, batch: Bytes) -> Result<Appended, PartitionError> {
        self.replica.append(AppendRequest::internal(batch, LeaderEpoch(0)), Wall(NOW))
    }

    fn put(&self, timestamp: i64, key: &str, value: Option<&str>) -> Appended {
        self.append(batch(timestamp, Some(key), value.map(str::as_bytes))).unwrap()
    }

    /// So many records, each with the timestamp that it says.
    fn put_all(&self, count: i64, timestamp: impl Fn(i64) -> i64) {
        for n in 0..count {
            self.put(timestamp(n), "k", None);
        }
    }

    fn refuses(&self, batch: Bytes) -> ErrorCode {
        self.append(batch).unwrap_err().error_code()
    }

    fn stored(&self) -> Vec<u8> {
        let (mut bytes, mut offset) = (Vec::new(), self.replica.log_start_offset());
        while offset < self.replica.log_end_offset() {
            let read = self.replica.read(offset, 64 << 20, true, Isolation::ReadUncommitted).unwrap();
            let from = bytes.len();
            read.slice.unwrap().read_into(&mut bytes).unwrap();
            offset = Batches::new(&bytes[from..]).last().unwrap().unwrap().header.next_offset();
        }
        bytes
    }

    fn codec(&self) -> Codec {
        Batches::new(&self.stored()).next().unwrap().unwrap().header.codec()
    }

    /// Records whose key is `key`, tombstones included.
    fn count(&self, key: &str) -> usize {
        let stored = self.stored();
        let batches = Batches::new(&stored).map(Result::unwrap);
        batches
            .map(|batch| {
                let plain = batch.plain_records(1 << 20).unwrap();
                Records::new(&batch.header, &plain).filter(|r| r.as_ref().unwrap().key == Some(key.as_bytes())).count()
            })
            .sum()
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("t-0")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }

    fn segments(&self) -> usize {
        self.files("log").len()
    }

    fn flush(&self) {
        self.replica.with_log(|log| log.flush()).unwrap().unwrap();
    }

    fn until(&self, what: &str, holds: impl Fn(&Replica) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !holds(&self.replica) {
            assert!(Instant::now() < deadline, "{what} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn retained(&self) -> usize {
        let high_watermark = self.replica.high_watermark();
        self.replica.with_log(|log| log.apply_retention(high_watermark, Wall(NOW))).unwrap().unwrap().segments
    }

    /// Cleans what is due; false when nothing is.
    fn clean(&self, now: i64) -> bool {
        self.flush();
        let end = self.replica.log_end_offset();
        let job = self.replica.with_log(|log| log.compaction_job(end, Wall(now))).unwrap().unwrap();
        let Some(job) = job else { return false };
        let compacted = job.run(CLEANING, |_| true).unwrap().unwrap();
        self.replica.with_log(|log| log.put_compacted(compacted)).unwrap().unwrap()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.world.replicas.close().unwrap();
    }
}

/// Each batch of these tests is larger than this, so each gets a segment of its own.
const TINY: (&str, &str) = ("internal.segment.bytes", "100");

fn compacted(more: &[(&str, &str)]) -> Topic {
    let all = [&[TINY, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.0")], more].concat();
    let topic = topic(&all);
    for value in ["one", "two", "three"] {
        topic.put(NOW - 1_000, "key", Some(value));
    }
    topic
}

fn refused(key: &str, value: &str) {
    let error = validate_topic_config(key, value).unwrap_err();
    assert_eq!(error.error_code(), ErrorCode::InvalidConfig);
    assert!(error.to_string().contains(key), "{error}");
}

/// Stored sizes of the same text at two levels of a codec.
fn sizes(codec: &str, level: &str, levels: [&str; 2]) -> [u64; 2] {
    levels.map(|value| {
        let topic = topic(&[("compression.type", codec), (level, value)]);
        topic.append(batch(NOW, None, Some(&text(300_000)))).unwrap();
        topic.replica.size_bytes()
    })
}

fn prove(key: &str) {
    match key {
        "cleanup.policy" => {
            let keyless = || batch(NOW, None, Some(b"v"));
            assert!(topic(&[]).append(keyless()).is_ok());
            assert_eq!(topic(&[(key, "compact")]).refuses(keyless()), ErrorCode::InvalidRecord);
        }
        "compression.type" => prove_compression(key),
        "compression.gzip.level" => {
            let [fast, small] = sizes("gzip", key, ["1", "9"]);
            assert!(small < fast, "{small} and {fast}");
        }
        "compression.zstd.level" => {
            let [fast, small] = sizes("zstd", key, ["-50", "19"]);
            assert!(small < fast, "{small} and {fast}");
        }
        "compression.lz4.level" => refused(key, "12"),
        "delete.retention.ms" => prove_delete_retention(key),
        "min.cleanable.dirty.ratio" => {
            assert!(compacted(&[]).clean(NOW));
            assert!(!compacted(&[(key, "1.0")]).clean(NOW));
        }
        "min.compaction.lag.ms" => {
            assert!(compacted(&[(key, "1000")]).clean(NOW));
            assert!(!compacted(&[(key, "1001")]).clean(NOW));
        }
        "max.compaction.lag.ms" => {
            let lazy = ("min.cleanable.dirty.ratio", "1.0");
            assert!(compacted(&[lazy, (key, "999")]).clean(NOW));
            assert!(!compacted(&[lazy, (key, "1000")]).clean(NOW));
        }
        "file.delete.delay.ms" => prove_file_delete_delay(key),
        "flush.messages" => {
            let topic = topic(&[(key, "2")]);
            topic.put(NOW, "k", None);
            topic.put(NOW, "k", None);
            topic.until("the flush", |replica| replica.flushed_offset() == 2);
        }
        "flush.ms" => {
            let topic = topic(&[(key, "1")]);
            topic.put(NOW, "k", None);
            topic.until("the flush", |replica| replica.flushed_offset() == 1);
        }
        "flush.before.ack" => prove_flush_before_ack(key),
        "index.interval.bytes" => prove_index_interval(key),
        "internal.segment.bytes" => prove_rolls(&[TINY], &[(key, "10000")], NOW),
        "segment.bytes" => prove_segment_bytes(key),
        "segment.index.bytes" => prove_rolls(&[("index.interval.bytes", "0"), (key, "36")], &[], NOW),
        "segment.ms" => prove_rolls(&[(key, "5")], &[], 1_000_000),
        "segment.jitter.ms" => prove_segment_jitter(key),
        "leader.replication.throttled.replicas" | "follower.replication.throttled.replicas" => {
            assert_eq!(validate_topic_config(key, "0:1,1:2"), Ok(()));
        }
        "local.retention.bytes" | "local.retention.ms" => refused(key, "1"),
        "remote.log.copy.disable" | "remote.log.delete.on.disable" | "remote.storage.enable" => refused(key, "true"),
        "max.message.bytes" => {
            let topic = topic(&[(key, "100")]);
            assert_eq!(topic.refuses(batch(NOW, None, Some(&[b'v'; 100]))), ErrorCode::MessageTooLarge);
            topic.put(NOW, "k", None);
        }
        "message.timestamp.after.max.ms" => {
            let topic = topic(&[(key, "500")]);
            assert_eq!(topic.refuses(batch(NOW + 501, None, None)), ErrorCode::InvalidTimestamp);
            assert!(topic.append(batch(NOW + 500, None, None)).is_ok());
        }
        "message.timestamp.before.max.ms" => {
            let topic = topic(&[(key, "500")]);
            assert_eq!(topic.refuses(batch(NOW - 501, None, None)), ErrorCode::InvalidTimestamp);
            assert!(topic.append(batch(NOW - 500, None, None)).is_ok());
        }
        "message.timestamp.type" => {
            assert_eq!(topic(&[]).put(7, "k", None).log_append_time, -1);
            assert_eq!(topic(&[(key, "LogAppendTime")]).put(7, "k", None).log_append_time, NOW);
        }
        "min.insync.replicas" => prove_min_insync_replicas(key),
        "unclean.leader.election.enable" => {
            assert_eq!(leader_after_the_last_in_sync("false"), -1);
            assert_eq!(leader_after_the_last_in_sync("true"), ME);
        }
        "preallocate" => prove_preallocation(key),
        "retention.bytes" => prove_retention(&[(key, "0")], &[]),
        "retention.ms" => prove_retention(&[(key, "1")], &[(key, "-1")]),
        unknown => panic!("{unknown} is a topic config, and nothing here shows what it does"),
    }
}

fn prove_delete_retention(key: &str) {
    for (kept_ms, left) in [("0", 0), ("86400000", 1)] {
        let topic = compacted(&[(key, kept_ms)]);
        topic.put(NOW - 1_000, "key", None);
        topic.put(NOW, "other", Some("1"));
        assert!(topic.clean(NOW), "the first cleaning meets the tombstone");
        assert_eq!(topic.count("key"), 1);
        topic.put(NOW, "other", Some("2"));
        topic.put(NOW, "other", Some("3"));
        assert!(topic.clean(NOW + 10));
        assert_eq!(topic.count("key"), left, "{key}={kept_ms}");
    }
}

fn prove_file_delete_delay(key: &str) {
    let topic = topic(&[TINY, ("retention.ms", "1"), (key, "7")]);
    topic.put(1, "k", None);
    topic.put(1, "k", None);
    let count = topic.retained();
    assert!(count > 0);
    let removed = |now| topic.replica.with_log(|log| log.remove_deleted_files(Monotonic(now))).unwrap().unwrap();
    assert_eq!((removed(0), removed(6), removed(7)), (0, 0, count));
}

fn prove_flush_before_ack(key: &str) {
    let topic = topic(&[(key, "true")]);
    for n in 1..=50 {
        let appended = topic.put(NOW, "k", None);
        assert!(!appended.on_disk || topic.replica.flushed_offset() >= n);
        topic.until("the high watermark", |replica| replica.high_watermark() == n);
        assert!(topic.replica.flushed_offset() >= n, "committed and not on disk");
    }
}

fn prove_index_interval(key: &str) {
    let entries = |bytes| {
        let topic = topic(&[(key, bytes)]);
        topic.put_all(10, |_| NOW);
        topic.flush();
        topic.files("index").first().map_or(0, |file| file.metadata().unwrap().len() / 8)
    };
    assert!(entries("0") >= 9);
    assert_eq!(entries("100000"), 0);
}

fn prove_segment_bytes(key: &str) {
    let segments = |bytes| {
        let topic = topic(&[(key, bytes)]);
        for _ in 0..3 {
            topic.append(batch(NOW, None, Some(&[b'v'; 700_000]))).unwrap();
        }
        topic.segments()
    };
    assert_eq!((segments("1048576"), segments("10485760")), (3, 1));
}

fn prove_segment_jitter(key: &str) {
    let segments = |jitter| {
        let topic = topic(&[("segment.ms", "1000"), (key, jitter)]);
        topic.put_all(40, |n| 1_000_000 + 999 * n);
        topic.segments()
    };
    // Without it every other batch begins a segment, with it nearly each.
    assert_eq!(segments("0"), 20);
    assert!(segments("1000") > 20);
}

fn prove_min_insync_replicas(key: &str) {
    let produce = |minimum| {
        let mut topic = topic(&[(key, minimum)]);
        topic.world.apply(two_replicas(ME, &[ME]));
        let replica = topic.world.replica("two");
        topic.world.apply([ConfigRecord { resource_name: "two".into(), ..config(key, minimum) }.into()]);
        let refused = replica.append(AppendRequest::internal(batch(NOW, None, None), LeaderEpoch(0)), Wall(NOW));
        refused.map(|_| ()).map_err(|error| error.error_code())
    };
    assert_eq!(produce("1"), Ok(()));
    assert_eq!(produce("2"), Err(ErrorCode::NotEnoughReplicas));
}

fn prove_preallocation(key: &str) {
    let blocks = |preallocate| {
        let topic = topic(&[(key, preallocate), ("segment.bytes", "1048576")]);
        topic.put(NOW, "k", None);
        let file = topic.files("log").pop().unwrap().metadata().unwrap();
        assert!(file.len() < 1_000, "the length is that of the records");
        file.blocks() * 512
    };
    assert!(blocks("true") >= 1 << 20);
    assert!(blocks("false") < 1 << 20);
}

fn prove_compression(key: &str) {
    for (value, codec) in [("gzip", Codec::Gzip), ("snappy", Codec::Snappy), ("lz4", Codec::Lz4), ("zstd", Codec::Zstd)]
    {
        let topic = topic(&[(key, value)]);
        topic.append(batch(NOW, None, Some(&text(1_000)))).unwrap();
        assert_eq!(topic.codec(), codec);
    }
    let zipped = || {
        let mut builder = BatchBuilder::new().codec(Codec::Gzip, None);
        builder.append(NOW, None, Some(&text(1_000)), &[]);
        builder.build()
    };
    for (value, codec) in [("producer", Codec::Gzip), ("uncompressed", Codec::None)] {
        let topic = topic(&[(key, value)]);
        topic.append(zipped()).unwrap();
        assert_eq!(topic.codec(), codec);
    }
}

/// With `rolling` many small batches, ten milliseconds apart, make several segments, and with `other` one.
fn prove_rolls(rolling: &[(&str, &str)], other: &[(&str, &str)], from: i64) {
    let segments = |configs| {
        let topic = topic(configs);
        topic.put_all(10, |n| from + 10 * n);
        topic.segments()
    };
    assert!(segments(rolling) > 2, "{rolling:?}");
    assert_eq!(segments(other), 1, "{other:?}");
}

fn prove_retention(short: &[(&str, &str)], long: &[(&str, &str)]) {
    let deleted = |configs: &[(&str, &str)]| {
        let topic = topic(&[&[TINY], configs].concat());
        topic.put_all(3, |_| 1_000);
        topic.retained()
    };
    assert!(deleted(short) >= 2, "{short:?}");
    assert_eq!(deleted(long), 0, "{long:?}");
}

/// A second topic, on this broker and another one.
fn two_replicas(leader: i32, isr: &[i32]) -> [crate::rpc::metadata::MetadataRecord; 3] {
    let topic_id = uuid_bytes(Uuid([2; 16]));
    let other = RegisterBrokerRecord {
        broker_id: ME + 1,
        broker_epoch: 2,
        incarnation_id: uuid_bytes(Uuid([8; 16])),
        ..Default::default()
    };
    let partition = PartitionRecord {
        topic_id: topic_id.clone(),
        replicas: vec![ME, ME + 1],
        isr: isr.to_vec(),
        leader,
        last_known_leader: -1,
        ..Default::default()
    };
    [other.into(), TopicRecord { name: "two".to_owned(), topic_id }.into(), partition.into()]
}

/// Who leads once the other broker, alone in sync, is gone; −1 for nobody.
fn leader_after_the_last_in_sync(unclean: &str) -> i32 {
    let mut topic = topic(&[]);
    let allowed = ConfigRecord { resource_name: "two".into(), ..config("unclean.leader.election.enable", unclean) };
    topic.world.apply(two_replicas(ME + 1, &[ME + 1]));
    topic.world.apply([allowed.into()]);
    let defaults = ClusterDefaults::default();
    let mut batch = Batch::new(&topic.world.image, &defaults);
    let fence = FenceBroker { broker_id: ME + 1, broker_epoch: 2 };
    batch.decide(&MetadataCommand { kind: Some(Kind::FenceBroker(fence)) });
    topic.world.apply(batch.into_records());
    topic.world.image.topic_by_name("two").unwrap().partition(0).unwrap().leader.0
}

#[test]
fn every_topic_config_does_what_it_says_or_is_refused() {
    for key in topic_keys() {
        prove(key.name);
    }
}

#[test]
fn no_topic_config_is_taken_without_effect() {
    let throttles = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
    for key in topic_keys().filter(|key| !throttles.contains(&key.name)) {
        assert!(!matches!(key.status, Status::Accepted(_)), "{} is accepted and changes nothing", key.name);
    }
}

#[test]
fn a_config_that_kafka_4_has_dropped_is_refused_by_name() {
    for gone in ["message.downconversion.enable", "message.format.version"] {
        assert!(topic_key(gone).is_none());
        refused(gone, "true");
    }
}
