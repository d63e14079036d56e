//! Reads JSON events as a group, until nothing comes for ten seconds: cargo run --bin consumer [host:port]

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), KafkaError> {
    let bootstrap = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "analytics-rust")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&["user-events"])?;
    while let Ok(record) = tokio::time::timeout(Duration::from_secs(10), consumer.recv()).await {
        let record = record?;
        let value = record.payload().map(String::from_utf8_lossy).unwrap_or_default();
        println!("{}-{}@{}: {value}", record.topic(), record.partition(), record.offset());
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        // Everything has been committed in the background already.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        committed => committed,
    }
}
