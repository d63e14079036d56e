//! Wakes whoever has set a deadline: one sleep for all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;
use crate::model::Monotonic;

/// "Nothing is due."
const NEVER: u64 = u64::MAX;
/// An alarm that is this late says that the process itself stood still.
const LATE_MS: u64 = 1000;
/// How long requests that piled up meanwhile may take to be read.
const CATCH_UP: Duration = Duration::from_millis(500);

/// The earliest deadline anybody has set.
#[derive(Debug)]
pub(super) struct Alarm {
    earliest: AtomicU64,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { earliest: AtomicU64::new(NEVER), earlier: Notify::new() }
    }
}

impl Alarm {
    /// Asks to be woken at `deadline` or earlier.
    pub fn not_later_than(&self, deadline: Monotonic) {
        if self.earliest.fetch_min(deadline.0, Ordering::AcqRel) > deadline.0 {
            self.earlier.notify_one();
        }
    }

    /// Waits until the earliest deadline has come. All deadlines are forgotten then: whoever is not due yet sets
    /// his again.
    ///
    /// A process that was stopped for a while sees all sessions expired when it goes on, though the heartbeats
    /// lie in its sockets. So when an alarm is late, they are given the time to be read first.
    pub async fn ring(&self) {
        loop {
            let at = self.earliest.load(Ordering::Acquire);
            let now = clock::monotonic();
            if at <= now.0 {
                if now.0 - at > LATE_MS {
                    tracing::warn!(
                        late_ms = now.0 - at,
                        "this process stood still; sessions are checked a little later"
                    );
                    tokio::time::sleep(CATCH_UP).await;
                }
                self.earliest.store(NEVER, Ordering::Release);
                return;
            }
            if at == NEVER {
                self.earlier.notified().await;
            } else {
                let pause = Duration::from_millis(at - now.0);
                // Timed out or told of an earlier deadline: in both cases look again.
                let _ = tokio::time::timeout(pause, self.earlier.notified()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_for_the_earliest() {
        let alarm = std::sync::Arc::new(Alarm::default());
        let ringing = tokio::spawn({
            let alarm = alarm.clone();
            async move { alarm.ring().await }
        });
        alarm.not_later_than(Monotonic(NEVER - 1));
        alarm.not_later_than(clock::monotonic());
        ringing.await.unwrap();
        assert_eq!(alarm.earliest.load(Ordering::Acquire), NEVER);
    }
}
