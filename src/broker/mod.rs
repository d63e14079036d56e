//! The Kafka listener: connections, dispatch, one handler file per API.
//!
//! No Kafka rule is decided here: a handler authorises, calls what lies below, and encodes. [`dispatch`] has the table
//! of what is served.

mod admission;
pub mod authorized_operations;
mod auto_create;
mod by_topic;
mod call;
mod client_host;
mod cluster_view;
mod config_answers;
mod connection;
mod context;
mod controller_answers;
pub mod dispatch;
mod fetch_session;
mod first_writes;
pub mod handlers;
mod hints;
mod leader_hints;
mod listener;
pub mod metrics;
#[cfg(test)]
mod protocol_support;
mod quotas;
mod raft_voters;
mod receive;
mod send;
mod served;
mod spent;
mod submit;

pub use admission::ConnectionCounts;
pub use auto_create::AutoCreate;
pub use connection::ConnectionLimits;
pub use context::Context;
pub use fetch_session::FetchSessions;
pub use listener::{Serving, accept};
pub use quotas::ClientQuotas;
pub use receive::ReceiveMemory;
