//! What a controller shows: who leads the quorum, and the cluster as its image has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::feed::AppliedMetadata;
use super::raft::Leadership;
use crate::metadata::ClusterDefaults;
use crate::metadata::{ClusterImage, fragile_topics, misplaced_leaders};
use crate::observability::metrics::{MetricSource, Page, families};

families! {
    ACTIVE Gauge "kafka_controller_kafkacontroller_activecontrollercount" []
        "1 on the controller that leads the quorum; the sum over all nodes is 1.";
    ACTIVE_BROKERS Gauge "kafka_controller_kafkacontroller_activebrokercount" [] "Brokers that are registered and alive.";
    FENCED_BROKERS Gauge "kafka_controller_kafkacontroller_fencedbrokercount" [] "Brokers that are registered and fenced.";
    TOPICS Gauge "kafka_controller_kafkacontroller_globaltopiccount" [] "Topics of the cluster.";
    PARTITIONS Gauge "kafka_controller_kafkacontroller_globalpartitioncount" [] "Partitions of the cluster.";
    OFFLINE Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" [] "Partitions that nobody leads.";
    IMBALANCE Gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" []
        "Partitions that their preferred replica could lead and does not.";
    APPLIED Gauge "kafka_controller_kafkacontroller_lastappliedrecordoffset" [] "Metadata index of this node's image.";
    UNCLEAN Counter "kafka_controller_controllerstats_uncleanleaderelections_total" []
        "Elections of replicas that may lack acknowledged records, decided by this controller.";
    LEADER Gauge "kafka_server_raft_metrics_current_leader" [] "node.id of the quorum's leader, -1 while there is none.";
    TERM Gauge "kafka_server_raft_metrics_current_epoch" [] "Raft term, which Kafka calls the leader epoch of the quorum.";
    FRAGILE Gauge "ottla_topics_at_risk" ["topic" "reason"]
        "1 for each topic that the loss of one broker would make unavailable or lossy, by its layout.";
}

/// What the leader has decided, counted.
#[derive(Debug, Default)]
pub(super) struct Decided {
    unclean_elections: AtomicU64,
}

impl Decided {
    pub(super) fn on_unclean_elections(&self, count: u64) {
        self.unclean_elections.fetch_add(count, Ordering::Relaxed);
    }
}

/// Tells of one controller. Cheap to clone.
#[derive(Clone)]
pub struct ControllerMetrics {
    pub(super) applied: AppliedMetadata,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) defaults: ClusterDefaults,
    pub(super) decided: Arc<Decided>,
}

impl ControllerMetrics {
    /// `node.id` of the quorum's leader, when there is one.
    pub fn leader(&self) -> Option<i32> {
        self.leadership.borrow().leader_node_id
    }
}

impl MetricSource for ControllerMetrics {
    fn write(&self, page: &mut Page) {
        let leadership = *self.leadership.borrow();
        page.value(&ACTIVE, u8::from(leadership.leads));
        page.value(&LEADER, leadership.leader_node_id.unwrap_or(-1));
        page.value(&TERM, leadership.term);
        page.value(&UNCLEAN, self.decided.unclean_elections.load(Ordering::Relaxed));
        let image = self.applied.image();
        write_cluster(page, &image);
        let mut fragile = page.family(&FRAGILE);
        for (topic, fragility) in fragile_topics(&image, &self.defaults) {
            fragile.add(&[&topic, fragility.name()], 1);
        }
    }
}

fn write_cluster(page: &mut Page, image: &ClusterImage) {
    let fenced = image.brokers().filter(|broker| broker.fenced).count();
    page.value(&ACTIVE_BROKERS, image.brokers().count() - fenced);
    page.value(&FENCED_BROKERS, fenced);
    page.value(&TOPICS, image.topic_count());
    page.value(&PARTITIONS, image.partition_count());
    page.value(&OFFLINE, image.leaderless_partitions().count());
    page.value(&IMBALANCE, misplaced_leaders(image, 0).len());
    page.value(&APPLIED, image.applied_index());
}
