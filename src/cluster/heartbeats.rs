//! The control streams, one to each voter: heartbeats out, the voter's view of this broker in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::channels::{VoterAddress, with_causes};
use super::controller_calls::ControllerCalls;
use super::lifecycle::{BrokerLifecycle, LifecycleState};
use super::published_image::PublishedImage;
use super::tasks::spawn_or_abort;
use crate::model::{BrokerEpoch, ErrorCode};
use crate::rpc::controller::{Heartbeat, HeartbeatReply};

/// First pause before a broken stream is opened again; it doubles up to the heartbeat interval.
const REOPEN_PAUSE: Duration = Duration::from_millis(20);
/// Heartbeats not yet taken by the connection. One that finds no room is left out: it would come too late anyway.
const HEARTBEATS_QUEUED_MAX: usize = 4;

/// The task that keeps this broker's sessions with all voters, whoever they become.
#[derive(Clone)]
pub(super) struct VoterSessions {
    pub(super) calls: ControllerCalls,
    pub(super) lifecycle: BrokerLifecycle,
    pub(super) image: PublishedImage,
    /// `broker.heartbeat.interval.ms`.
    pub(super) interval: Duration,
    /// Where a voter's "this epoch is stale" is reported.
    pub(super) stale: watch::Sender<Option<BrokerEpoch>>,
}

impl VoterSessions {
    /// Keeps one stream per voter, for ever.
    pub(super) async fn run(self) {
        let mut changes = self.calls.channels().voter_changes();
        let mut streams: HashMap<VoterAddress, Stream> = HashMap::new();
        loop {
            let voters = changes.borrow_and_update().clone();
            streams.retain(|voter, _| voters.contains(voter));
            for voter in voters.iter().filter(|voter| voter.is_named()) {
                streams.entry(voter.clone()).or_insert_with(|| Stream::start(self.clone(), voter.clone()));
            }
            // The sender lives in `self.calls`.
            let _ = changes.changed().await;
        }
    }
}

/// A running stream; it ends with this value.
struct Stream(AbortHandle);

impl Stream {
    fn start(sessions: VoterSessions, voter: VoterAddress) -> Self {
        let stream = HeartbeatStream { voter, sessions };
        Self(spawn_or_abort(&Handle::current(), "broker heartbeats", stream.run()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The session with one voter.
struct HeartbeatStream {
    voter: VoterAddress,
    sessions: VoterSessions,
}

impl HeartbeatStream {
    /// Keeps a stream open for ever, from the first registration on.
    async fn run(self) {
        let mut pause = REOPEN_PAUSE;
        loop {
            self.sessions.lifecycle.wait_for(|state| state.broker_epoch().is_some()).await;
            match self.keep_open().await {
                Ok(()) => pause = REOPEN_PAUSE,
                Err(reason) => {
                    tracing::debug!(voter = %self.voter, reason, "the heartbeat stream broke");
                    self.sessions.calls.forget_leader(&self.voter);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.sessions.interval);
        }
    }

    /// Opens a stream and keeps it until it breaks. Ok when the voter had answered on it.
    async fn keep_open(&self) -> Result<(), String> {
        let mut client =
            self.sessions.calls.channels().client(&self.voter).await.map_err(|error| with_causes(&error))?;
        let (heartbeats, queue) = mpsc::channel(HEARTBEATS_QUEUED_MAX);
        // Sent ahead, so that the voter need not wait for the first tick.
        self.send(&heartbeats);
        let replies =
            client.heartbeats(ReceiverStream::new(queue)).await.map_err(|status| status.message().to_owned())?;
        self.exchange(&heartbeats, replies.into_inner()).await
    }

    async fn exchange(
        &self,
        heartbeats: &mpsc::Sender<Heartbeat>,
        mut replies: Streaming<HeartbeatReply>,
    ) -> Result<(), String> {
        let mut answered = false;
        let mut changes = self.sessions.lifecycle.subscribe();
        let mut ticks = tokio::time::interval(self.sessions.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.send(heartbeats),
                // Caught up, registered anew, about to stop: the voter should know at once.
                _ = changes.changed() => self.send(heartbeats),
                reply = replies.message() => match reply {
                    Ok(Some(reply)) => {
                        answered = true;
                        self.on_reply(&reply);
                    }
                    Ok(None) => return Err("closed by the controller".to_owned()),
                    Err(_) if answered => return Ok(()),
                    Err(status) => return Err(status.message().to_owned()),
                },
            }
        }
    }

    fn send(&self, heartbeats: &mpsc::Sender<Heartbeat>) {
        let state = self.sessions.lifecycle.state();
        let Some(broker_epoch) = state.broker_epoch() else { return };
        let heartbeat = Heartbeat {
            envelope: Some(self.sessions.calls.envelope(&self.voter)),
            broker_epoch: broker_epoch.0,
            metadata_index: self.sessions.image.current().applied_index(),
            wants_shut_down: matches!(state, LifecycleState::ShuttingDown { .. } | LifecycleState::MayShutDown { .. }),
        };
        let _ = heartbeats.try_send(heartbeat);
    }

    fn on_reply(&self, reply: &HeartbeatReply) {
        self.sessions.calls.note_quorum(reply.leader_node_id, reply.leader_epoch, &reply.voters);
        let stale =
            [ErrorCode::StaleBrokerEpoch, ErrorCode::BrokerIdNotRegistered].map(|error| i32::from(error.code()));
        if stale.contains(&reply.error_code) {
            self.sessions.stale.send_replace(Some(BrokerEpoch(reply.broker_epoch)));
        } else if reply.should_shut_down {
            self.sessions.lifecycle.on_shut_down_granted();
        }
    }
}
