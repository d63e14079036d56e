//! The brokers' sessions at this voter, and what its being leader adds: fencing, unfencing, leave to stop.
//!
//! The liveness machine decides who is overdue; this gives it the time and turns its word into commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::feed::AppliedMetadata;
use super::handle::CommandQueue;
use super::liveness::{Liveness, LivenessLimits, StreamNumber};
use super::raft::Leadership;
use crate::metadata::{BrokerImage, ClusterImage};
use crate::model::{BrokerEpoch, BrokerId, DirectoryId, ErrorCode, Monotonic};
use crate::rpc::controller::{Heartbeat, HeartbeatReply};
use crate::rpc::metadata::{FenceBroker, MetadataCommand, UnfenceBroker, metadata_command::Kind};

/// Shortest pause between two looks at the sessions, also when commands to fence fail.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// All sessions at this voter.
pub struct Sessions {
    state: Mutex<State>,
    /// Wakes the task that fences: a deadline may have come nearer.
    nearer: Notify,
    started: Instant,
    applied: AppliedMetadata,
    leadership: watch::Receiver<Leadership>,
    commands: CommandQueue,
}

/// A broker as it follows the metadata, by its heartbeats to this voter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataFollower {
    /// Who it is.
    pub broker_id: BrokerId,
    /// Its first data directory.
    pub directory_id: DirectoryId,
    /// How many records it has not applied, of those applied here.
    pub lag: i64,
    /// How many milliseconds ago it said so.
    pub silent_ms: u64,
}

struct State {
    liveness: Liveness,
    next_stream: u64,
    /// Unfencing under way: a broker that says the same again is not asked for again.
    unfencing: BTreeSet<(BrokerId, BrokerEpoch)>,
    /// Brokers that want to stop and lead nothing any more, with the metadata index at which that was so.
    led_nothing_at: BTreeMap<(BrokerId, BrokerEpoch), i64>,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(
        limits: LivenessLimits,
        applied: AppliedMetadata,
        leadership: watch::Receiver<Leadership>,
        commands: CommandQueue,
    ) -> Self {
        let state = State {
            liveness: Liveness::new(limits),
            next_stream: 0,
            unfencing: BTreeSet::new(),
            led_nothing_at: BTreeMap::new(),
        };
        let (nearer, started) = (Notify::new(), Instant::now());
        Self { state: Mutex::new(state), nearer, started, applied, leadership, commands }
    }

    /// A number for a new control stream.
    pub fn open_stream(&self) -> StreamNumber {
        let mut state = self.state();
        state.next_stream += 1;
        StreamNumber(state.next_stream)
    }

    /// The control stream ended, whoever ended it.
    pub fn on_stream_broken(&self, broker: BrokerId, broker_epoch: BrokerEpoch, stream: StreamNumber) {
        self.state().liveness.on_stream_broken(broker, broker_epoch, stream, self.now());
        self.nearer.notify_one();
    }

    /// A heartbeat: keeps the session, has the broker unfenced when it has caught up, and lets it stop.
    pub async fn on_heartbeat(&self, broker: BrokerId, heartbeat: &Heartbeat, stream: StreamNumber) -> HeartbeatReply {
        let leadership = *self.leadership.borrow();
        let image = self.applied.image();
        let broker_epoch = BrokerEpoch(heartbeat.broker_epoch);
        let error = check_epoch(&image, broker, broker_epoch, leadership.leads);
        let fenced = image.broker(broker).is_none_or(|broker| broker.fenced);
        if !error.is_error() {
            let (index, now) = (heartbeat.metadata_index, self.now());
            self.state().liveness.on_heard(broker, broker_epoch, Some(stream), index, now);
        }
        let acts = leadership.leads && !error.is_error();
        if acts && fenced && !heartbeat.wants_shut_down && heartbeat.metadata_index >= heartbeat.broker_epoch {
            self.unfence(broker, broker_epoch, heartbeat.metadata_index).await;
        }
        let should_shut_down = acts && heartbeat.wants_shut_down && self.may_stop(&image, broker, broker_epoch);
        HeartbeatReply {
            error_code: error.code().into(),
            fenced,
            should_shut_down,
            broker_epoch: heartbeat.broker_epoch,
            ..HeartbeatReply::default()
        }
    }

