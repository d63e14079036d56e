//! `ottla cluster api-versions`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table, Tone};
use crate::client::admin::cluster;
use crate::client::{ClusterClient, ClusterError};
use crate::protocol::ApiKey;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only this broker.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    broker: Option<i32>,
}

#[derive(Serialize)]
struct Served {
    broker: i32,
    address: String,
    apis: Vec<Api>,
}

#[derive(Serialize)]
struct Api {
    key: i16,
    name: Option<&'static str>,
    min: i16,
    max: i16,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let live: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let brokers = match arguments.broker {
        Some(broker) if !live.contains(&broker) => return Err(ClusterError::UnknownBroker(broker).into()),
        Some(broker) => vec![broker],
        None => live,
    };
    let mut served = Vec::new();
    for broker in brokers {
        let versions = cluster::api_versions(client, broker).await?;
        let api = |(key, range): (i16, std::ops::RangeInclusive<i16>)| Api {
            key,
            name: ApiKey::from_code(key).map(ApiKey::name),
            min: *range.start(),
            max: *range.end(),
        };
        let address = client.metadata().address(broker).unwrap_or_default();
        served.push(Served { broker, address, apis: versions.into_iter().map(api).collect() });
    }
    Ok(output.print(&served, |output| {
        let blocks: Vec<String> = served.iter().map(|served| text(served, output)).collect();
        blocks.join("\n")
    })?)
}

fn text(served: &Served, output: &Output) -> String {
    let mut table = Table::new(&["API", "KEY", "VERSIONS"]);
    for api in &served.apis {
        let versions = if api.min == api.max { api.min.to_string() } else { format!("{}-{}", api.min, api.max) };
        table.row(vec![api.name.unwrap_or("unknown").into(), api.key.into(), versions.into()]);
    }
    let title = output.paint(&format!("broker {} at {}", served.broker, served.address), Tone::Title);
    format!("{title}\n{}", output.table(&table))
}
