//! Where this broker stands in its life, for everybody who must not act too early or too late.
//!
//! ```text
//!   Starting ──registered──► CatchingUp ──image ≥ broker epoch──► Fenced ──unfenced──► Running
//!                                ▲                                   ▲                   │
//!                                └────────── registered anew ────────┴─────fenced────────┤
//!                                                                                        ▼
//!                                                               ShuttingDown ──► MayShutDown
//! ```
//!
//! Nothing starts as leader, and no Produce is accepted, before the image has applied this broker's own
//! registration (invariant D7): an ex-leader must not go by metadata from before its restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::wakefulness::Wakefulness;
use crate::clock;
use crate::model::BrokerEpoch;

/// One place in the life of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleState {
    /// Not registered in this process yet.
    Starting,
    /// Registered; the image does not reach the registration yet. Nothing may lead.
    CatchingUp {
        /// This life of the broker.
        broker_epoch: BrokerEpoch,
    },
    /// The image has applied the registration. Replicas may follow; the quorum does not make it leader.
    Fenced {
        /// This life of the broker.
        broker_epoch: BrokerEpoch,
    },
    /// A full member.
    Running {
        /// This life of the broker.
        broker_epoch: BrokerEpoch,
    },
    /// Wants to stop: leaderships are moving away.
    ShuttingDown {
        /// This life of the broker.
        broker_epoch: BrokerEpoch,
    },
    /// Leads nothing, and every live broker knows it (invariant D9).
    MayShutDown {
        /// This life of the broker.
        broker_epoch: BrokerEpoch,
    },
}

impl LifecycleState {
    /// The registration's epoch, once there is one.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        match *self {
            Self::Starting => None,
            Self::CatchingUp { broker_epoch }
            | Self::Fenced { broker_epoch }
            | Self::Running { broker_epoch }
            | Self::ShuttingDown { broker_epoch }
            | Self::MayShutDown { broker_epoch } => Some(broker_epoch),
        }
    }

    /// True once the image has applied this broker's registration (invariant D7).
    pub fn has_caught_up(&self) -> bool {
        !matches!(self, Self::Starting | Self::CatchingUp { .. })
    }

    fn is_stopping(&self) -> bool {
        matches!(self, Self::ShuttingDown { .. } | Self::MayShutDown { .. })
    }

    /// The quorum has registered this broker under `broker_epoch`.
    #[must_use]
    pub fn on_registered(self, broker_epoch: BrokerEpoch) -> Self {
        let news = !self.is_stopping() && self.broker_epoch() != Some(broker_epoch);
        if news { Self::CatchingUp { broker_epoch } } else { self }
    }

    /// The image moved: `registered` is this broker's registration in it, with whether it is fenced.
    #[must_use]
    pub fn on_image(self, metadata_index: i64, registered: Option<(BrokerEpoch, bool)>) -> Self {
        let Some(broker_epoch) = self.broker_epoch().filter(|_| !self.is_stopping()) else { return self };
        if metadata_index < broker_epoch.0 && !mutant!("leads-before-its-registration") {
            return self;
        }
        match registered {
            Some((epoch, false)) if epoch == broker_epoch => Self::Running { broker_epoch },
            _ => Self::Fenced { broker_epoch },
        }
    }

    /// The broker wants to stop.
    #[must_use]
    pub fn on_shut_down_wanted(self) -> Self {
        match self.broker_epoch() {
            Some(broker_epoch) if !self.is_stopping() => Self::ShuttingDown { broker_epoch },
            _ => self,
        }
    }

    /// The quorum lets it stop.
    #[must_use]
    pub fn on_shut_down_granted(self) -> Self {
        match self {
            Self::ShuttingDown { broker_epoch } => Self::MayShutDown { broker_epoch },
            other => other,
        }
    }
}

/// The broker's life as its parts see it. Cheap to clone.
#[derive(Clone)]
pub struct BrokerLifecycle {
    state: watch::Sender<LifecycleState>,
    logs_incomplete: Arc<AtomicBool>,
    wakefulness: watch::Sender<Wakefulness>,
}

