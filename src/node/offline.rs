//! Looks at the metadata of a node that does not run.

use std::path::Path;

use super::data_directory::{DirectoryError, check_format};
use super::error::NodeError;
use super::lock_file::{LockError, LockFile};
use crate::controller::{OfflineMetadata, read_offline};
use crate::model::CLUSTER_METADATA_TOPIC;

/// Reads the metadata in a data directory. It is locked meanwhile, so that no node writes to it; one that runs already
/// is a refusal. `None` when the directory holds no metadata log.
pub fn read_metadata(data_directory: &Path) -> Result<Option<OfflineMetadata>, NodeError> {
    let directory = data_directory.join(format!("{CLUSTER_METADATA_TOPIC}-0"));
    if !directory.is_dir() {
        return Ok(None);
    }
    // Before anything is touched: what others wrote stays as it is.
    check_format(data_directory)?;
    let _lock = LockFile::acquire(data_directory).map_err(|error| {
        let path = data_directory.to_owned();
        match error {
            LockError::Held(pid) => DirectoryError::InUse { path, pid },
            LockError::Io(source) => DirectoryError::Io { doing: "lock", path, source },
        }
    })?;
    Ok(Some(read_offline(&directory)?))
}
