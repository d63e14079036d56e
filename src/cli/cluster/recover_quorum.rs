//! `ottla cluster recover-quorum`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::common::{confirm, run_async};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::node::{self, QuorumSurvivor};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The data directory of the controller that kept most: its metadata.log.dir, else its log.dirs.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Does it without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Recovered {
    node: i32,
    last_index: u64,
    last_term: u64,
}

/// Tells what is there, asks, and makes the node of the directory the only voter.
pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let failed = |error: node::NodeError| {
        let exit = if error.is_refused_directory() { Exit::Directory } else { Exit::Failed };
        Failure::new(exit, error.to_string())
    };
    let survivor = QuorumSurvivor::look(&arguments.data_dir).map_err(failed)?;
    let (node, index, term) = (survivor.node_id(), survivor.last_index(), survivor.last_term());
    if !arguments.yes {
        let question = format!(
            "The metadata log of node {node} ends with entry {index} of term {term}; its voters were {}. Whatever they \
             committed after that entry is lost: topics, configurations, leaders. Take the directory whose term, then \
             entry, is highest. Every other controller must be stopped, and its directory emptied before it starts again, \
             or it could lead a cluster of its own. Make node {node} the only voter?",
            survivor.voters()
        );
        run_async(async move { confirm(&question).await })?;
    }
    survivor.recover().map_err(failed)?;
    let recovered = Recovered { node, last_index: index, last_term: term };
    Ok(output.print(&recovered, |_| {
        format!(
            "Node {node} is the only voter; entries after {index} of term {term} are lost.\nStart it, then the others \
             with empty metadata directories, and give each of them its vote with `ottla cluster add-controller NODE`.\n"
        )
    })?)
}
