//! Produce: one frame for each leader, sent over and over with a few requests in flight.

use std::io;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use ottla::protocol::{ProducePartition, ProduceRequest, ProduceTopic, decode_response};
use ottla::record::BatchBuilder;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::connection::{Connection, frame, set_correlation_id};
use super::leaders::leaders;

pub const VERSION: i16 = 8;

#[derive(Args)]
pub struct Produce {
    #[arg(long)]
    bootstrap: String,
    /// Each of its leaders has a connection of its own; a request carries one batch for each partition that it leads.
    #[arg(long)]
    topic: String,
    /// Length of a record's value.
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// Records in a batch.
    #[arg(long, default_value_t = 15)]
    batch_records: usize,
    #[arg(long, default_value_t = 1)]
    acks: i16,
    /// Records to send in all; rounded up to whole batches for every partition.
    #[arg(long)]
    records: u64,
    /// Requests sent to a leader before the first of them is answered.
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Records per second; without it, as fast as the broker answers.
    #[arg(long)]
    rate: Option<f64>,
}

impl Produce {
    pub fn run(self) -> Value {
        let batch = batch(self.batch_records, self.record_bytes);
        let leaders = leaders(&self.bootstrap, &self.topic).expect("every partition has a leader");
        let partitions = leaders.values().map(Vec::len).sum::<usize>() as u64;
        let per_round = self.batch_records as u64 * partitions;
        let rounds = self.records.div_ceil(per_round);
        let pace = self.rate.map(|rate| Duration::from_secs_f64(per_round as f64 / rate));
        let begun = Instant::now();
        let lanes = leaders.into_iter().map(|(address, partitions)| {
            let frame = frame(VERSION, &request(&self.topic, partitions, self.acks, &batch));
            thread::spawn(move || send_all(&address, frame, rounds, self.in_flight, pace))
        });
        let lanes = lanes.collect::<Vec<_>>().into_iter();
        let taken = lanes.map(|lane| lane.join().expect("a lane does not panic"));
        let mut taken: Vec<Duration> = taken.flat_map(|taken| taken.expect("every request is acknowledged")).collect();
        let seconds = begun.elapsed().as_secs_f64();
        taken.sort_unstable();
        let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        json!({
            "records": rounds * per_round,
            "bytes": rounds * partitions * batch.len() as u64,
            "requests": taken.len(),
            "seconds": seconds,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
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

/// One batch for each of these partitions.
pub fn request(topic: &str, partitions: Vec<i32>, acks: i16, batch: &Bytes) -> ProduceRequest {
    let one = |index| ProducePartition { index, records: Some(batch.clone()) };
    let partitions = partitions.into_iter().map(one).collect();
    let topic = ProduceTopic { name: topic.to_owned(), partitions, ..ProduceTopic::default() };
    ProduceRequest { acks, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() }
}

/// Sends the frame that many times; a second thread takes the answers. Tells how long each of them took.
fn send_all(
    address: &str,
    mut frame: Vec<u8>,
    requests: u64,
    in_flight: usize,
    pace: Option<Duration>,
) -> io::Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut answers = connection.share()?;
    let (window, sent) = sync_channel(in_flight);
    let (clock, times) = channel::<Instant>();
    let reader = thread::spawn(move || -> io::Result<Vec<Duration>> {
        let mut taken = Vec::with_capacity(requests as usize);
        for () in sent {
            check(&mut answers)?;
            taken.push(times.recv().expect("told before the request was sent").elapsed());
        }
        Ok(taken)
    });
    let written = write_all(&mut connection, &mut frame, requests, &window, &clock, pace);
    drop(window);
    let taken = reader.join().expect("the reader does not panic")?;
    written.map(|()| taken)
}

fn write_all(
    connection: &mut Connection,
    frame: &mut [u8],
    requests: u64,
    window: &SyncSender<()>,
    clock: &Sender<Instant>,
    pace: Option<Duration>,
) -> io::Result<()> {
    let gone = || io::Error::other("the broker stopped answering");
    let begun = Instant::now();
    for number in 0..requests {
        if let Some(pace) = pace {
            let due = begun + pace.mul_f64(number as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        set_correlation_id(frame, number as i32);
        window.send(()).map_err(|_| gone())?;
        clock.send(Instant::now()).map_err(|_| gone())?;
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
