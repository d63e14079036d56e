//! `kafka-configs`: describes and alters the configuration of topics, brokers and groups, and the quotas of users,
//! clients and addresses.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::options::{
    BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION, list,
};
use super::quotas::Subject;
use super::session::{connect, properties_file, run_async, say};
use crate::client::ClusterClient;
use crate::client::admin::configs::{self, ConfigChange, ConfigDetail, ConfigResource};
use crate::protocol::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

const NO_LOGGERS: &str = "Ottla's log levels are set with OTTLA_LOG";
const NO_CLIENT_METRICS: &str = "Ottla collects no metrics from clients";

pub(super) static TOOL: Tool = Tool {
    name: "kafka-configs",
    about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
    style: Style::JoptSimple,
    options: &[
        Opt::value("add-config", "key=value,…", "Configurations to set; brackets hold lists: key=[a,b]."),
        Opt::value("add-config-file", "file", "A properties file with configurations to set."),
        Opt::flag("all", "Describes also what is not set for the entity itself."),
        Opt::flag("alter", "Alters the configuration."),
        BOOTSTRAP_CONTROLLER,
        BOOTSTRAP_SERVER,
        Opt::value("broker", "id", "The broker."),
        Opt::flag("broker-defaults", "The defaults of all brokers."),
        Opt::value("broker-logger", "id", "The loggers of a broker.").not_served(NO_LOGGERS),
        Opt::value("client", "id", "The client."),
        Opt::flag("client-defaults", "The defaults of all clients."),
        Opt::value("client-metrics", "name", "A subscription to client metrics.").not_served(NO_CLIENT_METRICS),
        COMMAND_CONFIG,
        Opt::value("delete-config", "key,…", "Configurations to unset."),
        Opt::flag("describe", "Describes the configuration."),
        Opt::flag("entity-default", "The default entity of the type."),
        Opt::value("entity-name", "name", "The entity."),
        Opt::value("entity-type", "type", "topics, brokers, groups, users, clients or ips."),
        Opt::value("group", "id", "The group."),
        HELP,
        Opt::value("ip", "address", "The address."),
        Opt::flag("ip-defaults", "The defaults of all addresses."),
        Opt::value("topic", "name", "The topic."),
        Opt::value("user", "principal", "The user."),
        Opt::flag("user-defaults", "The defaults of all users."),
        VERSION,
    ],
    commands: &[],
    run,
};

const TYPES: [&str; 8] = ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];

/// What is to be configured; without a name all of the type.
struct Entity {
    /// In the plural.
    kind: &'static str,
    /// Empty for the default.
    name: Option<String>,
}

/// What the command line is about.
enum Whose {
    Quotas(Subject),
    Configs(Entity),
}

fn run(given: &Given) -> Result<(), Failure> {
    let Some(action) = given.only_one(&["alter", "describe"]) else {
        return Err(given.usage("Command must include exactly one action: --describe, --alter"));
    };
    if !given.has("bootstrap-server") {
        return Err(Failure::said("Either --bootstrap-server or --bootstrap-controller must be specified."));
    }
    let whose = match Subject::of(given)? {
        Some(subject) => Whose::Quotas(subject),
        None => Whose::Configs(entity(given)?),
    };
    if action == "alter" && !["add-config", "add-config-file", "delete-config"].iter().any(|option| given.has(option)) {
        let what = "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter";
        return Err(Failure::said(what));
    }
    let outcome = run_async(async {
        let client = &mut connect(given).await?;
        match (&whose, action) {
            (Whose::Quotas(subject), "alter") => {
                subject.alter(client, added_configs(given)?, deleted_configs(given)).await
            }
            (Whose::Quotas(subject), _) => subject.describe(client).await,
            (Whose::Configs(entity), "alter") => alter(given, client, entity).await,
            (Whose::Configs(entity), _) => describe(given, client, entity).await,
        }
    });
    outcome.map_err(|failure| {
        let line = given.line.join(" ");
        Failure::said(format!("Error while executing config command with args '{line}'\n{}", failure.exception()))
    })
}

fn entity(given: &Given) -> Result<Entity, Failure> {
    for (option, kind) in [("topic", "topics"), ("broker", "brokers"), ("group", "groups")] {
        if let Some(name) = given.value(option) {
            return Ok(Entity { kind, name: Some(name.to_owned()) });
        }
    }
    if given.has("broker-defaults") {
        return Ok(Entity { kind: "brokers", name: Some(String::new()) });
    }
    let Some(kind) = given.value("entity-type") else {
        return Err(Failure::said(
            "At least one of --entity-type, --topic, --client, --user, --broker, --ip, --client-metrics, --group or their defaults must be specified",
        ));
    };
    let known = TYPES.iter().copied().find(|known| *known == kind).ok_or_else(|| {
        let known = TYPES.join(", ");
        Failure::said(format!(
            "Invalid entity type {kind}, the entity type must be one of {known} with a --bootstrap-server or --bootstrap-controller argument"
        ))
    })?;
    match known {
        "topics" | "brokers" | "groups" => {}
        "broker-loggers" => return Err(Failure::said(format!("kafka-configs: {kind} are not served: {NO_LOGGERS}."))),
        _ => return Err(Failure::said(format!("kafka-configs: {kind} are not served: {NO_CLIENT_METRICS}."))),
    }
    let name = match given.value("entity-name") {
        Some(name) => Some(name.to_owned()),
        None => given.has("entity-default").then(String::new),
    };
    if given.has("alter") && name.is_none() {
        return Err(Failure::said("An entity name must be specified with --alter of the specified entity types"));
    }
    Ok(Entity { kind: known, name })
}

