//! A broker's membership: it registers, keeps a heartbeat stream with every voter, and leaves in order.
//!
//! Registering gives the broker epoch. Heartbeats go to every voter, so that a newly elected leader already knows
//! who is alive; each says how far this broker has applied metadata, and the leader unfences the broker once that
//! covers the registration. A registration that another one replaced (STALE_BROKER_EPOCH) is made anew.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::channels::VoterAddress;
use super::controller_calls::ControllerCalls;
use super::error::ClusterError;
use super::feed_client::FeedClient;
use super::heartbeats::VoterSessions;
use super::lifecycle::{BrokerLifecycle, LifecycleState};
use super::published_image::PublishedImage;
use super::tasks::spawn_or_abort;
use super::wakefulness::patience_ms;
use super::waking::{ask_after_waking, keep_awake};
use crate::metadata::uuid_bytes;
use crate::model::{BrokerEpoch, BrokerId, DirectoryId, ErrorCode, StartNumber, Uuid};
use crate::rpc::metadata::{
    BeginControlledShutdown, Endpoint, MetadataCommand, RegisterBroker, SupportedFeature, metadata_command,
    metadata_reply,
};

/// Pause between two tries to register.
const REGISTRATION_PAUSE: Duration = Duration::from_millis(100);

/// A broker that wants to stop waits so long for a quorum without a leader: longer than elections take.
const QUORUM_PATIENCE: Duration = Duration::from_secs(3);

/// Who this broker is.
#[derive(Clone, Debug)]
pub struct BrokerIdentity {
    /// `node.id`.
    pub broker_id: BrokerId,
    /// Drawn at the start of this process.
    pub incarnation_id: Uuid,
    /// `directory.id` of each data directory.
    pub directory_ids: Vec<DirectoryId>,
    /// Where clients and other brokers reach it, one per listener.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The feature levels this version can run at.
    pub features: Vec<SupportedFeature>,
    /// The life before this one, when its logs certainly lost nothing since (a clean stop or the same boot).
    pub previous_broker_epoch: Option<BrokerEpoch>,
    /// Which start on these data directories this process is.
    pub start_number: StartNumber,
}

/// What a broker must know to take part in a cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The cluster's id when it is known (configured, or kept from an earlier life); asked of the voters otherwise.
    pub cluster_id: Option<String>,
    /// Who this broker is.
    pub identity: BrokerIdentity,
    /// `controller.quorum.voters`. At least one.
    pub voters: Vec<VoterAddress>,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u64,
    /// `broker.session.timeout.ms`, which the controllers go by.
    pub session_timeout_ms: u64,
    /// `initial.broker.registration.timeout.ms`: how long a registration may be refused for a reason that can pass.
    pub registration_timeout_ms: u64,
}

/// This broker's part in the cluster. Its tasks end when it is stopped or dropped.
pub struct Cluster {
    config: ClusterConfig,
    calls: ControllerCalls,
    image: PublishedImage,
    lifecycle: BrokerLifecycle,
    failure: watch::Sender<Option<Arc<ClusterError>>>,
    tasks: Vec<AbortHandle>,
}

