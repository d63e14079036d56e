//! Configurations written for other images and other years of Kafka, each started as a real process and served from.
//!
//! Values are those of the files people have; only ports and folders are the test's own, because tests run side by
//! side. `serves` does what a quick start does: the topic comes into being by being named. Where OTTLA_TEST_PYTHON names
//! a Python that has kafka-python, its quick start is run too (`scripts/acceptance --drop-in`).

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use ottla::protocol::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use super::harness::{Connection, Node, Setup};

/// Ports that nobody used a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let sockets: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("bound").port())
}

fn with_environment(setup: Setup, variables: &[(&str, &str)]) -> Setup {
    variables.iter().fold(setup, |setup, (name, value)| setup.environment(name, value))
}

/// A node with this environment alone, and its data below the working directory.
fn start(directory: &Path, variables: &[(&str, &str)]) -> Node {
    with_environment(Setup::bare(directory), variables).start()
}

fn metadata(connection: &mut Connection, topic: &str) -> MetadataResponse {
    let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
    connection.send(
        4,
        &MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: true, ..MetadataRequest::default() },
    )
}

/// Produces to a topic that does not exist yet and consumes what was produced, at the address clients know.
fn serves(address: &str) {
    let mut connection = Connection::open(address);
    metadata(&mut connection, "user-events");
    connection.await_leaders("user-events", 1);
    assert_eq!(connection.produce("user-events", b"page_view"), 0);
    assert_eq!(connection.produce("user-events", b"click"), 1);
    assert_eq!(connection.fetch_all("user-events"), [b"page_view".to_vec(), b"click".to_vec()]);
    if let Some(python) = std::env::var_os("OTTLA_TEST_PYTHON") {
        let quick_start = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/acceptance/quick_start.py");
        let output = Command::new(python).args([quick_start, address]).output().expect("Python starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kafka-python at {address}: {told}");
    }
}

/// What a client is told when it connects to `address`: the brokers as `host:port`.
fn told(address: &str) -> Vec<String> {
    let response = metadata(&mut Connection::open(address), "user-events");
    response.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect()
}

/// What was said of the configuration; once the quorum forms, the log tells of topics and nodes.
fn warnings(node: &Node) -> Vec<String> {
    let log = node.process().log();
    let of_configuration = log.lines().take_while(|line| !line.contains("metadata quorum"));
    // Another node on this machine may have the port for metrics, which no configuration here names.
    let warnings = of_configuration.filter(|line| line.contains(" WARN ") && !line.contains("ottla.http.listener"));
    warnings.map(str::to_owned).collect()
}

#[test]
fn the_compose_environment_of_apaches_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let [client, internal, controller] = free_ports();
    let node = start(
        directory.path(),
        &[
            ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
            ("KAFKA_NODE_ID", "1"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
            ),
            (
                "KAFKA_LISTENERS",
                &format!("CONTROLLER://:{controller},PLAINTEXT_HOST://:{client},PLAINTEXT://:{internal}"),
            ),
            (
                "KAFKA_ADVERTISED_LISTENERS",
                &format!("PLAINTEXT_HOST://localhost:{client},PLAINTEXT://broker:{internal}"),
            ),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", &format!("1@localhost:{controller}")),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
            ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
            ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true"),
            ("KAFKA_LOG_DIRS", "kraft-combined-logs"),
        ],
    );
    serves(&format!("localhost:{client}"));
    assert_eq!(told(&format!("localhost:{client}")), [format!("localhost:{client}")]);
    assert_eq!(told(&format!("localhost:{internal}")), [format!("broker:{internal}")]);
    assert!(node.banner.iter().any(|line| line.ends_with("of cluster 4L6g3nShT-eMCtK--X86sw")), "{:?}", node.banner);
    assert!(directory.path().join("kraft-combined-logs/meta.properties").exists());
    assert_eq!(warnings(&node), Vec::<String>::new());
}

