//! Which connections are let in: how many there may be in all, per address, and per second.
//!
//! The limits are `max.connections`, `max.connections.per.ip` with its overrides, and
//! `max.connection.creation.rate`. They change while the broker runs, so they are looked up for each connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};

use crate::config::NetworkConfig;
use crate::model::Monotonic;

/// Files of the process that are neither connections nor the logs': the metadata log, sockets to controllers, listeners.
const OTHER_FILES: usize = 64;
/// However low the limit of open files, so many connections are let in.
const CONNECTIONS_MIN: usize = 16;

/// The length of the window that the creation rate is counted over.
const RATE_WINDOW_MS: u64 = 1_000;

/// Counts connections in all, per address and per second, for all listeners of a node together.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    inner: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    window_start: Monotonic,
    in_window: u32,
}

/// One counted connection; dropping it counts down.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl ConnectionCounts {
    /// Counts a connection from `address`; the error names the key that keeps it out.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, limits: &NetworkConfig) -> Result<Counted, &'static str> {
        let mut counts = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        // An IPv4 client of a dual-stack socket comes with a mapped address.
        let overridden = limits.max_connections_per_ip_overrides.get(&address.to_canonical());
        if counts.all >= limits.max_connections {
            return Err("max.connections");
        }
        if counts.all >= connections_by_open_files() {
            return Err("half of the limit of open files (ulimit -n)");
        }
        if here >= overridden.copied().unwrap_or(limits.max_connections_per_ip) {
            return Err("max.connections.per.ip");
        }
        counts.all += 1;
        counts.by_address.insert(address, here + 1);
        Ok(Counted { counts: Arc::clone(self), address })
    }

    /// How long to wait, in milliseconds, before the next connection is accepted; it is counted with this call.
    pub(super) fn pause_ms(&self, limits: &NetworkConfig, now: Monotonic) -> u64 {
        let mut counts = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.since_ms(counts.window_start);
        if age >= RATE_WINDOW_MS {
            counts.window_start = now;
            counts.in_window = 0;
        }
        counts.in_window = counts.in_window.saturating_add(1);
        if counts.in_window <= limits.max_connection_creation_rate.max(1) {
            return 0;
        }
        RATE_WINDOW_MS - now.since_ms(counts.window_start)
    }
}

/// Half of the files a process may have open are for connections: without the other half a log could not go on, and a
/// log that fails to write ends the process.
fn connections_by_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(usize::MAX, |limit| (limit / 2).saturating_sub(OTHER_FILES).max(CONNECTIONS_MIN))
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.inner.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        match counts.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.by_address.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(all: usize, per_ip: usize) -> NetworkConfig {
        NetworkConfig { max_connections: all, max_connections_per_ip: per_ip, ..NetworkConfig::default() }
    }

    #[test]
    fn connections_are_counted_and_limited() {
        let counts = Arc::new(ConnectionCounts::default());
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let limits = limits(2, 1);
        let first = counts.admit(a, &limits).expect("the first");
        assert_eq!(counts.admit(a, &limits).unwrap_err(), "max.connections.per.ip");
        let _second = counts.admit(b, &limits).expect("another address");
        assert_eq!(counts.admit([127, 0, 0, 3].into(), &limits).unwrap_err(), "max.connections");
        drop(first);
        assert!(counts.admit(a, &limits).is_ok());
    }

    #[test]
    fn an_address_may_have_a_limit_of_its_own() {
        let counts = Arc::new(ConnectionCounts::default());
        let mut limits = limits(10, 1);
        limits.max_connections_per_ip_overrides.insert([127, 0, 0, 1].into(), 2);
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        let _first = counts.admit(mapped, &limits).expect("the first");
        let _second = counts.admit(mapped, &limits).expect("the second");
        assert!(counts.admit(mapped, &limits).is_err());
    }

    #[test]
    fn a_second_admits_so_many_and_the_rest_waits_for_the_next() {
        let counts = ConnectionCounts::default();
        let limits = NetworkConfig { max_connection_creation_rate: 2, ..NetworkConfig::default() };
        let now = Monotonic(5_000);
        assert_eq!((counts.pause_ms(&limits, now), counts.pause_ms(&limits, now)), (0, 0));
        assert_eq!(counts.pause_ms(&limits, Monotonic(5_400)), 600);
        assert_eq!(counts.pause_ms(&limits, Monotonic(6_000)), 0);
    }
}
