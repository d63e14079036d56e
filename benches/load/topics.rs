//! Creating and deleting the topics of a run.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use ottla::model::ErrorCode;
use ottla::protocol::{
    CreatableTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, MetadataRequest, MetadataRequestTopic,
};
use serde_json::{Value, json};

use super::connection::Connection;

#[derive(Args)]
pub struct Create {
    #[arg(long)]
    bootstrap: String,
    #[arg(long, num_args = 1.., required = true)]
    topic: Vec<String>,
    /// Of each topic.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
}

impl Create {
    pub fn run(self) -> Value {
        let mut connection = Connection::open(&self.bootstrap).expect("connected");
        let begun = Instant::now();
        create(&mut connection, &self.topic, self.partitions);
        json!({ "seconds": begun.elapsed().as_secs_f64(), "partitions": self.topic.len() as i64 * i64::from(self.partitions) })
    }
}

/// Creates topics, unless they exist, and waits for their leaders. A request each: Kafka refuses very large ones.
pub fn create(connection: &mut Connection, names: &[String], partitions: i32) {
    for name in names {
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 280_000, ..CreateTopicsRequest::default() };
        let response = connection.call(5, &request).expect("an answer");
        let error = response.topics[0].error_code;
        assert!(!error.is_error() || error == ErrorCode::TopicAlreadyExists, "{response:?}");
    }
    let begun = Instant::now();
    while !all_led(connection, names, partitions) {
        assert!(begun.elapsed() < Duration::from_secs(300), "no leaders after five minutes");
        sleep(Duration::from_millis(20));
    }
}

fn all_led(connection: &mut Connection, names: &[String], partitions: i32) -> bool {
    let topics = names.iter().map(|name| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() });
    let request = MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() };
    let response = connection.call(8, &request).expect("an answer");
    response.topics.iter().all(|topic| {
        topic.partitions.len() == partitions as usize
            && topic.partitions.iter().all(|partition| !partition.error_code.is_error() && partition.leader_id >= 0)
    })
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
        let mut connection = Connection::open(&self.bootstrap).expect("connected");
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
