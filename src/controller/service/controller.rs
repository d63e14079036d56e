//! What brokers, and voters that form a quorum, ask of a controller.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::wrong_target;
use crate::clock;
use crate::cluster::VoterAddress;
use crate::controller::feed::AppliedMetadata;
use crate::controller::feed_messages::messages;
use crate::controller::handle::{CommandQueue, Submitted};
use crate::controller::identity::Identity;
use crate::controller::raft::{Leadership, MemberState, Quorum, Voter};
use crate::controller::seats::{SeatError, Seats, member_from_wire, member_to_wire};
use crate::controller::sessions::{MetadataFollower, Sessions};
use crate::metadata::{uuid_bytes, uuid_from_bytes};
use crate::model::{BrokerEpoch, BrokerId};
use crate::rpc::controller as wire;
use crate::rpc::controller::controller_server::Controller;
use crate::rpc::metadata::{MetadataCommand, metadata_command::Kind};

/// Streams open at once, of both kinds together.
const STREAMS_MAX: usize = 2_048;
/// Messages waiting for a slow receiver.
const QUEUED_MAX: usize = 4;

/// The service for brokers.
pub struct ControllerService {
    identity: Arc<Identity>,
    quorum: Arc<Quorum>,
    commands: CommandQueue,
    sessions: Arc<Sessions>,
    seats: Arc<Seats>,
    leadership: watch::Receiver<Leadership>,
    /// Ends all streams.
    stopping: CancellationToken,
    streams: Arc<Semaphore>,
}

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ControllerService {
    /// A service with no streams open; `stopping` ends all that will be.
    pub fn new(
        identity: Arc<Identity>,
        quorum: Arc<Quorum>,
        commands: CommandQueue,
        sessions: Arc<Sessions>,
        seats: Arc<Seats>,
        leadership: watch::Receiver<Leadership>,
        stopping: CancellationToken,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { identity, quorum, commands, sessions, seats, leadership, stopping, streams }
    }

    fn check(&self, envelope: Option<&wire::Envelope>) -> Result<(), Status> {
        check(&self.identity, envelope).map(drop)
    }

    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = self.streams.clone().try_acquire_owned();
        permit.map_err(|_| Status::resource_exhausted(format!("{STREAMS_MAX} streams are open already")))
    }

    fn leads(&self) -> bool {
        self.leadership.borrow().leads
    }

    fn not_controller(&self) -> wire::NotController {
        not_controller(*self.leadership.borrow())
    }

    fn place(&self, kind: wire::place::Kind) -> wire::Place {
        let members = self.quorum.membership().all().map(member_to_wire).collect();
        wire::Place { kind: kind.into(), members }
    }

    fn describe(&self) -> Option<wire::QuorumDescription> {
        let (term, high_watermark, members) = self.quorum.members()?;
        let now = clock::wall().0;
        let replica = |member: &MemberState| quorum_replica(member, high_watermark, now);
        let is_member = |id: BrokerId| members.iter().any(|member| member.voter.node_id == id.0);
        let brokers = self.sessions.followers().into_iter().filter(|follower| !is_member(follower.broker_id));
        let brokers = brokers.map(|follower| broker_as_observer(&follower, high_watermark, now));
        Some(wire::QuorumDescription {
            leader_node_id: self.identity.node_id,
            leader_epoch: i64::try_from(term).unwrap_or(i64::MAX),
            high_watermark: i64::try_from(high_watermark).unwrap_or(i64::MAX),
            voters: members.iter().filter(|member| member.votes).map(replica).collect(),
            observers: members.iter().filter(|member| !member.votes).map(replica).chain(brokers).collect(),
        })
    }
}

#[tonic::async_trait]
impl Controller for ControllerService {
    type HeartbeatsStream = ResponseStream<wire::HeartbeatReply>;
    type WatchMetadataStream = ResponseStream<wire::MetadataFeed>;