    /// The brokers that are alive and have spoken to this voter.
    pub fn followers(&self) -> Vec<MetadataFollower> {
        let (image, now, state) = (self.applied.image(), self.now(), self.state());
        let follower = |broker: &Arc<BrokerImage>| {
            let applied_index = state.liveness.applied_index(broker.id, broker.epoch)?;
            let last_heard = state.liveness.last_heard(broker.id, broker.epoch)?;
            Some(MetadataFollower {
                broker_id: broker.id,
                directory_id: *broker.directory_ids.first()?,
                lag: (image.applied_index() - applied_index).max(0),
                silent_ms: now.since_ms(last_heard),
            })
        };
        image.brokers().filter(|broker| !broker.fenced).filter_map(follower).collect()
    }

    /// Fences overdue brokers for as long as this node leads, again and again.
    pub async fn run(&self) {
        let mut leadership = self.leadership.clone();
        let mut index = self.applied.index_changes();
        loop {
            if !leadership.borrow_and_update().leads {
                self.state().liveness.stand_down();
                if leadership.changed().await.is_err() {
                    return;
                }
                continue;
            }
            index.borrow_and_update();
            let deadline = self.fence_overdue().await.unwrap_or(Instant::now() + Duration::from_secs(3600));
            tokio::time::sleep(LOOK_PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = self.nearer.notified() => {}
                _ = leadership.changed() => {}
                // A broker may have been unfenced.
                _ = index.changed() => {}
            }
        }
    }

    /// Submits FenceBroker for all who are overdue; when to look again.
    async fn fence_overdue(&self) -> Option<Instant> {
        let image = self.applied.image();
        let unfenced = image.brokers().filter(|broker| !broker.fenced).map(|broker| (broker.id, broker.epoch));
        let overdue = self.state().liveness.overdue(unfenced, self.now());
        for (broker, broker_epoch) in overdue {
            tracing::warn!(%broker, %broker_epoch, "the broker is silent; fencing it");
            self.fence(broker, broker_epoch).await;
        }
        let deadline = self.state().liveness.next_deadline()?;
        Some(self.started + Duration::from_millis(deadline.0))
    }

    async fn fence(&self, broker: BrokerId, broker_epoch: BrokerEpoch) {
        let fence = FenceBroker { broker_id: broker.0, broker_epoch: broker_epoch.0 };
        self.commands.submit(MetadataCommand { kind: Some(Kind::FenceBroker(fence)) }).await;
    }

    async fn unfence(&self, broker: BrokerId, broker_epoch: BrokerEpoch, current_metadata_index: i64) {
        if !self.state().unfencing.insert((broker, broker_epoch)) {
            return;
        }
        let unfence = UnfenceBroker { broker_id: broker.0, broker_epoch: broker_epoch.0, current_metadata_index };
        self.commands.submit(MetadataCommand { kind: Some(Kind::UnfenceBroker(unfence)) }).await;
        self.state().unfencing.remove(&(broker, broker_epoch));
    }

    /// True once the broker leads nothing and every other live broker has applied that (invariant D9).
    fn may_stop(&self, image: &ClusterImage, broker: BrokerId, broker_epoch: BrokerEpoch) -> bool {
        let leads = image.partitions_in_sync_on(broker).any(|(topic, partition)| {
            image.partition(topic, partition).is_some_and(|partition| partition.leader == broker)
        });
        let mut state = self.state();
        if leads {
            state.led_nothing_at.remove(&(broker, broker_epoch));
            return false;
        }
        let index = *state.led_nothing_at.entry((broker, broker_epoch)).or_insert(image.applied_index());
        let mut others = image.brokers().filter(|other| other.id != broker && !other.fenced);
        let known = others
            .all(|other| state.liveness.applied_index(other.id, other.epoch).is_some_and(|applied| applied >= index));
        if known {
            state.led_nothing_at.remove(&(broker, broker_epoch));
        }
        known
    }

    fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A follower's image may lag behind a registration: only the leader can say that there is none.
fn check_epoch(image: &ClusterImage, broker: BrokerId, broker_epoch: BrokerEpoch, leads: bool) -> ErrorCode {
    match image.broker(broker) {
        Some(registered) if registered.epoch == broker_epoch => ErrorCode::None,
        Some(registered) if registered.epoch > broker_epoch => ErrorCode::StaleBrokerEpoch,
        _ if leads && image.applied_index() >= broker_epoch.0 => ErrorCode::BrokerIdNotRegistered,
        _ => ErrorCode::None,
    }
}
