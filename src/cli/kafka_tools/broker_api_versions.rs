//! `kafka-broker-api-versions`: which versions of which APIs each broker serves.

use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Style, Tool, VERSION};
use super::session::{connect, run_async, say};
use crate::client::Target;
use crate::protocol::ApiKey;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-broker-api-versions",
    about: "This tool helps to retrieve broker version information.",
    style: Style::JoptSimple,
    options: &[BOOTSTRAP_SERVER, COMMAND_CONFIG, HELP, VERSION],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server"])?;
    run_async(async {
        let client = &mut connect(given).await?;
        let brokers: Vec<_> = client.metadata().brokers.values().cloned().collect();
        for broker in brokers {
            let connection = client.connection_to(&Target::Broker(broker.node_id)).await?;
            let rows: Vec<String> = connection.versions().iter().map(|(key, served)| row(*key, served)).collect();
            let rack = broker.rack.as_deref().unwrap_or("null");
            say!("{}:{} (id: {} rack: {rack} isFenced: false) -> (", broker.host, broker.port, broker.node_id);
            say!("{}\n)", rows.join(",\n"));
        }
        Ok(())
    })
}

fn row(key: i16, served: &std::ops::RangeInclusive<i16>) -> String {
    let range = |from: i16, to: i16| if from == to { from.to_string() } else { format!("{from} to {to}") };
    let versions = range(*served.start(), *served.end());
    let Some(api) = ApiKey::from_code(key) else { return format!("\tUNKNOWN({key}): {versions}") };
    let known = api.schema_versions();
    let usable = known.map(|known| (*known.versions.end()).min(*served.end())).filter(|usable| served.contains(usable));
    match usable {
        Some(usable) => format!("\t{api:?}({key}): {versions} [usable: {usable}]"),
        None => format!("\t{api:?}({key}): {versions} [unusable: node too new]"),
    }
}
