//! `ottla bench produce`.

use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::figures::Figures;
use crate::cli::common::ClusterArguments;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::produce::{Acks, Compression};
use crate::client::{NewRecord, Producer, ProducerOptions};
use crate::clock;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The topic, which must exist.
    topic: String,
    /// How many records.
    #[arg(short = 'n', long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Bytes of each value.
    #[arg(short, long, default_value_t = 1000, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size: u32,
    /// Bytes of a batch before compression; there is one for each partition.
    #[arg(long, default_value_t = 256 << 10, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: u32,
    /// Producers that work at the same time, each with its own connections.
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    connections: u64,
    /// How batches are compressed. Half of each value is random.
    #[arg(short = 'z', long, value_enum, default_value_t = Compression::None, value_name = "CODEC")]
    compression: Compression,
    /// Whose acknowledgement is waited for.
    #[arg(short, long, value_enum, default_value_t = Acks::All, allow_hyphen_values = true)]
    acks: Acks,
}

pub(super) async fn run(cluster: &ClusterArguments, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let workers = (0..arguments.connections).map(|worker| work(cluster, arguments, worker));
    let latencies = try_join_all(workers).await?.concat();
    let bytes = arguments.records * u64::from(arguments.size);
    let figures = Figures::of(arguments.records, bytes, begun.elapsed(), latencies);
    Ok(output.print(&figures, |_| figures.text("batch acknowledged"))?)
}

/// Produces one worker's share; how long each batch took.
async fn work(cluster: &ClusterArguments, arguments: &Arguments, worker: u64) -> Result<Vec<Duration>, Failure> {
    let mut client = cluster.connect().await?;
    // Batches are sent here, where they are timed, and not when they are full.
    let (acks, codec) = (arguments.acks.code(), arguments.compression.codec());
    let options = ProducerOptions { acks, codec, batch_bytes: usize::MAX, level: None };
    let mut producer = Producer::open(&mut client, &arguments.topic, options).await?;
    let partitions = client.metadata().topic(&arguments.topic)?.partitions.len() as u64;
    let share = share(arguments.records, arguments.connections, worker);
    let in_batch = u64::from((arguments.batch / arguments.size).max(1)) * partitions;
    let mut random = StdRng::seed_from_u64(worker);
    let mut value = vec![b'x'; arguments.size as usize];
    let mut latencies = Vec::new();
    for number in 0..share {
        let half = value.len().div_ceil(2);
        random.fill_bytes(&mut value[..half]);
        let partition = i32::try_from(number % partitions.max(1)).ok();
        let record = NewRecord { value: Some(&value), timestamp: clock::wall().0, partition, ..NewRecord::default() };
        producer.send(&mut client, &record).await?;
        if (number + 1) % in_batch == 0 || number + 1 == share {
            let sent = Instant::now();
            producer.flush(&mut client).await?;
            latencies.push(sent.elapsed());
        }
    }
    Ok(latencies)
}

/// The records of one worker: all have the same number, but for the first ones.
fn share(records: u64, workers: u64, worker: u64) -> u64 {
    records / workers + u64::from(worker < records % workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert_eq!((0..3).map(|worker| share(10, 3, worker)).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!((0..4).map(|worker| share(2, 4, worker)).sum::<u64>(), 2);
    }
}