    async fn probe(&self, request: Request<wire::ProbeRequest>) -> Result<Response<wire::ProbeResponse>, Status> {
        self.check(request.get_ref().envelope.as_ref())?;
        let voters = self.identity.voters.iter().map(wire::VoterAddress::from);
        Ok(Response::new(wire::ProbeResponse {
            node_id: self.identity.node_id,
            directory_id: uuid_bytes(self.identity.directory_id.0),
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            blank: self.quorum.is_blank(),
            voters: voters.collect(),
            leader_node_id: self.leadership.borrow().leader_node_id.unwrap_or(-1),
            quorum: voters_of(&self.identity, &self.quorum),
        }))
    }

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitResponse>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref())?;
        let command = request.command.ok_or_else(|| Status::invalid_argument("the command is missing"))?;
        if is_controllers_own(&command) {
            return Err(Status::permission_denied("only the leader of the quorum gives this command, to itself"));
        }
        use wire::submit_response::Result as Wire;
        let result = match self.commands.submit_from_outside(command).await {
            Submitted::Overloaded => return Err(Status::resource_exhausted("too many commands wait: try again later")),
            Submitted::Reply(reply) => Wire::Reply(*reply),
            Submitted::NotController => Wire::NotController(self.not_controller()),
        };
        Ok(Response::new(wire::SubmitResponse { result: Some(result) }))
    }

    async fn heartbeats(
        &self,
        request: Request<Streaming<wire::Heartbeat>>,
    ) -> Result<Response<Self::HeartbeatsStream>, Status> {
        let permit = self.stream_permit()?;
        let (replies, stream) = mpsc::channel(QUEUED_MAX);
        let stopping = self.stopping.clone();
        let control = ControlStream {
            identity: self.identity.clone(),
            quorum: self.quorum.clone(),
            sessions: self.sessions.clone(),
            leadership: self.leadership.clone(),
            heartbeats: request.into_inner(),
            replies,
        };
        tokio::spawn(async move {
            tokio::select! {
                () = control.run() => {}
                () = stopping.cancelled() => {}
            }
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn watch_metadata(
        &self,
        request: Request<wire::WatchMetadataRequest>,
    ) -> Result<Response<Self::WatchMetadataStream>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref())?;
        let permit = self.stream_permit()?;
        let (items, stream) = mpsc::channel(QUEUED_MAX);
        let (applied, stopping) = (self.quorum.applied().clone(), self.stopping.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = send_feed(&applied, request.metadata_index, &items) => {}
                () = items.closed() => {}
                () = stopping.cancelled() => {}
            }
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn describe_quorum(
        &self,
        request: Request<wire::DescribeQuorumRequest>,
    ) -> Result<Response<wire::DescribeQuorumResponse>, Status> {
        self.check(request.get_ref().envelope.as_ref())?;
        use wire::describe_quorum_response::Result as Wire;
        let result = self.describe().map_or_else(|| Wire::NotController(self.not_controller()), Wire::Description);
        Ok(Response::new(wire::DescribeQuorumResponse { result: Some(result) }))
    }

    async fn announce(
        &self,
        request: Request<wire::AnnounceRequest>,
    ) -> Result<Response<wire::AnnounceResponse>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref())?;
        let member = request.member.as_ref().and_then(member_from_wire);
        let member = member.ok_or_else(|| Status::invalid_argument("the member is missing or makes no sense"))?;
        use wire::announce_response::Result as Wire;
        let placed = match self.leads() {
            true => self.seats.on_announced(member).await,
            false => Err(SeatError::NotLeader),
        };
        let result = match placed {
            Ok(kind) => Wire::Place(self.place(kind)),
            Err(SeatError::NotLeader) => Wire::NotController(self.not_controller()),
            Err(error @ SeatError::Refused { .. }) => Wire::Refused(error.to_string()),
        };
        Ok(Response::new(wire::AnnounceResponse { result: Some(result) }))
    }

    async fn change_voters(
        &self,
        request: Request<wire::ChangeVotersRequest>,
    ) -> Result<Response<wire::ChangeVotersResponse>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref())?;
        let directory_id = uuid_from_bytes(&request.directory_id);
        use wire::change_voters_request::Change;
        use wire::change_voters_response::{Outcome, Result as Wire};
        let changed = match request.change() {
            _ if !self.leads() => Err(SeatError::NotLeader),
            Change::Add => self.seats.add(request.node_id, directory_id).await,
            Change::Remove => self.seats.remove(request.node_id, directory_id).await,
        };
        let result = match changed {
            Ok(()) => Wire::Outcome(Outcome::default()),
            Err(SeatError::NotLeader) => Wire::NotController(self.not_controller()),
            Err(SeatError::Refused { code, message }) => {
                Wire::Outcome(Outcome { error_code: code.code().into(), error_message: message })
            }
        };
        Ok(Response::new(wire::ChangeVotersResponse { result: Some(result) }))
    }
}

/// One broker's control stream.
struct ControlStream {
    identity: Arc<Identity>,
    quorum: Arc<Quorum>,
    sessions: Arc<Sessions>,
    leadership: watch::Receiver<Leadership>,
    heartbeats: Streaming<wire::Heartbeat>,
    replies: mpsc::Sender<Result<wire::HeartbeatReply, Status>>,
}

