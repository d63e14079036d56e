//! Rolling upgrades and downgrades between two binaries, under load (invariant D10).
//!
//! `OTTLA_TEST_OLD_BINARY` and `OTTLA_TEST_NEW_BINARY` name them; each is the binary that was built with the tests unless
//! said otherwise, so that by default one plays both. `scripts/rolling-upgrade` runs this with two.

use std::path::PathBuf;

use ottla::model::ErrorCode;
use ottla::protocol::messages::*;

use super::harness::{Cluster, Load, Plan, ottla};

const TOPIC: &str = "upgraded";
const FEATURE: &str = "ottla.version";

fn binary(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ottla")), PathBuf::from)
}

/// The finalized level, and the highest one that `asked` can run at.
fn levels(cluster: &Cluster, asked: i32) -> (i16, i16) {
    let response = cluster.connect(asked).send(
        3,
        &ApiVersionsRequest { client_software_name: "test".to_owned(), client_software_version: "1".to_owned() },
    );
    let finalized = response.finalized_features.iter().find(|feature| feature.name == FEATURE);
    let supported = response.supported_features.iter().find(|feature| feature.name == FEATURE);
    (finalized.map_or(0, |f| f.max_version_level), supported.map_or(0, |f| f.max_version))
}

/// Asks for a level; 1 upgrades, 2 downgrades.
fn set_level(cluster: &Cluster, level: i16, upgrade_type: i8) -> ErrorCode {
    let update =
        FeatureUpdateKey { feature: FEATURE.to_owned(), max_version_level: level, upgrade_type, ..Default::default() };
    let request = UpdateFeaturesRequest { timeout_ms: 30_000, feature_updates: vec![update], validate_only: false };
    let response = cluster.connect(1).send(1, &request);
    let refused = response.results.iter().map(|result| result.error_code).find(|code| code.is_error());
    refused.unwrap_or(response.error_code)
}

/// Has every node run by `binary`, one after the other.
fn roll(cluster: &mut Cluster, load: &Load, binary: &std::path::Path) {
    for node in cluster.nodes() {
        cluster.set_binary(node, binary);
        cluster.restart(node);
        cluster.await_isr(node, TOPIC, &[1, 2, 3]);
        load.await_progress();
    }
}

fn move_within(cluster: &Cluster, replicas: &[i32]) -> ErrorCode {
    let target = ReassignablePartition { partition_index: 0, replicas: Some(replicas.to_vec()) };
    let topic = ReassignableTopic { name: TOPIC.to_owned(), partitions: vec![target] };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 30_000, topics: vec![topic], ..Default::default() };
    let response = cluster.connect(1).send(0, &request);
    match response.error_code {
        ErrorCode::None => response.responses[0].partitions[0].error_code,
        error => error,
    }
}

/// Old nodes form the cluster, new ones take over one by one at the old level, and what needs a new level is refused
/// until every node can read it; then all goes back the same way.
#[test]
fn a_cluster_is_upgraded_and_downgraded_node_by_node_under_load() {
    let (old, new) = (binary("OTTLA_TEST_OLD_BINARY"), binary("OTTLA_TEST_NEW_BINARY"));
    let mut cluster = Plan::combined(3).set("broker.session.timeout.ms", "2000").build();
    for node in cluster.nodes() {
        cluster.set_binary(node, &old);
    }
    cluster.start_nodes(&[1, 2, 3]);
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let load = Load::start(&cluster, TOPIC);
    let (_, highest_of_old) = levels(&cluster, 1);
    // Where the cluster begins: at a level that a still older version could read.
    assert_eq!(set_level(&cluster, 1, 2), ErrorCode::None);
    assert_eq!(move_within(&cluster, &[3, 2, 1]), ErrorCode::UnsupportedVersion, "reassignments came with level 2");

    roll(&mut cluster, &load, &new);
    let (finalized, highest_of_new) = levels(&cluster, 1);
    assert_eq!(finalized, 1, "a new binary raises no level by itself");
    assert!(highest_of_new >= highest_of_old);
    assert_eq!(set_level(&cluster, highest_of_new, 1), ErrorCode::None);
    assert_eq!(move_within(&cluster, &[3, 2, 1]), ErrorCode::None);
    cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    load.await_progress();

    assert_eq!(set_level(&cluster, highest_of_old, 2), ErrorCode::None);
    roll(&mut cluster, &load, &old);
    load.stop_and_check(&cluster, 2);
    cluster.await_equal_logs(TOPIC, &[1, 2, 3]);
    for node in cluster.nodes() {
        assert!(!cluster.log(node).contains("does not know"), "{}", cluster.log(node));
        let data = cluster.data(node);
        cluster.kill(node);
        let read = ottla(&["metadata", data.to_str().expect("UTF-8")]);
        assert!(read.status.success(), "{read:?}");
    }
}

/// A node that cannot run at the finalized level is not let in, and no level is finalized that a node cannot read.
#[test]
fn no_level_is_finalized_that_a_node_cannot_run_at() {
    let cluster = Plan::combined(3).start();
    cluster.await_brokers(1, &[1, 2, 3]);
    let (finalized, highest) = levels(&cluster, 2);
    assert_eq!(finalized, highest, "a new cluster begins at the highest level of its version");
    assert_eq!(set_level(&cluster, highest + 1, 1), ErrorCode::InvalidUpdateVersion);
    assert_eq!(levels(&cluster, 2).0, highest);
}
