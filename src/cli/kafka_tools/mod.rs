//! The command-line tools of Apache Kafka, under their own names.
//!
//! A link to the binary that is called `kafka-topics.sh` (or `kafka-topics`) makes it behave as that tool: the same
//! options, the same lines on standard output, the same exit codes, so that scripts and compose files written for Kafka
//! keep working. What the tools say on standard error is said in Kafka's words where a script could look for them.
//!
//! One file for each tool, with its table of options; options.rs reads command lines, session.rs speaks to the cluster.
//! What is done to a cluster lies in `client/`. docs/tools.md is made from the tables.

mod acls;
mod broker_api_versions;
mod cluster;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf_test;
mod delete_records;
mod directory_moves;
#[cfg(test)]
mod documentation;
mod dump_log;
mod exceptions;
mod failure;
mod features;
mod get_offsets;
mod group_offsets;
mod group_tables;
mod leader_election;
mod line_reader;
mod links;
mod log_dirs;
mod meant_groups;
mod message_formatter;
mod metadata_quorum;
mod options;
mod partition_lists;
mod producer_perf_test;
mod quotas;
mod reassign_partitions;
mod reassignment_throttles;
mod server_start;
mod session;
mod storage;
mod table;
mod topic_filter;
mod topics;
mod transactions;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use failure::Failure;
use options::{Given, Style, Tool};

/// The version of Kafka that the tools stand for.
const KAFKA_VERSION: &str = "4.3.1";

/// All tools, by their names.
static TOOLS: &[&Tool] = &[
    &acls::TOOL,
    &broker_api_versions::TOOL,
    &cluster::TOOL,
    &configs::TOOL,
    &console_consumer::TOOL,
    &console_producer::TOOL,
    &consumer_groups::TOOL,
    &consumer_perf_test::TOOL,
    &delete_records::TOOL,
    &dump_log::TOOL,
    &features::TOOL,
    &get_offsets::TOOL,
    &leader_election::TOOL,
    &log_dirs::TOOL,
    &metadata_quorum::TOOL,
    &producer_perf_test::TOOL,
    &reassign_partitions::TOOL,
    &server_start::TOOL,
    &storage::TOOL,
    &topics::TOOL,
    &transactions::TOOL,
];

/// `ottla tools`.
#[derive(Args, Debug)]
pub(super) struct ToolsArguments {
    #[command(subcommand)]
    command: ToolsCommand,
}

#[derive(Subcommand, Debug)]
enum ToolsCommand {
    /// Links this binary under the names of Kafka's tools, with and without .sh.
    #[command(after_help = "Example:\n  ottla tools link /usr/local/bin && kafka-topics.sh --version")]
    Link {
        /// The folder for the links; made if it is missing.
        directory: std::path::PathBuf,
    },
    /// Lists the names of the tools.
    List,
    /// Runs a tool as Kafka would.
    #[command(after_help = "Example:\n  ottla tools run kafka-topics --bootstrap-server localhost:9092 --list")]
    Run {
        /// The tool's name, with or without .sh.
        name: String,
        /// The tool's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Does what `ottla tools` was told.
pub(super) fn run(arguments: ToolsArguments) -> ExitCode {
    match arguments.command {
        ToolsCommand::Link { directory } => links::make(&directory, TOOLS),
        ToolsCommand::List => {
            TOOLS.iter().for_each(|tool| println!("{:<26} {}", tool.name, tool.about));
            ExitCode::SUCCESS
        }
        ToolsCommand::Run { name, arguments } => match find(&name) {
            Some(tool) => run_tool(tool, &arguments),
            None => {
                let name = name.trim_end_matches(".sh");
                let near = crate::client::names_near(name, TOOLS.iter().map(|tool| tool.name));
                let hint = near.first().map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
                eprintln!("ottla: there is no tool {name:?}.{hint} See them with: ottla tools list.");
                ExitCode::from(2)
            }
        },
    }
}

/// Behaves as a tool when the binary was called by a tool's name.
pub(super) fn run_as_called() -> Option<ExitCode> {
    let mut arguments = env::args();
    let called = arguments.next()?;
    let tool = find(Path::new(&called).file_name()?.to_str()?)?;
    Some(run_tool(tool, &arguments.collect::<Vec<_>>()))
}

fn find(name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.iter().find(|tool| tool.name == name).copied()
}

fn run_tool(tool: &'static Tool, arguments: &[String]) -> ExitCode {
    let outcome = Given::parse(tool, arguments).and_then(|given| match tool.style {
        // The joptsimple tools give their help on standard error and fail; that they were asked makes no difference.
        Style::JoptSimple if arguments.is_empty() || given.has("help") => Err(given.usage(tool.about)),
        Style::JoptSimple if given.has("version") => {
            session::say!("{KAFKA_VERSION}");
            Ok(())
        }
        Style::Argparse if given.has("help") => {
            session::say!("usage: {}\n\n{}\n\n{}", tool.name, tool.about, tool.usage().trim_end());
            Ok(())
        }
        Style::Argparse if tool.name == "kafka-transactions" && given.has("version") => {
            session::say!("{KAFKA_VERSION}");
            Ok(())
        }
        Style::Argparse if !tool.commands.is_empty() && given.command.is_none() => {
            Err(given.usage(format!("{}: error: too few arguments", tool.name)))
        }
        _ => (tool.run)(&given),
    });
    session::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Ended(code)) => code,
        Err(failure) => {
            let text = failure.message();
            if !text.is_empty() {
                eprintln!("{text}");
            }
            ExitCode::FAILURE
        }
    }
}
