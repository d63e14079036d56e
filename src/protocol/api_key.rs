//! Kafka's API keys, and the pairs of request and response of those that have a schema here.

use std::fmt;
use std::ops::RangeInclusive;

use super::message::Message;
use super::messages::*;

/// A message that asks.
pub trait Request: Message {
    /// The key in the request's header.
    const API_KEY: ApiKey;
    /// The message that answers, in the same version.
    type Response: Message;
}

/// What the schema of one API says about its versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaVersions {
    /// The versions the schema describes. What a broker serves can be less.
    pub versions: RangeInclusive<i16>,
    /// The first flexible version; `i16::MAX` when there is none.
    pub flexible_from: i16,
}

impl SchemaVersions {
    fn of<R: Request>() -> Self {
        Self { versions: R::VERSIONS, flexible_from: R::FLEXIBLE_FROM }
    }
}

macro_rules! api_keys {
    ($($api:ident = $key:literal $(: $request:ident -> $response:ident)?;)*) => {
        /// The APIs of Kafka 4.3 by the names and numbers Kafka gives them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        #[allow(missing_docs, reason = "Kafka's protocol guide explains each API under the same name")]
        pub enum ApiKey {
            $($api = $key,)*
        }

        impl ApiKey {
            /// All keys, in the order of their numbers.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$api,)*];

            /// The API with this number.
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$api),)*
                    _ => None,
                }
            }

            /// Kafka's name, such as `ListOffsets`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$api => stringify!($api),)*
                }
            }

            /// The versions of its schema; `None` when there is no schema of it here.
            pub fn schema_versions(self) -> Option<SchemaVersions> {
                match self {
                    $($(Self::$api => Some(SchemaVersions::of::<$request>()),)?)*
                    _ => None,
                }
            }
        }

        $($(impl Request for $request {
            const API_KEY: ApiKey = ApiKey::$api;
            type Response = $response;
        })?)*

        /// Shows every API that has a schema to `visitor`, in the order of their numbers.
        pub fn visit_apis(visitor: &mut impl ApiVisitor) {
            $($(visitor.visit::<$request>();)?)*
        }
    };
}

/// Looks at the types of one API after the other.
pub trait ApiVisitor {
    /// Called with the type of the request; that of the response belongs to it.
    fn visit<R: Request>(&mut self);
}

