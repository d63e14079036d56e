//! `ottla config`: what a node would start with, and what a key means.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::common::OutputArguments;
use super::exit::{Exit, Failure};
use super::output::{Output, Table, Tone};
use super::server::{ServerArguments, gather};
use crate::client::names_near;
use crate::config::{
    ConfigKey, ServerConfig, Status, UpdateMode, broker_key, broker_keys, describe_broker, group_key, group_keys,
    topic_key, topic_keys,
};

const EXAMPLES: &str = "\
Examples:
  ottla config server.properties
      What is set, and where: in the file, in the environment, or by --override.
  KAFKA_LOG_RETENTION_HOURS=24 ottla config --all
      Every key with its value in force.
  ottla config docs log.retention.hours
      What a key does, its default, and when it may change.

Values that must not be shown are hidden. Nothing is started, and a wrong value is told as `ottla server` tells it.";

/// `ottla config`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArguments,
    /// Also keys that nobody has set.
    #[arg(short, long)]
    all: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Explains keys.
    Docs {
        /// The keys of a broker, a topic or a group.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

#[derive(Serialize)]
struct Effective {
    key: String,
    value: Option<String>,
    source: String,
}

/// Runs it.
pub(super) fn run(arguments: &ConfigArguments, output: OutputArguments) -> Result<(), Failure> {
    let output = output.output();
    match &arguments.command {
        Some(Command::Docs { keys }) => docs(keys, &output),
        None => show(arguments, &output),
    }
}

fn show(arguments: &ConfigArguments, output: &Output) -> Result<(), Failure> {
    let config = gather(&arguments.server).map_err(|error| Failure::usage(error.to_string()))?;
    for warning in &config.warnings {
        eprintln!("ottla: {warning}");
    }
    let effective = effective(&config, arguments.all);
    Ok(output.print(&effective, |output| match effective.is_empty() {
        true => "Nothing is set: everything has its default. See all with --all.\n".to_owned(),
        false => output.table(&table(&effective)),
    })?)
}

/// Every value in force, by key; without `all` only those that somebody has set.
fn effective(config: &ServerConfig, all: bool) -> Vec<Effective> {
    let described = describe_broker(config.layers()).into_iter();
    let row = |described: crate::config::DescribedConfig| {
        let origin = config.start.origin(&described.name).map(ToString::to_string);
        let set = origin.is_some();
        let value = if described.is_sensitive && set { Some("(hidden)".to_owned()) } else { described.value };
        let source = origin.unwrap_or_else(|| "default".to_owned());
        (all || set).then_some(Effective { key: described.name, value, source })
    };
    described.filter_map(row).collect()
}

fn table(effective: &[Effective]) -> Table {
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
    for config in effective {
        table.row(vec![config.key.as_str().into(), config.value.as_deref().into(), config.source.as_str().into()]);
    }
    table
}

fn docs(keys: &[String], output: &Output) -> Result<(), Failure> {
    let mut found = Vec::new();
    for name in keys {
        let scopes = [("broker", broker_key(name)), ("topic", topic_key(name)), ("group", group_key(name))];
        let before = found.len();
        found.extend(scopes.into_iter().filter_map(|(scope, key)| Some((scope, key?))));
        if found.len() == before {
            return Err(unknown(name));
        }
    }
    let values: Vec<_> = found.iter().map(|(scope, key)| as_json(scope, key)).collect();
    Ok(output.print(&values, |output| {
        let texts: Vec<String> = found.iter().map(|(scope, key)| as_text(scope, key, output)).collect();
        texts.join("\n")
    })?)
}

fn unknown(name: &str) -> Failure {
    let all = broker_keys().chain(topic_keys()).chain(group_keys()).map(|key| key.name);
    let mut near = names_near(name, all);
    near.dedup();
    let what = match near.is_empty() {
        true => format!("there is no key {name:?}"),
        false => format!("there is no key {name:?}, but there is {}", near.join(", ")),
    };
    Failure::new(Exit::NotFound, what).next("See all keys with: ottla config --all.")
}

fn status(key: &ConfigKey) -> String {
    match key.status {
        Status::InForce => "in force".to_owned(),
        Status::Accepted(why) => format!("accepted without effect: {why}"),
        Status::Refused(why) => format!("refused unless it has its default: {why}"),
    }
}

fn changes(scope: &str, key: &ConfigKey) -> &'static str {
    match key.update_mode {
        // What belongs to a topic or a group is never part of a start.
        _ if scope != "broker" => "at any time",
        UpdateMode::ReadOnly => "at start",
        UpdateMode::PerBroker => "while the broker runs, for each broker",
        UpdateMode::ClusterWide => "at any time",
    }
}

fn as_json(scope: &str, key: &ConfigKey) -> serde_json::Value {
    json!({
        "key": key.name, "scope": scope, "type": key.config_type.name(), "default": key.default,
        "changes": changes(scope, key), "status": status(key), "documentation": key.documentation(),
    })
}

fn as_text(scope: &str, key: &ConfigKey, output: &Output) -> String {
    let default = match key.default {
        None => "null",
        Some("") => "empty",
        Some(default) => default,
    };
    format!(
        "{} ({scope}, {})\n  {}\n  default: {default}\n  changes: {}\n  {}\n",
        output.paint(key.name, Tone::Title),
        key.config_type.name(),
        key.documentation(),
        changes(scope, key),
        status(key),
    )
}
