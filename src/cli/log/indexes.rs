//! Prints indexes and snapshots.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::time::iso;
use crate::log::{
    LogFileKind, offset_index_entries, snapshot_producers, time_index_entries, transaction_index_entries,
};
use crate::model::Offset;

/// Prints the entries of an index or a snapshot; what is wrong with it, if anything is.
pub(super) fn dump(
    kind: LogFileKind,
    base_offset: Offset,
    bytes: &[u8],
    json: bool,
    out: &mut impl Write,
) -> io::Result<Option<String>> {
    let mut line = |value: Value, text: String| {
        if json { writeln!(out, "{value}") } else { writeln!(out, "  {text}") }
    };
    match kind {
        LogFileKind::Batches => unreachable!("segments are printed batch by batch"),
        LogFileKind::OffsetIndex => {
            for entry in offset_index_entries(base_offset, bytes) {
                let value = json!({ "offset": entry.offset, "position": entry.position });
                line(value, format!("offset {} at position {}", entry.offset, entry.position))?;
            }
        }
        LogFileKind::TimeIndex => {
            for entry in time_index_entries(base_offset, bytes) {
                let value = json!({ "timestamp": entry.timestamp, "offset": entry.offset });
                line(value, format!("{} ({}) at offset {}", iso(entry.timestamp), entry.timestamp, entry.offset))?;
            }
        }
        LogFileKind::TransactionIndex => {
            for entry in transaction_index_entries(bytes) {
                let (producer, first, last) = (entry.producer_id.0, entry.first_offset, entry.last_offset);
                let stable = entry.last_stable_offset;
                let value = json!({
                    "producer_id": producer, "first_offset": first, "last_offset": last, "last_stable_offset": stable,
                });
                line(value, format!("producer {producer} aborted {first}..{last}, last stable offset {stable}"))?;
            }
        }
        LogFileKind::ProducerSnapshot => {
            let Some(producers) = snapshot_producers(bytes) else {
                return Ok(Some("the snapshot is not whole".to_owned()));
            };
            for producer in producers {
                let (id, epoch) = (producer.producer_id.0, producer.producer_epoch.0);
                let (sequence, time) = (producer.last_sequence, producer.last_timestamp);
                let began = producer.current_txn_first_offset;
                let value = json!({
                    "producer_id": id, "producer_epoch": epoch, "last_sequence": sequence, "last_timestamp": time,
                    "coordinator_epoch": producer.coordinator_epoch, "transaction_first_offset": began,
                });
                let open = began.map_or_else(String::new, |offset| format!(", transaction open since offset {offset}"));
                line(value, format!("producer {id} epoch {epoch}, last sequence {sequence} at {}{open}", iso(time)))?;
            }
        }
    }
    Ok(None)
}
