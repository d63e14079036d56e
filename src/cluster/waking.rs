//! The tasks that notice when this process was suspended, and that ask the controllers what it has missed.
//!
//! Neither decides anything: see [`wakefulness`](super::wakefulness).

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::controller_calls::ControllerCalls;
use super::lifecycle::BrokerLifecycle;
use crate::rpc::metadata::{MetadataCommand, ReadIndex, metadata_command};

/// So many ticks come within the patience.
const TICKS_IN_PATIENCE: u64 = 8;
/// How long one question may take; it is asked again for as long as there is a doubt.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before it is asked again.
const QUESTION_PAUSE: Duration = Duration::from_millis(100);

/// Ticks for ever.
pub(super) async fn keep_awake(lifecycle: BrokerLifecycle, patience_ms: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis((patience_ms / TICKS_IN_PATIENCE).max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(slept_ms) = lifecycle.on_tick() {
            tracing::warn!(
                slept_ms,
                "this process did not run for a while; it does not act as coordinator until the controllers have told \
                 what it missed"
            );
        }
    }
}

/// Asks the controllers after each waking, for ever.
pub(super) async fn ask_after_waking(calls: ControllerCalls, lifecycle: BrokerLifecycle) {
    loop {
        let waking = lifecycle.woken().await;
        let command = MetadataCommand { kind: Some(metadata_command::Kind::ReadIndex(ReadIndex {})) };
        match calls.submit(command, QUESTION_TIMEOUT).await {
            // A controller of an earlier version refuses what it does not know; the index holds all the same.
            Ok(reply) => {
                if lifecycle.on_index_read(waking, reply.metadata_index) {
                    let metadata_index = reply.metadata_index;
                    tracing::info!(metadata_index, "the controllers have told how far the metadata is");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the controllers have not told yet how far the metadata is");
                tokio::time::sleep(QUESTION_PAUSE).await;
            }
        }
    }
}
