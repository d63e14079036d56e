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
use crate::metadata::uuid_bytes;
use crate::model::Uuid;
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
    leader: watch::Sender<KnownLeader>,
    /// Calls run on the control runtime: channels live there, and a busy data runtime must not slow them.
    control: Handle,
}

/// The voter that led when last heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownLeader {
    /// The highest term in which somebody was said to lead: a voter that was cut off tells of older ones.
    epoch: i64,
    /// Its `node.id`; none while it does not answer.
    pub(super) node_id: Option<i32>,
}

/// How one attempt at one voter ended, short of an answer.
enum Attempt<T> {
    Answered(T),
    /// It certainly did nothing; the voter may have named the leader.
    NotDone {
        hint: Option<wire::NotController>,
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
        let leader = watch::channel(KnownLeader::default()).0;
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

    /// Changes who votes in the quorum; its leader's answer, a refusal included.
    pub async fn change_voters(
        &self,
        change: wire::change_voters_request::Change,
        node_id: i32,
        directory_id: Option<Uuid>,
        timeout: Duration,
    ) -> Result<wire::change_voters_response::Outcome, ClusterError> {
        let shared = self.shared.clone();
        let directory_id = directory_id.map(uuid_bytes).unwrap_or_default();
        let request = wire::ChangeVotersRequest { envelope: None, change: change.into(), node_id, directory_id };
        self.on_control_runtime(async move {
            shared
                .at_leader(timeout, true, |shared, voter| {
                    let request = request.clone();
                    async move { shared.change_voters_once(&voter, request).await }
                })
                .await
        })
        .await
    }

    /// Asks the voters for the cluster's id, and who they are, until one of them knows; unless both are known.
    pub async fn find_quorum(&self) -> &str {
        let mut pause = BACKOFF_FIRST;
        loop {
            let voters = self.shared.channels.voters();
            let named = voters.iter().all(VoterAddress::is_named);
            if let Some(cluster_id) = self.shared.cluster_id.get().filter(|_| named) {
                return cluster_id;
            }
            for voter in voters.iter() {
                if self.shared.probe_quorum(voter).await {
                    break;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// `node.id` of the voter that led when last heard of.
    pub fn known_leader(&self) -> Option<i32> {
        self.shared.leader.borrow().node_id
    }

    /// The same, as it changes.
    pub(super) fn leader_changes(&self) -> watch::Receiver<KnownLeader> {
        self.shared.leader.subscribe()
    }

    /// Waits until no leader has been known for `patience` without a break.
    pub(super) async fn without_leader(&self, patience: Duration) {
        let mut changes = self.shared.leader.subscribe();
        loop {
            // No error can come: the sender lives in `self`.
            let _ = changes.wait_for(|leader| leader.node_id.is_none()).await;
            let led = changes.wait_for(|leader| leader.node_id.is_some());
            if tokio::time::timeout(patience, led).await.is_err() {
                return;
            }
        }
    }

    /// Notes what a voter said about the quorum; false when it knows less of it than we do.
    pub(super) fn note_quorum(&self, leader_node_id: i32, leader_epoch: i64, voters: &[wire::VoterAddress]) -> bool {
        let current = self.shared.note_leader(leader_node_id, leader_epoch);
        if current {
            self.shared.channels.note_voters(voters);
        }
        current
    }

    /// Notes that a voter does not answer.
    pub(super) fn forget_leader(&self, voter: &VoterAddress) {
        self.shared.forget(voter);
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
        let mut backoff = BACKOFF_FIRST;
        let mut next = 0;
        let mut last = String::from("none was asked");
        while Instant::now() < deadline {
            let voters = self.channels.voters();
            let leader = self.leader.borrow().node_id;
            let leading = voters.iter().find(|voter| Some(voter.node_id) == leader);
            let voter = leading.unwrap_or(&voters[next % voters.len()]);
            let until = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let outcome = tokio::select! {
                outcome = tokio::time::timeout_at(until, attempt(self.clone(), voter.clone())) => {
                    outcome.unwrap_or_else(|_| Attempt::Unknown { reason: "no answer in time".to_owned() })
                }
                // A leader that hangs was replaced: it will never answer.
                () = self.another_leads(voter.node_id), if leading.is_some() => {
                    Attempt::Unknown { reason: "another controller leads now".to_owned() }
                }
            };
            match outcome {
                Attempt::Answered(answer) => {
                    let epoch = self.leader.borrow().epoch;
                    self.note_leader(voter.node_id, epoch);
                    return Ok(answer);
                }
                Attempt::Refused(reason) => return Err(ClusterError::WrongPeer(reason)),
                Attempt::Unknown { reason } if !repeatable => {
                    self.forget(voter);
                    return Err(ClusterError::OutcomeUnknown { node_id: voter.node_id, reason });
                }
                Attempt::Unknown { reason } => {
                    self.forget(voter);
                    last = format!("{voter}: {reason}");
                }
                Attempt::NotDone { hint, reason } => {
                    self.forget_leader(voter.node_id);
                    hint.map(|hint| self.note_leader(hint.leader_node_id, hint.leader_epoch));
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

    fn forget(&self, voter: &VoterAddress) {
        self.channels.drop_channel(voter);
        self.forget_leader(voter.node_id);
    }

    fn forget_leader(&self, node_id: i32) {
        self.leader.send_if_modified(|leader| leader.node_id.take_if(|leader| *leader == node_id).is_some());
    }

    /// Believes that `node_id` leads unless a later term is known; true when it is believed. A voter that knows of no
    /// leader knows nothing.
    fn note_leader(&self, node_id: i32, epoch: i64) -> bool {
        if node_id == NO_NODE || epoch < self.leader.borrow().epoch {
            return false;
        }
        let told = KnownLeader { epoch, node_id: Some(node_id) };
        self.leader.send_if_modified(|leader| std::mem::replace(leader, told) != told);
        true
    }

    async fn another_leads(&self, node_id: i32) {
        let mut changes = self.leader.subscribe();
        // No error can come: the sender lives in `self`.
        let _ = changes.wait_for(|leader| leader.node_id.is_some_and(|leader| leader != node_id)).await;
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

    /// Learns cluster id and voters from one voter; false when it does not know them.
    async fn probe_quorum(&self, voter: &VoterAddress) -> bool {
        let Ok(mut client) = self.channels.client(voter).await else { return false };
        let request = wire::ProbeRequest { envelope: Some(self.envelope(voter)), voters: Vec::new() };
        let Ok(response) = client.probe(request).await else {
            self.forget(voter);
            return false;
        };
        let response = response.into_inner();
        if response.cluster_id.is_empty() || response.quorum.is_empty() {
            return false;
        }
        self.cluster_id.get_or_init(|| response.cluster_id);
        self.channels.note_voters(&response.quorum);
        true
    }

    async fn change_voters_once(
        &self,
        voter: &VoterAddress,
        request: wire::ChangeVotersRequest,
    ) -> Attempt<wire::change_voters_response::Outcome> {
        let mut client = match self.channels.client(voter).await {
            Ok(client) => client,
            Err(error) => return not_connected(&error),
        };
        let request = wire::ChangeVotersRequest { envelope: Some(self.envelope(voter)), ..request };
        match client.change_voters(request).await.map(|response| response.into_inner().result) {
            Ok(Some(wire::change_voters_response::Result::Outcome(outcome))) => Attempt::Answered(outcome),
            Ok(Some(wire::change_voters_response::Result::NotController(hint))) => not_controller(hint),
            Ok(None) => Attempt::Unknown { reason: "an empty answer".to_owned() },
            Err(status) => failed(&status),
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
    Attempt::NotDone { hint: None, reason: with_causes(error) }
}

fn not_controller<T>(hint: wire::NotController) -> Attempt<T> {
    Attempt::NotDone { hint: Some(hint), reason: "does not lead the quorum".to_owned() }
}

fn failed<T>(status: &tonic::Status) -> Attempt<T> {
    match status.code() {
        // What the controller answers to a message that is not for it.
        tonic::Code::FailedPrecondition => Attempt::Refused(status.message().to_owned()),
        // Turned away, unread or because too much waits.
        tonic::Code::ResourceExhausted => Attempt::NotDone { hint: None, reason: status.message().to_owned() },
        _ if was_not_connected(status) => Attempt::NotDone { hint: None, reason: with_causes(status) },
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
            | Kind::RemoveExpiredTopics(_)
            | Kind::AllocateProducerIds(_)
            | Kind::ReportOfflineReplicas(_)
            | Kind::ReadIndex(_),
        ) => true,
        Some(
            Kind::UnregisterBroker(_)
            | Kind::CreateTopics(_)
            | Kind::CreatePartitions(_)
            | Kind::DeleteTopics(_)
            | Kind::AlterPartitionReassignments(_)
            | Kind::IncrementalAlterConfigs(_)
            | Kind::AlterConfigs(_)
            | Kind::AlterClientQuotas(_)
            | Kind::UpdateFeatures(_),
        )
        | None => false,
    }
}
