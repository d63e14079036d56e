//! Generated from proto/: metadata records, Raft and controller services.
//!
//! One module per `.proto` file, named like its package. The comments in proto/ are the documentation.

/// The cluster's metadata: commands, replies, records (proto/metadata.proto).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod metadata {
    include!(concat!(env!("OUT_DIR"), "/ottla.metadata.rs"));
}

/// What voters say to each other and keep on disk (proto/raft.proto).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod raft {
    include!(concat!(env!("OUT_DIR"), "/ottla.raft.rs"));
}

/// What brokers and controllers say to each other (proto/controller.proto).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod controller {
    include!(concat!(env!("OUT_DIR"), "/ottla.controller.rs"));
}
