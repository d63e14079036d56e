//! The commands of the binary against a node: what they print, for people and for programs, and how they end.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::harness::{Node, Setup};

/// A node that the commands of one test talk to.
struct Cluster {
    directory: TempDir,
    node: Node,
    address: String,
}

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Setup::new(directory.path()).start();
        let address = node.address();
        Self { directory, node, address }
    }

    /// Runs a command with this input.
    fn run(&self, arguments: &[&str], input: &str) -> Ended {
        ottla(&self.address, arguments, input)
    }

    /// Runs a command that must succeed; what it prints.
    fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments, "");
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended.out
    }

    /// The same with `--json`.
    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?} prints no JSON ({error}): {out}"))
    }

    /// Runs a command that must fail with this code and one line; the line.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments, "");
        assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "one line for {arguments:?}: {}", ended.err);
        assert!(ended.err.starts_with("ottla: "), "{}", ended.err);
        ended.err.trim_end().to_owned()
    }

    fn produce(&self, topic: &str, arguments: &[&str], input: &str) {
        let ended = self.run(&[&["produce", topic], arguments].concat(), input);
        assert_eq!(ended.code, 0, "{ended:?}");
    }

    /// All records of a topic, in this format.
    fn consume(&self, topic: &str, format: &str) -> String {
        self.ok(&["consume", topic, "--exit-at-end", "--format", format])
    }
}

#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn ottla(address: &str, arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(arguments).env("OTTLA_BOOTSTRAP", address).env_remove("KAFKA_NODE_ID");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// An address where nobody listens.
fn nobody() -> String {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    let free = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    ADDRESS.get_or_init(free).clone()
}

#[test]
fn topics_are_created_shown_altered_and_deleted() {
    let cluster = Cluster::start();
    let created = cluster.ok(&["topics", "create", "orders", "-p", "3", "--config", "retention.ms=86400000"]);
    assert_eq!(created, "Created orders with 3 partitions, 1 replica each.\n");
    assert_eq!(cluster.ok(&["topics", "create", "orders", "--if-not-exists"]), "orders exists already.\n");
    let exists = cluster.fails(1, &["topics", "create", "orders"]);
    assert!(exists.contains("already exists"), "{exists}");

    let list = cluster.ok(&["topics", "list"]);
    assert_eq!(list, "TOPIC   PARTITIONS  REPLICAS\norders           3         1\n");
    assert_eq!(cluster.json(&["topics", "list"])[0]["partitions"], 3);

    cluster.produce("orders", &["--partition", "0"], "a\nb\n");
    let described = &cluster.json(&["topics", "describe", "orders"])[0];
    assert_eq!(described["configs"]["retention.ms"], "86400000");
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));
    assert!(described["bytes"].as_i64() > Some(60), "the size of the records: {described}");
    assert!(cluster.ok(&["topics", "describe", "orders"]).contains("PARTITION  LEADER"));

    cluster.ok(&["topics", "alter", "orders", "-p", "4", "--unset", "retention.ms"]);
    let described = &cluster.json(&["topics", "describe", "orders"])[0];
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(4));
    assert_eq!(described["configs"].as_object().map(serde_json::Map::len), Some(0));
    let unknown = cluster.fails(1, &["topics", "alter", "orders", "--config", "retention.mss=1"]);
    assert!(unknown.contains("did you mean retention.ms?"), "{unknown}");

    assert_eq!(cluster.run(&["topics", "alter", "orders"], "").code, 2, "nothing to alter");

    let unasked = cluster.fails(2, &["topics", "delete", "orders"]);
    assert!(unasked.contains("--yes"), "{unasked}");
    assert_eq!(cluster.ok(&["topics", "delete", "orders", "--yes"]), "Deleted orders.\n");
    assert_eq!(cluster.json(&["topics", "list"]), Value::Array(Vec::new()));
}

#[test]
fn records_come_back_as_they_were_produced_in_every_codec() {
    let cluster = Cluster::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        cluster.ok(&["topics", "create", codec]);
        cluster.produce(codec, &["-z", codec, "-K", ":", "-H", "h=1"], "k1:v1\nk2:v2:x\n");
        let shown = cluster.consume(codec, "{topic}/{partition}@{offset} {key}={value} {headers}");
        assert_eq!(shown, format!("{codec}/0@0 k1=v1 h=1\n{codec}/0@1 k2=v2:x h=1\n"));
    }
    let line: Value = serde_json::from_str(cluster.consume("gzip", "json").lines().next().unwrap()).unwrap();
    assert_eq!((&line["key"], &line["headers"][0]["key"]), (&"k1".into(), &"h".into()));
}

