//! The node's HTTP port: opened before anything else, so that a node that waits can be asked what for.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::bind;
use super::broker_role::Runners;
use super::error::NodeError;
use super::metrics::ProcessMetrics;
use super::status::NodeStatus;
use crate::cluster::spawn_or_abort;
use crate::config::HttpConfig;
use crate::http::HttpServer;
use crate::observability::metrics::Registry;

/// What is served, and where.
pub(super) struct Web {
    pub(super) status: Arc<NodeStatus>,
    pub(super) registry: Arc<Registry>,
    /// `host:port`, port 0 resolved; `None` when nothing is served.
    pub(super) address: Option<String>,
    task: Option<AbortHandle>,
}

impl Web {
    /// Serves what is known so far. A default port that another process has is done without.
    pub(super) fn start(config: Option<&HttpConfig>, runners: &Runners) -> Result<Self, NodeError> {
        let (status, registry) = (Arc::new(NodeStatus::new()), Arc::new(Registry::default()));
        registry.add(ProcessMetrics::new());
        let mut web = Self { status, registry, address: None, task: None };
        let Some(config) = config else { return Ok(web) };
        let socket = match bind::bind_http(config) {
            Ok(socket) => socket,
            Err(error) if config.is_required => return Err(error.into()),
            Err(error) => {
                tracing::warn!("no health and no metrics over HTTP: {error}");
                return Ok(web);
            }
        };
        let failed = |source| NodeError::System { doing: "serve HTTP", source };
        web.address = Some(socket.local_addr().map_err(failed)?.to_string());
        let _entered = runners.control.enter();
        let server = HttpServer::new(socket, web.status.clone(), web.registry.clone()).map_err(failed)?;
        web.task = Some(spawn_or_abort(&runners.control, "HTTP", server.run()));
        Ok(web)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
