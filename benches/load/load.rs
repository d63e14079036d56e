//! The load generator of `scripts/bench`: cheap, exact and the same for every broker.
//!
//! It sends frames that are encoded once over blocking sockets, so that nearly all the work of a run is the broker's,
//! and it makes no choice of its own: no batching by time, no retries, no metadata. Each command prints one line of
//! JSON. `produce` and `await-acks` talk to the leaders of all partitions, the others to a single broker that leads them.

mod await_acks;
mod connection;
mod fetch;
mod latency;
mod leaders;
mod null_broker;
mod produce;
mod start;
mod topics;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Loads a broker and says what came of it, as JSON")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Creates topics and waits until every partition has a leader.
    Create(topics::Create),
    /// Deletes topics.
    Delete(topics::Delete),
    /// Produces batches of equal records as fast as the broker takes them, or at a fixed rate.
    Produce(produce::Produce),
    /// Reads partitions from their beginning, again and again, until it has enough bytes.
    Fetch(fetch::Fetch),
    /// Produces single records at a slow pace and measures how long each takes to a consumer.
    Latency(latency::Latency),
    /// Answers the requests of `latency` with next to no work: what is left is the client's own time.
    NullBroker(null_broker::NullBroker),
    /// Waits until every partition of some topics has acknowledged a record.
    AwaitAcks(await_acks::AwaitAcks),
    /// Starts a broker and measures the time from its exec to its first acknowledged produce.
    StartTime(start::StartTime),
    /// Writes to that much memory and gives it back, so that no run pays for memory the machine never touched.
    Touch {
        #[arg(long)]
        bytes: usize,
    },
}

fn main() {
    let answer = match Arguments::parse().command {
        Command::Create(create) => create.run(),
        Command::Delete(delete) => delete.run(),
        Command::Produce(produce) => produce.run(),
        Command::Fetch(fetch) => fetch.run(),
        Command::Latency(latency) => latency.run(),
        Command::NullBroker(broker) => broker.run(),
        Command::AwaitAcks(acks) => acks.run(),
        Command::StartTime(start) => start.run(),
        Command::Touch { bytes } => touch(bytes),
    };
    println!("{answer}");
}

fn touch(bytes: usize) -> serde_json::Value {
    const PAGE: usize = 4096;
    let mut memory = vec![0_u8; bytes];
    for at in (0..bytes).step_by(PAGE) {
        memory[at] = 1;
    }
    std::hint::black_box(&memory);
    serde_json::json!({ "touched": bytes })
}
