//! A data directory: that it is ours, that nobody else uses it, and whose it is.
//!
//! | file | what it says |
//! |---|---|
//! | `ottla.format` | that this program laid the directory out, and in which format: `1` |
//! | `.lock` | locked while a process runs on the directory |
//! | `meta.properties` | cluster, node and directory id |
//!
//! A directory that Apache Kafka wrote has no `ottla.format`; it is refused before anything in it is touched,
//! because the metadata in it cannot be read here, and two brokers must never own the same partitions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::{LogError, MetaProperties, OsDisk};
use crate::model::{BrokerId, DirectoryId, TopicPartition, Uuid};

use super::lock_file::{LockError, LockFile};

const FORMAT_FILE: &str = "ottla.format";
const FORMAT: &str = "1";
/// Any of these without `ottla.format` means that Kafka was here.
const KAFKA_FILES: &[&str] = &[
    "meta.properties",
    "bootstrap.checkpoint",
    "__cluster_metadata-0",
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
];

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum DirectoryError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is in use by {}; stop it, or set log.dirs to another directory", path.display(), process(*.pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error(
        "{} was written by Apache Kafka (it has {found}) and stays untouched: its metadata cannot be read here; set \
         log.dirs to an empty directory and copy the topics over with MirrorMaker",
        path.display()
    )]
    WrittenByKafka { path: PathBuf, found: &'static str },
    #[error(
        "{} has format {found}, and this version knows format {FORMAT} only; use the version that wrote it",
        path.display()
    )]
    OtherFormat { path: PathBuf, found: String },
    #[error(
        "{} belongs to node {found}, but node.id is {configured}; set node.id={found}, or log.dirs to the directory \
         of node {configured}",
        path.display()
    )]
    OtherNode { path: PathBuf, found: i32, configured: i32 },
    #[error(
        "{} belongs to cluster {found}, but {told} is {configured}; set log.dirs to a directory of that cluster, or \
         to an empty one",
        path.display()
    )]
    OtherCluster { path: PathBuf, found: String, told: &'static str, configured: String },
    #[error("log.dirs names {} twice, under two names; name it once", path.display())]
    NamedTwice { path: PathBuf },
    #[error(
        "{} and {} have the same directory.id, so one is a copy of the other; take the copy out of log.dirs, or empty it",
        first.display(),
        second.display()
    )]
    SameId { first: PathBuf, second: PathBuf },
    #[error(
        "{} and {} both have a metadata log; set metadata.log.dir to the one that this controller used last",
        first.display(),
        second.display()
    )]
    TwoMetadataLogs { first: PathBuf, second: PathBuf },
    #[error(
        "{partition} is in {} and in {}; move the one that was not in use last out of its directory, then start again",
        first.display(),
        second.display()
    )]
    TwoCopies { partition: TopicPartition, first: PathBuf, second: PathBuf },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl DirectoryError {
    /// True when the disk did not do what it was asked, as against a directory that must not be used.
    pub(super) fn is_disk_fault(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Log(LogError::Io { .. }))
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data directory of this process. The lock goes with it.
#[derive(Debug)]
pub(super) struct OwnedDirectory {
    path: PathBuf,
    properties: MetaProperties,
    _lock: LockFile,
}

impl OwnedDirectory {
    /// Opens the directory, or lays it out when it is new, and locks it.
    pub(super) fn open(path: &Path, node_id: i32, cluster_id: Option<&str>) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        let path = path.canonicalize().map_err(failed("find", path))?;
        let format = check_format(&path)?;
        let lock = LockFile::acquire(&path).map_err(|error| match error {
            LockError::Held(pid) => DirectoryError::InUse { path: path.clone(), pid },
            LockError::Io(source) => DirectoryError::Io { doing: "lock", path: path.clone(), source },
        })?;
        if format.is_none() {
            write_durably(&path, FORMAT_FILE, FORMAT).map_err(failed("lay out", &path))?;
        }
        let properties = match MetaProperties::read(&OsDisk, &path)? {
            Some(properties) => properties,
            None => new_properties(&path, node_id)?,
        };
        let directory = Self { path, properties, _lock: lock };
        directory.check_node(node_id)?;
        if let Some(configured) = cluster_id {
            directory.check_cluster("cluster.id", configured)?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn id(&self) -> DirectoryId {
        self.properties.directory_id
    }

    /// The cluster it has belonged to so far.
    pub(super) fn cluster_id(&self) -> Option<&str> {
        self.properties.cluster_id.as_deref()
    }

    /// Notes the cluster it belongs to from now on, or checks that it is the same one.
    pub(super) fn join_cluster(&mut self, cluster_id: &str) -> Result<(), DirectoryError> {
        if self.properties.cluster_id.is_none() {
            self.properties.cluster_id = Some(cluster_id.to_owned());
            self.properties.write(&OsDisk, &self.path)?;
        }
        self.check_cluster("the quorum's cluster", cluster_id)
    }

    fn check_node(&self, configured: i32) -> Result<(), DirectoryError> {
        let found = self.properties.node_id.0;
        if found == configured {
            return Ok(());
        }
        Err(DirectoryError::OtherNode { path: self.path.clone(), found, configured })
    }

    pub(super) fn check_cluster(&self, told: &'static str, configured: &str) -> Result<(), DirectoryError> {
        match self.cluster_id() {
            Some(found) if found != configured => Err(DirectoryError::OtherCluster {
                path: self.path.clone(),
                found: found.to_owned(),
                told,
                configured: configured.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// The format of the directory, `None` when it is new. Touches nothing.
pub(super) fn check_format(path: &Path) -> Result<Option<String>, DirectoryError> {
    match fs::read_to_string(path.join(FORMAT_FILE)) {
        Ok(found) if found.trim() == FORMAT => Ok(Some(found)),
        Ok(found) => Err(DirectoryError::OtherFormat { path: path.to_owned(), found: found.trim().to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match traces_of_kafka(path) {
            Some(found) => Err(DirectoryError::WrittenByKafka { path: path.to_owned(), found }),
            None => Ok(None),
        },
        Err(source) => Err(failed("read the format of", path)(source)),
    }
}

fn traces_of_kafka(path: &Path) -> Option<&'static str> {
    KAFKA_FILES.iter().copied().find(|name| path.join(name).exists())
}

fn new_properties(path: &Path, node_id: i32) -> Result<MetaProperties, DirectoryError> {
    let directory_id = DirectoryId(Uuid::from_random_bytes(rand::random()));
    let properties = MetaProperties { cluster_id: None, node_id: BrokerId(node_id), directory_id };
    properties.write(&OsDisk, path)?;
    Ok(properties)
}

/// A small file, whole or not at all.
fn write_durably(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.tmp"));
    fs::write(&temporary, format!("{text}\n"))?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    fs::File::open(directory)?.sync_all()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError + use<> {
    let path = path.to_owned();
    move |source| DirectoryError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_laid_out_and_keeps_its_id() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("new/data");
        let first = OwnedDirectory::open(&path, 1, None).expect("it opens");
        let id = first.id();
        assert!(matches!(OwnedDirectory::open(&path, 1, None), Err(DirectoryError::InUse { pid: Some(_), .. })));
        drop(first);
        assert_eq!(OwnedDirectory::open(&path, 1, None).expect("it opens again").id(), id);
    }

    #[test]
    fn identities_must_agree() {
        let path = tempfile::tempdir().expect("a directory");
        let mut directory = OwnedDirectory::open(path.path(), 1, None).expect("it opens");
        directory.join_cluster("one").expect("the first cluster");
        assert!(matches!(directory.join_cluster("two"), Err(DirectoryError::OtherCluster { .. })));
        drop(directory);
        assert!(matches!(OwnedDirectory::open(path.path(), 2, None), Err(DirectoryError::OtherNode { found: 1, .. })));
        let other = OwnedDirectory::open(path.path(), 1, Some("two"));
        assert!(matches!(other, Err(DirectoryError::OtherCluster { .. })));
        assert_eq!(OwnedDirectory::open(path.path(), 1, Some("one")).expect("the same").cluster_id(), Some("one"));
    }

    #[test]
    fn kafkas_directories_stay_untouched() {
        for name in KAFKA_FILES {
            let path = tempfile::tempdir().expect("a directory");
            fs::write(path.path().join(name), "x").expect("written");
            let refused = OwnedDirectory::open(path.path(), 1, None);
            assert!(matches!(refused, Err(DirectoryError::WrittenByKafka { .. })), "{name}");
            assert_eq!(fs::read_dir(path.path()).expect("readable").count(), 1, "{name}");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let path = tempfile::tempdir().expect("a directory");
        fs::write(path.path().join(FORMAT_FILE), "2\n").expect("written");
        let error = OwnedDirectory::open(path.path(), 1, None).unwrap_err();
        assert!(error.to_string().contains("has format 2"), "{error}");
    }
}