/// A combined node of the Confluent image: its JMX, licence and metrics settings are of no use here.
#[test]
fn the_compose_environment_of_confluents_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let [client, internal, controller] = free_ports();
    let data = directory.path().join("var/lib/kafka/data");
    let node = start(
        directory.path(),
        &[
            ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
            ("KAFKA_NODE_ID", "1"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
            ),
            (
                "KAFKA_LISTENERS",
                &format!(
                    "PLAINTEXT://localhost:{internal},CONTROLLER://localhost:{controller},PLAINTEXT_HOST://0.0.0.0:{client}"
                ),
            ),
            (
                "KAFKA_ADVERTISED_LISTENERS",
                &format!("PLAINTEXT://broker:{internal},PLAINTEXT_HOST://localhost:{client}"),
            ),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", &format!("1@localhost:{controller}")),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_CONFLUENT_LICENSE_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_CONFLUENT_BALANCER_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_METRIC_REPORTERS", "io.confluent.metrics.reporter.ConfluentMetricsReporter"),
            ("KAFKA_JMX_PORT", "9101"),
            ("KAFKA_JMX_HOSTNAME", "localhost"),
            ("KAFKA_LOG_DIRS", data.to_str().expect("UTF-8")),
        ],
    );
    serves(&format!("localhost:{client}"));
    assert!(data.join("meta.properties").exists());
    let warnings = warnings(&node);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for name in ["not needed here and ignored: ", "KAFKA_JMX_PORT", "confluent.balancer.topic.replication.factor"] {
        assert!(warnings[0].contains(name), "{warnings:?}");
    }
}

