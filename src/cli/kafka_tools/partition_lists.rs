//! Partitions as they are named in JSON files.

use serde_json::Value;

use super::failure::Failure;
use crate::model::TopicPartition;

/// Reads a JSON file.
pub(super) fn json_file(path: &str) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|_| Failure::said(format!("Unable to read file {path}")))?;
    serde_json::from_str(&text).map_err(|_| Failure::said("The input string is not a valid JSON"))
}

/// The objects in the list `partitions` of a JSON document, each with the partition that it names.
pub(super) fn partitions_of(document: &Value) -> Result<Vec<(TopicPartition, &Value)>, Failure> {
    let missing = |field: &str| Failure::said(format!("No such field exists: `{field}`"));
    let list = document.get("partitions").and_then(Value::as_array).ok_or_else(|| missing("partitions"))?;
    let partition = |entry| {
        let topic = Value::get(entry, "topic").and_then(Value::as_str).ok_or_else(|| missing("topic"))?;
        let partition = Value::get(entry, "partition").and_then(Value::as_i64).ok_or_else(|| missing("partition"))?;
        let partition = i32::try_from(partition).map_err(|_| missing("partition"))?;
        Ok((TopicPartition::new(topic, partition), entry))
    };
    list.iter().map(partition).collect()
}
