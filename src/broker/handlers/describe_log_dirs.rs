//! DescribeLogDirs, versions 0 to 5.
//!
//! The data directories of this broker with the size of each partition in them; null asks for all partitions, an empty
//! list for the directories alone. Version 2 is flexible, version 3 has a top-level error, version 4 the size and free
//! space of the volume (KIP-827), version 5 whether the directory takes no new partitions, which cannot be set here.
//! A directory that has failed is there with KAFKA_STORAGE_ERROR. A partition that cannot be opened is left out. One that
//! is on its way to another directory is in both, in that one as a future replica, whose lag is what is not copied yet;
//! other lags are 0. Ours, in a tagged field: how far a compacted partition is cleaned.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, TopicPartition};
use crate::partition::{DirectoryContent, FutureReplica};
use crate::protocol::messages::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

/// Describes the data directories.
pub async fn handle(context: &Context, _: Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked = request.topics.map(Asked::new);
    let directories = context.replicas.by_directory();
    // A volume that hangs must not hang those who share this thread.
    let results = tokio::task::spawn_blocking(move || {
        directories.into_iter().map(|directory| describe(directory, asked.as_ref())).collect()
    })
    .await
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
}

/// The partitions asked for by name.
struct Asked(HashMap<String, HashSet<i32>>);

impl Asked {
    fn new(topics: Vec<DescribableLogDirTopic>) -> Self {
        let mut asked: HashMap<String, HashSet<i32>> = HashMap::new();
        for topic in topics {
            asked.entry(topic.topic).or_default().extend(topic.partitions);
        }
        Self(asked)
    }

    fn contains(&self, topic: &str, partition: i32) -> bool {
        self.0.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }
}

fn describe(directory: DirectoryContent, asked: Option<&Asked>) -> DescribeLogDirsResult {
    let DirectoryContent { path, replicas, futures } = directory;
    let log_dir = path.display().to_string();
    let Some(replicas) = replicas else {
        let error_code = ErrorCode::KafkaStorageError;
        return DescribeLogDirsResult { error_code, log_dir, ..DescribeLogDirsResult::default() };
    };
    let mut topics: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    let mut tell = |name: &TopicPartition, partition: DescribeLogDirsPartition| {
        if asked.is_none_or(|asked| asked.contains(&name.topic, name.partition)) {
            let partition = DescribeLogDirsPartition { partition_index: name.partition, ..partition };
            topics.entry(Arc::clone(&name.topic)).or_default().push(partition);
        }
    };
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    for replica in replicas {
        let cleaned_offset = replica.cleaned_offset().unwrap_or(-1);
        let partition_size = size(replica.size_bytes());
        tell(
            replica.topic_partition(),
            DescribeLogDirsPartition { partition_size, cleaned_offset, ..DescribeLogDirsPartition::default() },
        );
    }
    for FutureReplica { topic_partition, size_bytes, offset_lag } in futures {
        let partition_size = size(size_bytes);
        let future = DescribeLogDirsPartition { partition_size, offset_lag, is_future_key: true, ..Default::default() };
        tell(&topic_partition, future);
    }
    let (total_bytes, usable_bytes) = volume(&path);
    DescribeLogDirsResult {
        log_dir,
        topics: topics
            .into_iter()
            .map(|(name, mut partitions)| {
                partitions.sort_by_key(|partition| partition.partition_index);
                DescribeLogDirsTopic { name: name.to_string(), partitions }
            })
            .collect(),
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}

/// Size and free space of the volume that `path` lies on, in bytes; −1 when the system does not say.
fn volume(path: &Path) -> (i64, i64) {
    let bytes = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX);
    match rustix::fs::statvfs(path) {
        Ok(volume) => (bytes(volume.f_blocks, volume.f_frsize), bytes(volume.f_bavail, volume.f_frsize)),
        Err(error) => {
            tracing::warn!(path = %path.display(), "cannot ask for the volume's size: {error}");
            (-1, -1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_room_and_unknown_paths_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (total, usable) = volume(folder.path());
        assert!(0 <= usable && usable <= total && total > 0, "{usable} of {total}");
        assert_eq!(volume(Path::new("/no/such/path")), (-1, -1));
    }

    #[test]
    fn a_topic_named_twice_adds_up() {
        let topic =
            |partitions: &[i32]| DescribableLogDirTopic { topic: "t".to_owned(), partitions: partitions.to_vec() };
        let asked = Asked::new(vec![topic(&[0]), topic(&[2])]);
        assert!(asked.contains("t", 0) && asked.contains("t", 2));
        assert!(!asked.contains("t", 1) && !asked.contains("u", 0));
    }
}
