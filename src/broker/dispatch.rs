//! From a frame to a handler: the table of what this broker serves.
//!
//! A row gives the API, the versions that are advertised and served, and the handler file. ApiVersions answers and
//! docs/protocol-support.md are made from this table, so they cannot disagree with it.

use std::any::Any;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::ErrorCode;
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, ProduceRequest};
use crate::protocol::{self, ApiKey, DecodeError, Reader, Request, RequestHeader};

use super::call::{Call, Client, Outcome};
use super::context::Context;
use super::handlers;
use super::quotas::Throttle;
use super::receive::Frame;
use super::send::Outgoing;
use super::served::Served;
use super::spent::Spent;

/// A request that has been started.
pub type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// How a request ends.
#[derive(Debug)]
pub enum Answer {
    /// With a response; then nothing is read from the client for as long as it was told.
    Send(Outgoing, Duration),
    /// Without one: Produce with acks=0.
    Nothing(Duration),
    /// With the end of the connection: a Produce with acks=0 that failed.
    Close,
}

/// A frame that is not a request we serve: the connection is closed, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// Malformed bytes.
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    /// An API key that is not advertised.
    #[error("request for API key {0}, which is not served")]
    UnknownApi(i16),
    /// A version outside the advertised range.
    #[error("request for {api:?} version {version}, which is not served")]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// What was asked for.
        version: i16,
    },
}

macro_rules! served {
    ($($api:ident $versions:expr => $handler:ident ($request:ident);)*) => {
        /// All that is served, by API key.
        pub fn table() -> Vec<Served> {
            vec![$(Served { api: ApiKey::$api, advertised: $versions, handler: stringify!($handler) },)*]
        }

        /// The advertised versions of `api`; `None` when it is not served.
        pub fn advertised(api: ApiKey) -> Option<RangeInclusive<i16>> {
            match api {
                $(ApiKey::$api => Some($versions),)*
                _ => None,
            }
        }

        fn run(context: &Arc<Context>, header: &RequestHeader, call: Call, body: &mut Reader<'_>) -> Result<(Pending, bool), BadRequest> {
            let context = Arc::clone(context);
            let correlation_id = header.correlation_id;
            match header.api_key {
                $(ApiKey::$api => {
                    let request = decode::<protocol::messages::$request>(body, call.api_version)?;
                    let appends_at_once = appends_at_once(&request);
                    let pending: Pending = Box::pin(async move {
                        let (version, started) = (call.api_version, Instant::now());
                        let spent = Spent::of(&context, &call.throttle, &call.client_id);
                        let handled = handlers::$handler::handle(&context, call, request);
                        let (outcome, pause) = spent.measure(&context, handled).await;
                        context.requests.on_answered(ApiKey::$api, started.elapsed());
                        encode::<protocol::messages::$request>(version, correlation_id, outcome.into(), pause)
                    });
                    Ok((pending, appends_at_once))
                })*
                other => Err(BadRequest::UnknownApi(other.code())),
            }
        }
    };
}

