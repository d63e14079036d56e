//! Background tasks whose panics end the process.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Spawns a task that must not die unnoticed: a panic in it is a bug, and the process ends rather than go on
/// without the task.
pub fn spawn_or_abort(
    runtime: &Handle,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    runtime
        .spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a background task panicked; this is a bug, the process ends");
                std::process::abort();
            }
        })
        .abort_handle()
}
