//! `ottla transactions` and `kafka-transactions`: open transactions are seen and ended through their coordinator, those
//! that no coordinator knows are found and aborted in their partition (KIP-664).

use ottla::model::ErrorCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::{Connection, Node, Setup, eventually, ottla};
use super::transactions::{Producer, Speaks};

/// A node whose partitions take transactional records without asking a coordinator when `hangs`: how transactions that
/// hang came into being before KIP-890.
fn start(hangs: bool) -> (TempDir, Node) {
    let directory = tempfile::tempdir().expect("a directory");
    let verification = if hangs { "false" } else { "true" };
    let setup = Setup::new(directory.path()).set("transaction.partition.verification.enable", verification);
    let node = setup.start();
    (directory, node)
}

/// Runs `ottla transactions`; its exit code and what it says, on either stream.
fn run(node: &Node, arguments: &[&str]) -> (i32, String) {
    let address = node.address();
    let output = ottla(&[&["transactions", "-b", &address], arguments].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(said).expect("text"))
}

fn json_of(node: &Node, arguments: &[&str]) -> Value {
    let (code, said) = run(node, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?} prints no JSON ({error}): {said}"))
}

fn fails(node: &Node, code: i32, arguments: &[&str], why: &str) {
    let (ended, said) = run(node, arguments);
    assert_eq!(ended, code, "{arguments:?}: {said}");
    assert!(said.contains(why), "{arguments:?} says {said:?} instead of {why:?}");
}

/// Where the open transaction of the only producer of partition 0 begins.
fn open_from(node: &Node, topic: &str) -> Value {
    json_of(node, &["describe-producers", topic, "-p", "0"])[0]["transaction_start"].clone()
}

fn await_closed(node: &Node, topic: &str) {
    eventually("the transaction has ended", || open_from(node, topic).is_null().then_some(()));
}

fn open_transaction(connection: &mut Connection, id: &str, topic: &str) -> Producer {
    connection.create_topic(topic);
    connection.await_leaders(topic, 1);
    connection.find_transaction_coordinator(id);
    let mut producer = Producer::start(connection, id, Speaks::Version1);
    producer.write_here(connection, topic, "open");
    producer
}

#[test]
fn transactions_are_listed_by_state_age_and_pattern() {
    let (_directory, node) = start(false);
    let producer = open_transaction(&mut node.connect(), "payments-1", "orders");
    let listed = json!([{
        "transactional_id": "payments-1", "state": "Ongoing", "producer_id": producer.id, "coordinator": 1
    }]);
    let none = json!([]);
    assert_eq!(json_of(&node, &["list"]), listed);
    assert_eq!(json_of(&node, &["list", "--state", "Ongoing", "--id-pattern", "pay.*[0-9]"]), listed);
    for filter in [["--state", "Empty"], ["--longer-than", "1h"], ["--id-pattern", "payments"]] {
        assert_eq!(json_of(&node, &[&["list"][..], &filter].concat()), none, "{filter:?}");
    }
    fails(&node, 1, &["list", "--state", "Running"], "there is no such state");
    fails(&node, 1, &["list", "--id-pattern", "a)(b"], "INVALID_REGULAR_EXPRESSION");
    fails(&node, 2, &["list", "--longer-than", "soon"], "write a length of time");

    let described = &json_of(&node, &["describe", "payments-1"])[0];
    assert_eq!((&described["state"], &described["partitions"]), (&json!("Ongoing"), &json!(["orders-0"])));
    fails(&node, 5, &["describe", "payments-2"], "but there is payments-1");
}

#[test]
fn an_open_transaction_is_ended_through_its_coordinator_and_not_behind_its_back() {
    let (_directory, node) = start(false);
    let mut connection = node.connect();
    let mut producer = open_transaction(&mut connection, "payments-1", "orders");
    assert_eq!(json_of(&node, &["find-hanging", "--older-than", "0s"]), json!([]));
    let abort = ["abort", "orders", "-p", "0", "--start-offset", "0", "--yes"];
    fails(&node, 1, &abort, "ottla transactions force-terminate payments-1");
    assert_eq!(open_from(&node, "orders"), json!(0), "a refused abort writes nothing");

    fails(&node, 2, &["force-terminate", "payments-1"], "--yes");
    let (code, said) = run(&node, &["force-terminate", "payments-1", "--yes"]);
    assert_eq!(code, 0, "{said}");
    await_closed(&node, "orders");
    assert_ne!(producer.produce(&mut connection, "orders", "late"), ErrorCode::None, "the producer is fenced");
    fails(&node, 5, &["force-terminate", "payments-9", "--yes"], "there is no transactional id");
    fails(&node, 5, &abort, "no open transaction begins at offset 0 of orders-0");
}

#[test]
fn a_transaction_that_no_coordinator_knows_is_found_and_aborted() {
    let (_directory, node) = start(true);
    let mut connection = node.connect();
    let ids = ["by-ottla", "by-kafkas-tool"];
    for id in ids {
        // The topic is not made part of the transaction, so that its coordinator will never end it there.
        connection.create_topic(id);
        connection.await_leaders(id, 1);
        connection.find_transaction_coordinator(id);
        let mut producer = Producer::start(&mut connection, id, Speaks::Version1);
        assert_eq!(producer.produce(&mut connection, id, "hangs"), ErrorCode::None);
    }
    let found = json_of(&node, &["find-hanging"]);
    let partitions: Vec<_> = found.as_array().expect("a list").iter().map(|found| found["topic"].clone()).collect();
    assert_eq!(partitions, [json!("by-kafkas-tool"), json!("by-ottla")]);
    assert_eq!(found[0]["start_offset"], json!(0));

    let (code, said) = run(&node, &["abort", "by-ottla", "-p", "0", "--start-offset", "0", "--yes"]);
    assert_eq!((code, said.as_str()), (0, "Aborted the transaction at offset 0 of by-ottla-0.\n"));
    await_closed(&node, "by-ottla");

    let address = node.address();
    let tool = |arguments: &[&str]| {
        let output =
            ottla(&[&["tools", "run", "kafka-transactions", "--bootstrap-server", &address], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let hanging = tool(&["find-hanging", "--broker-id", "1"]);
    assert_eq!(hanging.lines().count(), 2, "{hanging}");
    assert!(hanging.contains("by-kafkas-tool\t0        \t"), "{hanging}");
    assert_eq!(tool(&["abort", "--topic", "by-kafkas-tool", "--partition", "0", "--start-offset", "0"]), "");
    await_closed(&node, "by-kafkas-tool");
    assert_eq!(tool(&["find-hanging", "--topic", "by-kafkas-tool"]).lines().count(), 1);
}
