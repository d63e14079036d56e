//! Compaction of the logs here, on one thread of low urgency: always the dirtiest log that is due, then the next.
//!
//! A log that cannot be cleaned is left as it is, whole, until the next start; the others go on. Reading and writing
//! together keep to `log.cleaner.io.max.bytes.per.second`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::CleanerConfig;
use crate::log::{CompactionJob, CompactionLimits, LogError, OsDisk};
use crate::model::TopicPartition;

use super::config::broker_layers;
use super::replica::Replica;
use super::replicas::Replicas;
use super::round_thread::RoundThread;

/// The largest batch, inflated. What producers send is bounded far below.
const INFLATED_BYTES_MAX: usize = 1 << 30;
/// A thread that keeps to a pace looks this often whether it has to stop.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Starts the thread. One that is stopped leaves the log that it is cleaning as it was.
pub fn start(replicas: Weak<Replicas>) -> std::io::Result<RoundThread> {
    let mut rounds = Rounds::default();
    RoundThread::start("cleaner", replicas, Duration::ZERO, move |replicas, stop| rounds.round(replicas, stop))
}

#[derive(Default)]
struct Rounds {
    /// Logs that could not be cleaned.
    given_up: HashSet<TopicPartition>,
}

impl Rounds {
    /// Cleans one log, if one is due; how long to pause.
    fn round(&mut self, replicas: &Replicas, stop: &AtomicBool) -> Duration {
        let config = config(replicas);
        let goes_on = !stop.load(Ordering::Acquire) && config.enabled;
        if goes_on && self.clean_dirtiest(replicas, &config, stop) {
            return Duration::ZERO;
        }
        config.backoff.max(PAUSE_MAX)
    }

    /// True when there may be more to do at once.
    fn clean_dirtiest(&mut self, replicas: &Replicas, config: &CleanerConfig, stop: &AtomicBool) -> bool {
        let mut dirtiest: Option<(Arc<Replica>, CompactionJob<OsDisk>)> = None;
        for replica in replicas.all() {
            if self.given_up.contains(replica.topic_partition()) {
                continue;
            }
            match job(&replica) {
                Ok(Some(job)) if dirtiest.as_ref().is_none_or(|(_, other)| job.dirty_ratio() > other.dirty_ratio()) => {
                    dirtiest = Some((replica, job));
                }
                Ok(_) => {}
                Err(fault) => self.give_up(&replica, &fault),
            }
        }
        let Some((replica, job)) = dirtiest else { return false };
        match clean(&replica, &job, config, stop) {
            Ok(()) => true,
            // It was deleted, or has moved to another directory, where it is looked at anew.
            Err(_) if job.is_moot() => true,
            Err(fault) if fault.is_out_of_space() => {
                let partition = replica.topic_partition();
                tracing::warn!(%partition, "cannot clean a compacted log, and tries again later: {fault}");
                false
            }
            Err(fault) => {
                self.give_up(&replica, &fault);
                true
            }
        }
    }

    fn give_up(&mut self, replica: &Replica, fault: &LogError) {
        let partition = replica.topic_partition();
        replica.note_log_fault(fault);
        tracing::error!(%partition, "cannot clean a compacted log; it stays as it is until the next start: {fault}");
        self.given_up.insert(partition.clone());
    }
}

fn clean(
    replica: &Replica,
    job: &CompactionJob<OsDisk>,
    config: &CleanerConfig,
    stop: &AtomicBool,
) -> Result<(), LogError> {
    let limits = CompactionLimits { keys_bytes_max: config.keys_bytes_max, inflated_bytes_max: INFLATED_BYTES_MAX };
    let mut pace = Pace { begun: Instant::now(), bytes: 0, bytes_per_second_max: config.bytes_per_second_max };
    let Some(compacted) = job.run(limits, |bytes| pace.keep(bytes, stop))? else { return Ok(()) };
    let (before, after) = compacted.bytes();
    if let Some(true) = replica.with_log(|log| log.put_compacted(compacted)).transpose()? {
        let (partition, milliseconds) = (replica.topic_partition(), pace.begun.elapsed().as_millis() as u64);
        tracing::info!(%partition, bytes_before = before, bytes_after = after, milliseconds, "compacted a log");
    }
    Ok(())
}

/// What is in force now: the limits can be changed while the broker runs.
fn config(replicas: &Replicas) -> CleanerConfig {
    let image = replicas.image();
    let layers = broker_layers(&image, replicas.config.broker_id, &replicas.config.settings);
    CleanerConfig::resolve(layers.layers())
}

/// The cleaning that is due for a replica. What is above its high watermark, or in an open transaction, is left alone.
fn job(replica: &Replica) -> Result<Option<CompactionJob<OsDisk>>, LogError> {
    let high_watermark = replica.high_watermark();
    let job = replica.with_log(|log| {
        let decided_offset = log.first_unstable_offset(high_watermark).unwrap_or(high_watermark).min(high_watermark);
        log.compaction_job(decided_offset, clock::wall())
    });
    Ok(job.transpose()?.flatten())
}

/// Keeps a cleaning to so many bytes per second.
struct Pace {
    begun: Instant,
    bytes: u64,
    bytes_per_second_max: f64,
}

impl Pace {
    /// Counts `bytes` and pauses as long as they are too many; false when the thread has to stop.
    fn keep(&mut self, bytes: u64, stop: &AtomicBool) -> bool {
        self.bytes += bytes;
        let due = Duration::try_from_secs_f64(self.bytes as f64 / self.bytes_per_second_max).unwrap_or(Duration::MAX);
        while !stop.load(Ordering::Acquire) {
            let ahead = due.saturating_sub(self.begun.elapsed());
            if ahead.is_zero() {
                return true;
            }
            std::thread::park_timeout(ahead.min(PAUSE_MAX));
        }
        false
    }
}
