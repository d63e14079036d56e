//! Record batches of format v2 (magic 2): how they are read, checked, written and compressed.
//!
//! Owns the layout of Kafka's record batch, its CRC, the records inside, the four codecs and the rules a
//! produced batch must satisfy. It reads no clock and no file. It never writes into bytes it was given: the
//! base offset and the leader epoch, which a broker assigns, lie in the first 16 bytes of a batch, outside the
//! CRC, and are written as a fresh head ([`batch_head`]) in front of the unchanged rest.
//!
//! Lengths and counts that come with the bytes are claims: nothing is allocated by them, and everything that
//! inflates takes a limit.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod batches;
mod builder;
mod codec;
mod compression;
mod control;
mod error;
#[cfg(test)]
mod golden_tests;
mod header;
mod invalid_batch;
mod layout;
#[cfg(test)]
mod property_tests;
mod records;
mod snappy;
mod validate;
mod varint;

pub use batches::{Batch, Batches};
pub use builder::{BatchBuilder, seal};
pub use codec::Codec;
pub use compression::{compress, decompress};
pub use control::{EndTransactionMarker, TransactionResult};
pub use error::RecordError;
pub use header::{BatchHeader, batch_head, crc32c, verify_crc};
pub use invalid_batch::InvalidBatch;
pub use layout::{
    Attributes, BATCH_HEAD_LENGTH, BATCH_HEADER_LENGTH, BATCH_LENGTH_MIN, LOG_OVERHEAD, MAGIC, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
pub use records::{Header, Headers, Record, Records};
pub use validate::{ProduceRules, TopicCompression, Validated, validate};
