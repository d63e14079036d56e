//! Requests to other brokers: one connection to each, opened when it is needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::{ClientError, Connection, ConnectionOptions};
use crate::model::BrokerId;
use crate::partition::Replicas;
use crate::protocol::Request;

/// Why another broker gave no answer. What it was sent may have taken effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    /// It is not there now, or has no listener for brokers.
    #[error("broker {0} is not in the cluster now")]
    Absent(BrokerId),
    /// The connection.
    #[error("broker {broker}: {source}")]
    Client {
        /// Which broker.
        broker: BrokerId,
        /// What is wrong.
        source: ClientError,
    },
}

type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// The other brokers, by their ids. A request waits for the one before it.
pub(super) struct Peers {
    replicas: Arc<Replicas>,
    listener: String,
    options: ConnectionOptions,
    connections: Mutex<HashMap<BrokerId, Slot>>,
}

impl Peers {
    /// Brokers are reached by `listener`, and given `timeout` to answer.
    pub fn new(replicas: Arc<Replicas>, listener: String, timeout: Duration) -> Self {
        let options = ConnectionOptions { request_timeout: timeout, ..ConnectionOptions::default() };
        Self { replicas, listener, options, connections: Mutex::default() }
    }

    /// Sends a request and waits for its answer.
    pub async fn send<R: Request>(&self, broker: BrokerId, request: &R) -> Result<R::Response, PeerError> {
        let address = self.address(broker)?;
        let slot = self.slot(broker);
        let mut slot = slot.lock().await;
        let failed = |source| PeerError::Client { broker, source };
        // A broker that came back may have another address.
        let connection = match slot.take().filter(|connection| connection.address() == address) {
            Some(connection) => connection,
            None => Connection::open(&address, self.options.clone()).await.map_err(failed)?,
        };
        let connection = slot.insert(connection);
        let answer = connection.send(request).await;
        if answer.is_err() {
            *slot = None;
        }
        answer.map_err(failed)
    }

    fn address(&self, broker: BrokerId) -> Result<String, PeerError> {
        let image = self.replicas.image();
        let registered = image.broker(broker).filter(|broker| !broker.fenced);
        let endpoint = registered.and_then(|broker| broker.endpoint(&self.listener));
        let endpoint = endpoint.ok_or(PeerError::Absent(broker))?;
        Ok(format!("{}:{}", endpoint.host, endpoint.port))
    }

    fn slot(&self, broker: BrokerId) -> Slot {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).entry(broker).or_default().clone()
    }
}
