//! Log lines for people: one line each on standard error, in colour only on a terminal.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// What is logged unless the environment asks for something else: our own news, others' warnings. openraft tells of each
/// message that a peer does not take, several times a second; `controller::raft` tells once.
const DEFAULT_FILTER: &str = "warn,ottla=info,openraft=error,openraft::replication=off";

/// Starts logging. `OTTLA_LOG`, or else `RUST_LOG`, chooses what is logged, such as `debug` or
/// `info,ottla::controller=debug`. A filter that cannot be read is reported and replaced by the default.
pub fn start_logging() {
    let asked = ["OTTLA_LOG", "RUST_LOG"].iter().find_map(|name| Some((*name, env::var(name).ok()?)));
    let (filter, complaint) = match asked {
        None => (EnvFilter::new(DEFAULT_FILTER), None),
        Some((name, text)) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(format!("{name}={text}: {error}"))),
        },
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .compact();
    // A second call, as in tests, keeps the first one's settings.
    let _ = subscriber.try_init();
    if let Some(complaint) = complaint {
        tracing::warn!("the log filter cannot be read, the default holds: {complaint}");
    }
}
