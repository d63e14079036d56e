//! `ottla configs`.

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::common::{ClusterArguments, OutputArguments, key_value, run_async};
use super::exit::Failure;
use super::output::{Output, Table, Tone};
use crate::client::ClusterClient;
use crate::client::admin::configs::{self, ConfigChange, ConfigDetail, ConfigResource, source_name};
use crate::protocol::DescribeConfigsResourceResult;

const EXAMPLES: &str = "\
Examples:
  ottla configs describe --topic orders
  ottla configs describe --broker 1 --all
  ottla configs describe --topic orders --key retention.ms --docs
  ottla configs alter --topic orders --set retention.ms=86400000 --unset segment.bytes
  ottla configs alter --broker-defaults --set log.cleaner.threads=2
  ottla configs alter --topic orders --append cleanup.policy=compact";

/// `ottla configs`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConfigsArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Tells values and where they come from.
    Describe(DescribeArguments),
    /// Sets keys and takes them away.
    Alter(AlterArguments),
}

/// What is configured.
#[derive(Args, Debug)]
#[group(id = "resource", required = true, multiple = false)]
struct ResourceArguments {
    /// A topic.
    #[arg(short, long, group = "resource")]
    topic: Option<String>,
    /// A broker by its id.
    #[arg(long, group = "resource", value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    broker: Option<i32>,
    /// The defaults of all brokers.
    #[arg(long, group = "resource")]
    broker_defaults: bool,
    /// A consumer group.
    #[arg(short, long, group = "resource")]
    group: Option<String>,
}

#[derive(Args, Debug)]
struct DescribeArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// Only this key; may be repeated.
    #[arg(short, long = "key")]
    keys: Vec<String>,
    /// Also keys that have their default.
    #[arg(short, long)]
    all: bool,
    /// Also what each key is for.
    #[arg(long)]
    docs: bool,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
struct AlterArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// Sets a key; may be repeated.
    #[arg(short, long = "set", value_name = "KEY=VALUE", group = "change", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Takes a key away, so that the default is in force; may be repeated.
    #[arg(long = "unset", value_name = "KEY", group = "change")]
    unset: Vec<String>,
    /// Adds to a key's list; may be repeated.
    #[arg(long = "append", value_name = "KEY=VALUE", group = "change", value_parser = key_value)]
    append: Vec<(String, String)>,
    /// Takes from a key's list; may be repeated.
    #[arg(long = "subtract", value_name = "KEY=VALUE", group = "change", value_parser = key_value)]
    subtract: Vec<(String, String)>,
    /// Only asks whether the changes could be made.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Described {
    key: String,
    value: Option<String>,
    source: &'static str,
    read_only: bool,
    sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
}

/// Runs it.
pub(super) fn run(arguments: ConfigsArguments, output: OutputArguments) -> Result<(), Failure> {
    let ConfigsArguments { command, cluster } = arguments;
    let output = output.output();
    run_async(async move {
        let mut client = cluster.connect().await?;
        match command {
            Command::Describe(arguments) => describe(&mut client, &arguments, &output).await,
            Command::Alter(arguments) => alter(&mut client, &arguments, &output).await,
        }
    })
}

async fn describe(client: &mut ClusterClient, arguments: &DescribeArguments, output: &Output) -> Result<(), Failure> {
    let resource = resource(client, &arguments.resource).await?;
    let keys = (!arguments.keys.is_empty()).then_some(arguments.keys.as_slice());
    let detail = ConfigDetail { synonyms: false, documentation: arguments.docs };
    let mut found = configs::describe(client, &resource, keys, detail).await?;
    // A broker may tell all keys when some are asked.
    found.retain(|config| match keys {
        Some(keys) => keys.contains(&config.name),
        None => arguments.all || config.config_source != DEFAULT,
    });
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(missing) = arguments.keys.iter().find(|key| found.iter().all(|config| config.name != **key)) {
        return Err(Failure::new(super::exit::Exit::NotFound, format!("{resource} has no key {missing:?}"))
            .next("See the keys with --all."));
    }
    let described: Vec<Described> = found.into_iter().map(|config| one(config, arguments.docs)).collect();
    Ok(output.print(&described, |output| match described.is_empty() {
        true => format!("Everything about {resource} has its default. See all with --all.\n"),
        false => text(&described, output),
    })?)
}

/// DescribeConfigs' number for a built-in default.
const DEFAULT: i8 = 5;

fn one(config: DescribeConfigsResourceResult, docs: bool) -> Described {
    Described {
        key: config.name,
        value: config.value,
        source: source_name(config.config_source),
        read_only: config.read_only,
        sensitive: config.is_sensitive,
        documentation: config.documentation.filter(|_| docs),
    }
}

fn text(described: &[Described], output: &Output) -> String {
    if described.iter().any(|config| config.documentation.is_some()) {
        let block = |config: &Described| {
            let (key, value) = (output.paint(&config.key, Tone::Title), shown(config));
            let documentation = config.documentation.as_deref().unwrap_or_default();
            format!("{key}={value}  ({})\n    {documentation}\n", config.source)
        };
        return described.iter().map(block).collect();
    }
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
    for config in described {
        table.row(vec![config.key.as_str().into(), shown(config).into(), config.source.into()]);
    }
    output.table(&table)
}

fn shown(config: &Described) -> &str {
    match &config.value {
        _ if config.sensitive => "(hidden)",
        Some(value) => value,
        None => "-",
    }
}

async fn alter(client: &mut ClusterClient, arguments: &AlterArguments, output: &Output) -> Result<(), Failure> {
    let resource = resource(client, &arguments.resource).await?;
    let with = |pairs: &[(String, String)], change: fn(String) -> ConfigChange| -> Vec<(String, ConfigChange)> {
        pairs.iter().map(|(key, value)| (key.clone(), change(value.clone()))).collect()
    };
    let mut changes = with(&arguments.set, ConfigChange::Set);
    changes.extend(with(&arguments.append, ConfigChange::Append));
    changes.extend(with(&arguments.subtract, ConfigChange::Subtract));
    changes.extend(arguments.unset.iter().map(|key| (key.clone(), ConfigChange::Unset)));
    configs::alter(client, &resource, &changes, arguments.dry_run).await?;
    let verb = if arguments.dry_run { "Could change" } else { "Changed" };
    let keys: Vec<&str> = changes.iter().map(|(key, _)| key.as_str()).collect();
    let result = json!({ "resource": resource.to_string(), "keys": keys, "altered": !arguments.dry_run });
    Ok(output.print(&result, |_| format!("{verb} {} of {resource}.\n", keys.join(", ")))?)
}

/// The resource that is named. A topic must exist: its absence is told with the names that look like it.
async fn resource(client: &mut ClusterClient, arguments: &ResourceArguments) -> Result<ConfigResource, Failure> {
    let ResourceArguments { topic, broker, broker_defaults: _, group } = arguments;
    Ok(match (topic, broker, group) {
        (Some(topic), ..) => {
            client.learn_topics(Some(std::slice::from_ref(topic))).await?;
            ConfigResource::Topic(topic.clone())
        }
        (_, Some(broker), _) => ConfigResource::Broker(*broker),
        (.., Some(group)) => ConfigResource::Group(group.clone()),
        _ => ConfigResource::BrokerDefaults,
    })
}
