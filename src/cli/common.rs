//! What all commands that talk to a cluster have in common: where it is, how long to wait, how to print.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use tokio::runtime;

use super::client_settings::ClientSettings;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::client::{BootstrapServers, ClusterClient, ClusterOptions, ConnectionOptions};

/// Where the cluster is, and how to speak with it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct ClusterArguments {
    /// Brokers to ask first; others are found through them. localhost:9092 where nothing says otherwise.
    #[arg(
        short = 'b',
        long = "bootstrap-server",
        visible_alias = "brokers",
        env = "OTTLA_BOOTSTRAP",
        value_name = "HOST:PORT,...",
        global = true
    )]
    bootstrap_server: Option<String>,
    /// A properties file of Kafka's clients: bootstrap.servers and client.id, unless options say otherwise.
    #[arg(long, value_name = "FILE", global = true)]
    command_config: Option<String>,
    /// How long to try, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", global = true, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: u64,
    /// What the brokers are told as the client's name; ottla where nothing says otherwise.
    #[arg(long, value_name = "NAME", global = true)]
    client_id: Option<String>,
}

impl ClusterArguments {
    /// Connects to the cluster.
    pub(super) async fn connect(&self) -> Result<ClusterClient, Failure> {
        let settings = self.command_config.as_deref().map(ClientSettings::read).transpose();
        let settings = settings.map_err(Failure::usage)?.unwrap_or_default();
        settings.refuse_unserved().map_err(Failure::usage)?;
        let servers = self.bootstrap_server.as_deref().or(settings.get("bootstrap.servers"));
        let servers: BootstrapServers = servers.unwrap_or("localhost:9092").parse()?;
        Ok(ClusterClient::connect(servers, self.options(&settings)).await?)
    }

    /// How a client of the cluster is to behave.
    fn options(&self, settings: &ClientSettings) -> ClusterOptions {
        let patience = Duration::from_secs(self.timeout);
        let client_id = self.client_id.as_deref().or(settings.get("client.id"));
        let connection = ConnectionOptions {
            client_id: client_id.unwrap_or("ottla").to_owned(),
            connect_timeout: patience.min(Duration::from_secs(10)),
            request_timeout: patience,
            ..ConnectionOptions::default()
        };
        ClusterOptions { connection, patience }
    }
}

/// How results are printed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct OutputArguments {
    /// Prints JSON instead of tables.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl OutputArguments {
    /// Standard output, as asked for.
    pub(super) fn output(self) -> Output {
        Output::new(if self.json { Format::Json } else { Format::Text })
    }
}

/// Runs a command that waits for brokers, on this thread, until it is done or Ctrl-C is pressed.
pub(super) fn run_async(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    run_until_done(async {
        tokio::select! {
            outcome = command => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::Silent(Exit::Interrupted)),
        }
    })
}

/// Runs a command that deals with Ctrl-C itself.
pub(super) fn run_until_done(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start a runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    // A thread that waits for standard input would hold the process.
    runtime.shutdown_background();
    outcome
}

/// Reads `KEY=VALUE`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

/// Asks on the terminal before something is lost. Where nobody can be asked, `--yes` has to be given.
pub(super) async fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("{question} Nobody can be asked here")).next("Give --yes to do it."));
    }
    eprint!("{question} [y/N] ");
    // On another thread, so that Ctrl-C ends the command while it waits.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.expect("reading a line does not panic")?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "nothing was done")),
    }
}
