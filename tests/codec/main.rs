//! Kafka's wire, checked from outside: against any bytes, and against another implementation of it.
//!
//! A binary of its own, because it counts what decoders allocate.

mod allocation;
mod codecs;
mod generate;
mod hostile;
mod low_versions;
mod oracle;
mod schema;
