//! How Kafka writes where a member of a group runs.

use super::call::Client;

/// The peer's address: `/127.0.0.1`.
pub fn client_host(client: &Client) -> String {
    format!("/{}", client.peer.ip().to_canonical())
}
