//! Retention, removal of deleted files and forgetting of idle producers, on one thread of low urgency.

use std::sync::Weak;
use std::time::{Duration, Instant};

use crate::clock;
use crate::log::LogError;
use crate::model::Wall;

use super::replica::Replica;
use super::replicas::Replicas;
use super::round_thread::RoundThread;

/// How often files that were deleted are looked at.
const DELETED_FILES_INTERVAL: Duration = Duration::from_secs(15);

/// Starts the thread. `retention_interval` is `log.retention.check.interval.ms`.
pub fn start(replicas: Weak<Replicas>, retention_interval: Duration) -> std::io::Result<RoundThread> {
    let pause = retention_interval.min(DELETED_FILES_INTERVAL);
    let mut last_retention = Instant::now();
    RoundThread::start("housekeeping", replicas, pause, move |replicas, _| {
        let retention_due = last_retention.elapsed() >= retention_interval;
        if retention_due {
            last_retention = Instant::now();
        }
        round(replicas, retention_due, clock::wall());
        pause
    })
}

fn round(replicas: &Replicas, retention_due: bool, now: Wall) {
    for replica in replicas.all() {
        if let Err(error) = tidy(&replica, retention_due, now) {
            replica.note_log_fault(&error);
            tracing::error!(partition = %replica.topic_partition(), "housekeeping: {error}");
        }
    }
    replicas.remove_deleted_directories();
}

fn tidy(replica: &Replica, retention_due: bool, now: Wall) -> Result<(), LogError> {
    let high_watermark = replica.high_watermark();
    let outcome = replica.with_log(|log| {
        log.remove_deleted_files(clock::monotonic())?;
        if !retention_due {
            return Ok(None);
        }
        log.expire_producers(now);
        log.apply_retention(high_watermark, now).map(Some)
    });
    if let Some(outcome) = outcome.transpose()?.flatten()
        && outcome.segments > 0
    {
        tracing::info!(
            partition = %replica.topic_partition(),
            segments = outcome.segments,
            bytes = outcome.bytes,
            log_start_offset = outcome.log_start_offset,
            "deleted segments by retention"
        );
    }
    Ok(())
}
