//! End to end at low load: from just before the send of a record to its arrival at a consumer that waits for it.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ottla::protocol::{FetchRequest, Records, decode_response};
use ottla::record::{BatchBuilder, Batches, Records as RecordsOf};
use serde_json::{Value, json};

use super::connection::{Connection, frame};
use super::{fetch, produce};

#[derive(Args)]
pub struct Latency {
    /// The broker that leads the topic's only partition.
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 5000)]
    records: u64,
    /// Time between two records.
    #[arg(long, default_value_t = 2000)]
    every_us: u64,
    #[arg(long, default_value_t = 100)]
    record_bytes: usize,
    #[arg(long, default_value_t = 1)]
    acks: i16,
}

impl Latency {
    pub fn run(self) -> Value {
        let begun = Instant::now();
        let consumer = Connection::open(&self.bootstrap).expect("connected");
        let (topic, records) = (self.topic.clone(), self.records);
        let reader = thread::spawn(move || consume(consumer, &topic, records, begun));
        self.produce(begun).expect("every record is acknowledged");
        let mut taken = reader.join().expect("the reader does not panic").expect("every record arrives");
        taken.sort_unstable();
        let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize] as f64 / 1e6;
        json!({ "records": taken.len(), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99) })
    }

    fn produce(&self, begun: Instant) -> io::Result<()> {
        let mut connection = Connection::open(&self.bootstrap)?;
        let mut value = vec![7; self.record_bytes.max(8)];
        for number in 0..self.records {
            let due = begun + Duration::from_micros(self.every_us) * number as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            value[..8].copy_from_slice(&(begun.elapsed().as_nanos() as u64).to_be_bytes());
            let mut batch = BatchBuilder::new();
            batch.append(1_700_000_000_000, None, Some(&value), &[]);
            connection
                .send(&frame(produce::VERSION, &produce::request(&self.topic, vec![0], self.acks, &batch.build())))?;
            produce::check(&mut connection)?;
        }
        Ok(())
    }
}

/// The nanoseconds each record took.
fn consume(mut connection: Connection, topic: &str, records: u64, begun: Instant) -> io::Result<Vec<u64>> {
    let mut taken = Vec::with_capacity(records as usize);
    let mut offset = 0;
    while (taken.len() as u64) < records {
        connection.send(&frame(fetch::VERSION, &fetch::request(topic, &[offset], 1 << 20, 500)))?;
        let answer = connection.receive()?;
        let now = begun.elapsed().as_nanos() as u64;
        let (_, response) = decode_response::<FetchRequest>(&answer, fetch::VERSION)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let Records::Inline(bytes) = &response.responses[0].partitions[0].records else { continue };
        for batch in Batches::new(bytes).map_while(Result::ok) {
            offset = batch.header.next_offset();
            let plain = batch.plain_records(1 << 20).map_err(io::Error::other)?;
            for record in RecordsOf::new(&batch.header, &plain) {
                let value = record.map_err(io::Error::other)?.value.unwrap_or_default();
                let sent = u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
                taken.push(now.saturating_sub(sent));
            }
        }
    }
    Ok(taken)
}
