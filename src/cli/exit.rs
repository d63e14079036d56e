//! How a command ends: its exit code, and the one line that says why.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::{ClusterError, InvalidBootstrap};

/// Exit codes, as the help text lists them. Scripts rely on them: keep stable.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done; for a server, a clean stop by SIGTERM or SIGINT
  1    refused or failed, such as by a failed disk, a port that is taken, or the cluster's rules
  2    a wrong command line or configuration
  3    a data directory that must not be used: locked, foreign, or of another node or cluster
  4    no broker answers
  5    what was named does not exist, such as a topic or a group
  130  interrupted: by Ctrl-C, or for a server by a second signal that cut the clean stop short";

/// The ways a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    /// Refused or failed.
    Failed = 1,
    /// A wrong command line or configuration.
    Usage = 2,
    /// A data directory that must not be used.
    Directory = 3,
    /// No broker answers.
    Unreachable = 4,
    /// What was named does not exist.
    NotFound = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(super) enum Failure {
    /// To be told: what happened, and what to do next.
    Told {
        /// How the process ends.
        exit: Exit,
        /// What happened, without a full stop.
        what: String,
        /// A sentence, or nothing.
        next_step: String,
    },
    /// Everything has been told already.
    Silent(Exit),
    /// Nobody reads the output any more, as in `ottla consume t | head -1`.
    OutputClosed,
}

impl Failure {
    /// A failure without a next step.
    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self::Told { exit, what: what.into(), next_step: String::new() }
    }

    /// A wrong command line that clap cannot see.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        if let Self::Told { next_step, .. } = &mut self {
            *next_step = step.into();
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told { what, next_step, .. } if next_step.is_empty() => f.write_str(what),
            Self::Told { what, next_step, .. } => write!(f, "{}. {next_step}", what.trim_end_matches('.')),
            Self::Silent(_) | Self::OutputClosed => Ok(()),
        }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let exit = match &error {
            error if error.is_unreachable() => Exit::Unreachable,
            error if error.is_not_found() => Exit::NotFound,
            _ => Exit::Failed,
        };
        let next_step = error.next_step().unwrap_or_default().to_owned();
        Self::Told { exit, what: error.to_string(), next_step }
    }
}

impl From<InvalidBootstrap> for Failure {
    fn from(error: InvalidBootstrap) -> Self {
        Self::usage(format!("--bootstrap-server: {error}"))
    }
}

/// For writing to standard output; other files are named where they fail.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

/// Tells a failure on standard error and gives the process's exit code.
pub(super) fn conclude(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Silent(exit)) => ExitCode::from(exit as u8),
        Err(ref failure @ Failure::Told { exit, .. }) => {
            eprintln!("ottla: {failure}");
            ExitCode::from(exit as u8)
        }
    }
}
