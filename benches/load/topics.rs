//! Creating and deleting the topics of a run.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use ottla::model::ErrorCode;
use ottla::protocol::{
    CreatableTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic, MetadataRequest, MetadataRequestTopic,
};
use serde_json::{Value, json};

use super::connection::Connection;
use super::leaders::leaders;

#[derive(Args)]
pub struct Create {
    #[arg(long)]
    bootstrap: String,
    #[arg(long, num_args = 1.., required = true)]
    topic: Vec<String>,
    /// Of each topic.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Of each partition.
    #[arg(long, default_value_t = 1)]
    replication_factor: i16,
}

impl Create {
    pub fn run(self) -> Value {
        let mut connection = Connection::open_any(&self.bootstrap).expect("connected");
        let begun = Instant::now();
        self.create(&mut connection);
        let seconds = begun.elapsed().as_secs_f64();
        let leaders = leaders(&self.bootstrap, &self.topic[0]).expect("every partition has a leader");
        let leaders: Vec<_> = leaders.into_keys().collect();
        json!({ "seconds": seconds, "partitions": self.topic.len() as i64 * i64::from(self.partitions), "leaders": leaders })
    }

    /// Creates topics, unless they exist, and waits until all replicas are in sync and all leaders know that they are.
    /// A request each: Kafka refuses very large ones.
    fn create(&self, connection: &mut Connection) {
        for name in &self.topic {
            let topic = CreatableTopic {
                name: name.clone(),
                num_partitions: self.partitions,
                replication_factor: self.replication_factor,
                ..CreatableTopic::default()
            };
            let request =
                CreateTopicsRequest { topics: vec![topic], timeout_ms: 280_000, ..CreateTopicsRequest::default() };
            let response = connection.call(5, &request).expect("an answer");
            let error = response.topics[0].error_code;
            assert!(!error.is_error() || error == ErrorCode::TopicAlreadyExists, "{response:?}");
        }
        let begun = Instant::now();
        while !self.all_in_sync(connection) || !self.topic.iter().all(|topic| self.all_served(topic)) {
            assert!(begun.elapsed() < Duration::from_secs(300), "replicas are missing after five minutes");
            sleep(Duration::from_millis(20));
        }
    }

    fn all_in_sync(&self, connection: &mut Connection) -> bool {
        let one = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let topics = self.topic.iter().map(one).collect();
        let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        let response = connection.call(8, &request).expect("an answer");
        response.topics.iter().all(|topic| {
            topic.partitions.len() == self.partitions as usize
                && topic.partitions.iter().all(|partition| {
                    !partition.error_code.is_error()
                        && partition.leader_id >= 0
                        && partition.isr_nodes.len() >= self.replication_factor as usize
                })
        })
    }

    fn all_served(&self, topic: &str) -> bool {
        let Ok(leaders) = leaders(&self.bootstrap, topic) else { return false };
        leaders.into_iter().all(|(address, partitions)| serves(&address, topic, partitions).unwrap_or(false))
    }
}

/// Whether a broker tells the end of all these partitions, as only their leader does.
fn serves(address: &str, topic: &str, partitions: Vec<i32>) -> io::Result<bool> {
    const LATEST: i64 = -1;
    let asked = partitions.into_iter().map(|partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: LATEST,
        ..Default::default()
    });
    let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: asked.collect() }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let response = Connection::open(address)?.call(4, &request)?;
    let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions.all(|partition| !partition.error_code.is_error()))
}

#[derive(Args)]
pub struct Delete {
    #[arg(long)]
    bootstrap: String,
    #[arg(long, num_args = 1.., required = true)]
    topic: Vec<String>,
}

impl Delete {
    pub fn run(self) -> Value {
        let mut connection = Connection::open_any(&self.bootstrap).expect("connected");
        let request = DeleteTopicsRequest {
            topic_names: self.topic.clone(),
            topics: self
                .topic
                .into_iter()
                .map(|name| DeleteTopicState { name: Some(name), ..Default::default() })
                .collect(),
            timeout_ms: 60_000,
        };
        let response = connection.call(4, &request).expect("an answer");
        json!({ "deleted": response.responses.iter().filter(|topic| !topic.error_code.is_error()).count() })
    }
}
