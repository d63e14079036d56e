//! Data directories without a running node: laid out ahead of the first start, and looked into.

use std::path::Path;

use super::data_directory::{DirectoryError, OwnedDirectory, check_format};
use crate::log::{MetaProperties, OsDisk};

/// Whose a data directory is, as its `meta.properties` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryIdentity {
    /// `cluster.id`; `None` before the node has been part of a cluster.
    pub cluster_id: Option<String>,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: crate::model::Uuid,
}

/// Lays out a data directory as the start of a node does that is told its cluster's id, or checks that it was laid
/// out for this node and cluster. Fails while a node runs on it.
pub fn lay_out_directory(path: &Path, node_id: i32, cluster_id: &str) -> Result<(), DirectoryError> {
    OwnedDirectory::open(path, node_id, Some(cluster_id))?.join_cluster(cluster_id)
}

/// Whose a data directory is; `None` for one that was not laid out yet. Touches nothing.
pub fn look_into_directory(path: &Path) -> Result<Option<DirectoryIdentity>, DirectoryError> {
    if !path.exists() || check_format(path)?.is_none() {
        return Ok(None);
    }
    let properties = MetaProperties::read(&OsDisk, path)?;
    Ok(properties.map(|properties| DirectoryIdentity {
        cluster_id: properties.cluster_id,
        node_id: properties.node_id.0,
        directory_id: properties.directory_id.0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_out_is_found_and_kept() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("data");
        assert_eq!(look_into_directory(&path).expect("nothing is there"), None);
        lay_out_directory(&path, 1, "one").expect("laid out");
        let identity = look_into_directory(&path).expect("readable").expect("laid out");
        assert_eq!((identity.node_id, identity.cluster_id.as_deref()), (1, Some("one")));
        lay_out_directory(&path, 1, "one").expect("the same again");
        assert_eq!(look_into_directory(&path).expect("readable"), Some(identity));
        assert!(matches!(lay_out_directory(&path, 1, "two"), Err(DirectoryError::OtherCluster { .. })));
        assert!(matches!(lay_out_directory(&path, 2, "one"), Err(DirectoryError::OtherNode { .. })));
    }
}
