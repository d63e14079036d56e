//! The last resort for a quorum whose majority is gone: one node of it goes on alone, offline.

use std::path::Path;

use tokio::runtime;

use crate::controller::{RecoverableQuorum, recoverable_quorum};
use crate::log::{MetaProperties, OsDisk};

use super::data_directory::{DirectoryError, OwnedDirectory};
use super::error::NodeError;

/// A controller's data directory, looked into and locked.
pub struct QuorumSurvivor {
    directory: OwnedDirectory,
    node_id: i32,
    quorum: RecoverableQuorum,
}

impl QuorumSurvivor {
    /// Looks into the data directory of a node that is stopped. Like a start, it cuts a torn end off the log.
    pub fn look(path: &Path) -> Result<Self, NodeError> {
        let properties = MetaProperties::read(&OsDisk, path).map_err(DirectoryError::from)?;
        let properties = properties.ok_or_else(|| NodeError::NothingToRecover { path: path.to_owned() })?;
        let node_id = properties.node_id.0;
        let directory = OwnedDirectory::open(path, node_id, None)?;
        let quorum = block_on(recoverable_quorum(directory.path(), directory.id()))??;
        let quorum = quorum.ok_or_else(|| NodeError::NothingToRecover { path: path.to_owned() })?;
        Ok(Self { directory, node_id, quorum })
    }

    /// `node.id`.
    pub fn node_id(&self) -> i32 {
        self.node_id
    }

    /// Index of the last entry of its metadata log.
    pub fn last_index(&self) -> u64 {
        self.quorum.last_index
    }

    /// Raft term of that entry.
    pub fn last_term(&self) -> u64 {
        self.quorum.last_term
    }

    /// The voters so far, as `id@host:port` with commas.
    pub fn voters(&self) -> &str {
        &self.quorum.voters
    }

    /// Makes this node the only voter, durably.
    pub fn recover(self) -> Result<(), NodeError> {
        let recovered = block_on(self.quorum.recover())?;
        drop(self.directory);
        Ok(recovered?)
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, NodeError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| NodeError::System { doing: "start a runtime", source })?;
    Ok(runtime.block_on(work))
}
