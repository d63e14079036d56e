//! Consumer groups over the wire, in every version that is advertised. The answers are those of Apache Kafka 4.3.1 to
//! the same requests.

use bytes::Bytes;
use ottla::broker::dispatch;
use ottla::model::{ErrorCode, Uuid};
use ottla::protocol::Request;
use ottla::protocol::messages::*;
use tempfile::TempDir;

use super::harness::{Connection, Node, Setup};

const UNKNOWN_ID: Uuid = Uuid([9; 16]);

/// A node with a topic `t` of one partition, and the offsets topic created.
fn start() -> (TempDir, Node, Connection) {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).set("offsets.topic.num.partitions", "3").start();
    let mut connection = node.connect();
    connection.create_topic("t");
    find_coordinator(&mut connection);
    (directory, node, connection)
}

fn find_coordinator(connection: &mut Connection) {
    loop {
        let found = connection.send(0, &FindCoordinatorRequest { key: text("g"), ..Default::default() });
        let ready = connection.send(5, &ListGroupsRequest::default()).error_code == ErrorCode::None;
        let joinable = heartbeat(connection, 0, "nobody", 1, "m") == ErrorCode::UnknownMemberId;
        if found.error_code == ErrorCode::None && ready && joinable {
            return;
        }
    }
}

fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    dispatch::advertised(R::API_KEY).unwrap_or_else(|| panic!("{:?} is served", R::API_KEY))
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn join_request(group_id: &str, member_id: &str) -> JoinGroupRequest {
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    JoinGroupRequest {
        group_id: text(group_id),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: text(member_id),
        protocol_type: text("consumer"),
        protocols: vec![JoinGroupRequestProtocol { name: text("range"), metadata }],
        ..Default::default()
    }
}

/// Joins as clients do: with the id that a first answer may give.
fn join(connection: &mut Connection, version: i16, group_id: &str) -> JoinGroupResponse {
    let first = connection.send(version, &join_request(group_id, ""));
    if version < 4 {
        return first;
    }
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired, "{first:?}");
    connection.send(version, &join_request(group_id, &first.member_id))
}

fn sync(
    connection: &mut Connection,
    version: i16,
    group_id: &str,
    member_id: &str,
    generation: i32,
) -> SyncGroupResponse {
    let assignment = Bytes::from_static(b"yours");
    let assignments = vec![SyncGroupRequestAssignment { member_id: text(member_id), assignment }];
    let request = SyncGroupRequest {
        group_id: text(group_id),
        generation_id: generation,
        member_id: text(member_id),
        protocol_type: Some(text("consumer")).filter(|_| version >= 5),
        protocol_name: Some(text("range")).filter(|_| version >= 5),
        assignments,
        ..Default::default()
    };
    connection.send(version, &request)
}

fn heartbeat(connection: &mut Connection, version: i16, group_id: &str, generation: i32, member_id: &str) -> ErrorCode {
    let (group_id, member_id) = (text(group_id), text(member_id));
    connection
        .send(version, &HeartbeatRequest { group_id, generation_id: generation, member_id, ..Default::default() })
        .error_code
}

fn leave(connection: &mut Connection, version: i16, group_id: &str, member_id: &str) -> (ErrorCode, Option<ErrorCode>) {
    let mut request = LeaveGroupRequest { group_id: text(group_id), ..Default::default() };
    if version < 3 {
        request.member_id = text(member_id);
    } else {
        request.members = vec![LeaveGroupMember { member_id: text(member_id), ..Default::default() }];
    }
    let response = connection.send(version, &request);
    (response.error_code, response.members.first().map(|member| member.error_code))
}

fn commit_request(group_id: &str, member_id: &str, generation: i32, topic: &str, id: Uuid) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: 7,
        committed_metadata: Some(text("grüße")),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: text(group_id),
        generation_id_or_member_epoch: generation,
        member_id: text(member_id),
        topics: vec![OffsetCommitRequestTopic { name: text(topic), topic_id: id, partitions: vec![partition] }],
        ..Default::default()
    }
}

fn commit(connection: &mut Connection, version: i16, request: &OffsetCommitRequest) -> ErrorCode {
    connection.send(version, request).topics[0].partitions[0].error_code
}

