//! Ottla: a Kafka-compatible, KRaft-style clustered broker.
//!
//! The modules form a house of rows; a module may use only modules of lower rows, and
//! `tests/layering.rs` enforces it. ARCHITECTURE.md draws the map.

#![deny(unsafe_code)]

#[macro_use]
pub mod mutants;

pub mod broker;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod http;
pub mod log;
pub mod metadata;
pub mod model;
pub mod node;
pub mod observability;
pub mod partition;
pub mod protocol;
pub mod quota;
pub mod record;
pub mod replication;
pub mod rpc;
pub mod transaction;
