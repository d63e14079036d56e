//! Fetch: a consumer that catches up from the page cache and does nothing with what it gets.

use std::io;
use std::time::Instant;

use clap::Args;
use ottla::protocol::{FetchPartition, FetchRequest, FetchTopic, Records, decode_response};
use ottla::record::Batches;
use serde_json::{Value, json};

use super::connection::{Connection, frame};

pub const VERSION: i16 = 11;

#[derive(Args)]
pub struct Fetch {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Bytes to read in all; the partitions are read again from their beginning as often as that takes.
    #[arg(long)]
    bytes: u64,
    #[arg(long, default_value_t = 1 << 20)]
    partition_max_bytes: i32,
}

impl Fetch {
    pub fn run(self) -> Value {
        let begun = Instant::now();
        let bytes = self.read_all().expect("every answer holds records");
        json!({ "bytes": bytes, "seconds": begun.elapsed().as_secs_f64() })
    }

    fn read_all(&self) -> io::Result<u64> {
        let mut connection = Connection::open(&self.bootstrap)?;
        let mut offsets = vec![0; self.partitions as usize];
        let mut bytes = 0;
        while bytes < self.bytes {
            connection.send(&frame(VERSION, &request(&self.topic, &offsets, self.partition_max_bytes, 500)))?;
            let answer = connection.receive()?;
            let (_, response) = decode_response::<FetchRequest>(&answer, VERSION)
                .map_err(|error| io::Error::other(error.to_string()))?;
            for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
                if partition.error_code.is_error() {
                    return Err(io::Error::other(format!("{partition:?}")));
                }
                bytes += advance(&mut offsets[partition.partition_index as usize], &partition.records);
            }
            drop(response);
            connection.recycle(answer);
        }
        Ok(bytes)
    }
}

/// Moves a partition's offset past the records, or back to the beginning when there are none.
fn advance(offset: &mut i64, records: &Records) -> u64 {
    let Records::Inline(bytes) = records else { return 0 };
    // The last batch may be cut off.
    match Batches::new(bytes).map_while(Result::ok).last() {
        Some(batch) => *offset = batch.header.next_offset(),
        None => *offset = 0,
    }
    bytes.len() as u64
}

pub fn request(topic: &str, offsets: &[i64], partition_max_bytes: i32, max_wait_ms: i32) -> FetchRequest {
    let partitions = offsets.iter().zip(0..).map(|(offset, partition)| FetchPartition {
        partition,
        fetch_offset: *offset,
        partition_max_bytes,
        ..FetchPartition::default()
    });
    let topic = FetchTopic { topic: topic.to_owned(), partitions: partitions.collect(), ..FetchTopic::default() };
    FetchRequest { max_wait_ms, min_bytes: 1, max_bytes: 50 << 20, topics: vec![topic], ..FetchRequest::default() }
}
