//! Measures the disks of the data directories, so that producers stop before one is full (`room`).
//!
//! Whoever looks at a disk so often also sees that it is gone: where there are several directories, one whose path leads
//! somewhere else has failed.

use std::sync::Arc;
use std::time::Duration;

use crate::config;

use super::config::broker_layers;
use super::replicas::Replicas;
use super::room::Space;
use super::round_thread::RoundThread;

/// How often disks are measured. In between, what is appended is subtracted.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Starts the thread that measures the disks, and measures them: no produce comes before the first look.
pub fn start(replicas: &Arc<Replicas>) -> std::io::Result<RoundThread> {
    measure_all(replicas);
    RoundThread::start("disk space", Arc::downgrade(replicas), LOOK_INTERVAL, |replicas, _| {
        measure_all(replicas);
        LOOK_INTERVAL
    })
}

/// What is in force now: the mark can be changed while the broker runs.
fn measure_all(replicas: &Replicas) {
    let image = replicas.image();
    let layers = broker_layers(&image, replicas.config.broker_id, &replicas.config.settings);
    let configured = config::LogConfig::resolve(layers.layers()).min_free_bytes;
    for (at, directory) in replicas.usable() {
        let path = directory.log.path();
        if replicas.directories.len() > 1
            && let Err(reason) = directory.check_identity()
        {
            replicas.on_directory_fault(at, &reason);
            continue;
        }
        match rustix::fs::statvfs(path) {
            Ok(measured) => {
                let (free, total) = (measured.f_bavail * measured.f_frsize, measured.f_blocks * measured.f_frsize);
                directory.room.on_measured(path, Space { free, total }, configured);
            }
            Err(error) => tracing::debug!("cannot measure {}: {error}", path.display()),
        }
    }
}