impl Cluster {
    /// Starts registering, following the metadata and sending heartbeats, on the `control` runtime. Returns at once.
    pub fn start(config: ClusterConfig, control: &Handle) -> Self {
        assert!(!config.voters.is_empty(), "a broker needs at least one controller in controller.quorum.voters");
        let broker_id = config.identity.broker_id;
        let calls =
            ControllerCalls::new(config.cluster_id.clone(), broker_id.0, config.voters.clone(), control.clone());
        let image = PublishedImage::new();
        let patience_ms = patience_ms(config.session_timeout_ms);
        let lifecycle = BrokerLifecycle::new(patience_ms);
        let failure = watch::channel(None).0;
        let (stale, stale_epochs) = watch::channel(None);
        let mut cluster = Self { config, calls, image, lifecycle, failure, tasks: Vec::new() };
        cluster.spawn(control, "metadata feed", FeedClient::new(cluster.calls.clone(), cluster.image.clone()).run());
        cluster.spawn(control, "broker registration", cluster.registration(stale_epochs).run());
        let sessions = VoterSessions {
            calls: cluster.calls.clone(),
            lifecycle: cluster.lifecycle.clone(),
            image: cluster.image.clone(),
            interval: Duration::from_millis(cluster.config.heartbeat_interval_ms),
            stale,
        };
        cluster.tasks.push(spawn_or_abort(control, "broker sessions", sessions.run()));
        let (calls, lifecycle) = (cluster.calls.clone(), cluster.lifecycle.clone());
        cluster.tasks.push(spawn_or_abort(control, "wakefulness", keep_awake(lifecycle.clone(), patience_ms)));
        cluster.tasks.push(spawn_or_abort(control, "wakings", ask_after_waking(calls, lifecycle)));
        cluster
    }

    /// The metadata as this broker has applied it.
    pub fn image(&self) -> &PublishedImage {
        &self.image
    }

    /// Commands to the quorum.
    pub fn calls(&self) -> &ControllerCalls {
        &self.calls
    }

    /// Where this broker stands in its life.
    pub fn lifecycle(&self) -> &BrokerLifecycle {
        &self.lifecycle
    }

