//! Waits until every partition of some topics has acknowledged a record with acks=all: after a start, a restart or the
//! loss of a broker, the moment from which all of them can be written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use ottla::protocol::{CreatableTopic, CreateTopicsRequest, ProduceRequest, decode_response};
use serde_json::{Value, json};

use super::connection::{Connection, frame};
use super::{leaders, produce};

/// How long to try.
const PATIENCE: Duration = Duration::from_secs(300);
/// Partitions of one request.
const PARTITIONS_PER_REQUEST: usize = 100;

#[derive(Args)]
pub struct AwaitAcks {
    /// Brokers to ask for the leaders, separated by commas; those that do not answer are passed over.
    #[arg(long)]
    bootstrap: String,
    #[arg(long, num_args = 1.., required = true)]
    topic: Vec<String>,
    /// Of each topic.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Creates the topics with so many replicas when they do not exist.
    #[arg(long)]
    create_with_replicas: Option<i16>,
}

impl AwaitAcks {
    pub fn run(self) -> Value {
        let begun = Instant::now();
        let batch = produce::batch(1, 100);
        let mut open: BTreeMap<String, BTreeSet<i32>> =
            self.topic.iter().map(|topic| (topic.clone(), (0..self.partitions).collect())).collect();
        while !open.is_empty() {
            if let Err(error) = self.try_once(&mut open, &batch) {
                assert!(begun.elapsed() < PATIENCE, "not acknowledged in five minutes: {error}");
            }
            open.retain(|_, partitions| !partitions.is_empty());
            thread::sleep(Duration::from_millis(1));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        json!({ "seconds": begun.elapsed().as_secs_f64(), "unix_seconds": now.as_secs_f64() })
    }

    /// Sends a record to each partition that has acknowledged none yet and has a leader.
    fn try_once(&self, open: &mut BTreeMap<String, BTreeSet<i32>>, batch: &Bytes) -> io::Result<()> {
        let mut connection = Connection::open_any(&self.bootstrap)?;
        let mut frames: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (topic, partitions) in open.iter() {
            let (led, unled) = leaders::ask(&mut connection, topic)?;
            if led.is_empty() && unled == 0 {
                self.create(&mut connection, topic)?;
            }
            for (address, mut led) in led {
                led.retain(|partition| partitions.contains(partition));
                let requests = led.chunks(PARTITIONS_PER_REQUEST);
                let requests = requests.map(|chunk| produce::request(topic, chunk.to_vec(), -1, batch));
                frames.entry(address).or_default().extend(requests.map(|request| frame(produce::VERSION, &request)));
            }
        }
        let lanes = frames.into_iter().map(|(address, frames)| thread::spawn(move || acknowledged(&address, &frames)));
        for lane in lanes.collect::<Vec<_>>() {
            for (topic, partition) in lane.join().expect("a lane does not panic") {
                open.get_mut(&topic).expect("was asked for").remove(&partition);
            }
        }
        Ok(())
    }

    /// A broker that is not ready refuses and is asked again.
    fn create(&self, connection: &mut Connection, topic: &str) -> io::Result<()> {
        let Some(replication_factor) = self.create_with_replicas else { return Ok(()) };
        let topic = CreatableTopic {
            name: topic.to_owned(),
            num_partitions: self.partitions,
            replication_factor,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..CreateTopicsRequest::default() };
        connection.call(5, &request).map(|_| ())
    }
}

/// The partitions that acknowledged; a leader that goes away meanwhile has acknowledged what it has answered.
fn acknowledged(address: &str, frames: &[Vec<u8>]) -> Vec<(String, i32)> {
    let mut acknowledged = Vec::new();
    let _ = send_all(address, frames, &mut acknowledged);
    acknowledged
}

fn send_all(address: &str, frames: &[Vec<u8>], acknowledged: &mut Vec<(String, i32)>) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    for frame in frames {
        connection.send(frame)?;
    }
    for _ in frames {
        let answer = connection.receive()?;
        let (_, response) = decode_response::<ProduceRequest>(&answer, produce::VERSION)
            .map_err(|error| io::Error::other(error.to_string()))?;
        for topic in response.responses {
            let taken = topic.partition_responses.into_iter().filter(|partition| !partition.error_code.is_error());
            acknowledged.extend(taken.map(|partition| (topic.name.clone(), partition.index)));
        }
    }
    Ok(())
}
