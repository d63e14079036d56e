//! Commands to the leader of the metadata quorum, wherever it is.
//!
//! A call that certainly did nothing (no connection, NOT_CONTROLLER) is tried again at the next voter until the
//! deadline. A call whose outcome is unknown is tried again only when doing it twice changes nothing.

use std::io::ErrorKind;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::channels::{Channels, VoterAddress, with_causes};
use super::error::ClusterError;
use crate::rpc::controller as wire;
use crate::rpc::metadata::{MetadataCommand, MetadataReply, metadata_command};

/// First and longest pause between two rounds over the voters.
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(200);
/// Longest wait for one answer: a leader that hangs must not use up the whole deadline.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Kafka's "no node" on the wire.
const NO_NODE: i32 = -1;

/// Sends commands to the quorum's leader. Cheap to clone.
#[derive(Clone)]
pub struct ControllerCalls {
    shared: Arc<Shared>,
}

struct Shared {
    channels: Channels,
    /// Empty until configured or learnt.
    cluster_id: OnceLock<String>,
    node_id: i32,
    /// The voter that led when last heard of.
    leader: watch::Sender<Option<i32>>,
    /// Calls run on the control runtime: channels live there, and a busy data runtime must not slow them.
    control: Handle,
}

/// How one attempt at one voter ended, short of an answer.
enum Attempt<T> {
    Answered(T),
    /// It certainly did nothing; the voter may have named the leader.
    NotDone {
        leader: Option<i32>,
        reason: String,
    },
    /// It may have done it.
    Unknown {
        reason: String,
    },
    /// It never will: wrong cluster, wrong node.
    Refused(String),
}

impl ControllerCalls {
    /// Calls in the name of `node_id` to the `voters`. Nothing is dialled yet.
    pub fn new(cluster_id: Option<String>, node_id: i32, voters: Vec<VoterAddress>, control: Handle) -> Self {
        let leader = watch::channel(None).0;
        let cluster_id = cluster_id.map_or_else(OnceLock::new, OnceLock::from);
        Self { shared: Arc::new(Shared { channels: Channels::new(voters), cluster_id, node_id, leader, control }) }
    }

    /// Has the quorum carry out `command`. The reply is the quorum's answer, a refusal included; its
    /// `metadata_index` tells from which image on it holds.
    pub async fn submit(&self, command: MetadataCommand, timeout: Duration) -> Result<MetadataReply, ClusterError> {
        let shared = self.shared.clone();
        self.on_control_runtime(async move {
            let repeatable = is_repeatable(&command);
            shared
                .at_leader(timeout, repeatable, |shared, voter| {
                    let command = command.clone();
                    async move { shared.submit_once(&voter, command).await }
                })
                .await
        })
        .await
    }

    /// The quorum's state as its leader sees it.
    pub async fn describe_quorum(&self, timeout: Duration) -> Result<wire::QuorumDescription, ClusterError> {
        let shared = self.shared.clone();
        self.on_control_runtime(async move {
            shared.at_leader(timeout, true, |shared, voter| async move { shared.describe_once(&voter).await }).await
        })
        .await
    }

    /// The cluster's id, once configured or learnt.
    pub fn cluster_id(&self) -> Option<&str> {
        self.shared.cluster_id.get().map(String::as_str)
    }

