//! Changes who votes in the metadata quorum (KIP-853).

use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::Uuid;
use crate::protocol::{AddRaftVoterRequest, RemoveRaftVoterRequest};

/// Gives the controller of this `node.id` a vote.
pub async fn add(client: &mut ClusterClient, node_id: i32, directory_id: Option<Uuid>) -> Result<(), ClusterError> {
    let timeout_ms = i32::try_from(client.options().patience.as_millis()).unwrap_or(i32::MAX);
    let request = AddRaftVoterRequest {
        timeout_ms,
        voter_id: node_id,
        voter_directory_id: directory_id.unwrap_or(Uuid::ZERO),
        ..AddRaftVoterRequest::default()
    };
    let response = client.ask(&Target::Any, &request, |response| response.error_code).await?;
    match response.error_code.is_error() {
        true => {
            Err(ClusterError::refused(format!("controller {node_id}"), response.error_code, response.error_message))
        }
        false => Ok(()),
    }
}

/// Takes the vote of the controller of this `node.id` away.
pub async fn remove(client: &mut ClusterClient, node_id: i32, directory_id: Option<Uuid>) -> Result<(), ClusterError> {
    let request = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: node_id,
        voter_directory_id: directory_id.unwrap_or(Uuid::ZERO),
    };
    let response = client.ask(&Target::Any, &request, |response| response.error_code).await?;
    match response.error_code.is_error() {
        true => {
            Err(ClusterError::refused(format!("controller {node_id}"), response.error_code, response.error_message))
        }
        false => Ok(()),
    }
}