impl BrokerLifecycle {
    /// A life that begins now. A pause of more than `patience_ms` in it counts as a suspension.
    pub(super) fn new(patience_ms: u64) -> Self {
        let wakefulness = Wakefulness::new(patience_ms, clock::monotonic());
        Self {
            state: watch::channel(LifecycleState::Starting).0,
            logs_incomplete: Arc::default(),
            wakefulness: watch::channel(wakefulness).0,
        }
    }

    /// Where the broker stands now.
    pub fn state(&self) -> LifecycleState {
        *self.state.borrow()
    }

    /// The broker epoch, once registered.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.state().broker_epoch()
    }

    /// Waits until `condition` holds.
    pub async fn wait_for(&self, condition: impl FnMut(&LifecycleState) -> bool) -> LifecycleState {
        // The sender is `self.state`, so the channel stays open.
        match self.state.subscribe().wait_for(condition).await {
            Ok(state) => *state,
            Err(_) => self.state(),
        }
    }

    /// Waits until replicas may be started as leaders (invariant D7).
    pub async fn caught_up(&self) -> BrokerEpoch {
        let state = self.wait_for(LifecycleState::has_caught_up).await;
        state.broker_epoch().expect("a broker that caught up is registered")
    }

    /// Waits until the quorum counts this broker in.
    pub async fn running(&self) -> BrokerEpoch {
        let state = self.wait_for(|state| matches!(state, LifecycleState::Running { .. })).await;
        state.broker_epoch().expect("a running broker is registered")
    }

    /// Some of this broker's logs may have lost records in this life: from now on it registers as one that has.
    pub fn on_logs_incomplete(&self) {
        self.logs_incomplete.store(true, Ordering::Release);
    }

    pub(super) fn logs_incomplete(&self) -> bool {
        self.logs_incomplete.load(Ordering::Acquire)
    }

    /// False from a suspension of this process on, until `applied_index` of the metadata covers all that was committed
    /// before it woke: others may have taken over what this broker still believes to lead (invariants A13, C1).
    pub fn is_awake(&self, applied_index: i64) -> bool {
        self.wakefulness.borrow().may_act(clock::monotonic(), applied_index)
    }

    /// Waits until there is a waking that the controllers are to be asked about; its number.
    pub(super) async fn woken(&self) -> u64 {
        let mut changes = self.wakefulness.subscribe();
        // No error can come: the sender lives in `self`.
        let in_doubt = changes.wait_for(|wakefulness| wakefulness.question().is_some()).await;
        in_doubt.ok().and_then(|wakefulness| wakefulness.question()).expect("there is a question")
    }

    /// This process runs. How many milliseconds it had been suspended for, if it had been.
    pub(super) fn on_tick(&self) -> Option<u64> {
        let mut slept_ms = None;
        self.wakefulness.send_if_modified(|wakefulness| {
            slept_ms = wakefulness.on_tick(clock::monotonic());
            slept_ms.is_some()
        });
        slept_ms
    }

    /// The controllers' answer to a question asked after that waking. True when it settles the matter.
    pub(super) fn on_index_read(&self, waking: u64, metadata_index: i64) -> bool {
        self.wakefulness.send_if_modified(|wakefulness| wakefulness.on_index_read(waking, metadata_index))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<LifecycleState> {
        self.state.subscribe()
    }

    pub(super) fn on_registered(&self, broker_epoch: BrokerEpoch) {
        self.change(|state| state.on_registered(broker_epoch));
    }

    pub(super) fn on_image(&self, metadata_index: i64, registered: Option<(BrokerEpoch, bool)>) {
        self.change(|state| state.on_image(metadata_index, registered));
    }

    pub(super) fn on_shut_down_wanted(&self) {
        self.change(LifecycleState::on_shut_down_wanted);
    }

    pub(super) fn on_shut_down_granted(&self) {
        self.change(LifecycleState::on_shut_down_granted);
    }

    /// Whoever waits is woken only by a change.
    fn change(&self, next: impl FnOnce(LifecycleState) -> LifecycleState) {
        self.state.send_if_modified(|state| {
            let next = next(*state);
            std::mem::replace(state, next) != next
        });
    }
}
