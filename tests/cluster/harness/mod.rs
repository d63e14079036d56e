//! Runs the binary in directories of its own, alone or as a cluster, and always ends it.
#![allow(dead_code, reason = "a harness offers a little more than today's tests use")]

mod cluster;
mod connection;
mod load;
mod node;
mod proxy;
mod setup;

use std::thread;
use std::time::{Duration, Instant};

pub use cluster::{Cluster, Plan};
pub use connection::Connection;
pub use load::Load;
pub use node::{Node, Process};
pub use proxy::Proxy;
pub use setup::{Setup, ottla};

/// Longer than anything takes on a busy machine; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer, or panics with `what` was waited for.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
