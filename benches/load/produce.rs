//! Produce: one frame, sent over and over with a few requests in flight.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use ottla::protocol::{ProducePartition, ProduceRequest, ProduceTopic, decode_response};
use ottla::record::BatchBuilder;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::connection::{Connection, frame, set_correlation_id};

pub const VERSION: i16 = 8;

#[derive(Args)]
pub struct Produce {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    /// Partitions of the topic; each request carries one batch for each.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Length of a record's value.
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// Records in a batch.
    #[arg(long, default_value_t = 15)]
    batch_records: usize,
    #[arg(long, default_value_t = 1)]
    acks: i16,
    /// Records to send in all; rounded up to whole requests.
    #[arg(long)]
    records: u64,
    /// Requests sent before the first of them is answered.
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Records per second; without it, as fast as the broker answers.
    #[arg(long)]
    rate: Option<f64>,
}

impl Produce {
    pub fn run(self) -> Value {
        let batch = batch(self.batch_records, self.record_bytes);
        let frame = frame(VERSION, &request(&self.topic, self.partitions, self.acks, &batch));
        let per_request = self.batch_records as u64 * self.partitions as u64;
        let requests = self.records.div_ceil(per_request);
        let pace = self.rate.map(|rate| Duration::from_secs_f64(per_request as f64 / rate));
        let begun = Instant::now();
        send_all(&self.bootstrap, frame, requests, self.in_flight, pace).expect("every request is acknowledged");
        let records = requests * per_request;
        json!({
            "records": records,
            "bytes": requests * self.partitions as u64 * batch.len() as u64,
            "requests": requests,
            "seconds": begun.elapsed().as_secs_f64(),
        })
    }
}

/// A batch of records that do not compress, all with the present moment as their time.
pub fn batch(records: usize, record_bytes: usize) -> Bytes {
    let mut random = StdRng::seed_from_u64(1);
    let mut value = vec![0; record_bytes];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let mut batch = BatchBuilder::new();
    for _ in 0..records {
        random.fill_bytes(&mut value);
        batch.append(now, None, Some(&value), &[]);
    }
    batch.build()
}

pub fn request(topic: &str, partitions: i32, acks: i16, batch: &Bytes) -> ProduceRequest {
    let partitions = (0..partitions).map(|index| ProducePartition { index, records: Some(batch.clone()) }).collect();
    let topic = ProduceTopic { name: topic.to_owned(), partitions, ..ProduceTopic::default() };
    ProduceRequest { acks, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() }
}

/// Sends the frame that many times; a second thread takes the answers.
fn send_all(
    address: &str,
    mut frame: Vec<u8>,
    requests: u64,
    in_flight: usize,
    pace: Option<Duration>,
) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    let answers = connection.share()?;
    let (window, sent) = sync_channel(in_flight);
    let reader = thread::spawn(move || -> io::Result<()> {
        let mut answers = answers;
        for () in sent {
            check(&mut answers)?;
        }
        Ok(())
    });
    let written = write_all(&mut connection, &mut frame, requests, window, pace);
    reader.join().expect("the reader does not panic")?;
    written
}

fn write_all(
    connection: &mut Connection,
    frame: &mut [u8],
    requests: u64,
    window: SyncSender<()>,
    pace: Option<Duration>,
) -> io::Result<()> {
    let begun = Instant::now();
    for number in 0..requests {
        if let Some(pace) = pace {
            let due = begun + pace.mul_f64(number as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        set_correlation_id(frame, number as i32);
        window.send(()).map_err(|_| io::Error::other("the broker stopped answering"))?;
        connection.send(frame)?;
    }
    Ok(())
}

/// Takes one answer; an error in it ends the run.
pub fn check(connection: &mut Connection) -> io::Result<()> {
    let answer = connection.receive()?;
    let (_, response) =
        decode_response::<ProduceRequest>(&answer, VERSION).map_err(|error| io::Error::other(error.to_string()))?;
    for partition in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
        if partition.error_code.is_error() {
            return Err(io::Error::other(format!("not acknowledged: {partition:?}")));
        }
    }
    connection.recycle(answer);
    Ok(())
}
