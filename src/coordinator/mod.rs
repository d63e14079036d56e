//! Runs the group machine on the partitions of `__consumer_offsets` that this broker leads.
mod offsets_topic;
pub use offsets_topic::partition_for;
