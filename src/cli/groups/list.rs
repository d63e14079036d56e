//! `ottla groups list`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::client::ClusterClient;
use crate::client::admin::groups;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only groups in this state, such as Stable or Empty; may be repeated.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Prints only the names.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Listed {
    group: String,
    state: String,
    #[serde(rename = "type")]
    kind: String,
    protocol_type: String,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let wanted = |state: &str| {
        arguments.states.is_empty() || arguments.states.iter().any(|wanted| wanted.eq_ignore_ascii_case(state))
    };
    let groups = groups::list(client).await?.into_iter().filter(|group| wanted(&group.group_state));
    let groups: Vec<Listed> = groups
        .map(|group| Listed {
            group: group.group_id,
            state: group.group_state,
            kind: group.group_type.to_lowercase(),
            protocol_type: group.protocol_type,
        })
        .collect();
    Ok(output.print(&groups, |output| match arguments.quiet {
        true => groups.iter().map(|group| format!("{}\n", group.group)).collect(),
        false if groups.is_empty() => "There are no groups.\n".to_owned(),
        false => output.table(&table(&groups)),
    })?)
}

fn table(groups: &[Listed]) -> Table {
    let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL"]);
    for group in groups {
        let cells = [&group.group, &group.state, &group.kind, &group.protocol_type];
        table.row(cells.map(|text| text.as_str().into()).to_vec());
    }
    table
}
