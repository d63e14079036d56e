//! How much of this broker's threads a request takes, for `request_percentage`.

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::clock;

use super::context::Context;
use super::quotas::{Limited, Throttle};

/// A whole thread.
const PERCENT: f64 = 100.0;

/// The time one request takes, while somebody has a limit at all.
pub(super) struct Spent {
    throttle: Throttle,
    /// Whose time it is; `None` when nobody is limited.
    client_id: Option<Option<String>>,
}

impl Spent {
    /// Before the request is handled.
    pub fn of(context: &Context, throttle: &Throttle, client_id: &Option<String>) -> Self {
        let limited = !context.image().has_no_client_quotas();
        Self { throttle: throttle.clone(), client_id: limited.then(|| client_id.clone()) }
    }

    /// Handles it, and tells how long nothing is to be read from the client afterwards. Time in which the request only
    /// waits does not count.
    pub async fn measure<T>(self, context: &Context, handled: impl Future<Output = T>) -> (T, Duration) {
        let Some(client_id) = self.client_id else {
            let outcome = handled.await;
            // The controllers may know of a limit before this broker does.
            return (outcome, self.throttle.pause());
        };
        let mut handled = pin!(handled);
        let mut spent = Duration::ZERO;
        let outcome = poll_fn(|cx| {
            let started = Instant::now();
            let poll = handled.as_mut().poll(cx);
            spent += started.elapsed();
            poll
        })
        .await;
        let percent = spent.as_secs_f64() * PERCENT;
        let (image, now) = (context.image(), clock::monotonic());
        let wait_ms = context.quotas.record(&image, Limited::Request, client_id.as_deref(), percent, now);
        self.throttle.raise(wait_ms);
        (outcome, self.throttle.pause())
    }
}