#[test]
fn the_compose_environment_of_bitnamis_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let [client, controller] = free_ports();
    let node = start(
        directory.path(),
        &[
            ("KAFKA_CFG_NODE_ID", "0"),
            ("KAFKA_CFG_PROCESS_ROLES", "controller,broker"),
            ("KAFKA_CFG_LISTENERS", &format!("PLAINTEXT://:{client},CONTROLLER://:{controller}")),
            ("KAFKA_CFG_ADVERTISED_LISTENERS", &format!("PLAINTEXT://localhost:{client}")),
            ("KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
            ("KAFKA_CFG_CONTROLLER_QUORUM_VOTERS", &format!("0@localhost:{controller}")),
            ("KAFKA_CFG_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_CFG_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
            ("KAFKA_KRAFT_CLUSTER_ID", "abcdefghijklmnopqrstuv"),
            ("KAFKA_ENABLE_KRAFT", "yes"),
            ("ALLOW_PLAINTEXT_LISTENER", "yes"),
        ],
    );
    serves(&format!("localhost:{client}"));
    let banner = node.banner.join("\n");
    assert!(banner.contains("node       0 (broker and controller) of cluster abcdefghijklmnopqrstuv"), "{banner}");
}

/// `KAFKA_ADVERTISED_LISTENERS` alone says where to listen as well, as it does to the images of Apache and Confluent.
#[test]
fn a_compose_environment_of_zookeepers_days() {
    let directory = tempfile::tempdir().expect("a directory");
    let [client] = free_ports();
    let node = start(
        directory.path(),
        &[
            ("KAFKA_BROKER_ID", "1"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
            ("KAFKA_ADVERTISED_LISTENERS", &format!("PLAINTEXT://localhost:{client}")),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ],
    );
    serves(&format!("localhost:{client}"));
    let log = node.process().log();
    assert!(log.contains("not needed here and ignored: zookeeper.connect"), "{log}");
}

#[test]
fn two_advertised_listeners_of_zookeepers_days() {
    let directory = tempfile::tempdir().expect("a directory");
    let [internal, host] = free_ports();
    let _node = start(
        directory.path(),
        &[
            ("KAFKA_BROKER_ID", "1"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"),
            ("KAFKA_ADVERTISED_LISTENERS", &format!("PLAINTEXT://broker:{internal},PLAINTEXT_HOST://localhost:{host}")),
        ],
    );
    serves(&format!("localhost:{host}"));
    assert_eq!(told(&format!("localhost:{internal}")), [format!("broker:{internal}")]);
}

#[test]
fn the_address_in_halves_and_topics_to_create() {
    let directory = tempfile::tempdir().expect("a directory");
    let [port] = free_ports();
    let variables = [
        ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
        ("KAFKA_ADVERTISED_HOST_NAME", "127.0.0.1"),
        ("KAFKA_ADVERTISED_PORT", &port.to_string()),
        ("KAFKA_CREATE_TOPICS", "Topic1:2:1,Topic2:1:1:compact"),
    ];
    // Such a broker listens on 9092, the container's; here that is the test's own port.
    let setup = with_environment(Setup::bare(directory.path()), &variables);
    let node = setup.set("listeners", &format!("PLAINTEXT://127.0.0.1:{port}")).start();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(told(&address), std::slice::from_ref(&address));
    serves(&address);
    let mut connection = Connection::open(&address);
    for (topic, partitions) in [("Topic1", 2), ("Topic2", 1)] {
        connection.await_leaders(topic, 1);
        assert_eq!(metadata(&mut connection, topic).topics[0].partitions.len(), partitions, "{topic}");
    }
    assert_eq!(connection.try_produce("Topic2", b"without a key"), Err(ottla::model::ErrorCode::InvalidRecord));
    assert!(node.process().log().contains("read as advertised.listeners=PLAINTEXT://127.0.0.1:"));
    // The next start finds them there.
    assert!(node.stop().success());
    let setup = with_environment(Setup::bare(directory.path()), &variables);
    let node = setup.set("listeners", &format!("PLAINTEXT://127.0.0.1:{port}")).start();
    assert!(!node.process().log().contains("cannot create"), "{}", node.process().log());
}

#[test]
fn two_lines_are_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let [port] = free_ports();
    let node = start(
        directory.path(),
        &[
            ("KAFKA_LISTENERS", &format!("PLAINTEXT://0.0.0.0:{port}")),
            ("KAFKA_ADVERTISED_LISTENERS", &format!("PLAINTEXT://localhost:{port}")),
        ],
    );
    serves(&format!("localhost:{port}"));
    assert_eq!(warnings(&node), Vec::<String>::new());
}

#[test]
fn host_and_internal_listeners() {
    let directory = tempfile::tempdir().expect("a directory");
    let [internal, external] = free_ports();
    let _node = start(
        directory.path(),
        &[
            ("KAFKA_LISTENERS", &format!("INTERNAL://:{internal},EXTERNAL://:{external}")),
            ("KAFKA_ADVERTISED_LISTENERS", &format!("INTERNAL://kafka:{internal},EXTERNAL://localhost:{external}")),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "INTERNAL"),
        ],
    );
    serves(&format!("localhost:{external}"));
    assert_eq!(told(&format!("localhost:{internal}")), [format!("kafka:{internal}")]);
    assert_eq!(told(&format!("localhost:{external}")), [format!("localhost:{external}")]);
}

/// Quotes of a list entry, and what a compose file passes on although it is not set.
#[test]
fn quotes_and_empty_values_of_compose_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = start(
        directory.path(),
        &[
            ("KAFKA_NODE_ID", "\"3\""),
            ("KAFKA_LISTENERS", "'PLAINTEXT://127.0.0.1:0'"),
            ("KAFKA_ADVERTISED_LISTENERS", ""),
            ("KAFKA_NUM_PARTITIONS", " "),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", ""),
        ],
    );
    serves(&node.address());
    assert!(node.banner.join("\n").contains("node       3 (broker"), "{:?}", node.banner);
    assert!(node.process().log().contains("KAFKA_NODE_ID: the quotes around the value are left out"));
}

/// The keys and values of the file in Kafka's `config` folder.
const SERVER_PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
#log.flush.interval.messages=10000
log.retention.hours=168
#log.retention.bytes=1073741824
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

