//! What the replicas of this broker show: how whole they are, how large, and what passes through them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::replica::Replica;
use super::replicas::Replicas;
use super::throttle::ReplicationThrottles;
use super::traffic::Traffic;
use crate::clock;
use crate::metadata::PartitionImage;
use crate::observability::metrics::{MetricSource, Page, families};

families! {
    PARTITIONS Gauge "kafka_server_replicamanager_partitioncount" [] "Replicas on this broker.";
    LEADERS Gauge "kafka_server_replicamanager_leadercount" [] "Partitions that this broker leads.";
    UNDER_REPLICATED Gauge "kafka_server_replicamanager_underreplicatedpartitions" []
        "Partitions led here that lack a replica in sync.";
    UNDER_MIN_ISR Gauge "kafka_server_replicamanager_underminisrpartitioncount" []
        "Partitions led here with fewer replicas in sync than min.insync.replicas: acks=all is refused.";
    AT_MIN_ISR Gauge "kafka_server_replicamanager_atminisrpartitioncount" []
        "Partitions led here that stop taking acks=all when one more replica leaves.";
    OFFLINE Gauge "kafka_server_replicamanager_offlinereplicacount" [] "Replicas here whose log cannot be used.";
    OFFLINE_DIRECTORIES Gauge "kafka_log_logmanager_offlinelogdirectorycount" [] "Log directories that have failed.";
    REASSIGNING Gauge "kafka_server_replicamanager_reassigningpartitions" []
        "Partitions led here that are moving to other brokers.";
    ISR_SHRINKS Counter "kafka_server_replicamanager_isrshrinks_total" [] "Replicas that fell out of sync, led here.";
    ISR_EXPANDS Counter "kafka_server_replicamanager_isrexpands_total" [] "Replicas that caught up, led here.";
    LEADER_RATE Gauge "kafka_server_leaderreplication_byte_rate" []
        "Bytes per second sent to followers of throttled partitions.";
    FOLLOWER_RATE Gauge "kafka_server_followerreplication_byte_rate" []
        "Bytes per second fetched by throttled followers here.";
    MOVER_RATE Gauge "kafka_server_alterlogdirsreplication_byte_rate" []
        "Bytes per second copied from one log directory to another.";
    HELD_BACK Counter "ottla_replication_held_back_total" ["role"]
        "Fetches that a replication throttle left out a partition of, where this broker was leader or follower.";
    MESSAGES_IN Counter "kafka_server_brokertopicmetrics_messagesin_total" ["topic"] "Records appended by this leader.";
    BYTES_IN Counter "kafka_server_brokertopicmetrics_bytesin_total" ["topic"] "Bytes appended by this leader.";
    BYTES_OUT Counter "kafka_server_brokertopicmetrics_bytesout_total" ["topic"] "Bytes fetched by consumers.";
    FREE_BYTES Gauge "ottla_log_dir_free_bytes" ["dir"] "Free bytes of a log directory's disk.";
    LOW Gauge "ottla_log_dir_low" ["dir"] "1 while producers are refused because a log directory's disk is nearly full.";
    LOG_SIZE Gauge "kafka_log_log_size" ["topic" "partition"] "Bytes of a replica's segments.";
    LOG_START Gauge "kafka_log_log_logstartoffset" ["topic" "partition"] "First offset of a replica.";
    LOG_END Gauge "kafka_log_log_logendoffset" ["topic" "partition"] "One past the last offset of a replica.";
    LOG_FLUSHED Gauge "ottla_log_flushed_offset" ["topic" "partition"]
        "Records of a replica below this offset are on its disk; with flush.before.ack all that are acknowledged.";
}

/// Tells of all replicas of a broker.
pub struct PartitionMetrics(pub Arc<Replicas>);

impl MetricSource for PartitionMetrics {
    fn write(&self, page: &mut Page) {
        let mut replicas: Vec<Arc<Replica>> = self.0.all().collect();
        replicas.sort_by(|one, other| one.topic_partition().cmp(other.topic_partition()));
        self.write_states(page, &replicas);
        self.write_rooms(page);
        write_traffic(page, &replicas);
        write_logs(page, &replicas);
    }
}