/// Offset, metadata and error of partition 0 of `topic`, whatever the version's shape.
fn fetch(connection: &mut Connection, version: i16, group_id: &str, topic: &str, id: Uuid) -> (i64, String, ErrorCode) {
    let mut request = OffsetFetchRequest { require_stable: version >= 7, ..Default::default() };
    if version < 8 {
        request.group_id = text(group_id);
        request.topics = Some(vec![OffsetFetchRequestTopic { name: text(topic), partition_indexes: vec![0] }]);
        let response = connection.send(version, &request);
        let partition = &response.topics[0].partitions[0];
        return (partition.committed_offset, partition.metadata.clone().unwrap(), partition.error_code);
    }
    let topics = vec![OffsetFetchRequestTopics { name: text(topic), topic_id: id, partition_indexes: vec![0] }];
    request.groups =
        vec![OffsetFetchRequestGroup { group_id: text(group_id), topics: Some(topics), ..Default::default() }];
    let response = connection.send(version, &request);
    let partition = &response.groups[0].topics[0].partitions[0];
    (partition.committed_offset, partition.metadata.clone().unwrap(), partition.error_code)
}

fn topic_id(connection: &mut Connection, name: &str) -> Uuid {
    let topic = MetadataRequestTopic { name: Some(text(name)), ..Default::default() };
    let response = connection.send(10, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() });
    response.topics[0].topic_id
}

#[test]
fn a_member_lives_through_every_version() {
    let (_directory, _node, mut connection) = start();
    let connection = &mut connection;
    let id = topic_id(connection, "t");
    for version in versions::<JoinGroupRequest>() {
        let group_id = format!("group-{version}");
        let sync_version = version.min(*versions::<SyncGroupRequest>().end());
        let heartbeat_version = version.min(*versions::<HeartbeatRequest>().end());
        let commit_version = (version + 1).max(2);
        let fetch_version = version + 1;
        let leave_version = version.min(*versions::<LeaveGroupRequest>().end());

        let joined = join(connection, version, &group_id);
        assert_eq!((joined.error_code, joined.generation_id), (ErrorCode::None, 1), "{joined:?}");
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.protocol_type.as_deref(), Some("consumer").filter(|_| version >= 7));
        assert_eq!((joined.leader.as_str(), joined.members.len()), (joined.member_id.as_str(), 1));
        let member_id = joined.member_id.as_str();
        let early = commit_request(&group_id, member_id, 1, "t", id);
        assert_eq!(commit(connection, commit_version, &early), ErrorCode::RebalanceInProgress);
        let synced = sync(connection, sync_version, &group_id, member_id, 1);
        assert_eq!((synced.error_code, synced.assignment.as_ref()), (ErrorCode::None, &b"yours"[..]), "{synced:?}");
        assert_eq!(heartbeat(connection, heartbeat_version, &group_id, 1, member_id), ErrorCode::None);
        assert_eq!(heartbeat(connection, heartbeat_version, &group_id, 2, member_id), ErrorCode::IllegalGeneration);

        let request = |generation| commit_request(&group_id, member_id, generation, "t", id);
        assert_eq!(commit(connection, commit_version, &request(0)), ErrorCode::IllegalGeneration);
        assert_eq!(commit(connection, commit_version, &request(1)), ErrorCode::None);
        let committed = (7, text("grüße"), ErrorCode::None);
        assert_eq!(fetch(connection, fetch_version, &group_id, "t", id), committed);

        let left = leave(connection, leave_version, &group_id, member_id);
        assert_eq!(left, (ErrorCode::None, Some(ErrorCode::None).filter(|_| leave_version >= 3)));
        assert_eq!(heartbeat(connection, heartbeat_version, &group_id, 1, member_id), ErrorCode::UnknownMemberId);
    }
}

