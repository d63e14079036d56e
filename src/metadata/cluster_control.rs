//! The cluster's name, the levels of its features, and the producer ids it hands out.

use super::draft::{Draft, Refusal};
use crate::rpc::metadata::{ClusterIdRecord, InitializeCluster, InitializeClusterReply, metadata_reply::Kind as Reply};

/// The first caller names the cluster; whoever comes later learns the name.
pub(super) fn initialize(draft: &mut Draft<'_>, command: &InitializeCluster) -> Result<Reply, Refusal> {
    if draft.image().cluster_id().is_none() {
        draft.add(ClusterIdRecord { cluster_id: command.cluster_id.clone() });
    }
    let cluster_id = draft.image().cluster_id().map(|id| id.to_string()).unwrap_or_default();
    Ok(Reply::InitializeCluster(InitializeClusterReply { cluster_id }))
}