    /// Asks the voters for the cluster's id until one of them knows it, unless it is known already.
    pub async fn learn_cluster_id(&self) -> &str {
        let mut pause = BACKOFF_FIRST;
        loop {
            if let Some(cluster_id) = self.shared.cluster_id.get() {
                return cluster_id;
            }
            for voter in self.shared.channels.voters() {
                if let Some(cluster_id) = self.shared.probe_cluster_id(voter).await {
                    return self.shared.cluster_id.get_or_init(|| cluster_id);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// `node.id` of the voter that led when last heard of.
    pub fn known_leader(&self) -> Option<i32> {
        *self.shared.leader.borrow()
    }

    /// The same, as it changes.
    pub(super) fn leader_changes(&self) -> watch::Receiver<Option<i32>> {
        self.shared.leader.subscribe()
    }

    /// Notes what a voter said about the leader; -1 when it knew of none.
    pub(super) fn note_leader(&self, node_id: i32) {
        if node_id != NO_NODE {
            self.shared.set_leader(Some(node_id));
        }
    }

    /// Notes that `node_id` does not answer.
    pub(super) fn forget_leader(&self, node_id: i32) {
        self.shared.forget(node_id);
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.shared.channels
    }

    /// The head of every message to `voter`.
    pub(super) fn envelope(&self, voter: &VoterAddress) -> wire::Envelope {
        self.shared.envelope(voter)
    }

    async fn on_control_runtime<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ClusterError>> + Send + 'static,
    ) -> Result<T, ClusterError> {
        match self.shared.control.spawn(call).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ClusterError::Stopping),
        }
    }
}

impl Shared {
    fn envelope(&self, voter: &VoterAddress) -> wire::Envelope {
        wire::Envelope {
            cluster_id: self.cluster_id.get().cloned().unwrap_or_default(),
            target_node_id: voter.node_id,
            source_node_id: self.node_id,
        }
    }

