//! The command line.

mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit codes, as the help text lists them.
const EXIT_CODES: &str = "\
Exit codes:
  0    a clean stop, by SIGTERM or SIGINT
  1    a fault while starting or running, such as a failed disk or a port that is taken
  2    a wrong command line or configuration
  3    a data directory that must not be used: locked, foreign, or of another node or cluster
  130  a second signal cut the clean stop short";

/// A Kafka-compatible, KRaft-style clustered broker in one binary.
#[derive(Parser, Debug)]
#[command(name = "ottla", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs a node: a broker, a controller, or both.
    Server(server::ServerArguments),
    /// Prints the version.
    Version,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Server(arguments) => server::run(arguments),
        Command::Version => {
            println!("ottla {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
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