#[test]
fn simple_consumers_and_what_nobody_knows() {
    let (_directory, _node, mut connection) = start();
    let connection = &mut connection;
    let id = topic_id(connection, "t");
    for version in versions::<OffsetCommitRequest>() {
        let mut send = |member: &str, generation, topic: &str, id| {
            commit(connection, version, &commit_request("simple", member, generation, topic, id))
        };
        assert_eq!(send("", -1, "t", id), ErrorCode::None);
        let unknown = if version < 10 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId };
        assert_eq!(send("", -1, "nosuch", UNKNOWN_ID), unknown);
        assert_eq!(send("m", 3, "t", id), ErrorCode::UnknownMemberId);
        let nobody = commit(connection, version, &commit_request("nobody", "m", 3, "t", id));
        assert_eq!(nobody, if version < 9 { ErrorCode::IllegalGeneration } else { ErrorCode::GroupIdNotFound });
    }
    for version in versions::<OffsetFetchRequest>() {
        let nothing = |error| (-1, String::new(), error);
        assert_eq!(fetch(connection, version, "simple", "t", id).0, 7);
        assert_eq!(fetch(connection, version, "nobody", "t", id), nothing(ErrorCode::None));
        let unknown = if version < 10 { ErrorCode::None } else { ErrorCode::UnknownTopicId };
        assert_eq!(fetch(connection, version, "simple", "nosuch", UNKNOWN_ID), nothing(unknown));
    }
    let mut long = commit_request("simple", "", -1, "t", id);
    long.topics[0].partitions[0].committed_metadata = Some("m".repeat(4097));
    assert_eq!(commit(connection, 9, &long), ErrorCode::OffsetMetadataTooLarge);
    // Kafka has taken commits of the group without a name since it had groups.
    assert_eq!(commit(connection, 9, &commit_request("", "", -1, "t", id)), ErrorCode::None);
}

