//! Accepts connections of one listener.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, ConnectionLimits};
use super::context::Context;
use super::dispatch::Client;
use super::receive::ReceiveMemory;

/// Waited after an accept that failed for want of file descriptors or memory, so that it cannot spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Counts connections in all and per address.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    inner: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One counted connection; dropping it counts down.
struct Counted {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl ConnectionCounts {
    fn admit(self: &Arc<Self>, address: IpAddr, max: usize, max_per_ip: usize) -> Option<Counted> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *inner;
        let here = by_address.get(&address).copied().unwrap_or(0);
        if *all >= max || here >= max_per_ip {
            return None;
        }
        *all += 1;
        by_address.insert(address, here + 1);
        Some(Counted { counts: Arc::clone(self), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut inner = self.counts.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *inner;
        *all -= 1;
        match by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(by_address.remove(&self.address)),
        }
    }
}

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
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_max_per_ip: usize,
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
            Ok((stream, peer)) => start(stream, peer, &listener_name, &serving),
            Err(error) => on_accept_error(&error, &listener_name).await,
        }
    }
}

fn start(stream: TcpStream, peer: SocketAddr, listener_name: &Arc<str>, serving: &Serving) {
    let Some(counted) = serving.counts.admit(peer.ip(), serving.connections_max, serving.connections_max_per_ip) else {
        tracing::warn!(%peer, "refused a connection: max.connections or max.connections.per.ip is reached");
        return;
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_and_limited() {
        let counts = Arc::new(ConnectionCounts::default());
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = counts.admit(a, 2, 1).unwrap();
        assert!(counts.admit(a, 2, 1).is_none(), "one per address");
        let _second = counts.admit(b, 2, 1).unwrap();
        assert!(counts.admit([127, 0, 0, 3].into(), 2, 1).is_none(), "two in all");
        drop(first);
        assert!(counts.admit(a, 2, 1).is_some());
    }
}