    /// Waits for a fault that this broker cannot live with, such as a refused registration or an unknown record.
    pub async fn failed(&self) -> Arc<ClusterError> {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or_else(|| Arc::new(ClusterError::Stopping)),
            Err(_) => Arc::new(ClusterError::Stopping),
        }
    }

    /// Has the quorum move leaderships away, and waits until this broker leads nothing and every live broker knows
    /// it (invariant D9), or `timeout` has passed. True when it may stop without anybody noticing.
    pub async fn controlled_shutdown(&self, timeout: Duration) -> bool {
        let Some(broker_epoch) = self.lifecycle.broker_epoch() else { return true };
        let broker_id = self.config.identity.broker_id.0;
        let command = BeginControlledShutdown { broker_id, broker_epoch: broker_epoch.0 };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::BeginControlledShutdown(command)) };
        let leave = async {
            if let Err(error) = self.calls.submit(command, timeout).await {
                tracing::warn!(%error, "the controllers were not told that this broker stops");
                return false;
            }
            self.lifecycle.on_shut_down_wanted();
            self.lifecycle.wait_for(|state| matches!(state, LifecycleState::MayShutDown { .. })).await;
            true
        };
        tokio::select! {
            left = tokio::time::timeout(timeout, leave) => left.unwrap_or(false),
            () = self.calls.without_leader(QUORUM_PATIENCE) => {
                tracing::warn!("no controller leads the quorum, so nobody can take over what this broker leads");
                false
            }
        }
    }

    /// Ends heartbeats and feed: the quorum will fence this broker.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    fn registration(&self, stale_epochs: watch::Receiver<Option<BrokerEpoch>>) -> Registration {
        Registration {
            config: self.config.clone(),
            calls: self.calls.clone(),
            image: self.image.clone(),
            lifecycle: self.lifecycle.clone(),
            stale_epochs,
        }
    }

    /// Spawns a task that only ends with an error, which is the end of this broker.
    fn spawn(
        &mut self,
        control: &Handle,
        name: &'static str,
        task: impl Future<Output = ClusterError> + Send + 'static,
    ) {
        let failure = self.failure.clone();
        self.tasks.push(spawn_or_abort(control, name, async move {
            let error = task.await;
            failure.send_if_modified(|failure| {
                let first = failure.is_none();
                failure.get_or_insert(Arc::new(error));
                first
            });
        }));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The task that keeps this broker registered and tells its lifecycle what the image says.
struct Registration {
    config: ClusterConfig,
    calls: ControllerCalls,
    image: PublishedImage,
    lifecycle: BrokerLifecycle,
    /// Epochs that a controller called stale.
    stale_epochs: watch::Receiver<Option<BrokerEpoch>>,
}

impl Registration {
    async fn run(mut self) -> ClusterError {
        loop {
            match self.register().await {
                Ok(broker_epoch) => self.lifecycle.on_registered(broker_epoch),
                Err(error) => return error,
            }
            self.until_stale().await;
        }
    }

    /// Registers, for as long as a refusal may pass: an earlier life that has not been fenced yet, say.
    async fn register(&self) -> Result<BrokerEpoch, ClusterError> {
        self.calls.find_quorum().await;
        let command = MetadataCommand { kind: Some(metadata_command::Kind::RegisterBroker(self.command())) };
        let timeout = Duration::from_millis(self.config.registration_timeout_ms);
        let mut deadline = Instant::now() + timeout;
        loop {
            let reply = match self.calls.submit(command.clone(), timeout).await {
                Ok(reply) => reply,
                Err(error @ (ClusterError::NoController { .. } | ClusterError::OutcomeUnknown { .. })) => {
                    tracing::warn!(%error, "this broker cannot register yet");
                    deadline = Instant::now() + timeout;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let error_code = i16::try_from(reply.error_code).ok().and_then(ErrorCode::from_code);
            match (error_code, reply.kind) {
                (Some(ErrorCode::None), Some(metadata_reply::Kind::RegisterBroker(registered))) => {
                    tracing::info!(broker_epoch = registered.broker_epoch, "registered with the cluster");
                    return Ok(BrokerEpoch(registered.broker_epoch));
                }
                (Some(ErrorCode::DuplicateBrokerRegistration), _) if Instant::now() < deadline => {
                    tracing::debug!(reason = reply.error_message, "registration refused for now");
                    tokio::time::sleep(REGISTRATION_PAUSE).await;
                }
                (error_code, _) => {
                    let error_code = error_code.unwrap_or(ErrorCode::UnknownServerError);
                    return Err(ClusterError::RegistrationRefused { error_code, message: reply.error_message });
                }
            }
        }
    }

    fn command(&self) -> RegisterBroker {
        let identity = &self.config.identity;
        RegisterBroker {
            broker_id: identity.broker_id.0,
            cluster_id: self.calls.cluster_id().unwrap_or_default().to_owned(),
            incarnation_id: uuid_bytes(identity.incarnation_id),
            directory_ids: identity.directory_ids.iter().map(|id| uuid_bytes(id.0)).collect::<Vec<Bytes>>(),
            endpoints: identity.endpoints.clone(),
            rack: identity.rack.clone(),
            features: identity.features.clone(),
            // A registration within one process follows logs that lost nothing, unless a disk has failed meanwhile.
            previous_broker_epoch: self
                .lifecycle
                .broker_epoch()
                .or(identity.previous_broker_epoch)
                .filter(|_| !self.lifecycle.logs_incomplete())
                .map_or(-1, |epoch| epoch.0),
            start_number: identity.start_number.0,
        }
    }

    /// Passes the image's word on this broker to the lifecycle, until a controller calls the registration stale.
    async fn until_stale(&mut self) {
        let mut changes = self.image.subscribe();
        loop {
            self.note_image();
            tokio::select! {
                _ = changes.changed() => {}
                // The heartbeat tasks hold the sender for as long as this task lives.
                stale = self.stale_epochs.changed() => {
                    let epoch = *self.stale_epochs.borrow_and_update();
                    if stale.is_ok() && epoch.is_some() && epoch == self.lifecycle.broker_epoch() {
                        tracing::warn!(?epoch, "the cluster no longer knows this registration; registering anew");
                        return;
                    }
                }
            }
        }
    }

    fn note_image(&self) {
        let image = self.image.current();
        let registered = image.broker(self.config.identity.broker_id).map(|broker| (broker.epoch, broker.fenced));
        self.lifecycle.on_image(image.applied_index(), registered);
    }
}
