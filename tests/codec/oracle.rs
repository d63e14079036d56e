//! The same bytes for the same values as the crate `kafka-protocol`, in every version both know.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, Message, Request, VersionRange};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::codecs::{Codec, Part, all_versions};
use crate::generate::{Tags, frame};

const FRAMES_PER_VERSION: u64 = 30;

/// What the other implementation makes of a frame: decoded and encoded again.
type Reencode = fn(Bytes, i16) -> BytesMut;

fn reencode<M: Encodable + Decodable>(mut bytes: Bytes, version: i16) -> BytesMut {
    let message = M::decode(&mut bytes, version).expect("the oracle decodes our bytes");
    assert!(bytes.is_empty(), "the oracle left {} bytes", bytes.len());
    let mut encoded = BytesMut::new();
    message.encode(&mut encoded, version).expect("the oracle encodes what it decoded");
    encoded
}

macro_rules! oracles {
    ($($request:ident)*) => {
        /// The other implementation of one part of an API, with the versions it knows.
        fn oracle(part: Part) -> Option<(VersionRange, Reencode)> {
            $(match part {
                Part::Request(key) if key.code() == messages::$request::KEY => {
                    return Some((messages::$request::VERSIONS, reencode::<messages::$request>));
                }
                Part::Response(key) if key.code() == messages::$request::KEY => {
                    type Response = <messages::$request as Request>::Response;
                    return Some((Response::VERSIONS, reencode::<Response>));
                }
                _ => {}
            })*
            None
        }
    };
}

oracles! {
    ProduceRequest
    FetchRequest
    ListOffsetsRequest
    MetadataRequest
    OffsetCommitRequest
    OffsetFetchRequest
    FindCoordinatorRequest
    JoinGroupRequest
    HeartbeatRequest
    LeaveGroupRequest
    SyncGroupRequest
    DescribeGroupsRequest
    ListGroupsRequest
    ApiVersionsRequest
    CreateTopicsRequest
    DeleteTopicsRequest
    DeleteRecordsRequest
    InitProducerIdRequest
    OffsetForLeaderEpochRequest
    DescribeConfigsRequest
    AlterConfigsRequest
    AlterReplicaLogDirsRequest
    DescribeLogDirsRequest
    CreatePartitionsRequest
    DeleteGroupsRequest
    IncrementalAlterConfigsRequest
    OffsetDeleteRequest
    DescribeQuorumRequest
    UpdateFeaturesRequest
    DescribeClusterRequest
    DescribeProducersRequest
    DescribeClientQuotasRequest
    AlterClientQuotasRequest
    ListConfigResourcesRequest
    DescribeTopicPartitionsRequest
    UnregisterBrokerRequest
    AddRaftVoterRequest
    RemoveRaftVoterRequest
    SaslHandshakeRequest
    SaslAuthenticateRequest
    AddPartitionsToTxnRequest
    AddOffsetsToTxnRequest
    EndTxnRequest
    WriteTxnMarkersRequest
    TxnOffsetCommitRequest
    DescribeTransactionsRequest
    ListTransactionsRequest
    ElectLeadersRequest
    AlterPartitionReassignmentsRequest
    ListPartitionReassignmentsRequest
    ConsumerGroupHeartbeatRequest
    ConsumerGroupDescribeRequest
}

/// Compares one random value; true when the oracle knows the version.
fn agrees(codec: &Codec, version: i16, seed: u64) -> bool {
    let generated = Bytes::from(frame(&mut StdRng::seed_from_u64(seed), codec, version, Tags::Known));
    let ours = (codec.reencode)(&generated, version)
        .unwrap_or_else(|error| panic!("{} {version} seed {seed}: {error}", codec.name));
    // Generated frames may send a tagged field at its default, which an encoder leaves out.
    let has_tags = version >= codec.flexible_from;
    assert!(has_tags || ours == generated, "{} {version} seed {seed}", codec.name);
    let Some((known, reencode)) = oracle(codec.part) else { return false };
    if !(known.min..=known.max).contains(&version) {
        return false;
    }
    assert_eq!(reencode(ours.clone(), version).freeze(), ours, "{} {version} seed {seed}", codec.name);
    true
}

#[test]
fn the_same_bytes_as_another_implementation() {
    let mut unknown = Vec::new();
    let mut compared = 0;
    for (codec, version) in all_versions() {
        let known: Vec<bool> = (0..FRAMES_PER_VERSION).map(|seed| agrees(codec, *version, seed)).collect();
        if known.iter().all(|known| *known) {
            compared += 1;
        } else {
            unknown.push(format!("{} {version}", codec.name));
        }
    }
    println!("{compared} versions of messages compared, {} not known to the oracle: {unknown:?}", unknown.len());
    assert!(compared > 350, "{compared}");
}
