//! openraft's side of the house: types, stores, network. Nothing outside of `controller/raft/` names openraft.

mod entry_log;
mod log_store;
mod log_writer;
mod materialised;
mod members;
mod network;
mod offline;
mod quorum;
mod quorum_state;
mod recovery;
mod snapshot;
mod snapshot_file;
mod state_machine;
mod types;

pub use members::{ChangeError, Membership};
pub use network::MESSAGE_BYTES_MAX;
pub use offline::{OfflineMetadata, read_offline};
pub use quorum::{Leadership, MemberState, PeerError, Proposed, Quorum};
pub use recovery::{RecoverableQuorum, recoverable_quorum};
pub use types::{RaftId, Voter};

#[cfg(test)]
mod quorum_tests;
#[cfg(test)]
mod store_tests;
