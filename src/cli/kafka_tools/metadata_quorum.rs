//! `kafka-metadata-quorum`: the state of the controllers' quorum.

use super::failure::Failure;
use super::options::{
    BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, Opt, Served, Style, SubCommand, Tool,
};
use super::session::{connect, run_async, say};
use super::table::print_table;
use crate::client::{ClusterError, Target};
use crate::clock;
use crate::protocol::{
    DescribeQuorumNode, DescribeQuorumPartition, DescribeQuorumPartitionResponse, DescribeQuorumReplicaState,
    DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumTopic,
};

const NO_VOTERS: &str = "the voters are those of controller.quorum.voters; a replaced disk takes its seat by itself";
const DRY_RUN: Opt = Opt::flag("dry-run", "Only asks whether it could be done.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-metadata-quorum",
    about: "This tool describes kraft metadata quorum status.",
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
            about: "Describes the quorum.",
            options: &[
                Opt::flag("status", "Its leader, epoch and voters."),
                Opt::flag("replication", "How far each controller is."),
                Opt::flag("human-readable", "Shows times as how long ago."),
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "add-controller",
            about: "Adds a voter.",
            options: &[DRY_RUN],
            served: Served::No(NO_VOTERS),
        },
        SubCommand {
            name: "remove-controller",
            about: "Removes a voter.",
            options: &[
                Opt::value("controller-id", "id", "The controller.").short('i'),
                Opt::value("controller-directory-id", "id", "Its directory.").short('d'),
                DRY_RUN,
            ],
            served: Served::No(NO_VOTERS),
        },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    if !given.has("bootstrap-server") {
        return Err(
            given.error("one of the arguments --bootstrap-server --bootstrap-controller is required".to_owned())
        );
    }
    match (given.has("status"), given.has("replication")) {
        (true, true) => {
            Err(Failure::said("Only one of --status or --replication should be specified with describe sub-command"))
        }
        (false, false) => {
            Err(Failure::said("One of --status or --replication must be specified with describe sub-command"))
        }
        (true, _) if given.has("human-readable") => {
            Err(Failure::said("The option --human-readable is only supported along with --replication"))
        }
        (status, _) => {
            let (cluster_id, answer) = ask(given)?;
            let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
            let partition = partition.ok_or_else(|| Failure::said("the broker tells nothing of the quorum"))?;
            match status {
                true => tell_status(&cluster_id, partition, &answer.nodes),
                false => tell_replication(partition, given.has("human-readable")),
            }
            Ok(())
        }
    }
}

fn ask(given: &Given) -> Result<(String, DescribeQuorumResponse), Failure> {
    run_async(async {
        let client = &mut connect(given).await?;
        let partitions = vec![DescribeQuorumPartition { partition_index: 0 }];
        let topics = vec![DescribeQuorumTopic { topic_name: "__cluster_metadata".to_owned(), partitions }];
        let response =
            client.ask(&Target::Any, &DescribeQuorumRequest { topics }, |response| response.error_code).await?;
        if response.error_code.is_error() {
            return Err(ClusterError::refused("the quorum", response.error_code, response.error_message).into());
        }
        Ok((client.metadata().cluster_id.clone().unwrap_or_default(), response))
    })
}

fn tell_status(cluster_id: &str, quorum: &DescribeQuorumPartitionResponse, nodes: &[DescribeQuorumNode]) {
    let leader = quorum.current_voters.iter().find(|voter| voter.replica_id == quorum.leader_id);
    let followers = || quorum.current_voters.iter().chain(&quorum.observers);
    let end = leader.map_or(quorum.high_watermark, |leader| leader.log_end_offset);
    let last = followers().map(|replica| replica.log_end_offset).min().unwrap_or(end);
    let caught_up = |replica: &DescribeQuorumReplicaState| replica.last_caught_up_timestamp;
    let behind = match (leader.map(caught_up), followers().map(caught_up).min()) {
        (Some(leader), Some(last)) if last >= 0 => (leader - last).max(0),
        (_, Some(_)) => -1,
        _ => 0,
    };
    say!("ClusterId:              {cluster_id}");
    say!("LeaderId:               {}", quorum.leader_id);
    say!("LeaderEpoch:            {}", quorum.leader_epoch);
    say!("HighWatermark:          {}", quorum.high_watermark);
    say!("MaxFollowerLag:         {}", end - last);
    say!("MaxFollowerLagTimeMs:   {behind}");
    say!("CurrentVoters:          [{}]", replicas(&quorum.current_voters, nodes));
    say!("CurrentObservers:       [{}]", replicas(&quorum.observers, nodes));
}

fn replicas(replicas: &[DescribeQuorumReplicaState], nodes: &[DescribeQuorumNode]) -> String {
    let of_replica = |replica: &DescribeQuorumReplicaState| {
        let directory = match replica.replica_directory_id.is_zero() {
            true => String::new(),
            false => format!(", \"directoryId\": \"{}\"", replica.replica_directory_id),
        };
        let node = nodes.iter().find(|node| node.node_id == replica.replica_id);
        let endpoints = node.filter(|node| !node.listeners.is_empty()).map(|node| {
            let listeners = node.listeners.iter();
            let listeners = listeners.map(|at| format!("\"{}://{}:{}\"", at.name, at.host, at.port));
            format!(", \"endpoints\": [{}]", listeners.collect::<Vec<_>>().join(", "))
        });
        format!("{{\"id\": {}{directory}{}}}", replica.replica_id, endpoints.unwrap_or_default())
    };
    replicas.iter().map(of_replica).collect::<Vec<_>>().join(", ")
}

fn tell_replication(quorum: &DescribeQuorumPartitionResponse, human_readable: bool) {
    let leader = quorum.current_voters.iter().find(|voter| voter.replica_id == quorum.leader_id);
    let end = leader.map_or(quorum.high_watermark, |leader| leader.log_end_offset);
    let time = |time: i64| match human_readable {
        true if time < 0 => "unknown".to_owned(),
        true => format!("{} ms ago", (clock::wall().0 - time).max(0)),
        false => time.to_string(),
    };
    let row = |replica: &DescribeQuorumReplicaState, status: &str| {
        [
            replica.replica_id.to_string(),
            replica.replica_directory_id.to_string(),
            replica.log_end_offset.to_string(),
            (end - replica.log_end_offset).to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    };
    let is_leader = |replica: &&DescribeQuorumReplicaState| replica.replica_id == quorum.leader_id;
    let voters = &quorum.current_voters;
    let leaders = voters.iter().filter(is_leader).map(|replica| row(replica, "Leader"));
    let followers = voters.iter().filter(|voter| !is_leader(voter)).map(|replica| row(replica, "Follower"));
    let observers = quorum.observers.iter().map(|replica| row(replica, "Observer"));
    let rows: Vec<_> = leaders.chain(followers).chain(observers).collect();
    let titles =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    print_table(titles, &rows);
}
