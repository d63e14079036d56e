//! The other end of Kafka's wire: connections from this process to brokers.
//!
//! Replication fetches through it, transaction coordinators send their markers through it, and the command line speaks
//! through it to any Kafka broker. It knows frames and versions; what a request means is its caller's business.
//! It never retries: whether an unanswered request took effect is not for this layer to guess.

mod connection;
mod error;

pub use connection::{Connection, ConnectionOptions, Unanswered};
pub use error::ClientError;
