//! A thread that goes over something in rounds, with pauses between them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Such a thread; it ends by itself only when what it goes over is gone.
#[derive(Debug)]
pub struct RoundThread {
    name: &'static str,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl RoundThread {
    /// Starts it. It pauses before the first round for `pause`, and after each round for as long as that one says;
    /// unparking the thread ends a pause. A round is lent the flag that tells it to stop, should it take long.
    pub fn start<T: Send + Sync + 'static>(
        name: &'static str,
        over: Weak<T>,
        mut pause: Duration,
        mut round: impl FnMut(&T, &AtomicBool) -> Duration + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(pause);
                let Some(over) = over.upgrade() else { return };
                pause = round(&over, &stopped);
            }
        })?;
        Ok(Self { name, stop, thread })
    }

    /// For whoever has to end its pauses.
    pub fn thread(&self) -> &Thread {
        self.thread.thread()
    }

    /// Ends the thread after the round it is in.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread {:?} ended with a panic", self.name);
        }
    }
}