#[test]
fn refusals_are_kafkas() {
    let (_directory, _node, mut connection) = start();
    let connection = &mut connection;
    for version in versions::<JoinGroupRequest>() {
        let refused = |connection: &mut Connection, request: JoinGroupRequest| {
            let response = connection.send(version, &request);
            assert_eq!(response.generation_id, -1);
            (response.error_code, response.member_id)
        };
        assert_eq!(refused(connection, join_request("", "")), (ErrorCode::InvalidGroupId, String::new()));
        assert_eq!(refused(connection, join_request("g", "ghost")), (ErrorCode::UnknownMemberId, text("ghost")));
        let impatient = JoinGroupRequest { session_timeout_ms: 5, ..join_request("g", "") };
        assert_eq!(refused(connection, impatient), (ErrorCode::InvalidSessionTimeout, String::new()));
        let mute = JoinGroupRequest { protocols: Vec::new(), ..join_request("g", "") };
        assert_eq!(refused(connection, mute), (ErrorCode::InconsistentGroupProtocol, String::new()));
    }
    assert_eq!(sync(connection, 5, "", "m", 1).error_code, ErrorCode::InvalidGroupId);
    assert_eq!(sync(connection, 5, "nobody", "m", 1).error_code, ErrorCode::UnknownMemberId);
    let unnamed = SyncGroupRequest { group_id: text("nobody"), member_id: text("m"), ..Default::default() };
    assert_eq!(connection.send(5, &unnamed).error_code, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(heartbeat(connection, 4, "", 1, "m"), ErrorCode::InvalidGroupId);
    assert_eq!(leave(connection, 1, "nobody", "m"), (ErrorCode::UnknownMemberId, None));
    assert_eq!(leave(connection, 5, "nobody", "m"), (ErrorCode::None, Some(ErrorCode::UnknownMemberId)));
    assert_eq!(leave(connection, 5, "", "m"), (ErrorCode::InvalidGroupId, None));
    for version in versions::<FindCoordinatorRequest>().filter(|version| *version >= 1) {
        let (coordinator_keys, key) = (vec![text("x")], text("x"));
        let batched = FindCoordinatorRequest { key_type: 7, coordinator_keys, ..Default::default() };
        let single = FindCoordinatorRequest { key_type: 7, key, ..Default::default() };
        let found = match version {
            4.. => connection.send(version, &batched).coordinators[0].error_code,
            _ => connection.send(version, &single).error_code,
        };
        assert_eq!(found, ErrorCode::InvalidRequest, "version {version}");
    }
}

#[test]
fn groups_are_shown_deleted_and_stripped_of_offsets() {
    let (_directory, _node, mut connection) = start();
    let connection = &mut connection;
    let id = topic_id(connection, "t");
    let joined = join(connection, 9, "full");
    sync(connection, 5, "full", &joined.member_id, 1);
    commit(connection, 9, &commit_request("full", &joined.member_id, 1, "t", id));
    commit(connection, 9, &commit_request("simple", "", -1, "t", id));

    for version in versions::<DescribeGroupsRequest>() {
        let request = DescribeGroupsRequest {
            groups: vec![text("full"), text("nobody")],
            include_authorized_operations: version >= 3,
            ..Default::default()
        };
        let described = connection.send(version, &request).groups;
        let full = (described[0].group_state.as_str(), described[0].protocol_data.as_str());
        assert_eq!(full, ("Stable", "range"));
        assert_eq!(described[0].members[0].member_assignment.as_ref(), b"yours");
        assert_eq!(described[0].members[0].client_host, "/127.0.0.1");
        assert_eq!(described[0].authorized_operations, if version >= 3 { 3400 } else { i32::MIN });
        let missing = if version < 6 { ErrorCode::None } else { ErrorCode::GroupIdNotFound };
        assert_eq!((described[1].error_code, described[1].group_state.as_str()), (missing, "Dead"));
    }
    let listed = |connection: &mut Connection, states: &[&str], types: &[&str]| {
        let all = |names: &[&str]| names.iter().map(|name| text(name)).collect();
        let request = ListGroupsRequest { states_filter: all(states), types_filter: all(types) };
        let groups = connection.send(5, &request).groups;
        groups.into_iter().map(|group| group.group_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(connection, &[], &[]), ["full", "simple"]);
    assert_eq!(listed(connection, &["empty"], &["Classic"]), ["simple"]);
    assert_eq!(listed(connection, &["bogus"], &[]), [""; 0]);
    assert_eq!(listed(connection, &[], &["consumer"]), [""; 0]);
    for version in 0..=4 {
        assert_eq!(connection.send(version, &ListGroupsRequest::default()).groups.len(), 2);
    }

    let delete_offset = |connection: &mut Connection, group: &str| {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: text("t"), partitions }];
        let response = connection.send(0, &OffsetDeleteRequest { group_id: text(group), topics });
        (response.error_code, response.topics.first().map(|topic| topic.partitions[0].error_code))
    };
    let subscribed = (ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(delete_offset(connection, "full"), subscribed);
    assert_eq!(delete_offset(connection, "nobody"), (ErrorCode::GroupIdNotFound, None));
    assert_eq!(delete_offset(connection, ""), (ErrorCode::InvalidGroupId, None));
    assert_eq!(delete_offset(connection, "simple"), (ErrorCode::None, Some(ErrorCode::None)));
    assert_eq!(fetch(connection, 9, "simple", "t", id).0, -1);

    for version in versions::<DeleteGroupsRequest>() {
        let request = DeleteGroupsRequest { groups_names: vec![text("full"), text("nobody"), text("full")] };
        let results = connection.send(version, &request).results;
        let errors: Vec<_> = results.iter().map(|result| (result.group_id.as_str(), result.error_code)).collect();
        assert_eq!(errors, [("full", ErrorCode::NonEmptyGroup), ("nobody", ErrorCode::GroupIdNotFound)]);
    }
    leave(connection, 5, "full", &joined.member_id);
    let request = DeleteGroupsRequest { groups_names: vec![text("full")] };
    assert_eq!(connection.send(2, &request).results[0].error_code, ErrorCode::None);
    assert_eq!(fetch(connection, 9, "full", "t", id).0, -1);
}

#[test]
fn members_and_offsets_outlive_a_crash() {
    let (directory, node, mut connection) = start();
    let id = topic_id(&mut connection, "t");
    let joined = join(&mut connection, 9, "g");
    sync(&mut connection, 5, "g", &joined.member_id, 1);
    let request = commit_request("g", &joined.member_id, 1, "t", id);
    assert_eq!(commit(&mut connection, 10, &request), ErrorCode::None);
    node.kill();

    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    find_coordinator(&mut connection);
    while heartbeat(&mut connection, 4, "g", 1, &joined.member_id) == ErrorCode::CoordinatorLoadInProgress {}
    assert_eq!(heartbeat(&mut connection, 4, "g", 1, &joined.member_id), ErrorCode::None);
    assert_eq!(fetch(&mut connection, 10, "g", "t", id), (7, text("grüße"), ErrorCode::None));
}
