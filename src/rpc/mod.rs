//! Generated from proto/: metadata records, Raft and controller services.
//!
//! One module per `.proto` file, named like its package. The comments in proto/ are the documentation.

/// The cluster's metadata: commands, replies, records (proto/metadata.proto).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod metadata {
    include!(concat!(env!("OUT_DIR"), "/ottla.metadata.rs"));
}
