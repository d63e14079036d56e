//! A client that speaks Kafka's protocol, one request at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use ottla::model::ErrorCode;
use ottla::protocol::{
    self, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DescribeConfigsRequest, DescribeConfigsResource,
    DescribeTransactionsRequest, FetchPartition, FetchRequest, FetchTopic, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterableConfig, MetadataRequest,
    MetadataRequestTopic, MetadataResponseTopic, ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic,
    Records, Request,
};
use ottla::record::{BatchBuilder, Batches};

use super::{PATIENCE, eventually};

/// A connection that speaks Kafka's protocol, one request at a time.
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> Self {
        Self::try_open(address, PATIENCE).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects to a node that may be down; answers are waited for so long.
    pub fn try_open(address: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Sends a request and waits for its answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_send(version, request).expect("an answer")
    }

    /// The same to a node that may die meanwhile.
    pub fn try_send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.try_post(version, request)?;
        self.try_receive::<R>(version)
    }

    /// Sends a request without waiting for its answer, which is to be received before the next one is sent.
    pub fn try_post<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation_id += 1;
        let frame = protocol::encode_request(version, self.correlation_id, Some("test"), request);
        self.stream.write_all(&frame.bytes)
    }

    /// Waits for the answer to the request that was sent last.
    pub fn try_receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut answer)?;
        let (header, response) = protocol::decode_response::<R>(&Bytes::from(answer), version).expect("decodes");
        assert_eq!(header.correlation_id, self.correlation_id);
        Ok(response)
    }

    /// Waits until this node coordinates a transactional id and has read what there is of it.
    pub fn find_transaction_coordinator(&mut self, transactional_id: &str) {
        let key = transactional_id.to_owned();
        eventually("the transactional id has a coordinator", || {
            let found = self.send(2, &FindCoordinatorRequest { key: key.clone(), key_type: 1, ..Default::default() });
            let ask = DescribeTransactionsRequest { transactional_ids: vec![key.clone()] };
            let described = self.send(0, &ask).transaction_states[0].error_code;
            let is_loaded = matches!(described, ErrorCode::None | ErrorCode::TransactionalIdNotFound);
            (found.error_code == ErrorCode::None && is_loaded).then_some(())
        });
    }

    /// Creates a topic with one partition and one replica and waits for its leader, or panics.
    pub fn create_topic(&mut self, name: &str) {
        self.create_topic_with(name, 1, 1, &[]);
    }

    /// Creates a topic and waits until each of its partitions has a leader, or panics.
    pub fn create_topic_with(
        &mut self,
        name: &str,
        num_partitions: i32,
        replication_factor: i16,
        configs: &[(&str, &str)],
    ) {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: (*name).to_owned(), value: Some((*value).to_owned()) });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
        let response = self.send(5, &request);
        assert!(!response.topics[0].error_code.is_error(), "{response:?}");
        self.await_leaders(name, num_partitions);
    }

    /// Waits until the first `num_partitions` partitions of a topic have leaders.
    pub fn await_leaders(&mut self, topic: &str, num_partitions: i32) {
        eventually(&format!("{topic} has leaders"), || {
            let described = self.describe_topic(topic);
            let led = described.partitions.iter().filter(|partition| {
                partition.partition_index < num_partitions
                    && !partition.error_code.is_error()
                    && partition.leader_id >= 0
            });
            (i32::try_from(led.count()) == Ok(num_partitions)).then_some(())
        });
    }

    /// A topic as this node's metadata tells it.
    pub fn describe_topic(&mut self, topic: &str) -> MetadataResponseTopic {
        let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![asked]), ..MetadataRequest::default() };
        self.send(9, &request).topics.remove(0)
    }

    /// `host:port` of who leads partition 0 of a topic, as this node, which may die meanwhile, knows it.
    pub fn find_leader(&mut self, topic: &str) -> io::Result<Option<String>> {
        let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![asked]), ..MetadataRequest::default() };
        let response = self.try_send(9, &request)?;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let leader = partitions.filter(|partition| partition.partition_index == 0).map(|first| first.leader_id).next();
        let broker = response.brokers.iter().find(|broker| Some(broker.node_id) == leader);
        Ok(broker.map(|broker| format!("{}:{}", broker.host, broker.port)))
    }

    /// The value in effect of a resource's config (2 is a topic, 4 a broker, which must be this one).
    pub fn config(&mut self, resource_type: i8, resource: &str, key: &str) -> Option<String> {
        let resource = DescribeConfigsResource {
            resource_type,
            resource_name: resource.to_owned(),
            configuration_keys: Some(vec![key.to_owned()]),
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        self.send(1, &request).results.remove(0).configs.remove(0).value
    }

    /// Sets a config of a resource (2 is a topic, 4 a broker), or removes it, or panics.
    pub fn alter_config(&mut self, resource_type: i8, resource: &str, key: &str, value: Option<&str>) {
        let altered = self.try_alter_config(resource_type, resource, key, value);
        assert_eq!(altered, Ok(()), "{key}={value:?}");
    }

    /// Sets a config of a resource, or removes it.
    pub fn try_alter_config(
        &mut self,
        resource_type: i8,
        resource: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let config = IncrementalAlterableConfig {
            name: key.to_owned(),
            config_operation: i8::from(value.is_none()),
            value: value.map(str::to_owned),
        };
        let resource = IncrementalAlterConfigsResource {
            resource_type,
            resource_name: resource.to_owned(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        match self.send(1, &request).responses[0].error_code {
            ErrorCode::None => Ok(()),
            error => Err(error),
        }
    }

    /// Produces one record with acks=all to partition 0, and returns its offset, or panics. Tries again, as clients do,
    /// while the leader has not heard yet that the topic exists: others may know it before.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> i64 {
        let what = format!("the leader of {topic} knows it");
        let outcome = eventually(&what, || match self.try_produce(topic, value) {
            Err(ErrorCode::UnknownTopicOrPartition) => None,
            outcome => Some(outcome),
        });
        outcome.unwrap_or_else(|error| panic!("{topic}: {error}"))
    }

    /// Produces one record with acks=all to partition 0.
    pub fn try_produce(&mut self, topic: &str, value: &[u8]) -> Result<i64, ErrorCode> {
        self.try_produce_with(topic, value, -1)
    }

    /// Produces one record to partition 0, acknowledged by the leader (1) or by all in-sync replicas (-1).
    pub fn try_produce_with(&mut self, topic: &str, value: &[u8], acks: i16) -> Result<i64, ErrorCode> {
        outcome(&self.send(8, &produce_request(topic, value, acks, 30_000)))
    }

    /// Produces one record with acks=all to partition 0 of a node that may die meanwhile; `timeout_ms` bounds the wait
    /// for the in-sync replicas.
    pub fn produce_within(&mut self, topic: &str, value: &[u8], timeout_ms: i32) -> io::Result<Result<i64, ErrorCode>> {
        Ok(outcome(&self.try_send(8, &produce_request(topic, value, -1, timeout_ms))?))
    }

    /// The values of all records of partition 0.
    pub fn fetch_all(&mut self, topic: &str) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        loop {
            let partition = FetchPartition {
                partition: 0,
                fetch_offset: values.len() as i64,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            };
            let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
            let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
            let response = self.send(11, &request);
            let partition = &response.responses[0].partitions[0];
            assert!(!partition.error_code.is_error(), "{response:?}");
            let Records::Inline(bytes) = &partition.records else { return values };
            let before = values.len();
            for batch in Batches::new(bytes) {
                let batch = batch.expect("a whole batch");
                let plain = batch.plain_records(1 << 20).expect("plain");
                for record in ottla::record::Records::new(&batch.header, &plain) {
                    values.push(record.expect("a record").value.unwrap_or_default().to_vec());
                }
            }
            if values.len() == before {
                return values;
            }
        }
    }
}

fn produce_request(topic: &str, value: &[u8], acks: i16, timeout_ms: i32) -> ProduceRequest {
    let mut batch = BatchBuilder::new();
    batch.append(1_700_000_000_000, None, Some(value), &[]);
    let partition = ProducePartition { index: 0, records: Some(batch.build()) };
    let topic = ProduceTopic { name: topic.to_owned(), partitions: vec![partition], ..ProduceTopic::default() };
    ProduceRequest { acks, timeout_ms, topics: vec![topic], ..ProduceRequest::default() }
}

fn outcome(response: &ProduceResponse) -> Result<i64, ErrorCode> {
    let partition = &response.responses[0].partition_responses[0];
    match partition.error_code {
        ErrorCode::None => Ok(partition.base_offset),
        error => Err(error),
    }
}
