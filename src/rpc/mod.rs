//! Generated from proto/: metadata records, Raft and controller services.