impl PartitionMetrics {
    fn write_rooms(&self, page: &mut Page) {
        let directories = &self.0.directories;
        let paths: Vec<String> = directories.iter().map(|d| d.log.path().display().to_string()).collect();
        let rooms = || paths.iter().zip(directories.iter().map(|directory| &directory.room));
        let mut free = page.family(&FREE_BYTES);
        rooms().for_each(|(path, room)| free.add(&[path], room.free_bytes()));
        let mut low = page.family(&LOW);
        rooms().for_each(|(path, room)| low.add(&[path], u8::from(room.is_low())));
    }

    fn write_states(&self, page: &mut Page, replicas: &[Arc<Replica>]) {
        let (image, broker) = (self.0.image(), self.0.broker_id());
        let mut counts = Counts::default();
        for (topic, index, partition) in image.partitions() {
            if partition.replicas.contains(&broker) {
                counts.hosted += 1;
            }
            if partition.leader == broker {
                let configured = self.0.find(&topic.name, index).map(|replica| replica.config().min_insync_replicas);
                counts.add_led(partition, configured.unwrap_or(1));
            }
        }
        page.value(&PARTITIONS, counts.hosted);
        page.value(&LEADERS, counts.led);
        page.value(&UNDER_REPLICATED, counts.under_replicated);
        page.value(&UNDER_MIN_ISR, counts.under_min_isr);
        page.value(&AT_MIN_ISR, counts.at_min_isr);
        page.value(&OFFLINE, counts.hosted.saturating_sub(replicas.len()));
        page.value(&OFFLINE_DIRECTORIES, self.0.failed_directories());
        page.value(&REASSIGNING, counts.reassigning);
        let changes = self.0.isr_changes();
        page.value(&ISR_SHRINKS, changes.shrinks.load(Ordering::Relaxed));
        page.value(&ISR_EXPANDS, changes.expands.load(Ordering::Relaxed));
        self.write_throttles(page);
    }

    fn write_throttles(&self, page: &mut Page) {
        let (ReplicationThrottles { leader, follower, mover }, now) = (self.0.throttles(), clock::monotonic());
        page.value(&LEADER_RATE, leader.bytes_per_second(now).round());
        page.value(&FOLLOWER_RATE, follower.bytes_per_second(now).round());
        page.value(&MOVER_RATE, mover.bytes_per_second(now).round());
        let mut samples = page.family(&HELD_BACK);
        samples.add(&["leader"], leader.held_back());
        samples.add(&["follower"], follower.held_back());
    }
}

#[derive(Default)]
struct Counts {
    hosted: usize,
    led: usize,
    under_replicated: usize,
    under_min_isr: usize,
    at_min_isr: usize,
    reassigning: usize,
}

impl Counts {
    fn add_led(&mut self, partition: &PartitionImage, min_insync_replicas: usize) {
        let min_isr = min_insync_replicas.min(partition.replication_factor());
        let lacks_one = partition.original_replicas().any(|replica| !partition.isr.contains(&replica));
        self.led += 1;
        self.under_replicated += usize::from(lacks_one);
        self.under_min_isr += usize::from(partition.isr.len() < min_isr);
        self.at_min_isr += usize::from(partition.isr.len() == min_isr);
        self.reassigning += usize::from(partition.is_reassigned());
    }
}

fn write_traffic(page: &mut Page, replicas: &[Arc<Replica>]) {
    let mut topics: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for replica in replicas {
        let Traffic { messages_in, bytes_in, bytes_out } = replica.traffic();
        let sums = topics.entry(&replica.topic_partition().topic).or_default();
        for (sum, count) in sums.iter_mut().zip([messages_in, bytes_in, bytes_out]) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
    for (at, family) in [&MESSAGES_IN, &BYTES_IN, &BYTES_OUT].into_iter().enumerate() {
        let mut samples = page.family(family);
        topics.iter().for_each(|(topic, sums)| samples.add(&[topic], sums[at]));
    }
}

fn write_logs(page: &mut Page, replicas: &[Arc<Replica>]) {
    let mut write = |family, value: &dyn Fn(&Replica) -> i64| {
        let mut samples = page.family(family);
        for replica in replicas {
            let name = replica.topic_partition();
            samples.add(&[&name.topic, &name.partition.to_string()], value(replica));
        }
    };
    write(&LOG_SIZE, &|replica| i64::try_from(replica.size_bytes()).unwrap_or(i64::MAX));
    write(&LOG_START, &Replica::log_start_offset);
    write(&LOG_END, &Replica::log_end_offset);
    write(&LOG_FLUSHED, &Replica::flushed_offset);
}
