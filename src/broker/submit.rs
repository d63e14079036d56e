//! Commands to the controllers whose outcome the asking client is to see here.

use std::time::Duration;

use crate::cluster::{ClusterError, ControllerCalls};
use crate::partition::Replicas;
use crate::rpc::metadata::{MetadataCommand, MetadataReply, metadata_command};

/// How long a handler waits for the controllers when the client named no time.
pub const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(30);

/// Has the controllers carry out a command, and waits until this broker has applied what came of it: the
/// client's next request finds it done.
pub(super) async fn submit(
    controller: &ControllerCalls,
    replicas: &Replicas,
    command: metadata_command::Kind,
    timeout: Duration,
) -> Result<MetadataReply, ClusterError> {
    let deadline = tokio::time::Instant::now() + timeout;
    let reply = controller.submit(MetadataCommand { kind: Some(command) }, timeout).await?;
    // Not applied in time: the answer holds all the same, only a little later here.
    let _ = tokio::time::timeout_at(deadline, replicas.wait_for_index(reply.metadata_index)).await;
    Ok(reply)
}
