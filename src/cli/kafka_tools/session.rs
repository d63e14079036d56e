//! What the tools have in common when they talk to a cluster and print.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use super::failure::Failure;
use super::options::Given;
use crate::cli::client_settings::{self, ClientSettings};
use crate::client::{BootstrapServers, ClusterClient, ClusterOptions, ConnectionOptions};

/// How long a tool tries altogether. Kafka's tools try for a minute, also when no broker is there at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints a line on standard output.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::cli::kafka_tools::session::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(super) use say;

/// Prints as it is. When nobody reads any more there is nobody to tell either.
pub(super) fn print(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Brings out what was printed without a line's end.
pub(super) fn flush() {
    let _ = io::stdout().flush();
}

/// Runs the part of a tool that talks to brokers, on this thread.
pub(super) fn run_async<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::said(format!("cannot start a runtime: {error}")))?;
    let outcome = runtime.block_on(work);
    // A thread that waits for standard input would hold the process.
    runtime.shutdown_background();
    outcome
}

/// Connects to the cluster of `--bootstrap-server`, with the settings of `--command-config`.
pub(super) async fn connect(given: &Given) -> Result<ClusterClient, Failure> {
    let server = given.value("bootstrap-server").unwrap_or_default();
    connect_to(server, &properties_file(given.value("command-config"))?).await
}

/// Connects to a cluster, with settings of Kafka's clients.
pub(super) async fn connect_to(server: &str, settings: &[(String, String)]) -> Result<ClusterClient, Failure> {
    let servers: BootstrapServers = server.parse()?;
    client_settings::refuse_unserved(settings).map_err(Failure::said)?;
    let connection = ConnectionOptions {
        client_id: client_settings::value(settings, "client.id").unwrap_or("ottla-tools").to_owned(),
        request_timeout: PATIENCE,
        ..ConnectionOptions::default()
    };
    Ok(ClusterClient::connect(servers, ClusterOptions { connection, patience: PATIENCE }).await?)
}

/// Reads a properties file; none gives no settings.
pub(super) fn properties_file(path: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    ClientSettings::read(path).map(ClientSettings::into_pairs).map_err(Failure::said)
}
