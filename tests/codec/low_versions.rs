//! Versions that Kafka 4 no longer has, and the oracle neither, but old clients still send: bytes written by hand.

use bytes::{Bytes, BytesMut};
use ottla::model::ErrorCode;
use ottla::protocol::*;

/// Both ways: the message has these bytes, and these bytes are the message.
fn check<M: Message>(version: i16, message: &M, bytes: &[&[u8]]) {
    let mut writer = Writer::new(BytesMut::new());
    message.encode(&mut writer, version);
    assert_eq!(writer.finish().0.as_ref(), bytes.concat());
    let bytes = Bytes::from(bytes.concat());
    assert_eq!(M::decode(&mut Reader::new(&bytes), version).as_ref(), Ok(message));
}

#[test]
fn create_topics_0_and_1() {
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: 3,
        replication_factor: 1,
        configs: vec![CreatableTopicConfig { name: "k".to_owned(), value: None }],
        ..Default::default()
    };
    let mut request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, validate_only: false };
    let v0: [&[u8]; 6] =
        [b"\0\0\0\x01\0\x01t", b"\0\0\0\x03\0\x01", b"\0\0\0\0", b"\0\0\0\x01\0\x01k\xff\xff", b"\0\0\x03\xe8", b""];
    check(0, &request, &v0);
    request.validate_only = true;
    check(1, &request, &[&v0[..5], &[b"\x01"]].concat());

    let mut result =
        CreatableTopicResult { name: "t".to_owned(), error_code: ErrorCode::TopicAlreadyExists, ..Default::default() };
    let response =
        |result: &CreatableTopicResult| CreateTopicsResponse { topics: vec![result.clone()], ..Default::default() };
    check(0, &response(&result), &[b"\0\0\0\x01\0\x01t\0\x24"]);
    result.error_message = Some("no".to_owned());
    check(1, &response(&result), &[b"\0\0\0\x01\0\x01t\0\x24\0\x02no"]);
}

#[test]
fn delete_topics_0() {
    let request = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], timeout_ms: 1000, ..Default::default() };
    check(0, &request, &[b"\0\0\0\x01\0\x01t", b"\0\0\x03\xe8"]);
    let result = DeletableTopicResult { name: Some("t".to_owned()), ..Default::default() };
    let response = DeleteTopicsResponse { responses: vec![result], throttle_time_ms: 0 };
    check(0, &response, &[b"\0\0\0\x01\0\x01t\0\0"]);
    check(1, &response, &[b"\0\0\0\0", b"\0\0\0\x01\0\x01t\0\0"]);
}

#[test]
fn describe_configs_0() {
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        configuration_keys: Some(vec!["k".to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    check(0, &request, &[b"\0\0\0\x01\x02\0\x01t", b"\0\0\0\x01\0\x01k"]);

    let config = DescribeConfigsResourceResult {
        name: "k".to_owned(),
        value: Some("v".to_owned()),
        is_default: true,
        ..Default::default()
    };
    let result = DescribeConfigsResult {
        resource_type: 2,
        resource_name: "t".to_owned(),
        configs: vec![config],
        ..Default::default()
    };
    let response = DescribeConfigsResponse { throttle_time_ms: 5, results: vec![result] };
    let head: &[u8] = b"\0\0\0\x05\0\0\0\x01\0\0\xff\xff\x02\0\x01t";
    check(0, &response, &[head, b"\0\0\0\x01\0\x01k\0\x01v", b"\0\x01\0"]);
}

#[test]
fn describe_log_dirs_0() {
    check(0, &DescribeLogDirsRequest::default(), &[b"\xff\xff\xff\xff"]);
    let partition =
        DescribeLogDirsPartition { partition_index: 1, partition_size: 2, offset_lag: 3, ..Default::default() };
    let topic = DescribeLogDirsTopic { name: "t".to_owned(), partitions: vec![partition] };
    let result = DescribeLogDirsResult { log_dir: "/d".to_owned(), topics: vec![topic], ..Default::default() };
    let response = DescribeLogDirsResponse { results: vec![result], ..Default::default() };
    let partition: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0";
    check(0, &response, &[b"\0\0\0\0", b"\0\0\0\x01\0\0\0\x02/d", b"\0\0\0\x01\0\x01t\0\0\0\x01", partition]);
}