#[test]
fn json_lines_make_a_copy_with_keys_headers_and_timestamps() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "from", "to"]);
    let line = r#"{"key":"k","value":null,"timestamp":1700000000000,"headers":[{"key":"h","value_base64":"/w=="}]}"#;
    cluster.produce("from", &["--input", "json"], line);
    let lines = cluster.ok(&["consume", "from", "--exit-at-end", "--json"]);
    cluster.produce("to", &["--input", "json"], &lines);
    let copy: Value = serde_json::from_str(&cluster.consume("to", "json")).unwrap();
    assert_eq!((&copy["value"], &copy["timestamp"]), (&Value::Null, &1_700_000_000_000i64.into()));
    assert_eq!(copy["headers"][0]["value_base64"], "/w==");
}

#[test]
fn reading_begins_and_ends_where_it_is_told() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t"]);
    let lines: String =
        (0..10).map(|n| format!("{{\"value\":\"{n}\",\"timestamp\":{}}}\n", 1_700_000_000_000i64 + n * 1000)).collect();
    cluster.produce("t", &["--input", "json"], &lines);
    let consume = |arguments: &[&str]| cluster.ok(&[&["consume", "t"], arguments].concat()).replace('\n', " ");
    assert_eq!(consume(&["--from-beginning", "-n", "2"]), "0 1 ");
    assert_eq!(consume(&["--offset", "7", "-e"]), "7 8 9 ");
    assert_eq!(consume(&["--offset", "-2", "-e"]), "8 9 ");
    assert_eq!(consume(&["--from-time", "2023-11-14T22:13:25Z", "-e"]), "5 6 7 8 9 ");
    assert_eq!(consume(&["--from-time", "1h", "-e"]), "");
    let missing = cluster.fails(5, &["consume", "t", "-p", "3", "-e"]);
    assert!(missing.contains("has no partition 3; it has 1"), "{missing}");
}

#[test]
fn a_group_goes_on_where_it_was_and_its_offsets_can_be_moved() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t", "-p", "2"]);
    cluster.produce("t", &["-p", "0"], "a\nb\nc\n");
    let member = ["consume", "t", "--group", "g", "--from-beginning", "--exit-at-end"];
    assert_eq!(cluster.ok(&member), "a\nb\nc\n");
    assert_eq!(cluster.ok(&member), "", "what was read is not read again");
    cluster.produce("t", &["-p", "0"], "d\n");

    assert!(cluster.ok(&["groups", "list"]).contains("g      Empty"));
    let group = &cluster.json(&["groups", "describe", "g"])[0];
    assert_eq!((&group["lag"], &group["state"]), (&1.into(), &"Empty".into()));
    assert_eq!(group["partitions"][0]["committed"], 3);

    let shown = cluster.ok(&["groups", "reset-offsets", "g", "--all-topics", "--to-earliest"]);
    assert!(shown.contains("Nothing was changed"), "{shown}");
    assert_eq!(cluster.json(&["groups", "describe", "g"])[0]["lag"], 1, "shown is not done");
    let reset = |arguments: &[&str]| {
        let all = [&["groups", "reset-offsets", "g", "--topic", "t:0", "--execute"], arguments].concat();
        cluster.json(&all)[0]["to"].as_i64().expect("an offset")
    };
    assert_eq!(reset(&["--to-earliest"]), 0);
    assert_eq!(reset(&["--shift-by", "2"]), 2);
    assert_eq!(reset(&["--shift-by", "-5"]), 0, "not before the beginning");
    assert_eq!(reset(&["--to-offset", "99"]), 4, "not past the end");
    assert_eq!(reset(&["--to-datetime", "1h"]), 0);
    assert_eq!(reset(&["--to-latest"]), 4);
    assert_eq!(reset(&["--to-offset", "3"]), 3);
    assert_eq!(cluster.ok(&member), "d\n");

    let near = cluster.fails(5, &["groups", "describe", "gg"]);
    assert!(near.contains("there is no group \"gg\""), "{near}");
    assert_eq!(cluster.ok(&["groups", "delete", "g", "--yes"]), "Deleted g.\n");
    assert_eq!(cluster.json(&["groups", "list"]), Value::Array(Vec::new()));
}

