//! Why a node cannot start or go on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::ClusterError;
use crate::controller::ControllerError;
use crate::log::LogError;

use super::bind::BindError;
use super::data_directory::DirectoryError;

/// A fault that ends the node; the text says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A data directory must not or cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The controller role failed.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// The controller role failed while running.
    #[error("the controller stopped: {0}")]
    ControllerStopped(Arc<ControllerError>),
    /// The broker cannot be part of the cluster.
    #[error("the broker left the cluster: {0}")]
    ClusterLeft(Arc<ClusterError>),
    /// The logs cannot be opened or closed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory holds no metadata of a quorum.
    #[error("{} holds no metadata log of a quorum; name the metadata.log.dir of a controller", path.display())]
    NothingToRecover {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused a thread, a signal handler or the like.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
}

impl NodeError {
    /// True when the data directory is at fault and another one would do.
    pub fn is_refused_directory(&self) -> bool {
        match self {
            Self::Directory(DirectoryError::Io { .. } | DirectoryError::Log(_)) => false,
            Self::Directory(_) => true,
            Self::Controller(ControllerError::WrongIdentity { .. } | ControllerError::WrittenByKafka { .. }) => true,
            _ => false,
        }
    }
}
