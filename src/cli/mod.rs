//! The command line.
//!
//! One file or folder per command. What is done to a cluster lies in `client/`; here are arguments, output and exit
//! codes. A command returns a [`exit::Failure`] instead of ending the process, and prints through [`output::Output`].

mod bench;
mod client_settings;
mod cluster;
mod common;
mod completions;
mod config;
mod configs;
mod consume;
mod dev_cluster;
mod exit;
mod groups;
mod healthcheck;
mod kafka_tools;
mod log;
mod metadata;
mod output;
mod produce;
mod server;
mod time;
mod topics;
mod transactions;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use common::OutputArguments;
use exit::{EXIT_CODES, conclude};

/// A Kafka-compatible, KRaft-style clustered broker in one binary, and the commands to work with any Kafka cluster.
#[derive(Parser, Debug)]
#[command(name = "ottla", version, after_help = EXIT_CODES, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs a node: a broker, a controller, or both.
    Server(server::ServerArguments),
    /// Creates, lists, describes, alters and deletes topics.
    Topics(topics::TopicsArguments),
    /// Produces records from standard input or a file.
    Produce(produce::ProduceArguments),
    /// Prints records, and waits for more.
    Consume(consume::ConsumeArguments),
    /// Lists, describes, resets and deletes consumer groups.
    Groups(groups::GroupsArguments),
    /// Lists, describes and ends transactions, and finds those that hang.
    Transactions(transactions::TransactionsArguments),
    /// Describes and changes the configuration of topics, brokers and groups.
    Configs(configs::ConfigsArguments),
    /// Behaves as the command-line tools of Apache Kafka.
    Tools(kafka_tools::ToolsArguments),
    /// Tells the state of a cluster, changes its metadata quorum, and recovers it.
    Cluster(cluster::ClusterCommandArguments),
    /// Looks into the files of a log, without a broker.
    Log(log::LogArguments),
    /// Tells the metadata in the data directory of a stopped node.
    Metadata(metadata::MetadataArguments),
    /// Tells the configuration that a node would start with, and explains keys.
    Config(config::ConfigArguments),
    /// Measures how fast a cluster takes records and gives them back.
    Bench(bench::BenchArguments),
    /// Asks whether a node is ready: exit code 0, or why not.
    Healthcheck(healthcheck::HealthcheckArguments),
    /// Prints the completions for a shell.
    Completions(completions::CompletionsArguments),
    /// Prints the version.
    Version,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    if let Some(ended) = kafka_tools::run_as_called() {
        return ended;
    }
    let Arguments { command, output } = Arguments::parse();
    conclude(match command {
        Command::Server(arguments) => return server::run(arguments),
        Command::Topics(arguments) => topics::run(arguments, output),
        Command::Produce(arguments) => produce::run(&arguments, output),
        Command::Consume(arguments) => consume::run(&arguments, output),
        Command::Groups(arguments) => groups::run(arguments, output),
        Command::Transactions(arguments) => transactions::run(arguments, output),
        Command::Configs(arguments) => configs::run(arguments, output),
        Command::Tools(arguments) => return kafka_tools::run(arguments),
        Command::Cluster(arguments) => cluster::run(arguments, output),
        Command::Log(arguments) => log::run(&arguments, output),
        Command::Metadata(arguments) => metadata::run(&arguments, output),
        Command::Config(arguments) => config::run(&arguments, output),
        Command::Bench(arguments) => bench::run(&arguments, output),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Version => version::run(output),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_file_is_named_either_way() {
        for line in [&["ottla", "server", "a.properties"][..], &["ottla", "server", "--config", "a.properties"]] {
            let Command::Server(arguments) = Arguments::try_parse_from(line).expect("it parses").command else {
                panic!("a server command");
            };
            assert_eq!(arguments.file(), Some("a.properties".into()));
        }
        assert!(Arguments::try_parse_from(["ottla", "server", "a", "--config", "b"]).is_err());
    }

    #[test]
    fn overrides_keep_their_order() {
        let line = ["ottla", "server", "--override", "a=1", "--override", "b=2"];
        let Command::Server(arguments) = Arguments::try_parse_from(line).expect("it parses").command else {
            panic!("a server command");
        };
        assert_eq!(arguments.overrides, ["a=1", "b=2"]);
    }
}
