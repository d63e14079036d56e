//! Where a node stands in its life, for those who ask over HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cluster::{BrokerLifecycle, LifecycleState};
use crate::controller::metrics::ControllerMetrics;
use crate::http::Health;

/// Set as the node goes on; asked at any time.
pub(super) struct NodeStatus {
    stage: Mutex<Stage>,
}

enum Stage {
    /// What the node is doing before it serves.
    Starting(String),
    Serving {
        broker: Option<BrokerLifecycle>,
        controller: Option<ControllerMetrics>,
    },
    Stopping,
}

impl NodeStatus {
    pub(super) fn new() -> Self {
        Self { stage: Mutex::new(Stage::Starting("opening the data directory".to_owned())) }
    }

    pub(super) fn starting(&self, what: impl Into<String>) {
        *self.stage() = Stage::Starting(what.into());
    }

    pub(super) fn serving(&self, broker: Option<BrokerLifecycle>, controller: Option<ControllerMetrics>) {
        *self.stage() = Stage::Serving { broker, controller };
    }

    pub(super) fn stopping(&self) {
        *self.stage() = Stage::Stopping;
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health for NodeStatus {
    /// A broker that has lost its controllers stays ready: what it leads can be read, and written as far as its
    /// replicas allow.
    fn ready(&self) -> Result<(), String> {
        match &*self.stage() {
            Stage::Starting(what) => Err(format!("starting: {what}")),
            Stage::Stopping => Err("stopping".to_owned()),
            Stage::Serving { broker: Some(broker), .. } => match broker.state() {
                LifecycleState::Running { .. } => Ok(()),
                LifecycleState::Fenced { .. } => Err("fenced: the controllers do not count this broker in".to_owned()),
                LifecycleState::ShuttingDown { .. } | LifecycleState::MayShutDown { .. } => Err("stopping".to_owned()),
                LifecycleState::Starting | LifecycleState::CatchingUp { .. } => {
                    Err("catching up with the metadata".to_owned())
                }
            },
            Stage::Serving { broker: None, controller } => {
                match controller.as_ref().is_some_and(|controller| controller.leader().is_some()) {
                    true => Ok(()),
                    false => Err("the quorum has no leader".to_owned()),
                }
            }
        }
    }
}