impl ControlStream {
    /// Answers heartbeats until the stream breaks, which counts against the broker it spoke for last.
    async fn run(mut self) {
        let stream = self.sessions.open_stream();
        let mut spoke_for: Option<(BrokerId, BrokerEpoch)> = None;
        loop {
            let heartbeat = tokio::select! {
                heartbeat = self.heartbeats.message() => heartbeat,
                // A broker whose leader hangs should not have to wait for its next heartbeat.
                changed = self.leadership.changed() => match (changed, spoke_for) {
                    (Ok(()), Some((_, broker_epoch))) => {
                        let reply = wire::HeartbeatReply { broker_epoch: broker_epoch.0, ..Default::default() };
                        if self.replies.send(Ok(self.with_quorum(reply))).await.is_err() {
                            break;
                        }
                        continue;
                    }
                    (Ok(()), None) => continue,
                    (Err(_), _) => break,
                },
            };
            let Ok(Some(heartbeat)) = heartbeat else { break };
            let reply = match check(&self.identity, heartbeat.envelope.as_ref()) {
                Ok(envelope) => {
                    let broker = BrokerId(envelope.source_node_id);
                    spoke_for = Some((broker, BrokerEpoch(heartbeat.broker_epoch)));
                    let reply = self.sessions.on_heartbeat(broker, &heartbeat, stream).await;
                    Ok(self.with_quorum(reply))
                }
                Err(status) => Err(status),
            };
            if self.replies.send(reply).await.is_err() {
                break;
            }
        }
        if let Some((broker, broker_epoch)) = spoke_for {
            self.sessions.on_stream_broken(broker, broker_epoch, stream);
        }
    }

    /// Adds what this voter knows of the quorum.
    fn with_quorum(&self, reply: wire::HeartbeatReply) -> wire::HeartbeatReply {
        let known = not_controller(*self.leadership.borrow());
        wire::HeartbeatReply {
            leader_node_id: known.leader_node_id,
            leader_epoch: known.leader_epoch,
            voters: voters_of(&self.identity, &self.quorum),
            ..reply
        }
    }
}

/// Who leads instead, as a hint.
fn not_controller(leadership: Leadership) -> wire::NotController {
    wire::NotController {
        leader_node_id: leadership.leader_node_id.unwrap_or(-1),
        leader_epoch: i64::try_from(leadership.term).unwrap_or(i64::MAX),
    }
}

/// The voters and where they are reached.
fn voters_of(identity: &Identity, quorum: &Quorum) -> Vec<wire::VoterAddress> {
    let address = |voter: &Voter| VoterAddress { node_id: voter.node_id, host: voter.host.clone(), port: voter.port };
    let membership = quorum.membership();
    membership.voters().map(|voter| (&identity.address_of(&address(voter))).into()).collect()
}

/// Sends what follows `index`, for ever, or until the receiver goes away.
async fn send_feed(
    applied: &AppliedMetadata,
    mut index: i64,
    items: &mpsc::Sender<Result<wire::MetadataFeed, Status>>,
) {
    loop {
        let item = applied.next(index).await;
        index = item.end_index();
        for message in messages(&item) {
            if items.send(Ok(message)).await.is_err() {
                return;
            }
        }
    }
}

/// What only a leader decides to do: from its sessions, and on its first day.
fn is_controllers_own(command: &MetadataCommand) -> bool {
    matches!(command.kind, Some(Kind::InitializeCluster(_) | Kind::FenceBroker(_) | Kind::UnfenceBroker(_)))
}

fn check<'a>(identity: &Identity, envelope: Option<&'a wire::Envelope>) -> Result<&'a wire::Envelope, Status> {
    let envelope = envelope.ok_or_else(|| Status::invalid_argument("the envelope is missing"))?;
    identity.check_node_id(envelope.target_node_id).map_err(wrong_target)?;
    identity.check_cluster_id(&envelope.cluster_id).map_err(wrong_target)?;
    Ok(envelope)
}

/// A member as DescribeQuorum shows it. One that holds everything committed was caught up when it last fetched.
fn quorum_replica(member: &MemberState, high_watermark: u64, now: i64) -> wire::QuorumReplica {
    let last_fetch_timestamp_ms = if member.is_self { now } else { member.last_fetch_ms.unwrap_or(-1) };
    let caught_up = member.log_end_offset >= high_watermark;
    wire::QuorumReplica {
        node_id: member.voter.node_id,
        directory_id: uuid_bytes(member.voter.directory_id),
        host: member.voter.host.clone(),
        port: member.voter.port.into(),
        log_end_offset: i64::try_from(member.log_end_offset).unwrap_or(i64::MAX),
        last_fetch_timestamp_ms,
        last_caught_up_timestamp_ms: if caught_up { last_fetch_timestamp_ms } else { -1 },
    }
}

/// A broker as DescribeQuorum shows it. It is fed records and knows no index of the log: it stands as many before the
/// high watermark as it has records to apply.
fn broker_as_observer(follower: &MetadataFollower, high_watermark: u64, now: i64) -> wire::QuorumReplica {
    let last_fetch_timestamp_ms = now - i64::try_from(follower.silent_ms).unwrap_or(now);
    let high_watermark = i64::try_from(high_watermark).unwrap_or(i64::MAX);
    wire::QuorumReplica {
        node_id: follower.broker_id.0,
        directory_id: uuid_bytes(follower.directory_id.0),
        log_end_offset: (high_watermark - follower.lag).max(0),
        last_fetch_timestamp_ms,
        last_caught_up_timestamp_ms: if follower.lag == 0 { last_fetch_timestamp_ms } else { -1 },
        ..wire::QuorumReplica::default()
    }
}
