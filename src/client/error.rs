//! What can go wrong between this process and a broker.

use std::io;
use std::time::Duration;

use crate::protocol::{ApiKey, DecodeError};

/// A connection that failed or cannot serve a request. Except for [`ClientError::NotServed`] the connection is spent.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the address.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// Whom we tried to reach, as `host:port`.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke. What was sent and not answered may have taken effect.
    #[error("the connection to {address} broke: {source}")]
    Broken {
        /// The peer, as `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No answer in time. What was sent may have taken effect, or may yet.
    #[error("{address} did not answer within {} ms", timeout.as_millis())]
    TimedOut {
        /// The peer, as `host:port`.
        address: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The peer sends something that is not Kafka's protocol.
    #[error("{address} does not answer as a Kafka broker: {reason}")]
    NotKafka {
        /// The peer, as `host:port`.
        address: String,
        /// What is wrong with its answer.
        reason: String,
    },
    /// The broker does not serve the API, or no version that is known here. Nothing was sent.
    #[error("{address} does not serve {api_key} in a version known here")]
    NotServed {
        /// The peer, as `host:port`.
        address: String,
        /// What was to be asked.
        api_key: ApiKey,
    },
}

impl ClientError {
    pub(super) fn undecodable(address: &str, error: &DecodeError) -> Self {
        Self::NotKafka { address: address.to_owned(), reason: error.to_string() }
    }
}
