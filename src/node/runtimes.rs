//! Two runtimes, so that no amount of records keeps heartbeats and elections from running.

use std::io;
use std::num::NonZeroUsize;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// The runtimes of a node.
pub(super) struct Runtimes {
    /// The quorum, the metadata feed, heartbeats, signals.
    pub(super) control: Runtime,
    /// Clients' connections and what serves them; one worker per core.
    pub(super) data: Runtime,
}

const CONTROL_WORKERS: usize = 2;

impl Runtimes {
    pub(super) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self { control: runtime("control", CONTROL_WORKERS)?, data: runtime("data", cores)? })
    }
}

fn runtime(name: &str, workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers).thread_name(format!("ottla-{name}")).enable_all().build()
}
