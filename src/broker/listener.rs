//! Accepts connections of one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config::NetworkConfig;
use crate::partition::broker_layers;

use super::admission::ConnectionCounts;
use super::call::Client;
use super::connection::{Connection, ConnectionLimits};
use super::context::Context;
use super::receive::ReceiveMemory;

/// Waited after an accept that failed for want of file descriptors or memory, so that it cannot spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What all listeners of a node share.
#[derive(Clone)]
pub struct Serving {
    /// What handlers work with.
    pub context: Arc<Context>,
    /// Receive buffers.
    pub memory: Arc<ReceiveMemory>,
    /// Per connection.
    pub limits: ConnectionLimits,
    /// How many there are.
    pub counts: Arc<ConnectionCounts>,
    /// Ends accepting and all connections.
    pub stop: CancellationToken,
    /// Knows when the last connection has ended.
    pub tasks: TaskTracker,
}

/// Accepts until told to stop. `listener_name` is the name that Metadata answers go by.
pub async fn accept(listener: TcpListener, listener_name: Arc<str>, serving: Serving) {
    loop {
        let accepted = tokio::select! {
            () = serving.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => start(stream, peer, &listener_name, &serving).await,
            Err(error) => on_accept_error(&error, &listener_name).await,
        }
    }
}

impl Serving {
    fn network(&self) -> NetworkConfig {
        let image = self.context.image();
        let layers = broker_layers(&image, self.context.broker_id, &self.context.settings);
        NetworkConfig::resolve(layers.layers())
    }
}

async fn start(stream: TcpStream, peer: SocketAddr, listener_name: &Arc<str>, serving: &Serving) {
    let network = serving.network();
    let pause_ms = serving.counts.pause_ms(&network, clock::monotonic());
    if pause_ms > 0 {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    let counted = match serving.counts.admit(peer.ip(), &network) {
        Ok(counted) => counted,
        Err(key) => {
            tracing::warn!(%peer, "refused a connection: {key} is reached");
            return;
        }
    };
    let early_ms = serving.context.quotas.on_connection(&serving.context.image(), peer.ip(), clock::monotonic());
    if early_ms > 0 {
        // As in Kafka: the address waits, and then connects anew.
        tracing::debug!(%peer, early_ms, "connects more often than connection_creation_rate allows");
        serving.tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(early_ms)).await;
            drop((stream, counted));
        });
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "the connection is gone already: {error}");
        return;
    }
    let local = stream.local_addr().ok();
    let client = Client::new(peer, local, Arc::clone(listener_name));
    let connection = Connection::new(
        stream,
        client,
        Arc::clone(&serving.context),
        Arc::clone(&serving.memory),
        serving.limits.clone(),
    );
    let stop = serving.stop.clone();
    serving.tasks.spawn(async move {
        tokio::select! {
            () = connection.run() => {}
            () = stop.cancelled() => {}
        }
        drop(counted);
    });
}

async fn on_accept_error(error: &io::Error, listener_name: &str) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(
        listener = listener_name,
        "cannot accept a connection: {error}; raise the limit of open files (ulimit -n) if it is reached"
    );
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}
