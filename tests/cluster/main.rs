//! The shipped binary as real processes on loopback: started, killed, stopped and asked over its sockets.

mod administration;
mod bad_frames;
mod bad_records;
mod bad_requests;
mod command_line;
mod compaction;
mod consumer_groups;
mod dev_cluster;
mod drop_in;
mod groups;
mod harness;
mod http;
mod kafka_tools;
mod kills;
mod lifecycle;
mod placement;
mod probe;
mod quorum;
mod quotas;
mod reassignment;
mod replication;
mod seats;
mod startup;
mod transaction_tools;
mod transactions;
mod traps;