// Produce 0 to 2 are advertised and not served: without them librdkafka before 2.11.1 believes that the broker
// cannot take zstd or even any compression, and sends everything uncompressed.
served! {
    Produce 0..=13 => produce (ProduceRequest);
    Fetch 4..=18 => fetch (FetchRequest);
    ListOffsets 1..=11 => list_offsets (ListOffsetsRequest);
    Metadata 0..=13 => metadata (MetadataRequest);
    OffsetCommit 2..=10 => offset_commit (OffsetCommitRequest);
    OffsetFetch 1..=10 => offset_fetch (OffsetFetchRequest);
    FindCoordinator 0..=6 => find_coordinator (FindCoordinatorRequest);
    JoinGroup 0..=9 => join_group (JoinGroupRequest);
    Heartbeat 0..=4 => heartbeat (HeartbeatRequest);
    LeaveGroup 0..=5 => leave_group (LeaveGroupRequest);
    SyncGroup 0..=5 => sync_group (SyncGroupRequest);
    DescribeGroups 0..=6 => describe_groups (DescribeGroupsRequest);
    ListGroups 0..=5 => list_groups (ListGroupsRequest);
    ApiVersions 0..=4 => api_versions (ApiVersionsRequest);
    CreateTopics 0..=7 => create_topics (CreateTopicsRequest);
    DeleteTopics 0..=6 => delete_topics (DeleteTopicsRequest);
    DeleteRecords 0..=2 => delete_records (DeleteRecordsRequest);
    InitProducerId 0..=5 => init_producer_id (InitProducerIdRequest);
    OffsetForLeaderEpoch 2..=4 => offset_for_leader_epoch (OffsetForLeaderEpochRequest);
    AddPartitionsToTxn 0..=5 => add_partitions_to_txn (AddPartitionsToTxnRequest);
    AddOffsetsToTxn 0..=4 => add_offsets_to_txn (AddOffsetsToTxnRequest);
    EndTxn 0..=5 => end_txn (EndTxnRequest);
    WriteTxnMarkers 1..=2 => write_txn_markers (WriteTxnMarkersRequest);
    TxnOffsetCommit 0..=5 => txn_offset_commit (TxnOffsetCommitRequest);
    DescribeConfigs 0..=4 => describe_configs (DescribeConfigsRequest);
    AlterConfigs 0..=2 => alter_configs (AlterConfigsRequest);
    AlterReplicaLogDirs 1..=2 => alter_replica_log_dirs (AlterReplicaLogDirsRequest);
    DescribeLogDirs 0..=5 => describe_log_dirs (DescribeLogDirsRequest);
    CreatePartitions 0..=3 => create_partitions (CreatePartitionsRequest);
    DeleteGroups 0..=2 => delete_groups (DeleteGroupsRequest);
    ElectLeaders 0..=2 => elect_leaders (ElectLeadersRequest);
    IncrementalAlterConfigs 0..=1 => incremental_alter_configs (IncrementalAlterConfigsRequest);
    AlterPartitionReassignments 0..=1 => alter_partition_reassignments (AlterPartitionReassignmentsRequest);
    ListPartitionReassignments 0..=0 => list_partition_reassignments (ListPartitionReassignmentsRequest);
    DescribeClientQuotas 0..=1 => describe_client_quotas (DescribeClientQuotasRequest);
    AlterClientQuotas 0..=1 => alter_client_quotas (AlterClientQuotasRequest);
    OffsetDelete 0..=0 => offset_delete (OffsetDeleteRequest);
    DescribeQuorum 0..=2 => describe_quorum (DescribeQuorumRequest);
    UpdateFeatures 0..=2 => update_features (UpdateFeaturesRequest);
    DescribeCluster 0..=2 => describe_cluster (DescribeClusterRequest);
    DescribeProducers 0..=0 => describe_producers (DescribeProducersRequest);
    DescribeTransactions 0..=0 => describe_transactions (DescribeTransactionsRequest);
    ListTransactions 0..=2 => list_transactions (ListTransactionsRequest);
    ConsumerGroupHeartbeat 0..=1 => consumer_group_heartbeat (ConsumerGroupHeartbeatRequest);
    ConsumerGroupDescribe 0..=1 => consumer_group_describe (ConsumerGroupDescribeRequest);
    ListConfigResources 0..=1 => list_config_resources (ListConfigResourcesRequest);
    UnregisterBroker 0..=0 => unregister_broker (UnregisterBrokerRequest);
    DescribeTopicPartitions 0..=0 => describe_topic_partitions (DescribeTopicPartitionsRequest);
    AddRaftVoter 0..=1 => add_raft_voter (AddRaftVoterRequest);
    RemoveRaftVoter 0..=0 => remove_raft_voter (RemoveRaftVoterRequest);
}

/// Decodes the request in `frame` and starts its handler; true when it appends as soon as it is polled, so that the
/// next request need not wait for its answer. Nothing of the handler has run until the returned future is polled.
pub fn start(context: &Arc<Context>, client: &Client, frame: Frame) -> Result<(Pending, bool), BadRequest> {
    let mut reader = Reader::new(&frame.bytes);
    let header = RequestHeader::decode(&mut reader)?;
    let (api, version) = (header.api_key, header.api_version);
    let Some(versions) = advertised(api) else { return Err(BadRequest::UnknownApi(api.code())) };
    if !versions.contains(&version) {
        if api == ApiKey::ApiVersions {
            return Ok((refuse_api_versions(header.correlation_id), false));
        }
        return Err(BadRequest::UnsupportedVersion { api, version });
    }
    let call = Call {
        api_version: version,
        client_id: header.client_id.clone(),
        client: client.clone(),
        request_bytes: frame.bytes.len(),
        throttle: Throttle::default(),
        memory: frame.memory,
    };
    run(context, &header, call, &mut reader)
}

/// A Produce appends before it waits for anything, but for the first writes of transactions.
fn appends_at_once(request: &dyn Any) -> bool {
    request.downcast_ref::<ProduceRequest>().is_some_and(|produce| produce.transactional_id.is_none())
}

fn decode<R: Request>(reader: &mut Reader<'_>, version: i16) -> Result<R, BadRequest> {
    if !R::VERSIONS.contains(&version) {
        return Err(BadRequest::UnsupportedVersion { api: R::API_KEY, version });
    }
    // Bytes after the body are let pass, as Kafka does: librdkafka sends some after its Metadata requests.
    Ok(R::decode(reader, version)?)
}

fn encode<R: Request>(version: i16, correlation_id: i32, outcome: Outcome<R::Response>, pause: Duration) -> Answer {
    let (body, slots) = match outcome {
        Outcome::Body(body) => (body, Vec::new()),
        Outcome::WithRecords(body, slots) => (body, slots),
        Outcome::Nothing => return Answer::Nothing(pause),
        Outcome::Close => return Answer::Close,
    };
    let frame = protocol::encode_response(R::API_KEY, version, correlation_id, &body);
    Answer::Send(Outgoing { frame, slots }, pause)
}

/// A client that is newer than we are learns our versions from an answer in version 0 (KIP-511).
fn refuse_api_versions(correlation_id: i32) -> Pending {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion,
        api_keys: table().iter().filter(|served| served.api == ApiKey::ApiVersions).map(Served::row).collect(),
        ..ApiVersionsResponse::default()
    };
    let answer = encode::<ApiVersionsRequest>(0, correlation_id, response.into(), Duration::ZERO);
    Box::pin(std::future::ready(answer))
}
