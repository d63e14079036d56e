//! A quorum of one and a broker beside it, over loopback.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::*;
use crate::cluster::{BrokerIdentity, Cluster, ClusterConfig, LifecycleState, VoterAddress};
use crate::metadata::ClusterDefaults;
use crate::model::{BrokerId, DirectoryId, ErrorCode, StartNumber, Uuid};
use crate::quota::QuotaWindows;
use crate::rpc::metadata as proto;
use crate::rpc::metadata::{
    CreatableTopic, CreateTopics, DeletableTopic, DeleteTopics, Endpoint, MetadataCommand, MetadataReply, ReadIndex,
    deletable_topic, metadata_command::Kind, metadata_reply,
};

const DIRECTORY: DirectoryId = DirectoryId(Uuid([7; 16]));
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    controller: ControllerHandle,
    cluster: Cluster,
}

fn bind() -> (TcpListener, VoterAddress) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, VoterAddress { node_id: 1, host: "127.0.0.1".to_owned(), port })
}

fn controller_config(data_dir: &Path, listener: TcpListener, voters: Vec<VoterAddress>) -> ControllerConfig {
    ControllerConfig {
        data_dir: data_dir.to_owned(),
        directory_id: DIRECTORY,
        cluster_id: None,
        own: VoterAddress { node_id: 1, ..voters[0].clone() },
        listener,
        voters,
        liveness: LivenessLimits { session_timeout_ms: 60_000, grace_ms: 100 },
        leader_balance: None,
        raft_times: RaftTimes::default(),
        entries_between_snapshots: 20,
        mutation_quota_windows: QuotaWindows::default(),
        defaults: ClusterDefaults::default(),
    }
}

fn cluster_config(cluster_id: Option<String>, incarnation: u8, voters: Vec<VoterAddress>) -> ClusterConfig {
    let endpoint =
        Endpoint { name: "PLAINTEXT".to_owned(), host: "localhost".to_owned(), port: 9092, security_protocol: 0 };
    ClusterConfig {
        cluster_id,
        identity: BrokerIdentity {
            broker_id: BrokerId(1),
            incarnation_id: Uuid([incarnation; 16]),
            directory_ids: vec![DIRECTORY],
            endpoints: vec![endpoint],
            rack: None,
            features: crate::metadata::supported_features(),
            previous_broker_epoch: None,
            start_number: StartNumber(0),
        },
        voters,
        heartbeat_interval_ms: 50,
        session_timeout_ms: 60_000,
        registration_timeout_ms: 10_000,
    }
}

async fn start(data_dir: &Path, incarnation: u8) -> Node {
    let (listener, voter) = bind();
    let config = controller_config(data_dir, listener, vec![voter.clone()]);
    let controller = Controller::start(config, &Handle::current()).await.unwrap();
    let cluster = Cluster::start(cluster_config(None, incarnation, vec![voter]), &Handle::current());
    Node { controller, cluster }
}

impl Node {
    async fn submit(&self, kind: Kind) -> MetadataReply {
        let reply = self.cluster.calls().submit(MetadataCommand { kind: Some(kind) }, PATIENCE).await.unwrap();
        self.cluster.image().wait_for_index(reply.metadata_index).await;
        reply
    }

    async fn create_topic(&self, name: &str) -> MetadataReply {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: 3,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        self.submit(Kind::CreateTopics(CreateTopics { topics: vec![topic], ..CreateTopics::default() })).await
    }

    async fn must_create_topic(&self, name: &str) {
        let reply = self.create_topic(name).await;
        let Some(metadata_reply::Kind::CreateTopics(topics)) = &reply.kind else { panic!("{reply:?}") };
        assert_eq!((reply.error_code, topics.topics[0].error_code), (0, 0), "{reply:?}");
    }

