//! The coordinator over real replicas in a temporary directory, led through changes of the metadata.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{FetchedOffset, GroupCoordinator, GroupCoordinatorConfig, OffsetCommitError, OffsetsOf, offsets_topic};
use crate::clock;
use crate::cluster::{ControllerCalls, PublishedImage};
use crate::config::{GroupConfig, StaticConfig};
use crate::group::{
    GroupRecord, Heartbeat, JoinGroup, JoinReply, LeaveGroup, LeavingMember, OffsetCommit, OffsetCommitPartition,
    Protocol, State, SyncGroup, SyncReply, Token,
};
use crate::metadata::{ClusterImage, ImageDelta, uuid_bytes};
use crate::model::{BrokerId, CONSUMER_OFFSETS_TOPIC, ErrorCode, LeaderEpoch, TopicId, Uuid};
use crate::partition::{AppendRequest, LogDirectory, PartitionError, Replicas, ReplicasConfig};
use crate::rpc::metadata::{
    BrokerIds, ConfigRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord,
    RemoveTopicRecord, TopicRecord,
};

const ME: i32 = 1;
const OTHER: i32 = 2;
const OFFSETS_TOPIC_ID: u8 = 100;

/// A broker with a coordinator, and the metadata they follow.
struct World {
    _directory: Arc<tempfile::TempDir>,
    replicas: Arc<Replicas>,
    image: ClusterImage,
    groups: Arc<GroupCoordinator>,
}

impl World {
    /// A broker whose offsets topic has one partition with these replicas, all in sync.
    fn new(replicas: &[i32]) -> Self {
        Self::with_config(replicas, |_| {})
    }

    fn with_config(replicas: &[i32], adjust: impl FnOnce(&mut GroupCoordinatorConfig)) -> Self {
        let mut image = ClusterImage::default();
        for broker_id in [ME, OTHER] {
            let broker = RegisterBrokerRecord {
                broker_id,
                broker_epoch: broker_id.into(),
                incarnation_id: uuid_bytes(Uuid([broker_id as u8; 16])),
                ..Default::default()
            };
            replay(&mut image, broker.into());
        }
        create(&mut image, "t", 1, &[ME], 2);
        create(&mut image, CONSUMER_OFFSETS_TOPIC, OFFSETS_TOPIC_ID, replicas, 1);
        Self::open(Arc::new(tempfile::tempdir().unwrap()), image, adjust)
    }

    fn open(
        directory: Arc<tempfile::TempDir>,
        image: ClusterImage,
        adjust: impl FnOnce(&mut GroupCoordinatorConfig),
    ) -> Self {
        let replicas = open_replicas(directory.path());
        let mut config = GroupCoordinatorConfig::new(&GroupConfig::default(), 1);
        config.group.initial_rebalance_delay_ms = 0;
        config.group.session_timeout_ms_min = 1;
        adjust(&mut config);
        let controller = ControllerCalls::new(None, ME, Vec::new(), Handle::current());
        let groups = GroupCoordinator::start(config, replicas.clone(), controller, &PublishedImage::new());
        replicas.apply(&ImageDelta::between(ClusterImage::default(), image.clone()));
        Self { _directory: directory, replicas, image, groups }
    }

    /// Stops this broker and starts another on the same directory.
    fn restart(self) -> Self {
        let Self { _directory: directory, replicas, image, groups } = self;
        drop(groups);
        replicas.close().unwrap();
        Self::open(directory, image, |_| {})
    }

    fn apply(&mut self, records: impl IntoIterator<Item = MetadataRecord>) -> ImageDelta {
        let old = self.image.clone();
        records.into_iter().for_each(|record| replay(&mut self.image, record));
        let delta = ImageDelta::between(old, self.image.clone());
        self.replicas.apply(&delta);
        delta
    }

    /// Changes who leads the offsets partition and who is in sync.
    fn lead(&mut self, leader: i32, leader_epoch: i32, isr: &[i32]) {
        let old = self.image.partition(TopicId(Uuid([OFFSETS_TOPIC_ID; 16])), 0).unwrap();
        let partition = PartitionChangeRecord {
            topic_id: uuid_bytes(Uuid([OFFSETS_TOPIC_ID; 16])),
            partition: 0,
            partition_epoch: old.partition_epoch.0 + 1,
            leader_epoch: Some(leader_epoch).filter(|&epoch| epoch != old.leader_epoch.0),
            leader: Some(leader),
            isr: Some(BrokerIds { ids: isr.to_vec() }),
            ..Default::default()
        };
        self.apply([partition.into()]);
    }

