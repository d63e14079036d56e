//! All data directories of this process: those of `log.dirs`, and the one of the metadata log, which is one of them
//! unless `metadata.log.dir` says otherwise.
//!
//! The order of `log.dirs` means nothing, but that a new controller puts its metadata log into the first: afterwards it
//! is where it is found.

use std::path::Path;

use super::data_directory::{DirectoryError, OwnedDirectory};
use crate::config::NodeConfig;
use crate::model::{CLUSTER_METADATA_TOPIC, DirectoryId};

/// The data directories, locked.
#[derive(Debug)]
pub(super) struct DataDirectories {
    /// Those of `log.dirs`, in that order.
    log: Vec<OwnedDirectory>,
    metadata: MetadataPlace,
}

#[derive(Debug)]
enum MetadataPlace {
    /// In this one of `log.dirs`.
    Among(usize),
    /// In a directory of its own.
    Apart(OwnedDirectory),
}

impl DataDirectories {
    /// Opens and locks them, and lays out those that are new. All must be of this node and of one cluster.
    pub(super) fn open(node: &NodeConfig) -> Result<Self, DirectoryError> {
        let mut log: Vec<OwnedDirectory> = Vec::new();
        for path in &node.log_dirs {
            check_named_once(&log, path)?;
            log.push(OwnedDirectory::open(path, node.node_id, node.cluster_id.as_deref())?);
        }
        let metadata = match &node.metadata_log_dir {
            Some(path) if node.roles.controller => place_of_metadata(&log, path, node)?,
            _ => MetadataPlace::Among(found_metadata_log(&log)?),
        };
        let directories = Self { log, metadata };
        directories.check_ids()?;
        if let Some(cluster_id) = directories.cluster_id() {
            directories
                .all()
                .try_for_each(|directory| directory.check_cluster("another of its log.dirs", cluster_id))?;
        }
        Ok(directories)
    }

    /// Those of `log.dirs`.
    pub(super) fn log(&self) -> &[OwnedDirectory] {
        &self.log
    }

    /// The one with the metadata log, or the one that will have it.
    pub(super) fn metadata(&self) -> &OwnedDirectory {
        match &self.metadata {
            // The index was found in the list, which is never empty.
            MetadataPlace::Among(index) => &self.log[*index],
            MetadataPlace::Apart(directory) => directory,
        }
    }

    /// `directory.id` of each of `log.dirs`.
    pub(super) fn ids(&self) -> Vec<DirectoryId> {
        self.log.iter().map(OwnedDirectory::id).collect()
    }

    /// The cluster they have belonged to so far.
    pub(super) fn cluster_id(&self) -> Option<&str> {
        self.all().find_map(OwnedDirectory::cluster_id)
    }

    /// Notes in each the cluster it belongs to from now on, or checks that it is the same one.
    pub(super) fn join_cluster(&mut self, cluster_id: &str) -> Result<(), DirectoryError> {
        let apart = match &mut self.metadata {
            MetadataPlace::Among(_) => None,
            MetadataPlace::Apart(directory) => Some(directory),
        };
        self.log.iter_mut().chain(apart).try_for_each(|directory| directory.join_cluster(cluster_id))
    }

    fn all(&self) -> impl Iterator<Item = &OwnedDirectory> {
        let apart = match &self.metadata {
            MetadataPlace::Among(_) => None,
            MetadataPlace::Apart(directory) => Some(directory),
        };
        self.log.iter().chain(apart)
    }

    /// A directory that was copied together with its id is not a second one.
    fn check_ids(&self) -> Result<(), DirectoryError> {
        let all: Vec<_> = self.all().collect();
        for (index, second) in all.iter().enumerate() {
            if let Some(first) = all.iter().take(index).find(|first| first.id() == second.id()) {
                let (first, second) = (first.path().to_owned(), second.path().to_owned());
                return Err(DirectoryError::SameId { first, second });
            }
        }
        Ok(())
    }
}

/// One directory under two names would be taken for one that another process has locked.
fn check_named_once(opened: &[OwnedDirectory], path: &Path) -> Result<(), DirectoryError> {
    match path.canonicalize() {
        Ok(found) if opened.iter().any(|directory| directory.path() == found) => {
            Err(DirectoryError::NamedTwice { path: found })
        }
        // What is missing is created.
        _ => Ok(()),
    }
}

fn place_of_metadata(log: &[OwnedDirectory], path: &Path, node: &NodeConfig) -> Result<MetadataPlace, DirectoryError> {
    let found = path.canonicalize().ok();
    match log.iter().position(|directory| Some(directory.path()) == found.as_deref()) {
        Some(index) => Ok(MetadataPlace::Among(index)),
        None => OwnedDirectory::open(path, node.node_id, node.cluster_id.as_deref()).map(MetadataPlace::Apart),
    }
}

