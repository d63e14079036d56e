//! `meta.properties`: whose data directory this is.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{BrokerId, DirectoryId};

use super::LogError;
use super::disk::Disk;

const META_PROPERTIES: &str = "meta.properties";

/// The identity of a data directory, Kafka's version 1. Persisted, keep stable.
///
/// | key | value |
/// |---|---|
/// | `version` | `1` |
/// | `cluster.id` | text, 22 characters of base64 when Kafka made it |
/// | `node.id` | number |
/// | `directory.id` | UUID in base64 |
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    /// `cluster.id`; `None` before the cluster has one.
    pub cluster_id: Option<String>,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `directory.id`.
    pub directory_id: DirectoryId,
}

impl MetaProperties {
    /// Reads the file; `None` when there is none.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        let path = directory.join(META_PROPERTIES);
        let malformed = |reason: String| LogError::Malformed { path: path.clone(), reason };
        let content = match disk.read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("read", &path)(error)),
        };
        let text = String::from_utf8(content).map_err(|_| malformed("it is not text".to_owned()))?;
        let properties: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let value = |key: &str| properties.get(key).copied().ok_or_else(|| malformed(format!("{key} is missing")));
        let wrong = |key: &str, value: &str| malformed(format!("{key} is {value:?}"));
        match value("version")? {
            "1" => {}
            version => return Err(wrong("version", version)),
        }
        let (node_id, directory_id) = (value("node.id")?, value("directory.id")?);
        Ok(Some(Self {
            cluster_id: properties.get("cluster.id").map(|id| (*id).to_owned()),
            node_id: BrokerId(node_id.parse().map_err(|_| wrong("node.id", node_id))?),
            directory_id: DirectoryId(directory_id.parse().map_err(|_| wrong("directory.id", directory_id))?),
        }))
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let path = directory.join(META_PROPERTIES);
        let cluster_id = self.cluster_id.iter().map(|id| format!("cluster.id={id}\n")).collect::<String>();
        let MetaProperties { node_id, directory_id, .. } = self;
        let text = format!("#\n{cluster_id}directory.id={}\nnode.id={node_id}\nversion=1\n", directory_id.0);
        disk.write_atomically(&path, text.as_bytes()).map_err(LogError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SimDisk;
    use crate::model::Uuid;

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        disk.write_atomically(&Path::new("/d").join(META_PROPERTIES), text.as_bytes()).unwrap();
        disk
    }

    #[test]
    fn round_trip() {
        for cluster_id in [None, Some("5L6g3nShT-eMCtK--X86sw".to_owned())] {
            let properties =
                MetaProperties { cluster_id, node_id: BrokerId(3), directory_id: DirectoryId(Uuid([9; 16])) };
            let disk = disk_with("");
            properties.write(&disk, Path::new("/d")).unwrap();
            assert_eq!(MetaProperties::read(&disk, Path::new("/d")).unwrap(), Some(properties));
        }
        assert_eq!(MetaProperties::read(&SimDisk::new(), Path::new("/d")).unwrap(), None);
    }

    #[test]
    fn kafkas_own_file() {
        let disk = disk_with(
            "#\n#Sat Nov 21 07:00:00 UTC 2026\ncluster.id=5L6g3nShT-eMCtK--X86sw\nversion=1\n\
             directory.id=CQkJCQkJCQkJCQkJCQkJCQ\nnode.id=1\n",
        );
        let properties = MetaProperties::read(&disk, Path::new("/d")).unwrap().unwrap();
        assert_eq!(properties.cluster_id.as_deref(), Some("5L6g3nShT-eMCtK--X86sw"));
        assert_eq!((properties.node_id, properties.directory_id), (BrokerId(1), DirectoryId(Uuid([9; 16]))));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let good = "version=1\nnode.id=1\ndirectory.id=CQkJCQkJCQkJCQkJCQkJCQ\n";
        for (text, named) in [
            (good.replace("version=1", "version=0"), "version"),
            (good.replace("node.id=1", "node.id=one"), "node.id"),
            (good.replace("node.id=1", ""), "node.id"),
            (good.replace("CQkJ", "?"), "directory.id"),
        ] {
            let error = MetaProperties::read(&disk_with(&text), Path::new("/d")).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
