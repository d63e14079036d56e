//! Sends JSON events: cargo run --bin producer [host:port]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), KafkaError> {
    let bootstrap = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .create()?;
    for user in 1..=10 {
        let key = format!("user-{user}");
        let value = format!(r#"{{"user_id": {user}, "action": "page_view"}}"#);
        let record = FutureRecord::to("user-events").key(&key).payload(&value);
        let sent = producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error)?;
        println!("user {user} -> user-events-{} at offset {}", sent.partition, sent.offset);
    }
    Ok(())
}
