//! The command line.
//!
//! One file or folder per command. What is done to a cluster lies in `client/`; here are arguments, output and exit
//! codes. A command returns a [`exit::Failure`] instead of ending the process, and prints through [`output::Output`].

mod common;
mod completions;
mod exit;
mod output;
mod server;
mod topics;
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
    /// Prints the completions for a shell.
    Completions(completions::CompletionsArguments),
    /// Prints the version.
    Version,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let Arguments { command, output } = Arguments::parse();
    conclude(match command {
        Command::Server(arguments) => return server::run(arguments),
        Command::Topics(arguments) => topics::run(arguments, output),
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
