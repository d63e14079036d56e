//! Syncs records that are waited for, for topics with `flush.before.ack`.
//!
//! Replicas queue up, each once however many produces wait for it; the sync that comes then reaches all that was
//! appended before it began. A few threads per data directory, so that one partition's sync does not wait for that of
//! another; the flusher's large rounds go on beside them.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::log::LogError;

use super::commit_queue::CommitQueue;
use super::flush_signal::FlushSignal;

/// Syncs of one directory that are under way at a time.
const THREADS: usize = 4;
const STACK_BYTES: usize = 256 * 1024;
/// How long a full disk is left alone before a sync that found no room is tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// The threads of one directory.
#[derive(Debug)]
pub struct Committer {
    signal: Arc<FlushSignal>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts them, for the directory that this is the signal of. A sync that fails is final for the directory, and
    /// `failed` sees to that.
    pub fn start(
        signal: &Arc<FlushSignal>,
        failed: impl Fn(&LogError) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (signal, failed) = (Arc::clone(signal), failed.clone());
            let thread = std::thread::Builder::new().name("committer".into()).stack_size(STACK_BYTES);
            threads.push(thread.spawn(move || run(&signal.commits, failed))?);
        }
        Ok(Self { signal: Arc::clone(signal), threads })
    }

    /// Ends the threads. What is still queued is flushed when its log is closed.
    pub fn stop(self) {
        self.signal.commits.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a committer ended with a panic");
            }
        }
    }
}

fn run(queue: &CommitQueue, failed: impl Fn(&LogError)) {
    while let Some(replica) = queue.next() {
        match replica.sync() {
            Ok(true) => {}
            Ok(false) => {
                std::thread::sleep(FULL_DISK_PAUSE);
                replica.queue_up();
            }
            Err(error) => failed(&error),
        }
    }
}
