//! The materialised metadata: what the image says, one key per thing, in sled.
//!
//! It exists to make a restart after a clean stop quick, and it is rebuildable: the log and the snapshots hold the
//! truth. sled's flush is not an fsync and a killed process can bring removed keys back, so after anything but a
//! clean stop the folder is wiped. A clean stop syncs sled's files and then writes the marker `clean-stop`, which is
//! removed before the next open; it carries the image's digest, and an image that does not match it is not used.
//!
//! Persisted between a stop and the next start of the same version; keep stable. Values are encoded
//! `MetadataRecord`s, but `state/state` is an `ottla.raft.SnapshotHeader`:
//!
//! | tree | key | written when |
//! |---|---|---|
//! | `state` | `state` | with every batch, last |
//! | `cluster` | `cluster_id`, `producer_ids` | they change |
//! | `features` | name | any feature changes |
//! | `brokers` | id (i32, big-endian) | the broker changes |
//! | `deleted_topics` | number of the record (u32, big-endian) | any deleted topic comes or goes |
//! | `topics` | topic id (16 bytes) | the topic comes or goes |
//! | `partitions` | topic id, partition (i32, big-endian) | the partition changes |
//! | `configs` | resource type (1 byte), resource name, 0, key | the resource's configuration changes |

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prost::Message;

use super::snapshot::{AppliedState, snapshot_header, state_of_header};
use crate::controller::error::ControllerError;
use crate::log::{Disk, OsDisk};
use crate::metadata::{ClusterImage, ConfigResource, ImageDelta};
use crate::model::TopicId;
use crate::rpc::metadata::{
    ClusterIdRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
};
use crate::rpc::raft::SnapshotHeader;

/// Beside `__cluster_metadata-0`.
const DIRECTORY: &str = "metadata-store";
const MARKER: &str = "clean-stop";
/// sled keeps at most so much in memory.
const CACHE_BYTES: u64 = 1 << 20;
/// sled writes files in pieces of this size, and holds a few of them in memory.
const SEGMENT_BYTES: usize = 64 << 10;
/// What changes within this time is written in one batch.
const COALESCE: Duration = Duration::from_millis(200);
const STATE_KEY: &str = "state";

/// Follows the applied metadata, one batch behind.
#[derive(Debug)]
pub struct MaterialisedMetadata {
    latest: Arc<Latest>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The newest state not written yet.
#[derive(Debug, Default)]
struct Latest {
    slot: Mutex<Slot>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    state: Option<AppliedState>,
    stopping: bool,
}

impl MaterialisedMetadata {
    /// Opens the store in `data_dir` and returns the state it holds, if the last stop was a clean one and the state
    /// is what was written. Whatever is wrong with it, it is wiped and starts empty.
    pub fn open(data_dir: &Path) -> Result<(Self, Option<AppliedState>), ControllerError> {
        let directory = data_dir.join(DIRECTORY);
        let digest = take_marker(&directory)?;
        let mut opened = match digest {
            Some(digest) => open_and_load(&directory, digest),
            None => None,
        };
        if opened.is_none() {
            wipe(&directory)?;
        }
        let restored = opened.as_mut().map(|(_, state)| state.clone());
        let database = opened.map(|(database, _)| database);
        let latest = Arc::new(Latest::default());
        let writer = Writer { directory, database, written: restored.clone(), latest: latest.clone() };
        let writer = std::thread::Builder::new()
            .name("metadata-store".to_owned())
            .stack_size(256 << 10)
            .spawn(move || writer.run())
            .map_err(|source| io_error("start the writer of", data_dir, source))?;
        Ok((Self { latest, writer: Mutex::new(Some(writer)) }, restored))
    }

    /// The state machine has come to `state`.
    pub fn follow(&self, state: AppliedState) {
        self.slot().state = Some(state);
        self.latest.news.notify_one();
    }

