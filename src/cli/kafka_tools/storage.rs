//! `kafka-storage`: lays out data directories and tells whose they are.
//!
//! A node of Ottla needs no format step: it lays its directories out when it starts. What `format` does is that and
//! nothing else, so that images and scripts that format first keep working; the cluster id it is given is the one that
//! the node will start with.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::options::{Given, Opt, Served, Style, SubCommand, Tool};
use super::session::say;
use crate::config::{ConfigError, ServerConfig, Sources, load};
use crate::model::Uuid;
use crate::node::{DirectoryIdentity, lay_out_directory, look_into_directory};

const NO_FEATURES: &str = "the features of Kafka's releases do not exist in Ottla";
const NO_VOTERS: &str = "the voters are those of controller.quorum.voters, and the quorum forms by itself";

const CONFIG: Opt = Opt::value("config", "file", "The node's properties file.").short('c');

pub(super) static TOOL: Tool = Tool {
    name: "kafka-storage",
    about: "The Kafka storage tool.",
    style: Style::Argparse,
    options: &[Opt::flag("help", "Prints this help.").short('h')],
    commands: &[
        SubCommand {
            name: "info",
            about: "Tells whose the data directories are.",
            options: &[CONFIG],
            served: Served::Yes,
        },
        SubCommand {
            name: "format",
            about: "Lays out the data directories.",
            options: &[
                CONFIG,
                Opt::value("cluster-id", "id", "The cluster's id.").short('t'),
                Opt::value("add-scram", "credential", "A credential.").short('S').not_served("SCRAM is not there yet"),
                Opt::flag("ignore-formatted", "A directory that is laid out already is no error.").short('g'),
                Opt::value("release-version", "version", "The release to be compatible with.")
                    .short('r')
                    .without_effect(NO_FEATURES),
                Opt::many("feature", "feature=level", "A feature and its level.")
                    .short('f')
                    .without_effect(NO_FEATURES),
                Opt::flag("standalone", "This controller alone forms the quorum.").short('s').without_effect(NO_VOTERS),
                Opt::flag("no-initial-controllers", "Others form the quorum.").short('N').without_effect(NO_VOTERS),
                Opt::value("initial-controllers", "voters", "The quorum's voters.")
                    .short('I')
                    .without_effect(NO_VOTERS),
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "version-mapping",
            about: "Tells the features of a release.",
            options: &[Opt::value("release-version", "version", "The release.").short('r')],
            served: Served::No(NO_FEATURES),
        },
        SubCommand {
            name: "feature-dependencies",
            about: "Tells what a feature needs.",
            options: &[Opt::many("feature", "feature=level", "A feature and its level.").short('f')],
            served: Served::No(NO_FEATURES),
        },
        SubCommand { name: "random-uuid", about: "Prints a random UUID.", options: &[], served: Served::Yes },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    match given.command.map(|command| command.name) {
        Some("random-uuid") => {
            say!("{}", random_uuid());
            Ok(())
        }
        Some("format") => {
            given.require(&["config", "cluster-id"])?;
            format(given)
        }
        _ => {
            given.require(&["config"])?;
            info(given)
        }
    }
}

/// Kafka draws again when an id begins with a dash, which command lines take for an option.
fn random_uuid() -> Uuid {
    loop {
        let drawn = Uuid::from_random_bytes(rand::random());
        if !drawn.to_string().starts_with('-') {
            return drawn;
        }
    }
}

fn config(given: &Given) -> Result<ServerConfig, Failure> {
    let file = given.value("config").map(Into::into);
    let loaded = load(&Sources { file, ..Sources::default() });
    loaded.and_then(ServerConfig::resolve).map_err(|error: ConfigError| Failure::said(error.to_string()))
}

/// The data directories, each once, that of the metadata log first.
fn directories(config: &ServerConfig) -> Vec<&Path> {
    let metadata = config.node.metadata_log_dir.as_deref();
    let others = config.node.log_dirs.iter().map(PathBuf::as_path).filter(|path| Some(*path) != metadata);
    metadata.into_iter().chain(others).collect()
}

fn format(given: &Given) -> Result<(), Failure> {
    let config = config(given)?;
    let cluster_id = given.value("cluster-id").unwrap_or_default();
    let mut formatted = 0;
    for (at, path) in directories(&config).into_iter().enumerate() {
        let refused = |error: &dyn std::fmt::Display| Failure::said(error.to_string());
        let present = look_into_directory(path).map_err(|error| refused(&error))?;
        let is_of_a_cluster = present.is_some_and(|identity| identity.cluster_id.is_some());
        if is_of_a_cluster && !given.has("ignore-formatted") {
            return Err(Failure::said(format!(
                "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
                path.display()
            )));
        }
        // Checks the ids of one that is laid out already.
        lay_out_directory(path, config.node.node_id, cluster_id).map_err(|error| refused(&error))?;
        if !is_of_a_cluster {
            formatted += 1;
            let kind = if at == 0 { "metadata" } else { "data" };
            say!("Formatting {kind} directory {}.", path.display());
        }
    }
    if formatted == 0 {
        say!("All of the log directories are already formatted.");
    }
    Ok(())
}

fn info(given: &Given) -> Result<(), Failure> {
    let config = config(given)?;
    let (mut found, mut problems, mut identity) = (Vec::new(), Vec::new(), None);
    for path in directories(&config) {
        match look_into_directory(path) {
            _ if !path.exists() => problems.push(format!("{} does not exist", path.display())),
            Ok(None) => problems.push(format!("{} is not formatted.", path.display())),
            Ok(Some(there)) => {
                found.push(path.display().to_string());
                identity = Some(there);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    tell("Found log director", "y", "ies", &found);
    if let Some(DirectoryIdentity { cluster_id, node_id, directory_id }) = identity {
        let cluster_id = cluster_id.map(|id| format!("cluster.id={id}, ")).unwrap_or_default();
        say!("Found metadata: {{{cluster_id}directory.id={directory_id}, node.id={node_id}, version=1}}\n");
    }
    tell("Found problem", "", "s", &problems);
    if problems.is_empty() { Ok(()) } else { Err(Failure::Silent) }
}

fn tell(what: &str, one: &str, many: &str, list: &[String]) {
    if !list.is_empty() {
        say!("{what}{}:", if list.len() == 1 { one } else { many });
        list.iter().for_each(|item| say!("  {item}"));
        say!("");
    }
}