impl ApiKey {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// True when requests and responses of `version` have compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        self.schema_versions().is_some_and(|schema| version >= schema.flexible_from)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

api_keys! {
    Produce = 0: ProduceRequest -> ProduceResponse;
    Fetch = 1: FetchRequest -> FetchResponse;
    ListOffsets = 2: ListOffsetsRequest -> ListOffsetsResponse;
    Metadata = 3: MetadataRequest -> MetadataResponse;
    LeaderAndIsr = 4;
    StopReplica = 5;
    UpdateMetadata = 6;
    ControlledShutdown = 7;
    OffsetCommit = 8: OffsetCommitRequest -> OffsetCommitResponse;
    OffsetFetch = 9: OffsetFetchRequest -> OffsetFetchResponse;
    FindCoordinator = 10: FindCoordinatorRequest -> FindCoordinatorResponse;
    JoinGroup = 11: JoinGroupRequest -> JoinGroupResponse;
    Heartbeat = 12: HeartbeatRequest -> HeartbeatResponse;
    LeaveGroup = 13: LeaveGroupRequest -> LeaveGroupResponse;
    SyncGroup = 14: SyncGroupRequest -> SyncGroupResponse;
    DescribeGroups = 15: DescribeGroupsRequest -> DescribeGroupsResponse;
    ListGroups = 16: ListGroupsRequest -> ListGroupsResponse;
    SaslHandshake = 17: SaslHandshakeRequest -> SaslHandshakeResponse;
    ApiVersions = 18: ApiVersionsRequest -> ApiVersionsResponse;
    CreateTopics = 19: CreateTopicsRequest -> CreateTopicsResponse;
    DeleteTopics = 20: DeleteTopicsRequest -> DeleteTopicsResponse;
    DeleteRecords = 21: DeleteRecordsRequest -> DeleteRecordsResponse;
    InitProducerId = 22: InitProducerIdRequest -> InitProducerIdResponse;
    OffsetForLeaderEpoch = 23: OffsetForLeaderEpochRequest -> OffsetForLeaderEpochResponse;
    AddPartitionsToTxn = 24: AddPartitionsToTxnRequest -> AddPartitionsToTxnResponse;
    AddOffsetsToTxn = 25: AddOffsetsToTxnRequest -> AddOffsetsToTxnResponse;
    EndTxn = 26: EndTxnRequest -> EndTxnResponse;
    WriteTxnMarkers = 27: WriteTxnMarkersRequest -> WriteTxnMarkersResponse;
    TxnOffsetCommit = 28: TxnOffsetCommitRequest -> TxnOffsetCommitResponse;
    DescribeAcls = 29;
    CreateAcls = 30;
    DeleteAcls = 31;
    DescribeConfigs = 32: DescribeConfigsRequest -> DescribeConfigsResponse;
    AlterConfigs = 33: AlterConfigsRequest -> AlterConfigsResponse;
    AlterReplicaLogDirs = 34: AlterReplicaLogDirsRequest -> AlterReplicaLogDirsResponse;
    DescribeLogDirs = 35: DescribeLogDirsRequest -> DescribeLogDirsResponse;
    SaslAuthenticate = 36: SaslAuthenticateRequest -> SaslAuthenticateResponse;
    CreatePartitions = 37: CreatePartitionsRequest -> CreatePartitionsResponse;
    CreateDelegationToken = 38;
    RenewDelegationToken = 39;
    ExpireDelegationToken = 40;
    DescribeDelegationToken = 41;
    DeleteGroups = 42: DeleteGroupsRequest -> DeleteGroupsResponse;
    ElectLeaders = 43: ElectLeadersRequest -> ElectLeadersResponse;
    IncrementalAlterConfigs = 44: IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse;
    AlterPartitionReassignments = 45: AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse;
    ListPartitionReassignments = 46: ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse;
    OffsetDelete = 47: OffsetDeleteRequest -> OffsetDeleteResponse;
    DescribeClientQuotas = 48: DescribeClientQuotasRequest -> DescribeClientQuotasResponse;
    AlterClientQuotas = 49: AlterClientQuotasRequest -> AlterClientQuotasResponse;
    DescribeUserScramCredentials = 50;
    AlterUserScramCredentials = 51;
    Vote = 52;
    BeginQuorumEpoch = 53;
    EndQuorumEpoch = 54;
    DescribeQuorum = 55: DescribeQuorumRequest -> DescribeQuorumResponse;
    AlterPartition = 56;
    UpdateFeatures = 57: UpdateFeaturesRequest -> UpdateFeaturesResponse;
    Envelope = 58;
    FetchSnapshot = 59;
    DescribeCluster = 60: DescribeClusterRequest -> DescribeClusterResponse;
    DescribeProducers = 61: DescribeProducersRequest -> DescribeProducersResponse;
    BrokerRegistration = 62;
    BrokerHeartbeat = 63;
    UnregisterBroker = 64: UnregisterBrokerRequest -> UnregisterBrokerResponse;
    DescribeTransactions = 65: DescribeTransactionsRequest -> DescribeTransactionsResponse;
    ListTransactions = 66: ListTransactionsRequest -> ListTransactionsResponse;
    AllocateProducerIds = 67;
    ConsumerGroupHeartbeat = 68: ConsumerGroupHeartbeatRequest -> ConsumerGroupHeartbeatResponse;
    ConsumerGroupDescribe = 69: ConsumerGroupDescribeRequest -> ConsumerGroupDescribeResponse;
    ControllerRegistration = 70;
    GetTelemetrySubscriptions = 71;
    PushTelemetry = 72;
    AssignReplicasToDirs = 73;
    ListConfigResources = 74: ListConfigResourcesRequest -> ListConfigResourcesResponse;
    DescribeTopicPartitions = 75: DescribeTopicPartitionsRequest -> DescribeTopicPartitionsResponse;
    ShareGroupHeartbeat = 76;
    ShareGroupDescribe = 77;
    ShareFetch = 78;
    ShareAcknowledge = 79;
    AddRaftVoter = 80: AddRaftVoterRequest -> AddRaftVoterResponse;
    RemoveRaftVoter = 81: RemoveRaftVoterRequest -> RemoveRaftVoterResponse;
    UpdateRaftVoter = 82;
    InitializeShareGroupState = 83;
    ReadShareGroupState = 84;
    WriteShareGroupState = 85;
    DeleteShareGroupState = 86;
    ReadShareGroupStateSummary = 87;
    StreamsGroupHeartbeat = 88;
    StreamsGroupDescribe = 89;
    DescribeShareGroupOffsets = 90;
    AlterShareGroupOffsets = 91;
    DeleteShareGroupOffsets = 92;
}
