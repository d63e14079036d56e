//! An index from brokers to the partitions they matter to, so that a failover costs what the broker holds
//! and not what the cluster holds.

use imbl::{OrdMap, OrdSet};

use super::topic_image::PartitionImage;
use crate::model::{BrokerId, TopicId};

/// Kept by `replay` beside the topics; a function of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct BrokersToIsrs {
    members: OrdMap<BrokerId, OrdSet<(TopicId, i32)>>,
    leaderless: OrdSet<(TopicId, i32)>,
}

impl BrokersToIsrs {
    /// The partitions with `broker` in their ISR or ELR.
    pub(super) fn partitions_of(&self, broker: BrokerId) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.members.get(&broker).into_iter().flat_map(|partitions| partitions.iter().copied())
    }

    /// The partitions that nobody leads.
    pub(super) fn leaderless(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.leaderless.iter().copied()
    }

    /// Notes that the partition went from `old` to `new`; `None` is "does not exist".
    pub(super) fn update(
        &mut self,
        partition: (TopicId, i32),
        old: Option<&PartitionImage>,
        new: Option<&PartitionImage>,
    ) {
        let members = |image: Option<&PartitionImage>| -> Vec<BrokerId> {
            image.map(|image| image.isr.iter().chain(&image.elr).copied().collect()).unwrap_or_default()
        };
        let (before, after) = (members(old), members(new));
        for broker in before.iter().filter(|broker| !after.contains(broker)) {
            self.remove_member(*broker, partition);
        }
        for broker in after.iter().filter(|broker| !before.contains(broker)) {
            self.members.entry(*broker).or_default().insert(partition);
        }
        match new {
            Some(image) if image.leader().is_none() => _ = self.leaderless.insert(partition),
            _ => _ = self.leaderless.remove(&partition),
        }
    }

    fn remove_member(&mut self, broker: BrokerId, partition: (TopicId, i32)) {
        let Some(partitions) = self.members.get_mut(&broker) else { return };
        partitions.remove(&partition);
        if partitions.is_empty() {
            self.members.remove(&broker);
        }
    }
}
