//! `ottla healthcheck`: one question to one node, for containers and scripts.
//!
//! Asks `/readyz` where the node serves HTTP. Where it does not, or only a bootstrap address is known, a broker that
//! answers ApiVersions and Metadata is taken as ready.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::run_async;
use super::exit::{Exit, Failure};
use crate::client::{BootstrapServers, ClusterClient, ClusterOptions, ConnectionOptions};
use crate::config::{HttpConfig, ServerConfig, Sources, join_address, load};

const EXAMPLES: &str = "\
Examples:
  ottla healthcheck
      The node that this environment configures, as in a container: by its HTTP port, else by its listener.
  ottla healthcheck --http localhost:9404
  ottla healthcheck --bootstrap-server kafka:9092

Exit codes: 0 ready, 1 not ready and why, 4 nothing answers.";

/// Most of an answer that is read; the pages are a line long.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthcheckArguments {
    /// Asks this HTTP port.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "bootstrap_server")]
    http: Option<String>,
    /// Asks brokers, in Kafka's protocol.
    #[arg(short = 'b', long, value_name = "HOST:PORT,...")]
    bootstrap_server: Option<String>,
    /// The properties file that the node was started with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to wait for an answer, in seconds.
    #[arg(long, default_value_t = 4, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

/// Asks, and fails when the node is not ready.
pub(super) fn run(arguments: &HealthcheckArguments) -> Result<(), Failure> {
    let timeout = Duration::from_secs(arguments.timeout);
    if let Some(address) = &arguments.http {
        return ask_http(address, timeout);
    }
    if let Some(servers) = &arguments.bootstrap_server {
        return ask_broker(servers, timeout);
    }
    let config = configured(arguments)?;
    let listener = local_listener(&config);
    match config.http.as_ref().map(|http| ask_http(&local_http(http), timeout)) {
        Some(Err(Failure::Told { exit: Exit::Unreachable, .. })) | None => ask_broker(&listener, timeout),
        Some(answered) => answered,
    }
}

fn configured(arguments: &HealthcheckArguments) -> Result<ServerConfig, Failure> {
    let environment =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources { file: arguments.config.clone(), environment: environment.collect(), overrides: Vec::new() };
    let config = load(&sources).and_then(ServerConfig::resolve);
    config.map_err(|error| Failure::usage(error.to_string()))
}

/// An address at which this machine reaches its own listener.
fn reachable(host: &str, port: u16) -> String {
    match host {
        "" | "0.0.0.0" | "::" => join_address("127.0.0.1", port),
        host => join_address(host, port),
    }
}

fn local_http(http: &HttpConfig) -> String {
    reachable(&http.host, http.port)
}

fn local_listener(config: &ServerConfig) -> String {
    let listeners = config.listeners.broker.iter().chain(&config.listeners.controller);
    let first = listeners.map(|listener| reachable(&listener.endpoint.host, listener.endpoint.port)).next();
    first.unwrap_or_else(|| "127.0.0.1:9092".to_owned())
}

fn ask_http(address: &str, timeout: Duration) -> Result<(), Failure> {
    let silent = |error: std::io::Error| Failure::new(Exit::Unreachable, format!("{address} does not answer: {error}"));
    let answer = get_ready_page(address, timeout).map_err(silent)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some("503") => Err(Failure::new(Exit::Failed, format!("not ready: {}", body.trim()))),
        _ => Err(Failure::new(Exit::Failed, format!("{address} is no HTTP port of Ottla"))),
    }
}

fn get_ready_page(address: &str, timeout: Duration) -> std::io::Result<String> {
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    let socket = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&socket, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn ask_broker(servers: &str, timeout: Duration) -> Result<(), Failure> {
    let servers: BootstrapServers = servers.parse()?;
    let connection =
        ConnectionOptions { connect_timeout: timeout, request_timeout: timeout, ..ConnectionOptions::default() };
    run_async(async move {
        let client = ClusterClient::connect(servers, ClusterOptions { connection, patience: timeout }).await?;
        match client.metadata().brokers.is_empty() {
            false => Ok(()),
            true => Err(Failure::new(Exit::Failed, "not ready: the broker knows of no broker that is alive")),
        }
    })
}