    /// Waits until the coordinator serves its partition.
    async fn loaded(&self) {
        eventually(|| self.groups.describe("any").is_ok()).await;
    }

    async fn join(&self, member_id: &str) -> JoinReply {
        let protocol = Protocol { name: "range".to_owned(), metadata: subscription("t") };
        let request = |token| JoinGroup {
            token,
            member_id: member_id.to_owned(),
            random_id: "1".to_owned(),
            group_instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol],
            reason: None,
            requires_known_member_id: false,
            supports_skipping_assignment: true,
        };
        self.groups.join("g", request).await.unwrap_or_else(|error| JoinReply::refused(error, ""))
    }

    async fn sync(&self, member_id: &str, generation: i32) -> SyncReply {
        let request = |token| SyncGroup {
            token,
            member_id: member_id.to_owned(),
            group_instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: vec![(member_id.to_owned(), Bytes::from_static(b"all"))],
        };
        self.groups.sync("g", request).await
    }

    async fn heartbeat(&self, member_id: &str, generation: i32) -> ErrorCode {
        let request = |token| Heartbeat { token, member_id: member_id.to_owned(), group_instance_id: None, generation };
        self.groups.heartbeat("g", request).await
    }

    /// One member, stable.
    async fn stable_member(&self) -> (String, i32) {
        let joined = self.join("").await;
        assert_eq!(joined.error, ErrorCode::None);
        let synced = self.sync(&joined.member_id, joined.generation).await;
        assert_eq!((synced.error, synced.assignment.as_ref()), (ErrorCode::None, &b"all"[..]));
        (joined.member_id, joined.generation)
    }

    async fn commit(&self, offset: i64) -> Result<Vec<ErrorCode>, OffsetCommitError> {
        self.groups.commit_offsets("simple", &commit("", -1, offset)).await
    }

    async fn fetch(&self) -> Result<Option<i64>, ErrorCode> {
        self.fetch_for(1).await
    }

    async fn fetch_for(&self, topic_id: u8) -> Result<Option<i64>, ErrorCode> {
        let wanted = OffsetsOf::Partitions(vec![("t".into(), TopicId(Uuid([topic_id; 16])), 0)]);
        let fetched = self.groups.fetch_offsets("simple", (None, -1), &wanted).await?;
        let [FetchedOffset { offset, .. }] = fetched.as_slice() else { panic!("{fetched:?}") };
        Ok(offset.as_ref().map(|offset| offset.offset))
    }

    fn log_end_offset(&self) -> i64 {
        self.replicas.find(CONSUMER_OFFSETS_TOPIC, 0).unwrap().log_end_offset()
    }
}

fn open_replicas(path: &Path) -> Arc<Replicas> {
    let config = ReplicasConfig {
        broker_id: BrokerId(ME),
        log_dirs: vec![LogDirectory { path: path.to_owned(), clean: false, vital: false }],
        lost_log_dirs: Vec::new(),
        open_files_max: 100,
        recovery_threads: 1,
        mover_threads: None,
        retention_interval: Duration::from_secs(300),
        replica_lag_time_max_ms: 30_000,
        settings: Arc::new(StaticConfig::default()),
    };
    Replicas::open(config).unwrap()
}

fn replay(image: &mut ClusterImage, record: MetadataRecord) {
    image.replay(&record, image.applied_index() + 1).unwrap();
}

fn create(image: &mut ClusterImage, name: &str, id: u8, replicas: &[i32], partitions: i32) {
    let topic_id = uuid_bytes(Uuid([id; 16]));
    replay(image, TopicRecord { name: name.to_owned(), topic_id: topic_id.clone() }.into());
    for partition in 0..partitions {
        let partition = PartitionRecord {
            topic_id: topic_id.clone(),
            partition,
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            leader: ME,
            last_known_leader: -1,
            ..Default::default()
        };
        replay(image, partition.into());
    }
}

fn min_insync_replicas(topic: &str, replicas: i32) -> MetadataRecord {
    let record = ConfigRecord {
        resource_type: 2,
        resource_name: topic.to_owned(),
        key: "min.insync.replicas".to_owned(),
        value: Some(replicas.to_string()),
    };
    record.into()
}

