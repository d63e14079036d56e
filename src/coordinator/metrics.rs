//! How far consumer groups are: committed offsets, and the lag behind what can be read.

use std::sync::Arc;

use super::group_coordinator::GroupCoordinator;
use crate::observability::metrics::{MetricSource, Page, families};
use crate::partition::Replicas;

families! {
    GROUPS Gauge "kafka_coordinator_group_groupmetadatamanager_numgroups" [] "Consumer groups coordinated here.";
    COMMITTED Gauge "kafka_consumergroup_current_offset" ["consumergroup" "topic" "partition"]
        "Offset that a group coordinated here has committed.";
    LAG Gauge "kafka_consumergroup_lag" ["consumergroup" "topic" "partition"]
        "Records between a group's committed offset and the high watermark, where this broker has a replica.";
}

/// Tells of the groups of a broker.
pub struct GroupMetrics {
    /// Knows what is committed.
    pub groups: Arc<GroupCoordinator>,
    /// Know how far the partitions are.
    pub replicas: Arc<Replicas>,
}

impl MetricSource for GroupMetrics {
    fn write(&self, page: &mut Page) {
        let (groups, committed) = self.groups.progress();
        page.value(&GROUPS, groups);
        let mut offsets = page.family(&COMMITTED);
        for progress in &committed {
            offsets.add(&[&progress.group, &progress.topic, &progress.partition.to_string()], progress.offset);
        }
        let mut lags = page.family(&LAG);
        for progress in &committed {
            if let Ok(replica) = self.replicas.find(&progress.topic, progress.partition) {
                let lag = (replica.high_watermark() - progress.offset).max(0);
                lags.add(&[&progress.group, &progress.topic, &progress.partition.to_string()], lag);
            }
        }
    }
}