    /// Tries `attempt` at the leader, or at one voter after the other until one of them leads.
    async fn at_leader<T, F: Future<Output = Attempt<T>>>(
        self: Arc<Self>,
        timeout: Duration,
        repeatable: bool,
        attempt: impl Fn(Arc<Self>, VoterAddress) -> F,
    ) -> Result<T, ClusterError> {
        let deadline = Instant::now() + timeout;
        let voters = self.channels.voters();
        let mut backoff = BACKOFF_FIRST;
        let mut next = 0;
        let mut last = String::from("none was asked");
        while Instant::now() < deadline && !voters.is_empty() {
            let leader = *self.leader.borrow();
            let voter =
                voters.iter().find(|voter| Some(voter.node_id) == leader).unwrap_or(&voters[next % voters.len()]);
            let until = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let outcome = tokio::time::timeout_at(until, attempt(self.clone(), voter.clone()))
                .await
                .unwrap_or_else(|_| Attempt::Unknown { reason: "no answer in time".to_owned() });
            match outcome {
                Attempt::Answered(answer) => {
                    self.set_leader(Some(voter.node_id));
                    return Ok(answer);
                }
                Attempt::Refused(reason) => return Err(ClusterError::WrongPeer(reason)),
                Attempt::Unknown { reason } if !repeatable => {
                    self.forget(voter.node_id);
                    return Err(ClusterError::OutcomeUnknown { node_id: voter.node_id, reason });
                }
                Attempt::Unknown { reason } => {
                    self.forget(voter.node_id);
                    last = format!("{voter}: {reason}");
                }
                Attempt::NotDone { leader, reason } => {
                    self.set_leader(leader);
                    last = format!("{voter}: {reason}");
                }
            }
            next += 1;
            // The pause comes once per round over the voters, so that a known leader is asked at once.
            if next % voters.len() == 0 || leader.is_some() {
                tokio::time::sleep_until(deadline.min(Instant::now() + backoff)).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
        Err(ClusterError::NoController { voters: self.channels.describe(), last })
    }

    fn forget(&self, node_id: i32) {
        self.channels.drop_channel(node_id);
        self.leader.send_if_modified(|leader| leader.take_if(|leader| *leader == node_id).is_some());
    }

    fn set_leader(&self, node_id: Option<i32>) {
        self.leader.send_if_modified(|leader| std::mem::replace(leader, node_id) != node_id);
    }

    async fn submit_once(&self, voter: &VoterAddress, command: MetadataCommand) -> Attempt<MetadataReply> {
        let mut client = match self.channels.client(voter).await {
            Ok(client) => client,
            Err(error) => return not_connected(&error),
        };
        let request = wire::SubmitRequest { envelope: Some(self.envelope(voter)), command: Some(command) };
        match client.submit(request).await.map(|response| response.into_inner().result) {
            Ok(Some(wire::submit_response::Result::Reply(reply))) => Attempt::Answered(reply),
            Ok(Some(wire::submit_response::Result::NotController(hint))) => not_controller(hint),
            Ok(None) => Attempt::Unknown { reason: "an empty answer".to_owned() },
            Err(status) => failed(&status),
        }
    }

    async fn probe_cluster_id(&self, voter: &VoterAddress) -> Option<String> {
        let mut client = self.channels.client(voter).await.ok()?;
        let request = wire::ProbeRequest { envelope: Some(self.envelope(voter)), voters: Vec::new() };
        match client.probe(request).await {
            Ok(response) => Some(response.into_inner().cluster_id).filter(|id| !id.is_empty()),
            Err(_) => {
                self.forget(voter.node_id);
                None
            }
        }
    }

    async fn describe_once(&self, voter: &VoterAddress) -> Attempt<wire::QuorumDescription> {
        let mut client = match self.channels.client(voter).await {
            Ok(client) => client,
            Err(error) => return not_connected(&error),
        };
        let request = wire::DescribeQuorumRequest { envelope: Some(self.envelope(voter)) };
        match client.describe_quorum(request).await.map(|response| response.into_inner().result) {
            Ok(Some(wire::describe_quorum_response::Result::Description(description))) => {
                Attempt::Answered(description)
            }
            Ok(Some(wire::describe_quorum_response::Result::NotController(hint))) => not_controller(hint),
            Ok(None) => Attempt::Unknown { reason: "an empty answer".to_owned() },
            Err(status) => failed(&status),
        }
    }
}

fn not_connected<T>(error: &tonic::transport::Error) -> Attempt<T> {
    Attempt::NotDone { leader: None, reason: with_causes(error) }
}

fn not_controller<T>(hint: wire::NotController) -> Attempt<T> {
    let leader = Some(hint.leader_node_id).filter(|&leader| leader != NO_NODE);
    Attempt::NotDone { leader, reason: "does not lead the quorum".to_owned() }
}

fn failed<T>(status: &tonic::Status) -> Attempt<T> {
    match status.code() {
        // What the controller answers to a message that is not for it.
        tonic::Code::FailedPrecondition => Attempt::Refused(status.message().to_owned()),
        _ if was_not_connected(status) => Attempt::NotDone { leader: None, reason: with_causes(status) },
        _ => Attempt::Unknown { reason: status.message().to_owned() },
    }
}

/// True when a channel that had been idle found nobody to connect to any more: nothing was sent.
fn was_not_connected(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// True when carrying the command out twice changes no more than carrying it out once: compare-and-sets on an
/// epoch, registrations (recognised by their incarnation id), blocks of producer ids (a block is lost).
fn is_repeatable(command: &MetadataCommand) -> bool {
    use metadata_command::Kind;
    match &command.kind {
        Some(
            Kind::InitializeCluster(_)
            | Kind::RegisterBroker(_)
            | Kind::FenceBroker(_)
            | Kind::UnfenceBroker(_)
            | Kind::BeginControlledShutdown(_)
            | Kind::AlterPartition(_)
            | Kind::ElectLeaders(_)
            | Kind::AllocateProducerIds(_),
        ) => true,
        Some(
            Kind::UnregisterBroker(_)
            | Kind::CreateTopics(_)
            | Kind::CreatePartitions(_)
            | Kind::DeleteTopics(_)
            | Kind::AlterPartitionReassignments(_)
            | Kind::IncrementalAlterConfigs(_)
            | Kind::AlterConfigs(_)
            | Kind::UpdateFeatures(_),
        )
        | None => false,
    }
}