    async fn stop(self) {
        self.cluster.stop();
        self.controller.shutdown().await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens within a minute")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_node_forms_a_quorum_and_unfences_its_broker() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    let cluster_id = soon(node.controller.formed()).await.unwrap();
    let broker_epoch = soon(node.cluster.lifecycle().running()).await;
    let image = node.cluster.image().current();
    assert_eq!(image.cluster_id().unwrap().as_ref(), cluster_id);
    let broker = image.broker(BrokerId(1)).unwrap();
    assert_eq!((broker.epoch, broker.fenced), (broker_epoch, false));
    assert!(image.applied_index() >= broker_epoch.0, "nothing runs before its own registration (D7)");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_everything_and_registers_a_new_life() {
    let directory = TempDir::new().unwrap();
    let mut epochs = Vec::new();
    let mut topic_ids = Vec::new();
    for life in 1..=3 {
        let node = start(directory.path(), life).await;
        epochs.push(soon(node.cluster.lifecycle().running()).await);
        let name = format!("topic-{life}");
        soon(node.must_create_topic(&name)).await;
        let image = node.cluster.image().current();
        assert_eq!(image.topic_count(), usize::from(life));
        topic_ids.push(image.topic_id(&name).unwrap());
        for (number, topic_id) in topic_ids.iter().enumerate() {
            assert_eq!(image.topic_id(&format!("topic-{}", number + 1)), Some(*topic_id));
        }
        node.stop().await;
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "broker epochs rise: {epochs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_and_purges_lose_nothing() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.cluster.lifecycle().running()).await;
    for number in 0..60 {
        soon(node.must_create_topic(&format!("topic-{number}"))).await;
    }
    let before = node.cluster.image().current();
    node.stop().await;
    // Without the materialised metadata: from snapshot and log.
    std::fs::remove_dir_all(directory.path().join("metadata-store")).unwrap();
    let log = directory.path().join("__cluster_metadata-0");
    let snapshots = std::fs::read_dir(log)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "checkpoint"));
    assert_eq!(snapshots.count(), 1);
    let node = start(directory.path(), 2).await;
    soon(node.cluster.lifecycle().running()).await;
    let after = node.cluster.image().current();
    for topic in before.topics() {
        assert!(after.topic(topic.id).is_some(), "{} of {} is lost", topic.name, before.topic_count());
    }
    assert_eq!(after.topic_count(), 60);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_replies() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.cluster.lifecycle().running()).await;
    soon(node.create_topic("t")).await;
    let reply = soon(node.create_topic("t")).await;
    let Some(metadata_reply::Kind::CreateTopics(topics)) = reply.kind else { panic!("{reply:?}") };
    assert_eq!(topics.topics[0].error_code, i32::from(ErrorCode::TopicAlreadyExists.code()));
    let delete = DeletableTopic { topic: Some(deletable_topic::Topic::Name("t".to_owned())) };
    soon(node.submit(Kind::DeleteTopics(DeleteTopics { topics: vec![delete], ..DeleteTopics::default() }))).await;
    assert_eq!(node.cluster.image().current().topic_count(), 0);
    node.stop().await;
}