/// Which directory has the metadata log; the first while none has it.
fn found_metadata_log(log: &[OwnedDirectory]) -> Result<usize, DirectoryError> {
    let name = format!("{CLUSTER_METADATA_TOPIC}-0");
    let mut found = (0..).zip(log).filter(|(_, directory)| directory.path().join(&name).is_dir());
    match (found.next(), found.next()) {
        (Some((_, first)), Some((_, second))) => {
            Err(DirectoryError::TwoMetadataLogs { first: first.path().to_owned(), second: second.path().to_owned() })
        }
        (first, _) => Ok(first.map_or(0, |(index, _)| index)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config::ProcessRoles;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().expect("it exists").join(name)
        }

        fn open(&self, log_dirs: &[&str], metadata: Option<&str>) -> Result<DataDirectories, DirectoryError> {
            DataDirectories::open(&NodeConfig {
                node_id: 1,
                roles: ProcessRoles { broker: true, controller: true },
                cluster_id: None,
                rack: None,
                log_dirs: log_dirs.iter().map(|name| self.path(name)).collect(),
                metadata_log_dir: metadata.map(|name| self.path(name)),
            })
        }
    }

    #[test]
    fn the_metadata_log_is_where_it_is_found_whatever_the_order_of_the_list() {
        let home = Home::new();
        let first = home.open(&["a", "b", "c"], None).expect("new directories");
        assert_eq!(first.metadata().path(), home.path("a"));
        let ids = first.ids();
        drop(first);
        fs::create_dir(home.path("a/__cluster_metadata-0")).expect("as the controller does");
        let turned = home.open(&["c", "a", "b"], None).expect("the same directories");
        assert_eq!(turned.metadata().path(), home.path("a"));
        assert_eq!(turned.ids(), [ids[2], ids[0], ids[1]]);
    }

    #[test]
    fn two_metadata_logs_are_refused_by_name() {
        let home = Home::new();
        drop(home.open(&["a", "b"], None).expect("new directories"));
        for name in ["a", "b"] {
            fs::create_dir(home.path(name).join("__cluster_metadata-0")).expect("created");
        }
        let error = home.open(&["a", "b"], None).unwrap_err().to_string();
        assert!(error.contains("/a and ") && error.contains("metadata.log.dir"), "{error}");
        assert_eq!(home.open(&["a", "b"], Some("b")).expect("said which").metadata().path(), home.path("b"));
    }

    #[test]
    fn the_metadata_log_may_have_a_directory_of_its_own_or_any_of_the_list() {
        let home = Home::new();
        let apart = home.open(&["a"], Some("m")).expect("new directories");
        assert_eq!((apart.metadata().path(), apart.ids().len()), (&*home.path("m"), 1));
        drop(apart);
        assert_eq!(home.open(&["a", "b"], Some("b")).expect("one of the list").metadata().path(), home.path("b"));
    }

    #[test]
    fn directories_of_two_clusters_or_with_one_id_are_refused_by_name() {
        let home = Home::new();
        home.open(&["a"], None).expect("new").join_cluster("one").expect("the first cluster");
        home.open(&["b"], None).expect("new").join_cluster("two").expect("the first cluster");
        let error = home.open(&["a", "b"], None).unwrap_err().to_string();
        assert!(error.contains("/b belongs to cluster two") && error.contains("is one"), "{error}");
        fs::copy(home.path("a/meta.properties"), home.path("b/meta.properties")).expect("copied");
        let error = home.open(&["a", "b"], None).unwrap_err().to_string();
        assert!(error.contains("/a and ") && error.contains("/b have the same directory.id"), "{error}");
    }

    #[test]
    fn a_directory_under_two_names_is_said_to_be_one() {
        let home = Home::new();
        drop(home.open(&["a"], None).expect("new"));
        std::os::unix::fs::symlink(home.path("a"), home.path("b")).expect("linked");
        assert!(matches!(home.open(&["a", "b"], None), Err(DirectoryError::NamedTwice { .. })));
    }

    #[test]
    fn an_added_directory_joins_the_cluster_of_the_others() {
        let home = Home::new();
        home.open(&["a"], None).expect("new").join_cluster("one").expect("the first cluster");
        let mut both = home.open(&["b", "a"], None).expect("one is new");
        assert_eq!(both.cluster_id(), Some("one"));
        both.join_cluster("one").expect("the same cluster");
        assert!(both.log().iter().all(|directory| directory.cluster_id() == Some("one")));
    }
}
