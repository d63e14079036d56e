//! The controller: a voter of the metadata quorum, and the services it offers to brokers.
//!
//! ```text
//!   service/ ──► handle (queue, one batch in flight) ──► metadata::Batch::decide ──► raft/ (openraft, log, snapshots)
//!      ▲                                                                               │ committed entries
//!      │  liveness (sessions → FenceBroker)                                            ▼
//!      └────────── feed (records or a snapshot) ◄── state machine: image.replay, raft/materialised.rs (sled)
//! ```
//!
//! The leader decides, the log carries records, and applying only replays them. openraft's types stay inside
//! `raft/`. A fault of its disk ends the controller: nothing is tried again on a file whose sync failed.

mod config;
mod deleted_topics;
mod error;
mod feed;
mod feed_messages;
mod formation;
mod fragile_topics;
mod handle;
mod identity;
mod leader_balance;
mod liveness;
pub mod metrics;
mod mutation_quotas;
mod raft;
mod seats;
mod service;
mod sessions;
mod start;

pub use config::{ControllerConfig, LeaderBalanceConfig, RaftTimes};
pub use error::ControllerError;
pub use liveness::{Liveness, LivenessLimits, StreamNumber};
pub use raft::{OfflineMetadata, RecoverableQuorum, Voter, read_offline, recoverable_quorum};
pub use start::{Controller, ControllerHandle};

#[cfg(test)]
mod tests;
