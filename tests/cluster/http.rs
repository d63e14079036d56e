//! Health and metrics, as probes, Prometheus and `ottla healthcheck` ask for them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use ottla::protocol::{
    FindCoordinatorRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::harness::{Connection, Node, Plan, Setup, eventually};

/// Status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    try_get(address, path).expect("an answer")
}

fn try_get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
}

fn http_address(node: &Node) -> String {
    let line = node.banner.iter().find_map(|line| line.trim_start().strip_prefix("http "));
    let url = line.unwrap_or_else(|| panic!("an HTTP port in {:?}", node.banner)).split_whitespace().next();
    url.and_then(|url| url.strip_prefix("http://")).expect("http://address").to_owned()
}

/// Samples without comments, by name and labels.
pub(super) fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, page) = get(address, "/metrics");
    assert_eq!(status, 200);
    let samples = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("name and value in {line:?}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("a number in {line:?}")))
        })
        .collect()
}

fn with_http(setup: Setup) -> Setup {
    setup.set("ottla.http.listener", "127.0.0.1:0")
}

fn commit(connection: &mut Connection, group: &str, topic: &str, offset: i64) {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: topic.to_owned(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    eventually("the group has a coordinator", || {
        let request = FindCoordinatorRequest { key: group.to_owned(), ..FindCoordinatorRequest::default() };
        (!connection.send(3, &request).error_code.is_error()).then_some(())
    });
    eventually("the offset is committed", || {
        let response = connection.send(8, &request);
        (!response.topics[0].partitions[0].error_code.is_error()).then_some(())
    });
}

fn healthcheck(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ottla")).arg("healthcheck").args(arguments).output();
    let output = output.expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_node_is_healthy_ready_and_measured() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = with_http(Setup::new(directory.path())).start();
    let address = http_address(&node);
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(&address, "/nothing").0, 404);

    let mut connection = node.connect();
    connection.create_topic("t");
    for value in [b"one", b"two"] {
        connection.produce("t", value);
    }
    assert_eq!(connection.fetch_all("t").len(), 2);
    let group = "a \"quoted\" group";
    commit(&mut connection, group, "t", 1);
    let metrics = metrics(&address);
    let value = |name: &str| *metrics.get(name).unwrap_or_else(|| panic!("{name} in {metrics:#?}"));
    assert_eq!(value("kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"}"), 2.0);
    let bytes_in = value("kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"}");
    assert_eq!(value("kafka_log_log_size{topic=\"t\",partition=\"0\"}"), bytes_in);
    assert!(value("kafka_server_brokertopicmetrics_bytesout_total{topic=\"t\"}") >= bytes_in);
    assert_eq!(value("kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"}"), 2.0);
    let labels = "consumergroup=\"a \\\"quoted\\\" group\",topic=\"t\",partition=\"0\"";
    assert_eq!(value(&format!("kafka_consumergroup_current_offset{{{labels}}}")), 1.0);
    assert_eq!(value(&format!("kafka_consumergroup_lag{{{labels}}}")), 1.0);
    assert_eq!(value("kafka_network_requestmetrics_requests_total{request=\"Produce\"}"), 2.0);
    assert_eq!(value("kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}"), 2.0);
    assert_eq!(value("kafka_server_replicamanager_underreplicatedpartitions"), 0.0);
    assert_eq!(value("kafka_controller_kafkacontroller_activecontrollercount"), 1.0);
    assert_eq!(value("kafka_controller_kafkacontroller_activebrokercount"), 1.0);
    assert_eq!(value("kafka_controller_kafkacontroller_offlinepartitionscount"), 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
}

#[test]
fn every_documented_metric_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = with_http(Setup::new(directory.path())).start();
    let (_, page) = get(&http_address(&node), "/metrics");
    let served: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let documentation = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));
    let documentation = documentation.expect("docs/metrics.md");
    let documented: Vec<&str> =
        documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(documented.len() > 30, "{documented:?}");
    for name in &documented {
        assert_eq!(served.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    assert_eq!(served.len(), documented.len());
}

#[test]
fn a_node_that_waits_for_its_quorum_is_alive_and_not_ready() {
    let mut cluster = Plan::combined(3).build();
    let addresses: Vec<String> = cluster.nodes().map(|node| cluster.address(node).replace(":9092", ":9404")).collect();
    for (node, address) in cluster.nodes().zip(&addresses) {
        cluster.reconfigure(node, "ottla.http.listener", address);
    }
    cluster.spawn(1);
    eventually("it is alive", || try_get(&addresses[0], "/healthz").filter(|(status, _)| *status == 200));
    let waiting = "starting: waiting until the voters have formed the quorum";
    eventually("it tells what it waits for", || {
        (try_get(&addresses[0], "/readyz")? == (503, format!("{waiting}\n"))).then_some(())
    });
    let (code, told) = healthcheck(&["--http", &addresses[0]]);
    assert!(code == Some(1) && told.contains(waiting), "{code:?} {told}");

    cluster.start_nodes(&[2, 3]);
    cluster.await_ready(1);
    let active: f64 = addresses
        .iter()
        .map(|address| {
            assert_eq!(healthcheck(&["--http", address]), (Some(0), String::new()));
            metrics(address)["kafka_controller_kafkacontroller_activecontrollercount"]
        })
        .sum();
    assert_eq!(active, 1.0, "one of them leads the quorum");
    assert_eq!(healthcheck(&["--bootstrap-server", cluster.address(2)]), (Some(0), String::new()));

    cluster.kill(3);
    cluster.await_brokers(1, &[1, 2]);
    eventually("both count the third as fenced", || {
        let fenced = |address: &String| metrics(address)["kafka_controller_kafkacontroller_fencedbrokercount"];
        addresses[..2].iter().all(|address| fenced(address) == 1.0).then_some(())
    });
    assert_eq!(healthcheck(&["--http", &addresses[2]]).0, Some(4));
    assert_eq!(healthcheck(&["--bootstrap-server", cluster.address(3), "--timeout", "1"]).0, Some(4));
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_ends_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = Setup::new(directory.path()).set("ottla.http.listener", &address).run_to_end();
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains(&address) && told.contains("choose another port in ottla.http.listener"), "{told}");
    let wrong = Setup::new(directory.path()).set("ottla.http.listener", "9404").run_to_end();
    assert_eq!(wrong.status.code(), Some(2));
}