/// Of Kafka 3: `config/kraft/server.properties` names the voters.
fn kraft_server_properties() -> String {
    SERVER_PROPERTIES
        .replace("controller.quorum.bootstrap.servers=localhost:9093", "controller.quorum.voters=1@localhost:9093")
        .lines()
        .filter(|line| !line.starts_with("share."))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Of Kafka 3 and before: `config/server.properties` is ZooKeeper's.
const ZOOKEEPER_SERVER_PROPERTIES: &str = "\
broker.id=0
#listeners=PLAINTEXT://:9092
#advertised.listeners=PLAINTEXT://your.host.name:9092
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kafka-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
";

/// Starts from the file as it is shipped, but for the ports and the folder.
fn start_from_file(directory: &Path, name: &str, text: &str) -> (Node, u16) {
    let [port, controller] = free_ports();
    let text = text.replace(":9092", &format!(":{port}")).replace(":9093", &format!(":{controller}"));
    let file = directory.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("created");
    fs::write(&file, text).expect("written");
    let data = directory.join("data");
    let setup = Setup::bare(directory).argument(name).set("log.dirs", data.to_str().expect("UTF-8"));
    let setup = if name == "config/zookeeper.properties" {
        setup.set("listeners", &format!("PLAINTEXT://:{port}"))
    } else {
        setup
    };
    (setup.start(), port)
}

#[test]
fn server_properties_as_kafka_ships_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, port) = start_from_file(directory.path(), "config/server.properties", SERVER_PROPERTIES);
    serves(&format!("localhost:{port}"));
    assert_eq!(told(&format!("localhost:{port}")), [format!("localhost:{port}")]);
    assert_eq!(warnings(&node), Vec::<String>::new());
}

#[test]
fn kraft_server_properties_as_kafka_3_ships_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, port) = start_from_file(directory.path(), "config/kraft/server.properties", &kraft_server_properties());
    serves(&format!("localhost:{port}"));
    assert_eq!(warnings(&node), Vec::<String>::new());
}

#[test]
fn server_properties_as_kafka_shipped_it_for_zookeeper() {
    let directory = tempfile::tempdir().expect("a directory");
    let (node, port) = start_from_file(directory.path(), "config/zookeeper.properties", ZOOKEEPER_SERVER_PROPERTIES);
    serves(&format!("localhost:{port}"));
    assert!(node.banner.join("\n").contains("node       0 (broker and controller)"), "{:?}", node.banner);
    let log = node.process().log();
    assert!(log.contains("zookeeper.connect (config/zookeeper.properties:"), "{log}");
}

/// A node that is its only voter finds itself, whatever name the file has for it.
#[test]
fn the_only_voter_need_not_be_resolvable() {
    let directory = tempfile::tempdir().expect("a directory");
    let [port, controller] = free_ports();
    let node = start(
        directory.path(),
        &[
            ("KAFKA_LISTENERS", &format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", &format!("1@kafka.invalid:{controller}")),
        ],
    );
    serves(&node.address());
}

#[test]
fn several_log_directories_are_named_as_in_kafkas_images() {
    let directory = tempfile::tempdir().expect("a directory");
    let [port] = free_ports();
    let setup = with_environment(
        Setup::bare(directory.path()),
        &[
            ("KAFKA_LOG_DIRS", "disk1,disk2"),
            ("KAFKA_LISTENERS", &format!("PLAINTEXT://127.0.0.1:{port}")),
            ("KAFKA_OTTLA_HTTP_LISTENER", ""),
        ],
    );
    let node = setup.start();
    let data = directory.path().canonicalize().expect("it exists");
    let data = format!("data       {}, {}", data.join("disk1").display(), data.join("disk2").display());
    assert!(node.banner.join("\n").contains(&data), "{:?}", node.banner);
    assert!(node.stop().success());
}