fn remove(id: u8) -> MetadataRecord {
    RemoveTopicRecord { topic_id: uuid_bytes(Uuid([id; 16])) }.into()
}

fn subscription(topic: &str) -> Bytes {
    [&[0, 0, 0, 0, 0, 1, 0, topic.len() as u8], topic.as_bytes()].concat().into()
}

fn commit(member_id: &str, generation: i32, offset: i64) -> OffsetCommit {
    let partition = OffsetCommitPartition {
        topic: "t".into(),
        topic_id: TopicId(Uuid([1; 16])),
        partition: 0,
        offset,
        leader_epoch: -1,
        metadata: None,
    };
    OffsetCommit {
        member_id: member_id.to_owned(),
        group_instance_id: None,
        generation,
        knows_member_epochs: true,
        retention_time_ms: None,
        partitions: vec![partition],
    }
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn groups_and_offsets_survive_a_restart() {
    let world = World::new(&[ME]);
    world.loaded().await;
    let (member_id, generation) = world.stable_member().await;
    let accepted = world.groups.commit_offsets("g", &commit(&member_id, generation, 7)).await;
    assert_eq!(accepted, Ok(vec![ErrorCode::None]));
    assert_eq!(world.commit(9).await, Ok(vec![ErrorCode::None]));

    let world = world.restart();
    world.loaded().await;
    assert_eq!(world.fetch().await, Ok(Some(9)));
    let group = world.groups.describe("g").unwrap().unwrap();
    assert_eq!((group.state, group.protocol.as_str()), (State::Stable, "range"));
    assert_eq!(group.members[0].assignment.as_ref(), b"all");
    assert_eq!(world.heartbeat(&member_id, generation).await, ErrorCode::None);
    assert_eq!(world.heartbeat(&member_id, generation + 1).await, ErrorCode::IllegalGeneration);
    let all = world.groups.fetch_offsets("g", (None, -1), &OffsetsOf::All).await.unwrap();
    assert_eq!(all.iter().map(|f| f.offset.as_ref().unwrap().offset).collect::<Vec<_>>(), [7]);
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_coordinator_moves() {
    let mut world = World::new(&[ME]);
    world.loaded().await;
    let (member_id, generation) = world.stable_member().await;
    assert_eq!(world.commit(1).await, Ok(vec![ErrorCode::None]));
    let groups = world.groups.clone();
    // Somebody new joins, and waits for the member.
    let waiting = tokio::spawn(async move {
        let request = |token| JoinGroup {
            token,
            member_id: String::new(),
            random_id: "2".to_owned(),
            group_instance_id: None,
            client_id: "d".to_owned(),
            client_host: String::new(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
            reason: None,
            requires_known_member_id: false,
            supports_skipping_assignment: true,
        };
        groups.join("g", request).await
    });
    eventually(|| world.groups.describe("g").unwrap().unwrap().state == State::PreparingRebalance).await;
    world.lead(-1, 1, &[ME]);
    assert_eq!(waiting.await.unwrap().unwrap().error, ErrorCode::NotCoordinator);
    eventually(|| world.groups.describe("g") == Err(ErrorCode::NotCoordinator)).await;
    assert_eq!(world.heartbeat(&member_id, generation).await, ErrorCode::NotCoordinator);
    assert_eq!(world.commit(2).await, Err(OffsetCommitError::Refused(ErrorCode::NotCoordinator)));
    assert_eq!(world.groups.list(), Ok(Vec::new()));

    // It comes back, knowing what was committed: the stable generation, and the first offset.
    world.lead(ME, 2, &[ME]);
    world.loaded().await;
    assert_eq!(world.heartbeat(&member_id, generation).await, ErrorCode::None);
    assert_eq!(world.fetch().await, Ok(Some(1)));
}

#[tokio::test]
async fn what_a_former_coordinator_decided_is_not_appended() {
    let mut world = World::new(&[ME]);
    world.loaded().await;
    world.lead(ME, 5, &[ME]);
    let replica = world.replicas.find(CONSUMER_OFFSETS_TOPIC, 0).unwrap();
    let batch = offsets_topic::batch("g", &[GroupRecord::Metadata(None)], clock::wall());
    let late = replica.append(AppendRequest::internal(batch.clone(), LeaderEpoch(0)), clock::wall());
    assert!(matches!(late, Err(PartitionError::NotLeader(_))), "{late:?}");
    assert!(replica.append(AppendRequest::internal(batch, LeaderEpoch(5)), clock::wall()).is_ok());
}

#[tokio::test]
async fn without_its_partition_nothing_is_served() {
    let mut world = World::new(&[ME]);
    world.loaded().await;
    world.apply([remove(OFFSETS_TOPIC_ID)]);
    eventually(|| world.groups.describe("g") == Err(ErrorCode::NotCoordinator)).await;
    assert_eq!(world.join("").await.error, ErrorCode::NotCoordinator);
    assert_eq!(world.groups.delete("g").await, ErrorCode::NotCoordinator);
}

#[tokio::test]
async fn below_the_minimum_of_replicas_nothing_is_written() {
    let mut world = World::new(&[ME, OTHER]);
    world.loaded().await;
    world.apply([min_insync_replicas(CONSUMER_OFFSETS_TOPIC, 2)]);
    world.lead(ME, 0, &[ME]);
    let unavailable = ErrorCode::CoordinatorNotAvailable;
    assert_eq!(world.commit(1).await, Err(OffsetCommitError::Refused(unavailable)));
    let joined = world.join("").await;
    assert_eq!(joined.error, ErrorCode::None);
    assert_eq!(world.sync(&joined.member_id, joined.generation).await.error, unavailable);
    // The members stay, and try again.
    assert_eq!(world.heartbeat(&joined.member_id, joined.generation).await, ErrorCode::RebalanceInProgress);
    assert_eq!(world.log_end_offset(), 0);
    assert_eq!(world.fetch().await, Ok(None));

    world.apply([min_insync_replicas(CONSUMER_OFFSETS_TOPIC, 1)]);
    world.lead(ME, 0, &[ME]);
    assert_eq!(world.commit(1).await, Ok(vec![ErrorCode::None]));
    let joined = world.join(&joined.member_id).await;
    assert_eq!(world.sync(&joined.member_id, joined.generation).await.error, ErrorCode::None);
}

#[tokio::test]
async fn answers_wait_until_records_are_committed() {
    let mut world = World::new(&[ME, OTHER]);
    world.loaded().await;
    let joined = world.join("").await;
    let groups = world.groups.clone();
    let committing = tokio::spawn(async move { groups.commit_offsets("simple", &commit("", -1, 5)).await });
    eventually(|| world.log_end_offset() == 1).await;
    let (groups, member_id) = (world.groups.clone(), joined.member_id.clone());
    let syncing = tokio::spawn(async move {
        let request = |token: Token| SyncGroup {
            token,
            member_id,
            group_instance_id: None,
            generation: joined.generation,
            protocol_type: None,
            protocol: None,
            assignments: Vec::new(),
        };
        groups.sync("g", request).await
    });
    eventually(|| world.log_end_offset() == 2).await;
    assert_eq!(world.groups.describe("g").unwrap().unwrap().state, State::CompletingRebalance);
    assert!(!committing.is_finished() && !syncing.is_finished());
    // The follower that never fetches leaves the ISR.
    world.lead(ME, 0, &[ME]);
    assert_eq!(committing.await.unwrap(), Ok(vec![ErrorCode::None]));
    assert_eq!(syncing.await.unwrap().error, ErrorCode::None);
    assert_eq!(world.fetch().await, Ok(Some(5)));
}

#[tokio::test]
async fn what_is_not_committed_in_time_is_not_acknowledged() {
    let mut world = World::with_config(&[ME, OTHER], |config| config.commit_timeout = Duration::from_millis(20));
    world.loaded().await;
    let unavailable = ErrorCode::CoordinatorNotAvailable;
    assert_eq!(world.commit(5).await, Err(OffsetCommitError::Refused(unavailable)));
    // Nor is it shown to anybody.
    assert_eq!(world.fetch().await, Err(unavailable));
    let joined = world.join("").await;
    assert_eq!(world.sync(&joined.member_id, joined.generation).await.error, unavailable);
    assert_eq!(world.groups.describe("g").unwrap().unwrap().state, State::PreparingRebalance);
    world.lead(ME, 0, &[ME]);
    assert_eq!(world.fetch().await, Ok(Some(5)));
}

#[tokio::test]
async fn offsets_die_with_their_topic() {
    let mut world = World::new(&[ME]);
    world.loaded().await;
    assert_eq!(world.commit(5).await, Ok(vec![ErrorCode::None]));
    let delta = world.apply([remove(1)]);
    world.groups.on_metadata(&delta).await;
    assert_eq!(world.fetch().await, Ok(None));
    assert_eq!(world.groups.describe("simple"), Ok(None));

    // Committed for the topic's next life, which ends while the coordinator is away.
    create(&mut world.image, "t", 2, &[ME], 1);
    let mut again = commit("", -1, 6);
    again.partitions[0].topic_id = TopicId(Uuid([2; 16]));
    assert_eq!(world.groups.commit_offsets("simple", &again).await, Ok(vec![ErrorCode::None]));
    assert_eq!((world.fetch_for(2).await, world.fetch_for(3).await), (Ok(Some(6)), Ok(None)));
    replay(&mut world.image, remove(2));
    create(&mut world.image, "t", 3, &[ME], 1);
    let end = world.log_end_offset();
    let world = world.restart();
    world.loaded().await;
    assert_eq!((world.fetch_for(2).await, world.fetch_for(3).await), (Ok(None), Ok(None)));
    assert_eq!(world.log_end_offset(), end + 1, "the tombstone is written once");
}

#[tokio::test]
async fn silent_members_are_removed_by_the_timer() {
    let world = World::new(&[ME]);
    world.loaded().await;
    let request = |token| JoinGroup {
        token,
        member_id: String::new(),
        random_id: "1".to_owned(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: String::new(),
        session_timeout_ms: 20,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    };
    assert_eq!(world.groups.join("g", request).await.unwrap().error, ErrorCode::None);
    eventually(|| world.groups.describe("g").unwrap().unwrap().state == State::Empty).await;
}

#[tokio::test]
async fn groups_are_deleted_and_expire() {
    let world = World::with_config(&[ME], |config| config.group.offsets_retention_ms = 0);
    world.loaded().await;
    let (member_id, _) = world.stable_member().await;
    assert_eq!(world.commit(5).await, Ok(vec![ErrorCode::None]));
    assert_eq!(world.groups.list().unwrap().len(), 2);
    assert_eq!(world.groups.delete("g").await, ErrorCode::NonEmptyGroup);
    assert_eq!(world.groups.delete("nobody").await, ErrorCode::GroupIdNotFound);
    let leaving = vec![LeavingMember { member_id, group_instance_id: None, reason: None }];
    let left = world.groups.leave("g", |token| LeaveGroup { token, members: leaving }).await;
    assert_eq!(left.members[0].error, ErrorCode::None);
    assert_eq!(world.groups.delete("g").await, ErrorCode::None);
    assert_eq!(world.groups.delete("g").await, ErrorCode::GroupIdNotFound);
    world.groups.expire_offsets().await;
    assert_eq!((world.fetch().await, world.groups.list()), (Ok(None), Ok(Vec::new())));
    let world = world.restart();
    world.loaded().await;
    assert_eq!(world.groups.list(), Ok(Vec::new()));
}

#[tokio::test]
async fn deleting_offsets_of_consumed_topics_is_refused() {
    let world = World::new(&[ME]);
    world.loaded().await;
    let (member_id, generation) = world.stable_member().await;
    assert_eq!(world.groups.commit_offsets("g", &commit(&member_id, generation, 7)).await, Ok(vec![ErrorCode::None]));
    let partitions = [("t".into(), 0), ("u".into(), 0)];
    let deleted = world.groups.delete_offsets("g", &partitions).await;
    assert_eq!(deleted, Ok(vec![ErrorCode::GroupSubscribedToTopic, ErrorCode::None]));
    assert_eq!(world.groups.delete_offsets("nobody", &partitions).await, Err(ErrorCode::GroupIdNotFound));
}

#[tokio::test]
async fn a_member_of_no_group_cannot_commit() {
    let world = World::new(&[ME]);
    world.loaded().await;
    let refused = world.groups.commit_offsets("g", &commit("m", 3, 7)).await;
    assert_eq!(refused, Err(OffsetCommitError::NoSuchGroup));
    // Nothing of the attempt is left behind.
    assert_eq!((world.groups.list(), world.log_end_offset()), (Ok(Vec::new()), 0));
    assert_eq!(world.heartbeat("m", 3).await, ErrorCode::UnknownMemberId);
    assert_eq!(world.groups.list(), Ok(Vec::new()));
}
