//! Who this node is and where its data lies.

use std::path::PathBuf;

use super::layers::Layers;

/// Which roles a node plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessRoles {
    /// It serves clients and keeps partitions.
    pub broker: bool,
    /// It keeps the cluster's metadata.
    pub controller: bool,
}

/// Who this node is and where its data lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// `node.id` (or `broker.id`).
    pub node_id: i32,
    /// `process.roles`.
    pub roles: ProcessRoles,
    /// `cluster.id`, if one was asked for.
    pub cluster_id: Option<String>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `log.dirs`: where partitions lie. At least one, none twice.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`: where the metadata log lies; in one of `log_dirs` when it is not set.
    pub metadata_log_dir: Option<PathBuf>,
}

/// Resolves the node's identity, and says what is wrong with it.
pub(super) fn resolve(layers: Layers<'_>, problems: &mut Vec<String>) -> NodeConfig {
    NodeConfig {
        node_id: node_id(layers, problems),
        roles: roles(layers),
        cluster_id: layers.text("cluster.id"),
        rack: layers.text("broker.rack"),
        log_dirs: log_dirs(layers, problems),
        metadata_log_dir: layers.text("metadata.log.dir").map(PathBuf::from),
    }
}

fn log_dirs(layers: Layers<'_>, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut log_dirs: Vec<PathBuf> = Vec::new();
    for path in layers.list("log.dirs").into_iter().map(PathBuf::from) {
        if log_dirs.contains(&path) {
            problems.push(format!("{} names {} twice", layers.start.named("log.dirs"), path.display()));
        } else {
            log_dirs.push(path);
        }
    }
    if log_dirs.is_empty() {
        log_dirs.push(PathBuf::from("./ottla-data"));
    }
    log_dirs
}

/// A node without `process.roles` is a combined one.
fn roles(layers: Layers<'_>) -> ProcessRoles {
    let roles = layers.list("process.roles");
    let has = |name: &str| roles.is_empty() || roles.iter().any(|role| role == name);
    ProcessRoles { broker: has("broker"), controller: has("controller") }
}

/// `node.id`, else `broker.id`. ZooKeeper handed out ids for `broker.id=-1`; here such a node is node 1.
fn node_id(layers: Layers<'_>, problems: &mut Vec<String>) -> i32 {
    let start = layers.start;
    let number = |name: &str| start.value(name).and_then(|value| value.parse::<i32>().ok());
    if let (Some(node_id), Some(broker_id)) = (number("node.id"), number("broker.id"))
        && node_id != broker_id
    {
        problems.push(format!(
            "{} and {} are the same thing and must agree; keep node.id",
            start.named("node.id"),
            start.named("broker.id")
        ));
    }
    let node_id = layers.int("node.id");
    if node_id >= 0 { node_id } else { 1 }
}
