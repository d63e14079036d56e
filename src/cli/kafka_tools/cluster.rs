//! `kafka-cluster`: the cluster's id and its brokers.

use super::failure::Failure;
use super::options::{
    BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, Opt, Served, Style, SubCommand, Tool,
};
use super::session::{connect, run_async, say};
use crate::client::{ClusterError, Target};
use crate::protocol::{DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest};

const SERVER: Opt = BOOTSTRAP_SERVER.short('b');
const CONTROLLER: Opt = BOOTSTRAP_CONTROLLER.short('C');
const CONFIG: Opt = Opt::value("config", "file", "The same as --command-config.").short('c');

pub(super) static TOOL: Tool = Tool {
    name: "kafka-cluster",
    about: "The Kafka cluster tool.",
    style: Style::Argparse,
    options: &[Opt::flag("help", "Prints this help.").short('h')],
    commands: &[
        SubCommand {
            name: "cluster-id",
            about: "Tells the cluster's id.",
            options: &[SERVER, CONTROLLER, CONFIG, COMMAND_CONFIG],
            served: Served::Yes,
        },
        SubCommand {
            name: "unregister",
            about: "Forgets a broker.",
            options: &[SERVER, CONTROLLER, CONFIG, COMMAND_CONFIG, Opt::value("id", "id", "The broker.").short('i')],
            served: Served::Yes,
        },
        SubCommand {
            name: "list-endpoints",
            about: "Lists the brokers.",
            options: &[
                SERVER,
                CONTROLLER,
                CONFIG,
                COMMAND_CONFIG,
                Opt::flag("include-fenced-brokers", "Lists brokers that are down too."),
            ],
            served: Served::Yes,
        },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    if !given.has("bootstrap-server") {
        return Err(
            given.error("one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required".to_owned())
        );
    }
    match given.command.map(|command| command.name) {
        Some("unregister") => unregister(given),
        Some("list-endpoints") => describe(given, given.has("include-fenced-brokers")).map(|cluster| list(&cluster)),
        _ => describe(given, false).map(|cluster| tell_id(&cluster.cluster_id)),
    }
}

fn describe(given: &Given, include_fenced_brokers: bool) -> Result<DescribeClusterResponse, Failure> {
    run_async(async {
        let client = &mut connect(given).await?;
        let request = DescribeClusterRequest { endpoint_type: 1, include_fenced_brokers, ..Default::default() };
        let response = client.ask(&Target::Any, &request, |response| response.error_code).await?;
        if response.error_code.is_error() {
            return Err(ClusterError::refused("the cluster", response.error_code, response.error_message).into());
        }
        Ok(response)
    })
}

fn unregister(given: &Given) -> Result<(), Failure> {
    let Some(told) = given.value("id") else { return Err(given.error("argument --id/-i is required".to_owned())) };
    let Ok(broker_id) = told.parse() else {
        return Err(given.error(format!("argument --id/-i: could not convert '{told}' to Integer")));
    };
    run_async(async {
        let client = &mut connect(given).await?;
        let request = UnregisterBrokerRequest { broker_id };
        let response = client.ask(&Target::Any, &request, |response| response.error_code).await?;
        if response.error_code.is_error() {
            let what = format!("broker {broker_id}");
            return Err(ClusterError::refused(&what, response.error_code, response.error_message).into());
        }
        Ok(())
    })?;
    say!("Broker {broker_id} is no longer registered.");
    Ok(())
}

fn tell_id(cluster_id: &str) {
    if cluster_id.is_empty() {
        say!("No cluster ID found. The Kafka version is probably too old.");
    } else {
        say!("Cluster ID: {cluster_id}");
    }
}

fn list(cluster: &DescribeClusterResponse) {
    let rack = |rack: &Option<String>| rack.clone().unwrap_or("null".to_owned());
    let hosts = cluster.brokers.iter().map(|broker| broker.host.len()).max().unwrap_or(0);
    let racks = cluster.brokers.iter().map(|broker| rack(&broker.rack).len()).max().unwrap_or(0).max(10);
    let line = |cells: [&str; 6]| {
        let [id, host, port, rack, state, kind] = cells;
        say!("{id:<10} {host:<hosts$} {port:<10} {rack:<racks$} {state:<10} {kind:<15}");
    };
    line(["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"]);
    let mut brokers: Vec<_> = cluster.brokers.iter().collect();
    brokers.sort_by_key(|broker| broker.broker_id);
    for broker in brokers {
        let state = if broker.is_fenced { "fenced" } else { "unfenced" };
        let (id, port) = (broker.broker_id.to_string(), broker.port.to_string());
        line([&id, &broker.host, &port, &rack(&broker.rack), state, "broker"]);
    }
}
