//! `ottla cluster status`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::health::{Broker, Health, Quorum, Voter};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Output, Table, Tone};
use crate::client::ClusterClient;

/// How many troubled partitions of a kind are named.
const NAMED_MAX: usize = 10;

/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Shows it again and again, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Exits with 1 when partitions are offline or cannot be written, or brokers are fenced.
    #[arg(long, conflicts_with = "watch")]
    check: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    loop {
        let health = Health::ask(client).await?;
        if arguments.watch && io::stdout().is_terminal() {
            io::stdout().lock().write_all(CLEAR.as_bytes())?;
        }
        output.print(&health, |output| text(&health, output))?;
        if !arguments.watch {
            return if arguments.check && !health.is_well() { Err(Failure::Silent(Exit::Failed)) } else { Ok(()) };
        }
        tokio::time::sleep(Duration::from_secs(arguments.interval)).await;
    }
}

fn text(health: &Health, output: &Output) -> String {
    let title = output.paint(&format!("Cluster {}", health.cluster), Tone::Title);
    let mut text = format!("{title}: {} topics, {} partitions\n\n", health.topics, health.partitions);
    text.push_str(&output.table(&brokers(&health.brokers)));
    if let Some(quorum) = &health.quorum {
        let leader = if quorum.leader >= 0 {
            format!("controller {} leads, epoch {}", quorum.leader, quorum.epoch)
        } else {
            output.paint("no controller leads", Tone::Bad)
        };
        text.push_str(&format!("\nMetadata quorum: {leader}, committed up to {}\n", quorum.high_watermark));
        text.push_str(&output.table(&voters(quorum)));
    }
    text.push('\n');
    text + &troubles(health, output)
}

fn brokers(brokers: &[Broker]) -> Table {
    let mut table = Table::new(&["BROKER", "ADDRESS", "RACK", "STATE", "LEADERS", "REPLICAS"]);
    for broker in brokers {
        let state = match broker.fenced {
            true => Cell::from("fenced").tone(Tone::Bad),
            false => Cell::from("live").tone(Tone::Good),
        };
        table.row(vec![
            broker.broker.into(),
            broker.address.as_str().into(),
            broker.rack.as_deref().into(),
            state,
            broker.leaders.into(),
            broker.replicas.into(),
        ]);
    }
    table
}

fn voters(quorum: &Quorum) -> Table {
    let mut table = Table::new(&["NODE", "ROLE", "LOG END", "LAG", "CAUGHT UP"]);
    let mut row = |voter: &Voter, role: &str| {
        let caught_up = voter.caught_up_ms_ago.map(|ms| format!("{ms} ms ago"));
        let log_end = Some(voter.log_end).filter(|end| *end >= 0);
        table.row(vec![voter.node.into(), role.into(), log_end.into(), voter.lag.into(), caught_up.into()]);
    };
    for voter in &quorum.voters {
        row(voter, if voter.node == quorum.leader { "leader" } else { "follower" });
    }
    quorum.observers.iter().for_each(|observer| row(observer, "observer"));
    table
}

fn troubles(health: &Health, output: &Output) -> String {
    let problems = &health.problems;
    let kinds = [
        ("offline", &problems.offline, Tone::Bad),
        ("under min.insync.replicas", &problems.under_min_isr, Tone::Bad),
        ("under-replicated", &problems.under_replicated, Tone::Warning),
    ];
    let mut text = String::new();
    for (what, partitions, tone) in kinds {
        if partitions.is_empty() {
            continue;
        }
        let named = partitions.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more = partitions.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = output.paint(&format!("{} {what}", partitions.len()), tone);
        text.push_str(&format!("{count}: {named}{more}\n"));
    }
    if !problems.fenced_brokers.is_empty() {
        let fenced: Vec<String> = problems.fenced_brokers.iter().map(i32::to_string).collect();
        text.push_str(&output.paint(&format!("fenced brokers: {}", fenced.join(", ")), Tone::Bad));
        text.push('\n');
    }
    if text.is_empty() {
        text = output.paint("All partitions are online and fully replicated.", Tone::Good) + "\n";
    }
    text
}
