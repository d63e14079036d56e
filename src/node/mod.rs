//! The composition root: from a configuration to a running node, and to its end.
//!
//! ```text
//!   data directory (locked) ─► listeners bound ─► controller role ─► quorum formed
//!        ─► broker role: register, catch up, open the replicas, accept clients ─► ready
//!   SIGTERM or SIGINT ─► leaderships handed over ─► connections ended ─► logs flushed, clean marker ─► controller stopped
//! ```
//!
//! Nothing of Kafka is decided here; modules are told what they need and are put in touch with each other.

mod banner;
mod bind;
mod broker_role;
mod data_directories;
mod data_directory;
mod error;
mod initial_topics;
mod layout;
mod limits;
mod lock_file;
pub mod metrics;
#[cfg(test)]
mod metrics_page;
mod offline;
mod past_life;
mod recovery;
mod runtimes;
mod server;
mod settings;
mod signals;
mod status;
mod web;

pub use bind::BindError;
pub use data_directory::DirectoryError;
pub use error::NodeError;
pub use layout::{DirectoryIdentity, lay_out_directory, look_into_directory};
pub use offline::read_metadata;
pub use recovery::QuorumSurvivor;
pub use server::{Stopped, run};