    /// Writes what is outstanding, syncs it, and leaves the marker of a clean stop.
    pub fn close(&self) {
        self.slot().stopping = true;
        self.latest.news.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::warn!("the materialised metadata was not closed; it will be rebuilt at the next start");
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.latest.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that owns sled.
struct Writer {
    directory: PathBuf,
    /// Opened by the first write: a start that restores nothing need not wait for it.
    database: Option<sled::Db>,
    written: Option<AppliedState>,
    latest: Arc<Latest>,
}

impl Writer {
    /// Writes until stopped. A fault ends the thread; the store is rebuilt at the next start, nothing is lost.
    fn run(mut self) {
        loop {
            let (state, stopping) = self.next();
            if let Some(state) = state
                && let Err(error) = self.write(state)
            {
                tracing::warn!(%error, "the materialised metadata is given up until the next start");
                return;
            }
            if stopping {
                if let Err(error) = self.finish() {
                    tracing::warn!(%error, "the materialised metadata was not closed cleanly");
                }
                return;
            }
        }
    }

    /// Waits for something to write, and a little longer for more of it.
    fn next(&self) -> (Option<AppliedState>, bool) {
        let slot = self.latest.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |slot: &mut Slot| slot.state.is_none() && !slot.stopping;
        let slot = self.latest.news.wait_while(slot, idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.latest.news.wait_timeout_while(slot, COALESCE, |slot| !slot.stopping);
        let (mut slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (slot.state.take(), slot.stopping)
    }

    fn write(&mut self, state: AppliedState) -> sled::Result<()> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(&self.directory)?,
        };
        let before = self.written.as_ref().map(|state| state.image.clone()).unwrap_or_default();
        write_changes(&database, &before, &state.image)?;
        let header = snapshot_header(&state, 0);
        database.open_tree("state")?.insert(STATE_KEY, header.encode_to_vec())?;
        self.database = Some(database);
        self.written = Some(state);
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let (Some(database), Some(written)) = (self.database, self.written) else { return Ok(()) };
        database.flush().map_err(io::Error::other)?;
        drop(database);
        sync_files(&self.directory)?;
        let digest = format!("{:016x}\n", written.image.digest());
        OsDisk.write_atomically(&self.directory.join(MARKER), digest.as_bytes())
    }
}

/// Reads the marker of a clean stop and removes it, durably: from here on a crash means a wipe.
fn take_marker(directory: &Path) -> Result<Option<u64>, ControllerError> {
    let path = directory.join(MARKER);
    if !path.exists() {
        return Ok(None);
    }
    let content = fs::read_to_string(&path).map_err(|source| io_error("read", &path, source))?;
    fs::remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
    OsDisk.sync_dir(directory).map_err(|source| io_error("sync", directory, source))?;
    Ok(u64::from_str_radix(content.trim(), 16).ok())
}

fn wipe(directory: &Path) -> Result<(), ControllerError> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error("remove", directory, source)),
        _ => Ok(()),
    }
}

/// None when anything at all is wrong: sled panics on some damaged files.
fn open_and_load(directory: &Path, digest: u64) -> Option<(sled::Db, AppliedState)> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        remove_unfinished(directory).map_err(|error| error.to_string())?;
        let database = open_database(directory).map_err(|error| error.to_string())?;
        let state = load(&database)?;
        if state.image.digest() != digest {
            return Err("its content is not what was written".to_owned());
        }
        Ok((database, state))
    }));
    match attempt {
        Ok(Ok(opened)) => return Some(opened),
        Ok(Err(reason)) => tracing::warn!(reason, "the materialised metadata is rebuilt"),
        Err(_) => tracing::warn!("the materialised metadata could not be opened and is rebuilt"),
    }
    None
}

/// sled does not start from a snapshot file of its own that it was still writing.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn open_database(directory: &Path) -> sled::Result<sled::Db> {
    sled::Config::new()
        .path(directory)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None)
        .mode(sled::Mode::LowSpace)
        .open()
}

fn load(database: &sled::Db) -> Result<AppliedState, String> {
    let tree = |name: &str| database.open_tree(name).map_err(|error| error.to_string());
    let state = tree("state")?.get(STATE_KEY).map_err(|error| error.to_string())?.ok_or("it holds no state")?;
    let header = SnapshotHeader::decode(state.as_ref()).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    for name in ["cluster", "features", "brokers", "deleted_topics", "topics", "partitions", "configs"] {
        for item in tree(name)?.iter() {
            let (_, value) = item.map_err(|error| error.to_string())?;
            records.push(MetadataRecord::decode(value.as_ref()).map_err(|error| error.to_string())?);
        }
    }
    state_of_header(&header, &records)
}

fn write_changes(database: &sled::Db, before: &ClusterImage, after: &ClusterImage) -> sled::Result<()> {
    let delta = ImageDelta::between(before.clone(), after.clone());
    write_cluster(database, before, after)?;
    write_brokers(database, &delta)?;
    write_deleted_topics(database, before, after)?;
    write_topics(database, &delta)?;
    write_configs(database, &delta)
}

