//! Which topics a single failure would harm, by how they are laid out and not by what happens to be up.

use std::fmt;
use std::sync::Arc;

use super::cluster_defaults::ClusterDefaults;
use super::image::ClusterImage;
use super::topic_image::TopicImage;

/// What the loss of one broker, or of its disk, does to a topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fragility {
    /// Its only replica: nothing can be read or written meanwhile, and what a disk took with it is gone.
    OneReplica,
    /// No produce with acks=all succeeds, because all replicas must be in sync for it.
    NoSpareReplica,
    /// Records that acks=all acknowledged may have been on that one broker only.
    OneInSync,
}

impl Fragility {
    /// A word for labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneReplica => "one_replica",
            Self::NoSpareReplica => "no_spare_replica",
            Self::OneInSync => "one_in_sync",
        }
    }
}

impl fmt::Display for Fragility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneReplica => "one replica: unavailable without its broker, and lost with its disk",
            Self::NoSpareReplica => "min.insync.replicas is the replication factor: no writes while one broker is down",
            Self::OneInSync => "min.insync.replicas=1: acknowledged records may be on one broker only",
        })
    }
}

/// A topic that one failure would make unavailable or lossy; `None` when it survives every single one.
pub fn fragility(image: &ClusterImage, topic: &TopicImage, defaults: &ClusterDefaults) -> Option<Fragility> {
    let least = topic.partitions().map(|(_, partition)| partition.replication_factor()).min()?;
    let minimum = image.effective_min_isr(topic, least, defaults);
    match least {
        1 => Some(Fragility::OneReplica),
        _ if minimum == least => Some(Fragility::NoSpareReplica),
        _ if minimum == 1 => Some(Fragility::OneInSync),
        _ => None,
    }
}

/// All such topics, by name. None in a cluster of one broker, where no layout could help.
pub fn fragile_topics(image: &ClusterImage, defaults: &ClusterDefaults) -> Vec<(Arc<str>, Fragility)> {
    if image.brokers().count() < 2 {
        return Vec::new();
    }
    image.topics().filter_map(|topic| Some((Arc::clone(&topic.name), fragility(image, topic, defaults)?))).collect()
}
