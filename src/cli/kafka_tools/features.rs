//! `kafka-features`: levels of features.

use super::failure::{Failure, message};
use super::options::{
    BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, Opt, Served, Style, SubCommand, Tool,
};
use super::session::{connect, run_async, say};
use crate::client::{ClusterError, Target};
use crate::protocol::{ApiVersionsRequest, FeatureUpdateKey, UpdateFeaturesRequest};

const NO_RELEASES: &str = "the features of Kafka's releases do not exist in Ottla";
const METADATA: Opt = Opt::value("metadata", "version", "The metadata version.").not_served(NO_RELEASES);
const RELEASE: Opt = Opt::value("release-version", "version", "The release.").not_served(NO_RELEASES);
const FEATURE: Opt = Opt::many("feature", "feature=level", "A feature and its level.");
const DRY_RUN: Opt = Opt::flag("dry-run", "Only asks whether it could be done.");
const UNSAFE: Opt = Opt::flag("unsafe", "Also if metadata is lost.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-features",
    about: "This tool manages feature flags in Kafka.",
    style: Style::Argparse,
    options: &[
        Opt::flag("help", "Prints this help.").short('h'),
        BOOTSTRAP_SERVER,
        BOOTSTRAP_CONTROLLER,
        COMMAND_CONFIG,
    ],
    commands: &[
        SubCommand {
            name: "describe",
            about: "Describes the features.",
            options: &[Opt::value("node-id", "id", "The broker to ask.")],
            served: Served::Yes,
        },
        SubCommand {
            name: "upgrade",
            about: "Raises levels.",
            options: &[METADATA, FEATURE, RELEASE, DRY_RUN],
            served: Served::Yes,
        },
        SubCommand {
            name: "downgrade",
            about: "Lowers levels.",
            options: &[METADATA, FEATURE, RELEASE, UNSAFE, DRY_RUN],
            served: Served::Yes,
        },
        SubCommand {
            name: "disable",
            about: "Lowers levels to 0.",
            options: &[FEATURE, UNSAFE, DRY_RUN],
            served: Served::Yes,
        },
        SubCommand {
            name: "version-mapping",
            about: "Tells the features of a release.",
            options: &[RELEASE],
            served: Served::No(NO_RELEASES),
        },
        SubCommand {
            name: "feature-dependencies",
            about: "Tells what a feature needs.",
            options: &[FEATURE],
            served: Served::No(NO_RELEASES),
        },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    if !given.has("bootstrap-server") {
        return Err(Failure::said("You must specify either --bootstrap-controller or --bootstrap-server."));
    }
    match given.command.map_or("describe", |command| command.name) {
        "describe" => describe(given),
        operation => update(given, operation),
    }
}

fn describe(given: &Given) -> Result<(), Failure> {
    let target = given.parsed("node-id")?.map_or(Target::Any, Target::Broker);
    let answer = run_async(async {
        let client = &mut connect(given).await?;
        let request = ApiVersionsRequest {
            client_software_name: "ottla".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(client.ask(&target, &request, |response| response.error_code).await?)
    })?;
    let epoch = answer.finalized_features_epoch;
    for feature in &answer.supported_features {
        let finalized = answer.finalized_features.iter().find(|finalized| finalized.name == feature.name);
        let level = finalized.map_or(0, |finalized| finalized.max_version_level);
        say!(
            "Feature: {:<42}SupportedMinVersion: {:<17}SupportedMaxVersion: {:<17}FinalizedVersionLevel: {level:<17}Epoch: {epoch}",
            feature.name,
            feature.min_version,
            feature.max_version
        );
    }
    Ok(())
}

fn update(given: &Given, operation: &str) -> Result<(), Failure> {
    let mut updates = Vec::new();
    for text in given.values("feature") {
        let (feature, level) = match (operation, text.split_once('=')) {
            ("disable", _) => (text, "0"),
            (_, Some(pair)) => pair,
            (_, None) => {
                return Err(Failure::said(format!("Can't parse feature=level string {text}: equals sign not found.")));
            }
        };
        let wrong =
            || Failure::said(format!("Can't parse feature=level string {text}: unable to parse {level} as a short."));
        updates.push((feature.to_owned(), level.parse::<i16>().map_err(|_| wrong())?));
    }
    if updates.is_empty() {
        return Err(Failure::said(format!("You must specify at least one feature to {operation}")));
    }
    // 1 raises, 2 lowers where nothing is lost, 3 lowers in any case.
    let upgrade_type = match operation {
        "upgrade" => 1,
        _ if given.has("unsafe") => 3,
        _ => 2,
    };
    let key = |(feature, level): &(String, i16)| FeatureUpdateKey {
        feature: feature.clone(),
        max_version_level: *level,
        allow_downgrade: upgrade_type != 1,
        upgrade_type,
    };
    let request = UpdateFeaturesRequest {
        timeout_ms: 30_000,
        feature_updates: updates.iter().map(key).collect(),
        validate_only: given.has("dry-run"),
    };
    let answer = run_async(async {
        let client = &mut connect(given).await?;
        Ok(client.ask(&Target::Controller, &request, |response| response.error_code).await?)
    })?;
    let mut failed = 0;
    for (feature, level) in &updates {
        let own = answer.results.iter().find(|result| result.feature == *feature && result.error_code.is_error());
        let refusal = match own {
            Some(own) => Some((own.error_code, own.error_message.clone())),
            None => Some((answer.error_code, answer.error_message.clone())).filter(|(code, _)| code.is_error()),
        };
        let to_level = if operation == "disable" { String::new() } else { format!(" to {level}") };
        let (done, can) = if given.has("dry-run") { ("can be", "Can not") } else { ("was", "Could not") };
        match refusal {
            Some((code, text)) => {
                failed += 1;
                let why = message(&ClusterError::refused(feature.clone(), code, text));
                say!("{can} {operation} {feature}{to_level}. {why}");
            }
            None => say!("{feature} {done} {operation}d{to_level}."),
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::said(format!("{failed} out of {} operation(s) failed.", updates.len()))),
    }
}