fn write_cluster(database: &sled::Db, before: &ClusterImage, after: &ClusterImage) -> sled::Result<()> {
    let tree = database.open_tree("cluster")?;
    if let Some(cluster_id) = after.cluster_id().filter(|id| before.cluster_id() != Some(id)) {
        put(&tree, b"cluster_id", ClusterIdRecord { cluster_id: cluster_id.to_string() })?;
    }
    if after.next_producer_id() != before.next_producer_id() {
        let next_producer_id = after.next_producer_id().0;
        put(&tree, b"producer_ids", ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id })?;
    }
    if !after.features().eq(before.features()) {
        let tree = database.open_tree("features")?;
        tree.clear()?;
        for (name, level) in after.features() {
            put(&tree, name.as_bytes(), FeatureLevelRecord { name: name.to_owned(), level })?;
        }
    }
    Ok(())
}

fn write_brokers(database: &sled::Db, delta: &ImageDelta) -> sled::Result<()> {
    let tree = database.open_tree("brokers")?;
    for id in &delta.changed_brokers {
        match delta.new.broker(*id) {
            Some(broker) => put(&tree, &id.0.to_be_bytes(), broker.to_record())?,
            None => remove(&tree, &id.0.to_be_bytes())?,
        }
    }
    Ok(())
}

/// They are few, and change seldom: all of them are written again, in the order in which they are read.
fn write_deleted_topics(database: &sled::Db, before: &ClusterImage, after: &ClusterImage) -> sled::Result<()> {
    if after.has_same_deleted_topics(before) {
        return Ok(());
    }
    let tree = database.open_tree("deleted_topics")?;
    tree.clear()?;
    for (number, record) in (0_u32..).zip(after.deleted_topic_records()) {
        put(&tree, &number.to_be_bytes(), record)?;
    }
    Ok(())
}

fn write_topics(database: &sled::Db, delta: &ImageDelta) -> sled::Result<()> {
    let topics = database.open_tree("topics")?;
    let partitions = database.open_tree("partitions")?;
    for topic in delta.removed_topics() {
        remove(&topics, &topic.id.0.0)?;
        for (partition, _) in topic.partitions() {
            remove(&partitions, &partition_key(topic.id, partition))?;
        }
    }
    for topic in delta.changed_topics.iter().filter_map(|id| delta.new.topic(*id)) {
        if delta.old.topic(topic.id).is_none() {
            let topic_id = crate::metadata::uuid_bytes(topic.id.0);
            put(&topics, &topic.id.0.0, TopicRecord { name: topic.name.to_string(), topic_id })?;
        }
    }
    for (topic, partition, _, now) in delta.changed_partitions() {
        put(&partitions, &partition_key(topic.id, partition), now.to_record(topic.id, partition))?;
    }
    Ok(())
}

fn write_configs(database: &sled::Db, delta: &ImageDelta) -> sled::Result<()> {
    let tree = database.open_tree("configs")?;
    for resource in &delta.changed_configs {
        let before = delta.old.config(resource);
        for key in before.iter().flat_map(|configs| configs.keys()) {
            remove(&tree, &config_key(resource, key))?;
        }
        for (key, value) in delta.new.config(resource).iter().flat_map(|configs| configs.iter()) {
            let (resource_type, resource_name) = (resource.resource_type.code().into(), resource.name.to_string());
            let record = ConfigRecord { resource_type, resource_name, key: key.clone(), value: Some(value.clone()) };
            put(&tree, &config_key(resource, key), record)?;
        }
    }
    Ok(())
}

fn put(tree: &sled::Tree, key: &[u8], record: impl Into<MetadataRecord>) -> sled::Result<()> {
    tree.insert(key, record.into().encode_to_vec()).map(drop)
}

fn remove(tree: &sled::Tree, key: &[u8]) -> sled::Result<()> {
    tree.remove(key).map(drop)
}

fn partition_key(topic: TopicId, partition: i32) -> Vec<u8> {
    [topic.0.0.as_slice(), &partition.to_be_bytes()].concat()
}

fn config_key(resource: &ConfigResource, key: &str) -> Vec<u8> {
    let resource_type = resource.resource_type.code().to_be_bytes();
    [resource_type.as_slice(), resource.name.as_bytes(), &[0], key.as_bytes()].concat()
}

