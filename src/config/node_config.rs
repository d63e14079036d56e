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
    /// `log.dirs`: where partitions lie.
    pub log_dir: PathBuf,
    /// `metadata.log.dir`: where the metadata log lies, usually the same.
    pub metadata_log_dir: PathBuf,
}

/// Resolves the node's identity, and says what is wrong with it.
pub(super) fn resolve(layers: Layers<'_>, problems: &mut Vec<String>) -> NodeConfig {
    let log_dirs = layers.list("log.dirs");
    if log_dirs.len() > 1 {
        problems.push(format!(
            "{} names several directories, and one log directory is served; name one, on a volume that spans the disks",
            layers.start.named("log.dirs")
        ));
    }
    let log_dir = PathBuf::from(log_dirs.first().map_or("./ottla-data", String::as_str));
    let metadata_log_dir = layers.text("metadata.log.dir").map_or_else(|| log_dir.clone(), PathBuf::from);
    NodeConfig {
        node_id: node_id(layers, problems),
        roles: roles(layers),
        cluster_id: layers.text("cluster.id"),
        rack: layers.text("broker.rack"),
        log_dir,
        metadata_log_dir,
    }
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
