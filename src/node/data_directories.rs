//! All data directories of this process: those of `log.dirs`, and the one of the metadata log, which is one of them
//! unless `metadata.log.dir` says otherwise.
//!
//! The order of `log.dirs` means nothing, but that a new controller puts its metadata log into the first: afterwards it
//! is where it is found.

use std::path::{Path, PathBuf};

use super::data_directory::{DirectoryError, OwnedDirectory};
use crate::config::NodeConfig;
use crate::model::{CLUSTER_METADATA_TOPIC, DirectoryId};

/// The data directories, locked.
#[derive(Debug)]
pub(super) struct DataDirectories {
    /// Those of `log.dirs`, in that order.
    log: Vec<OwnedDirectory>,
    /// Those of `log.dirs` whose disk does not answer.
    lost: Vec<PathBuf>,
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
    /// Opens and locks them, and lays out those that are new. All must be of this node and of one cluster. A disk that
    /// does not answer is left out while there are others, unless the metadata log may be on it.
    pub(super) fn open(node: &NodeConfig) -> Result<Self, DirectoryError> {
        let (mut log, mut lost): (Vec<OwnedDirectory>, Vec<_>) = (Vec::new(), Vec::new());
        for path in &node.log_dirs {
            check_named_once(&log, path)?;
            match OwnedDirectory::open(path, node.node_id, node.cluster_id.as_deref()) {
                Ok(directory) => log.push(directory),
                Err(error) if error.is_disk_fault() => lost.push((path.clone(), error)),
                Err(error) => return Err(error),
            }
        }
        let looked_for = node.roles.controller && node.metadata_log_dir.is_none();
        let must_have = log.is_empty() || looked_for && !log.iter().any(has_metadata_log);
        let lost =
            lost.into_iter().map(|(path, error)| if must_have { Err(error) } else { Ok(left_out(path, &error)) });
        let lost = lost.collect::<Result<Vec<_>, _>>()?;
        let metadata = match &node.metadata_log_dir {
            Some(path) if node.roles.controller => place_of_metadata(&log, path, node)?,
            _ => MetadataPlace::Among(found_metadata_log(&log)?),
        };
        let directories = Self { log, lost, metadata };
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

    /// Those of `log.dirs` whose disk does not answer.
    pub(super) fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Leaves those of `log.dirs` out whose disks did not stand `look`, while there are others; what it made of the rest.
    pub(super) fn look<T>(
        &mut self,
        look: impl Fn(&OwnedDirectory) -> Result<T, DirectoryError>,
    ) -> Result<Vec<T>, DirectoryError> {
        let mut seen = Vec::new();
        let mut at = 0;
        while let Some(directory) = self.log.get(at) {
            match look(directory) {
                Ok(found) => {
                    seen.push(found);
                    at += 1;
                }
                Err(error) if error.is_disk_fault() && self.can_lose(at) => self.lose(at, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    fn can_lose(&self, at: usize) -> bool {
        let holds_metadata = matches!(self.metadata, MetadataPlace::Among(index) if index == at);
        self.log.len() > 1 && !holds_metadata
    }

    fn lose(&mut self, at: usize, error: &DirectoryError) {
        let directory = self.log.remove(at);
        self.lost.push(left_out(directory.path().to_owned(), error));
        if let MetadataPlace::Among(index) = &mut self.metadata
            && *index > at
        {
            *index -= 1;
        }
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

fn left_out(path: PathBuf, error: &DirectoryError) -> PathBuf {
    tracing::error!(
        "{} is left out: {error}. Its partitions are offline here until the next start; check the disk, or take it out \
         of log.dirs",
        path.display()
    );
    path
}

fn place_of_metadata(log: &[OwnedDirectory], path: &Path, node: &NodeConfig) -> Result<MetadataPlace, DirectoryError> {
    let found = path.canonicalize().ok();
    match log.iter().position(|directory| Some(directory.path()) == found.as_deref()) {
        Some(index) => Ok(MetadataPlace::Among(index)),
        None => OwnedDirectory::open(path, node.node_id, node.cluster_id.as_deref()).map(MetadataPlace::Apart),
    }
}

fn has_metadata_log(directory: &OwnedDirectory) -> bool {
    directory.path().join(format!("{CLUSTER_METADATA_TOPIC}-0")).is_dir()
}

/// Which directory has the metadata log; the first while none has it.
fn found_metadata_log(log: &[OwnedDirectory]) -> Result<usize, DirectoryError> {
    let mut found = (0..).zip(log).filter(|(_, directory)| has_metadata_log(directory));
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

    /// What stands where a directory should be answers as a broken disk does.
    #[test]
    fn a_disk_that_does_not_answer_is_left_out_unless_the_metadata_log_may_be_on_it() {
        let home = Home::new();
        fs::write(home.path("b"), "no directory").expect("written");
        assert!(matches!(home.open(&["a", "b"], None), Err(DirectoryError::Io { .. })), "nobody knows where it is");
        fs::create_dir(home.path("a/__cluster_metadata-0")).expect("as the controller does");
        let rest = home.open(&["b", "a"], None).expect("one of them answers");
        assert_eq!((rest.log().len(), rest.lost()), (1, &[home.path("b")][..]));
        assert_eq!(rest.metadata().path(), home.path("a"));
        drop(rest);
        assert!(matches!(home.open(&["b"], Some("a")), Err(DirectoryError::Io { .. })), "the only one");
        assert!(matches!(home.open(&["a"], Some("b")), Err(DirectoryError::Io { .. })), "the metadata's");
    }

    #[test]
    fn a_disk_that_fails_when_it_is_looked_at_is_left_out_too() {
        let home = Home::new();
        let mut all = home.open(&["a", "b", "c"], Some("c")).expect("new directories");
        let seen = all.look(|directory| match directory.path() == home.path("a") {
            true => {
                Err(DirectoryError::Io { doing: "read", path: home.path("a"), source: std::io::Error::other("gone") })
            }
            false => Ok(directory.path().to_owned()),
        });
        assert_eq!(seen.expect("two are left"), [home.path("b"), home.path("c")]);
        assert_eq!((all.lost(), all.metadata().path()), (&[home.path("a")][..], &*home.path("c")));
        let fails = |_: &OwnedDirectory| -> Result<(), _> {
            Err(DirectoryError::Io { doing: "read", path: home.path("c"), source: std::io::Error::other("gone") })
        };
        assert!(all.look(fails).is_err(), "the metadata's");
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
