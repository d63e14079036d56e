//! `kafka-delete-records`: deletes records below an offset.

use std::collections::BTreeMap;

use serde_json::Value;

use super::failure::{Failure, exception};
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};
use super::partition_lists::{json_file, partitions_of};
use super::session::{connect, run_async, say};
use crate::client::admin::records;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-delete-records",
    about: "This tool helps to delete records of the given partitions down to the specified offset.",
    style: Style::JoptSimple,
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        HELP,
        Opt::value("offset-json-file", "file", "A JSON file with the first offset to keep of each partition."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server", "offset-json-file"])?;
    let document = json_file(given.value("offset-json-file").unwrap_or_default())?;
    let mut ends = BTreeMap::new();
    for (partition, entry) in partitions_of(&document)? {
        let offset = entry.get("offset").and_then(Value::as_i64);
        let offset = offset.ok_or_else(|| Failure::said("No such field exists: `offset`"))?;
        if ends.insert(partition.clone(), offset).is_some() {
            return Err(Failure::said(format!("Offset json file contains duplicate topic partitions: {partition}")));
        }
    }
    run_async(async {
        let client = &mut connect(given).await?;
        say!("Executing records delete operation");
        let results = records::delete_before(client, &ends).await;
        say!("Records delete operation completed:");
        for (partition, outcome) in results {
            match outcome {
                Ok(low_watermark) => say!("partition: {partition}\tlow_watermark: {low_watermark}"),
                Err(error) => say!("partition: {partition}\terror: {}", exception(&error)),
            }
        }
        Ok(())
    })
}
