//! What can go wrong in a controller.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::log::LogError;
use crate::metadata::ReplayError;

/// A fault of the controller. Each of them ends it; the text says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A file of the metadata log's directory cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The disk's words.
        source: io::Error,
    },
    /// The metadata log's segments are at fault.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file that was complete and durable once is not what was written: rot, or somebody edited it.
    #[error(
        "{} is damaged: {reason}. This node does not start from it. With other controllers running, move \
         {} away and start again: the node takes a new place in the quorum and fetches everything. \
         On a single controller restore the directory from a backup",
        path.display(), directory.display()
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// The metadata log's directory.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The directory belongs to another node or cluster (invariant D6).
    #[error("{} belongs to {found}, but this node is {expected}", path.display())]
    WrongIdentity {
        /// The file that says so.
        path: PathBuf,
        /// What the file says.
        found: String,
        /// What the configuration says.
        expected: String,
    },
    /// Apache Kafka wrote this log. It is left as it is.
    #[error(
        "{} was written by Apache Kafka; Ottla leaves it untouched and cannot take it over. Choose another data \
         directory",
        path.display()
    )]
    WrittenByKafka {
        /// The log's directory.
        path: PathBuf,
    },
    /// The configured voters cannot form a quorum.
    #[error("controller.quorum.voters is {voters}: {reason}")]
    InvalidVoters {
        /// The list.
        voters: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log holds a record that this version cannot replay (invariant D10).
    #[error("metadata record {index} cannot be replayed: {source}")]
    Replay {
        /// Metadata index of the record.
        index: i64,
        /// Why.
        source: ReplayError,
    },
    /// The writer of log and vote has failed before, or was closed.
    #[error("the metadata log takes no more writes: {0}")]
    StoreFailed(String),
    /// The Raft machine stopped.
    #[error("the metadata quorum's machine stopped on this node: {0}")]
    Raft(String),
    /// The controller listener cannot be used.
    #[error("cannot serve on the controller listener: {0}")]
    Listener(#[source] io::Error),
}

/// Where the controller's parts report a fault that ends it. The first one counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FaultReport {
    first: watch::Sender<Option<Arc<ControllerError>>>,
}

impl Default for FaultReport {
    fn default() -> Self {
        Self { first: watch::channel(None).0 }
    }
}

impl FaultReport {
    /// Notes a fault.
    pub fn report(&self, error: ControllerError) -> Arc<ControllerError> {
        let error = Arc::new(error);
        tracing::error!(%error, "the controller stops");
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(|| error.clone());
            is_first
        });
        error
    }

    /// Waits for the first fault.
    pub async fn wait(&self) -> Arc<ControllerError> {
        let mut first = self.first.subscribe();
        loop {
            if let Some(error) = first.borrow_and_update().clone() {
                return error;
            }
            // No error can come: the sender lives in `self`.
            let _ = first.changed().await;
        }
    }
}
