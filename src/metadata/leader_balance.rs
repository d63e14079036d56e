//! Which partitions their preferred leader should lead again.
//!
//! After a restart a broker leads nothing: its partitions are led by those that took over. A broker is out of
//! balance when it does not lead more than a given share of what it is preferred for; then all of it that it can
//! lead at once is named. Never names a partition whose preferred replica is not in sync (A21).

use std::collections::BTreeMap;

use super::image::ClusterImage;
use super::topic_image::PartitionImage;
use crate::model::BrokerId;
use crate::rpc::metadata::NamedPartition;

/// What one broker is preferred for.
#[derive(Default)]
struct Preferred {
    count: usize,
    elsewhere: usize,
    electable: Vec<NamedPartition>,
}

/// The partitions to hold preferred elections for. A broker is out of balance when more than
/// `imbalance_percentage` of what it is preferred for is led elsewhere or by nobody; 0 corrects everything.
pub fn misplaced_leaders(image: &ClusterImage, imbalance_percentage: u32) -> Vec<NamedPartition> {
    let mut brokers: BTreeMap<BrokerId, Preferred> = BTreeMap::new();
    for (topic, index, partition) in image.partitions() {
        let Some(preferred) = partition.preferred_leader() else { continue };
        let broker = brokers.entry(preferred).or_default();
        broker.count += 1;
        if partition.leader() != Some(preferred) {
            broker.elsewhere += 1;
            if can_lead(image, partition, preferred) {
                broker.electable.push(NamedPartition { topic: topic.name.to_string(), partition: index });
            }
        }
    }
    let out_of_balance =
        |broker: &Preferred| broker.elsewhere * 100 > broker.count.saturating_mul(imbalance_percentage as usize);
    brokers.into_values().filter(out_of_balance).flat_map(|broker| broker.electable).collect()
}

fn can_lead(image: &ClusterImage, partition: &PartitionImage, preferred: BrokerId) -> bool {
    partition.isr.contains(&preferred) && image.is_active(preferred)
}