#[test]
fn offsets_of_a_group_with_members_stay() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t"]);
    cluster.produce("t", &[], "a\n");
    let mut member = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["consume", "t", "--group", "g", "--from-beginning"])
        .env("OTTLA_BOOTSTRAP", &cluster.address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a member");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(member.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a record");
    assert_eq!(line, "a\n");

    let described = &cluster.json(&["groups", "describe", "g"])[0];
    assert_eq!(described["members"][0]["assignment"][0], "t-0");
    let refused = cluster.fails(1, &["groups", "reset-offsets", "g", "--topic", "t", "--to-earliest", "--execute"]);
    assert!(refused.contains("has 1 members") && refused.contains("Stop its members first"), "{refused}");

    let interrupted = Command::new("kill").args(["-s", "INT", &member.id().to_string()]).status().expect("kill runs");
    assert!(interrupted.success());
    assert_eq!(member.wait().expect("it ends").code(), Some(130));
    let left = &cluster.json(&["groups", "describe", "g"])[0];
    assert_eq!((&left["state"], &left["lag"]), (&"Empty".into(), &0.into()), "it has committed and left");
}

#[test]
fn configurations_are_shown_and_changed() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t"]);
    cluster.ok(&[
        "configs",
        "alter",
        "--topic",
        "t",
        "--set",
        "retention.ms=5000",
        "--append",
        "cleanup.policy=compact",
    ]);
    let described = cluster.json(&["configs", "describe", "--topic", "t", "--key", "cleanup.policy", "--docs"]);
    assert_eq!((&described[0]["value"], &described[0]["source"]), (&"delete,compact".into(), &"topic".into()));
    assert!(described[0]["documentation"].as_str().is_some_and(|text| text.len() > 20));
    cluster.ok(&["configs", "alter", "--topic", "t", "--unset", "retention.ms"]);
    let all = cluster.json(&["configs", "describe", "--topic", "t", "--all"]);
    let retention = all.as_array().unwrap().iter().find(|config| config["key"] == "retention.ms").unwrap();
    assert_ne!(retention["source"], "topic");
    let broker = cluster.ok(&["configs", "describe", "--broker", "1", "--key", "node.id", "--all"]);
    assert!(broker.contains("node.id"), "{broker}");
    let refused = cluster.fails(1, &["configs", "alter", "--topic", "t", "--set", "retention.ms=soon"]);
    assert!(refused.contains("retention.ms"), "{refused}");
    assert_eq!(cluster.run(&["configs", "describe"], "").code, 2);
}

#[test]
fn the_cluster_is_told_at_a_glance() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t", "-p", "2"]);
    let text = cluster.ok(&["cluster", "status"]);
    assert!(text.contains("All partitions are online") && text.contains("leads, epoch"), "{text}");
    let status = cluster.json(&["cluster", "status", "--check"]);
    assert_eq!((&status["brokers"][0]["leaders"], &status["partitions"]), (&2.into(), &2.into()));
    assert_eq!(status["quorum"]["voters"][0]["lag"], 0);
    cluster.ok(&["topics", "create", "frail", "-c", "min.insync.replicas=2"]);
    let checked = cluster.run(&["cluster", "status", "--check", "--json"], "");
    assert_eq!(checked.code, 1);
    let status: Value = serde_json::from_str(&checked.out).expect("JSON");
    assert_eq!(status["problems"]["under_min_isr"][0], "frail-0");
    let versions = cluster.ok(&["cluster", "api-versions"]);
    assert!(versions.contains("ApiVersions"), "{versions}");
    assert!(cluster.fails(5, &["cluster", "api-versions", "--broker", "77"]).contains("broker 77"));
}

#[test]
fn files_are_read_without_a_broker() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t", "-c", "retention.ms=123456"]);
    cluster.produce("t", &["-K", ":", "-z", "zstd"], "k:hello\n");
    let data = cluster.directory.path().join("data");
    let (partition, data) = (data.join("t-0"), data.to_str().expect("UTF-8").to_owned());
    let locked = cluster.fails(3, &["metadata", &data]);
    assert!(locked.contains("is in use by process") && locked.contains("ottla cluster status"), "{locked}");
    let Cluster { directory, node, .. } = cluster;
    assert!(node.stop().success());

    let offline = |arguments: &[&str]| ottla(&nobody(), arguments, "");
    let partition = partition.to_str().expect("UTF-8");
    let dumped = offline(&["log", "dump", partition, "--records"]);
    assert_eq!(dumped.code, 0, "{dumped:?}");
    assert!(dumped.out.contains("1 records  zstd") && dumped.out.contains("value \"hello\""), "{}", dumped.out);
    let metadata = offline(&["metadata", &data, "--json"]);
    assert_eq!(metadata.code, 0, "{metadata:?}");
    let metadata: Value = serde_json::from_str(&metadata.out).expect("JSON");
    assert_eq!((&metadata["topics"][0]["topic"], &metadata["torn"]), (&"t".into(), &Value::Null));
    assert_eq!(metadata["configs"][0]["configs"]["retention.ms"], "123456");
    assert!(offline(&["metadata", &data]).out.contains("Controllers"));

    let segment = std::path::Path::new(partition).join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let damaged = offline(&["log", "dump", segment.to_str().expect("UTF-8")]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.err.contains("is damaged: CRC"), "{}", damaged.err);
    let kafkas = directory.path().join("kafkas");
    std::fs::create_dir_all(kafkas.join("__cluster_metadata-0")).expect("created");
    let foreign = offline(&["metadata", kafkas.to_str().expect("UTF-8")]);
    assert_eq!((foreign.code, foreign.err.contains("was written by Apache Kafka")), (3, true), "{foreign:?}");
    assert!(!kafkas.join(".lock").exists(), "it stays untouched");
    assert_eq!(offline(&["metadata", directory.path().join("none").to_str().expect("UTF-8")]).code, 5);
}

