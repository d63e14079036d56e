//! Retention, removal of deleted files and forgetting of idle producers, on one thread of low urgency.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;
use crate::log::LogError;
use crate::model::Wall;

use super::replica::Replica;
use super::replicas::Replicas;

/// How often files that were deleted are looked at.
const DELETED_FILES_INTERVAL: Duration = Duration::from_secs(15);

/// The housekeeping thread.
#[derive(Debug)]
pub struct Housekeeping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Housekeeping {
    /// Starts the thread. `retention_interval` is `log.retention.check.interval.ms`.
    pub fn start(replicas: Weak<Replicas>, retention_interval: Duration) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("housekeeping".into()).spawn(move || {
            let mut last_retention = Instant::now();
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(retention_interval.min(DELETED_FILES_INTERVAL));
                let Some(replicas) = replicas.upgrade() else { return };
                let retention_due = last_retention.elapsed() >= retention_interval;
                if retention_due {
                    last_retention = Instant::now();
                }
                round(&replicas, retention_due, clock::wall());
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread after the round it is in.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("housekeeping ended with a panic");
        }
    }
}

fn round(replicas: &Replicas, retention_due: bool, now: Wall) {
    for replica in replicas.all() {
        if let Err(error) = tidy(&replica, retention_due, now) {
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