fn resource(kind: &str, name: &str) -> Result<ConfigResource, Failure> {
    let broker = || {
        let what = || {
            Failure::said(format!("The entity name for {kind} must be a valid integer broker id, but it is: {name}"))
        };
        name.parse().map_err(|_| what())
    };
    Ok(match (kind, name) {
        ("topics", _) => ConfigResource::Topic(name.to_owned()),
        ("groups", _) => ConfigResource::Group(name.to_owned()),
        (_, "") => ConfigResource::BrokerDefaults,
        _ => ConfigResource::Broker(broker()?),
    })
}

async fn alter(given: &Given, client: &mut ClusterClient, entity: &Entity) -> Result<(), Failure> {
    let name = entity.name.as_deref().unwrap_or_default();
    let mut changes: BTreeMap<String, ConfigChange> = BTreeMap::new();
    changes.extend(added_configs(given)?.into_iter().map(|(key, value)| (key, ConfigChange::Set(value))));
    changes.extend(deleted_configs(given).into_iter().map(|key| (key, ConfigChange::Unset)));
    let changes: Vec<_> = changes.into_iter().collect();
    configs::alter(client, &resource(entity.kind, name)?, &changes, false).await?;
    match name {
        "" => say!("Completed updating default config for {} in the cluster.", entity.kind),
        _ => say!("Completed updating config for {} {name}.", &entity.kind[..entity.kind.len() - 1]),
    }
    Ok(())
}

/// What is to be set, by key.
fn added_configs(given: &Given) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs: BTreeMap<String, String> = properties_file(given.value("add-config-file"))?.into_iter().collect();
    configs.extend(given.value("add-config").map(added).transpose()?.unwrap_or_default());
    Ok(configs)
}

fn deleted_configs(given: &Given) -> Vec<String> {
    given.values("delete-config").flat_map(list).map(str::to_owned).collect()
}

/// Reads `key=value,key=[value,value]`.
fn added(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut depth = 0;
    let pairs = text.split(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    let pair = |pair: &str| {
        let what =
            "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\".";
        let (key, value) = pair.split_once('=').ok_or_else(|| Failure::said(what))?;
        Ok((key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned()))
    };
    pairs.map(pair).collect()
}

async fn describe(given: &Given, client: &mut ClusterClient, entity: &Entity) -> Result<(), Failure> {
    let singular = &entity.kind[..entity.kind.len() - 1];
    client.learn_topics(None).await?;
    let metadata = client.metadata();
    let names: Vec<String> = match (&entity.name, entity.kind) {
        (Some(name), kind) => {
            let exists = match kind {
                "topics" => metadata.topics.contains_key(name),
                "brokers" => name.is_empty() || name.parse().is_ok_and(|id: i32| metadata.brokers.contains_key(&id)),
                _ => true,
            };
            if !exists {
                say!("The {singular} '{name}' doesn't exist and doesn't have dynamic config.");
                return Ok(());
            }
            vec![name.clone()]
        }
        (None, "topics") => metadata.topics.keys().cloned().collect(),
        (None, "brokers") => metadata.brokers.keys().map(i32::to_string).chain([String::new()]).collect(),
        (None, _) => return Err(Failure::said("kafka-configs: name the group with --group or --entity-name.")),
    };
    let all = given.has("all");
    for name in names {
        match (name.as_str(), all) {
            ("", _) => say!("Default configs for {} in the cluster are:", entity.kind),
            (_, true) => say!("All configs for {singular} {name} are:"),
            (_, false) => say!("Dynamic configs for {singular} {name} are:"),
        }
        let detail = ConfigDetail { synonyms: true, ..ConfigDetail::default() };
        let mut found = configs::describe(client, &resource(entity.kind, &name)?, None, detail).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let dynamic = match (entity.kind, name.as_str()) {
            ("topics", _) => 1,
            ("groups", _) => 8,
            (_, "") => 3,
            _ => 2,
        };
        for config in found.iter().filter(|config| all || config.config_source == dynamic) {
            describe_config(config);
        }
    }
    Ok(())
}

fn describe_config(config: &DescribeConfigsResourceResult) {
    let synonym = |synonym: &DescribeConfigsSynonym| {
        format!("{}:{}={}", source(synonym.source), synonym.name, value(&synonym.value))
    };
    let synonyms = config.synonyms.iter().map(synonym).collect::<Vec<_>>().join(", ");
    let sensitive = config.is_sensitive;
    say!("  {}={} sensitive={sensitive} synonyms={{{synonyms}}}", config.name, value(&config.value));
}

fn value(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("null")
}

/// Kafka's names of the sources, by their numbers in DescribeConfigs.
fn source(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_keep_lists_together() {
        let pairs = added("cleanup.policy=[compact,delete],retention.ms = 5,empty=").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("cleanup.policy", "compact,delete"), ("retention.ms", "5"), ("empty", "")]);
        assert!(added("retention.ms").is_err());
    }
}
