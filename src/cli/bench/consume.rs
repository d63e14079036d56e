//! `ottla bench consume`.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;

use super::figures::Figures;
use crate::cli::common::ClusterArguments;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::admin::offsets::{self, OffsetSpec};
use crate::client::{Consumer, ConsumerOptions, Position};
use crate::model::TopicPartition;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The topic.
    topic: String,
    /// Ends after about so many records.
    #[arg(short = 'n', long, value_name = "N")]
    records: Option<u64>,
}

pub(super) async fn run(cluster: &ClusterArguments, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut client = cluster.connect().await?;
    client.learn_topics(Some(std::slice::from_ref(&arguments.topic))).await?;
    let indexes = client.metadata().topic(&arguments.topic)?.partitions.iter().map(|found| found.partition_index);
    let partitions: Vec<_> = indexes.map(|index| TopicPartition::new(arguments.topic.as_str(), index)).collect();
    let starts = offsets::list_all(&mut client, partitions.iter().cloned(), OffsetSpec::Earliest).await?;
    let ends = offsets::list_all(&mut client, partitions.into_iter(), OffsetSpec::Latest).await?;
    let position = |(partition, offset): (TopicPartition, i64)| {
        let until = ends.get(&partition).copied();
        (partition, Position { offset, until })
    };
    let positions: BTreeMap<_, _> = starts.into_iter().map(position).collect();
    let mut consumer = Consumer::new(ConsumerOptions::default());
    consumer.assign(positions);
    let (mut records, mut bytes) = (0u64, 0u64);
    let mut latencies = Vec::new();
    let begun = Instant::now();
    while !consumer.is_finished() && arguments.records.is_none_or(|wanted| records < wanted) {
        let asked = Instant::now();
        consumer
            .poll(&mut client, |consumed| {
                let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
                records += 1;
                bytes += size(consumed.record.key) + size(consumed.record.value);
                true
            })
            .await?;
        latencies.push(asked.elapsed());
    }
    let figures = Figures::of(records, bytes, begun.elapsed(), latencies);
    Ok(output.print(&figures, |_| figures.text("fetch answered and read"))?)
}