/// What a broker that was suspended goes by; also at controllers that do not know the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_read_covers_what_was_committed() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.cluster.lifecycle().running()).await;
    for topic in ["a", "b", "c"] {
        let committed = node.create_topic(topic).await.metadata_index;
        let read = node.submit(Kind::ReadIndex(ReadIndex {})).await;
        assert_eq!((read.error_code, read.metadata_index >= committed), (0, true), "{committed}, {read:?}");
        let unknown = node.cluster.calls().submit(MetadataCommand { kind: None }, PATIENCE).await.unwrap();
        assert_eq!(unknown.error_code, i32::from(ErrorCode::UnsupportedVersion.code()));
        assert!(unknown.metadata_index >= read.metadata_index, "{read:?}, {unknown:?}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commands_at_once_are_all_answered() {
    let directory = TempDir::new().unwrap();
    let node = std::sync::Arc::new(start(directory.path(), 1).await);
    soon(node.cluster.lifecycle().running()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let node = node.clone();
        tasks.spawn(async move { node.must_create_topic(&format!("topic-{number}")).await });
    }
    soon(tasks.join_all()).await;
    assert_eq!(node.cluster.image().current().topic_count(), 200);
    std::sync::Arc::into_inner(node).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_is_fenced_early_and_one_that_asks_may_go() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.cluster.lifecycle().running()).await;
    let voters =
        vec![VoterAddress { node_id: 1, host: "127.0.0.1".to_owned(), port: node.controller.listen_address().port() }];
    let mut config = cluster_config(None, 9, voters);
    config.identity.broker_id = BrokerId(2);
    config.identity.directory_ids = vec![DirectoryId(Uuid([9; 16]))];
    let other = Cluster::start(config.clone(), &Handle::current());
    soon(other.lifecycle().running()).await;
    // The session timeout is a minute: what fences it is its broken stream.
    other.stop();
    let fenced = |image: &crate::metadata::ClusterImage| image.broker(BrokerId(2)).unwrap().fenced;
    soon(node.cluster.image().wait_for(fenced)).await;

    config.identity.incarnation_id = Uuid([10; 16]);
    let other = Cluster::start(config, &Handle::current());
    soon(other.lifecycle().running()).await;
    assert!(soon(other.controlled_shutdown(PATIENCE)).await);
    assert!(matches!(other.lifecycle().state(), LifecycleState::MayShutDown { .. }));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_another_cluster_is_refused_with_its_name() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    let cluster_id = soon(node.controller.formed()).await.unwrap();
    let voter =
        VoterAddress { node_id: 1, host: "127.0.0.1".to_owned(), port: node.controller.listen_address().port() };
    let stranger = Cluster::start(cluster_config(Some("other".to_owned()), 1, vec![voter]), &Handle::current());
    let error = soon(stranger.failed()).await;
    assert!(error.to_string().contains(&cluster_id), "{error}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quorum_describes_itself() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.cluster.lifecycle().running()).await;
    let quorum = node.cluster.calls().describe_quorum(PATIENCE).await.unwrap();
    assert_eq!((quorum.leader_node_id, quorum.voters.len(), quorum.observers.len()), (1, 1, 0));
    assert!(quorum.leader_epoch >= 1);
    assert!(quorum.voters[0].log_end_offset >= quorum.high_watermark);
    assert!(quorum.voters[0].last_caught_up_timestamp_ms > 0);
    // What was being written while it answered is committed soon.
    soon(async {
        loop {
            let quorum = node.cluster.calls().describe_quorum(PATIENCE).await.unwrap();
            if quorum.voters[0].log_end_offset == quorum.high_watermark {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_directory_or_cluster_is_refused() {
    let directory = TempDir::new().unwrap();
    let node = start(directory.path(), 1).await;
    soon(node.controller.formed()).await.unwrap();
    node.stop().await;
    let (listener, voter) = bind();
    let mut config = controller_config(directory.path(), listener, vec![voter]);
    config.cluster_id = Some("another-cluster".to_owned());
    let refused = Controller::start(config, &Handle::current()).await.err().unwrap();
    assert!(refused.to_string().contains("another-cluster"), "{refused}");
    let (listener, voter) = bind();
    let mut config = controller_config(directory.path(), listener, vec![voter]);
    config.directory_id = DirectoryId(Uuid([8; 16]));
    let refused = Controller::start(config, &Handle::current()).await.err().unwrap();
    assert!(matches!(refused, ControllerError::WrongIdentity { .. }), "{refused}");
}

/// Three blank voters, started together.
async fn start_three() -> (Vec<ControllerHandle>, Vec<VoterAddress>, Vec<TempDir>) {
    let bound: Vec<_> = (1..=3).map(|node_id| (bind(), node_id)).collect();
    let voters: Vec<VoterAddress> =
        bound.iter().map(|((_, voter), node_id)| VoterAddress { node_id: *node_id, ..voter.clone() }).collect();
    let mut controllers = Vec::new();
    let mut directories = Vec::new();
    for ((listener, _), node_id) in bound {
        let directory = TempDir::new().unwrap();
        let mut config = controller_config(directory.path(), listener, voters.clone());
        config.own = voters[node_id as usize - 1].clone();
        config.directory_id = DirectoryId(Uuid([node_id as u8; 16]));
        controllers.push(Controller::start(config, &Handle::current()).await.unwrap());
        directories.push(directory);
    }
    (controllers, voters, directories)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_blank_voters_form_one_quorum_and_outlive_its_leader() {
    let (mut controllers, voters, _directories) = start_three().await;
    let mut names = Vec::new();
    for controller in &controllers {
        names.push(soon(controller.formed()).await.unwrap());
    }
    assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
    let cluster = Cluster::start(cluster_config(None, 1, voters), &Handle::current());
    let broker_epoch = soon(cluster.lifecycle().running()).await;
    let before = cluster.calls().describe_quorum(PATIENCE).await.unwrap();
    assert_eq!(before.voters.len(), 3);

    let leader = controllers.iter().position(|controller| controller.leads()).unwrap();
    controllers.remove(leader).shutdown().await;
    let topic = CreatableTopic { name: "t".to_owned(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    let create = CreateTopics { topics: vec![topic], ..CreateTopics::default() };
    let command = MetadataCommand { kind: Some(Kind::CreateTopics(create)) };
    // A command under way when its leader dies has an unknown outcome; this one is sent anew until it is answered.
    let reply = loop {
        if let Ok(reply) = cluster.calls().submit(command.clone(), PATIENCE).await {
            break reply;
        }
    };
    let image = soon(cluster.image().wait_for_index(reply.metadata_index)).await;
    assert!(image.topic_by_name("t").is_some());
    assert_eq!(image.broker(BrokerId(1)).unwrap().epoch, broker_epoch, "the broker kept its registration");
    let after = cluster.calls().describe_quorum(PATIENCE).await.unwrap();
    assert!(after.leader_epoch > before.leader_epoch);
    assert_ne!(after.leader_node_id, before.leader_node_id);
    cluster.stop();
    for controller in controllers {
        controller.shutdown().await;
    }
}

/// A voter that was away while its log was purged gets a snapshot, in chunks, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_was_away_for_long_is_sent_a_snapshot() {
    let (mut controllers, voters, directories) = start_three().await;
    for controller in &controllers {
        soon(controller.formed()).await.unwrap();
    }
    let cluster = Cluster::start(cluster_config(None, 1, voters.clone()), &Handle::current());
    soon(cluster.lifecycle().running()).await;
    let away = controllers.iter().position(|controller| !controller.leads()).unwrap();
    controllers.remove(away).shutdown().await;
    // More entries than are kept, and more bytes than go into one chunk.
    let throttled = vec!["0:1"; 10_000].join(",");
    let large = proto::ConfigEntry { key: "leader.replication.throttled.replicas".to_owned(), value: Some(throttled) };
    for number in 0..60 {
        let (name, configs) = (format!("topic-{number}"), vec![large.clone()]);
        let topic = CreatableTopic { name, num_partitions: 1, replication_factor: 1, configs, ..Default::default() };
        let create = CreateTopics { topics: vec![topic], ..CreateTopics::default() };
        let command = MetadataCommand { kind: Some(Kind::CreateTopics(create)) };
        soon(cluster.calls().submit(command, PATIENCE)).await.unwrap();
    }
    let log = |directory: &Path| {
        let entries = std::fs::read_dir(directory.join("__cluster_metadata-0")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let has_snapshot = |directory: &Path| log(directory).iter().any(|name| name.ends_with(".checkpoint"));
    assert!(!has_snapshot(directories[away].path()), "it has written none by itself");

    let voter = &voters[away];
    let listener = TcpListener::bind((voter.host.as_str(), voter.port)).unwrap();
    let mut config = controller_config(directories[away].path(), listener, voters.clone());
    config.own = voter.clone();
    config.directory_id = DirectoryId(Uuid([voter.node_id as u8; 16]));
    let back = Controller::start(config, &Handle::current()).await.unwrap();
    soon(back.formed()).await.unwrap();
    // It has all of it: a broker that asks it alone is fed every topic.
    let follower = Cluster::start(
        ClusterConfig {
            identity: BrokerIdentity {
                broker_id: BrokerId(2),
                directory_ids: vec![DirectoryId(Uuid([9; 16]))],
                ..cluster_config(None, 2, voters.clone()).identity
            },
            ..cluster_config(None, 2, vec![voter.clone()])
        },
        &Handle::current(),
    );
    soon(follower.image().wait_for(|image| image.topic_count() == 60)).await;
    soon(async {
        while !has_snapshot(directories[away].path()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    follower.stop();
    cluster.stop();
    back.shutdown().await;
    for controller in controllers {
        controller.shutdown().await;
    }
}