/// Makes durable what sled has written: its own flush does not.
fn sync_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_files(&path)?;
        } else {
            fs::File::open(path)?.sync_all()?;
        }
    }
    OsDisk.sync_dir(directory)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> ControllerError {
    ControllerError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::raft::snapshot::state_at;
    use crate::metadata::uuid_bytes;
    use crate::model::Uuid;
    use crate::rpc::metadata::{PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord};

    fn broker(id: i32, index: i64) -> MetadataRecord {
        RegisterBrokerRecord {
            broker_id: id,
            broker_epoch: index,
            incarnation_id: uuid_bytes(Uuid([1; 16])),
            ..RegisterBrokerRecord::default()
        }
        .into()
    }

    fn partition(topic: u8, partition: i32) -> MetadataRecord {
        let topic_id = uuid_bytes(Uuid([topic; 16]));
        PartitionRecord {
            topic_id,
            partition,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            ..PartitionRecord::default()
        }
        .into()
    }

    fn topic(number: u8) -> MetadataRecord {
        let topic_id = uuid_bytes(Uuid([number; 16]));
        TopicRecord { name: format!("topic-{number}"), topic_id }.into()
    }

    fn config(key: &str, value: Option<&str>) -> MetadataRecord {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        ConfigRecord { resource_type: 2, resource_name: "topic-1".to_owned(), key, value }.into()
    }

    /// The state after each prefix of some records.
    fn states() -> Vec<AppliedState> {
        let mut image = ClusterImage::default();
        let mut records = vec![
            ClusterIdRecord { cluster_id: "c".to_owned() }.into(),
            FeatureLevelRecord { name: "f".to_owned(), level: 2 }.into(),
            broker(1, 3),
            topic(1),
            partition(1, 0),
            partition(1, 1),
            topic(2),
            partition(2, 0),
            config("a", Some("1")),
            config("b", Some("2")),
            config("a", None),
            FeatureLevelRecord { name: "f".to_owned(), level: 0 }.into(),
            RemoveTopicRecord { topic_id: uuid_bytes(Uuid([2; 16])) }.into(),
            broker(1, 14),
        ];
        records.push(ProducerIdsRecord { broker_id: 1, broker_epoch: 14, next_producer_id: 1_000 }.into());
        let mut states = Vec::new();
        for (index, record) in (1..).zip(&records) {
            image.replay(record, index).unwrap();
            states.push(state_at(u64::try_from(index).unwrap(), Arc::new(image.clone())));
        }
        states
    }

    fn open(directory: &tempfile::TempDir) -> (MaterialisedMetadata, Option<AppliedState>) {
        MaterialisedMetadata::open(directory.path()).unwrap()
    }

    #[test]
    fn a_clean_stop_is_restored_whatever_was_written_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut before: Option<AppliedState> = None;
        for state in states() {
            let (store, restored) = open(&directory);
            assert_eq!(restored.map(|state| state.image), before.map(|state| state.image));
            store.follow(state.clone());
            store.close();
            before = Some(state);
        }
        let (_store, restored) = open(&directory);
        let (restored, written) = (restored.unwrap(), before.unwrap());
        assert_eq!(restored.last_log_id, written.last_log_id);
        assert_eq!(restored.image.digest(), written.image.digest());
    }

    #[test]
    fn without_a_clean_stop_nothing_is_restored() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(&directory);
        store.follow(states().pop().unwrap());
        store.close();
        fs::remove_file(directory.path().join(DIRECTORY).join(MARKER)).unwrap();
        assert!(open(&directory).1.is_none());
    }

    #[test]
    fn a_start_takes_the_marker_away() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(&directory);
        store.follow(states().pop().unwrap());
        store.close();
        let (store, restored) = open(&directory);
        assert!(restored.is_some());
        // As if this process were killed now.
        assert!(!directory.path().join(DIRECTORY).join(MARKER).exists());
        store.close();
    }

    #[test]
    fn content_that_is_not_what_was_written_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(&directory);
        store.follow(states().pop().unwrap());
        store.close();
        fs::write(directory.path().join(DIRECTORY).join(MARKER), "0000000000000001\n").unwrap();
        assert!(open(&directory).1.is_none());
    }

    #[test]
    fn damaged_files_cost_a_rebuild_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(&directory);
        store.follow(states().pop().unwrap());
        store.close();
        let folder = directory.path().join(DIRECTORY);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with(MARKER) {
                fs::write(path, [0x5a; 700]).unwrap();
            }
        }
        fs::write(folder.join("snap.0000000000000001.generating"), "half").unwrap();
        let (store, restored) = open(&directory);
        assert!(restored.is_none());
        store.follow(states().pop().unwrap());
        store.close();
        assert!(open(&directory).1.is_some());
    }
}