#[test]
fn the_configuration_tells_where_each_value_comes_from() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a.properties");
    std::fs::write(&file, "# a comment\nlog.retention.hours=5\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let shown = ottla(&nobody(), &["config", file, "--override", "node.id=7", "--json"], "");
    assert_eq!(shown.code, 0, "{shown:?}");
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let source = |key: &str| {
        let found = shown.as_array().unwrap().iter().find(|config| config["key"] == key);
        found.unwrap_or_else(|| panic!("{key} in {shown}"))["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source("log.retention.hours"), format!("{file}:2"));
    assert_eq!(source("node.id"), "--override");
    let docs = ottla(&nobody(), &["config", "docs", "log.retention.hours"], "");
    assert!(docs.out.contains("default: 168"), "{docs:?}");
    let near = ottla(&nobody(), &["config", "docs", "log.retention.hour"], "");
    assert_eq!(near.code, 5);
    assert!(near.err.contains("log.retention.hours"), "{}", near.err);
    let wrong = ottla(&nobody(), &["config", "--override", "node.id=x"], "");
    assert_eq!((wrong.code, wrong.err.contains("node.id")), (2, true), "{wrong:?}");
}

#[test]
fn what_is_wrong_is_told_in_a_line_with_the_next_step() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "orders"]);
    let near = cluster.fails(5, &["topics", "describe", "ordres"]);
    assert_eq!(near, "ottla: there is no topic \"ordres\", but there is orders");
    assert_eq!(cluster.fails(5, &["consume", "ordres"]), near);
    let away = cluster.fails(4, &["topics", "list", "-b", &nobody()]);
    assert!(away.contains("Connection refused") && away.ends_with("with --bootstrap-server."), "{away}");
    let address = cluster.fails(2, &["topics", "list", "-b", "PLAINTEXT://localhost:9092"]);
    assert!(address.contains("names a protocol"), "{address}");
    let option = cluster.run(&["topics", "list", "--jsn"], "");
    assert_eq!((option.code, option.err.contains("'--json'")), (2, true), "{option:?}");
    let command = cluster.run(&["topcs", "list"], "");
    assert_eq!((command.code, command.err.contains("'topics'")), (2, true), "{command:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "t"]);
    cluster.produce("t", &[], &"a line that fills a pipe\n".repeat(20_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["consume", "t", "--from-beginning"])
        .env("OTTLA_BOOTSTRAP", &cluster.address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_load_is_measured_and_all_of_it_is_there() {
    let cluster = Cluster::start();
    cluster.ok(&["topics", "create", "load", "-p", "3"]);
    let made = cluster.json(&["bench", "produce", "load", "-n", "1000", "-s", "100", "-c", "2", "-z", "lz4"]);
    assert_eq!(made["records"], 1000);
    let read = cluster.json(&["bench", "consume", "load"]);
    assert_eq!((&read["records"], &read["bytes"]), (&1000.into(), &100_000.into()));
    assert!(read["latency_ms"]["p99"].as_f64() > Some(0.0));
}

#[test]
fn every_command_has_help_with_examples_and_completions_know_them() {
    let help = ottla(&nobody(), &["--help"], "");
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
    let completions = ottla(&nobody(), &["completions", "bash"], "").out;
    for command in
        ["topics", "produce", "consume", "groups", "configs", "cluster", "log", "metadata", "config", "bench"]
    {
        let help = ottla(&nobody(), &[command, "--help"], "");
        assert!(help.out.contains("Examples:\n") && help.out.contains(&format!("ottla {command}")), "{}", help.out);
        assert!(completions.contains(&format!("ottla__subcmd__{command}")), "{command} in {completions}");
    }
    assert!(ottla(&nobody(), &["version"], "").out.starts_with("ottla "));
}
