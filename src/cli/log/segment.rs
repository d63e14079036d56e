//! Prints the batches of a segment, one at a time, however long the segment is.

use std::io::{self, BufReader, Read, Write};

use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::time::iso;
use crate::record::{
    BATCH_HEADER_LENGTH, Batch, BatchHeader, Batches, EndTransactionMarker, Record, RecordError, Records,
    TransactionResult,
};

/// What one batch may inflate to.
const INFLATED_MAX: usize = 1 << 30;

/// How much of a key or value is shown to people.
const SHOWN_MAX: usize = 200;

/// Prints the batches of a segment; what is wrong with it, if anything is.
pub(super) fn dump(
    source: impl Read,
    records: bool,
    json: bool,
    out: &mut impl Write,
) -> Result<Option<String>, Failure> {
    let mut source = BufReader::with_capacity(1 << 20, source);
    let mut position = 0u64;
    let unreadable = |error: io::Error| Failure::new(Exit::Failed, format!("cannot read on: {error}"));
    loop {
        let mut bytes = Vec::new();
        let read = source.by_ref().take(BATCH_HEADER_LENGTH as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        if read == 0 || bytes.iter().all(|byte| *byte == 0) {
            // Nothing, or zeros that were written ahead.
            return Ok(None);
        }
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) => header,
            Err(error) => return Ok(Some(format!("no batch at position {position}: {error}"))),
        };
        let rest = (header.size() - BATCH_HEADER_LENGTH) as u64;
        source.by_ref().take(rest).read_to_end(&mut bytes).map_err(unreadable)?;
        let Some(Ok(batch)) = Batches::new(&bytes).next() else {
            return Ok(Some(format!("the batch at position {position} ends after {} bytes", bytes.len())));
        };
        let checked = batch.verify_crc();
        print_batch(&batch, position, &checked, json, records, out)?;
        if let Err(error) = checked {
            return Ok(Some(format!("the batch at position {position} is damaged: {error}")));
        }
        if records && let Err(error) = print_records(&batch, json, out)? {
            return Ok(Some(format!("the batch at position {position}: {error}")));
        }
        position += header.size() as u64;
    }
}

fn print_batch(
    batch: &Batch<'_>,
    position: u64,
    checked: &Result<(), RecordError>,
    json: bool,
    records: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let header = &batch.header;
    if json {
        // With records, those are the lines.
        return if records { Ok(()) } else { writeln!(out, "{}", batch_json(header, position, checked.is_ok())) };
    }
    let (first, last) = (header.base_offset, header.last_offset());
    write!(
        out,
        "  offsets {first}..{last}  {} records  {}  {} bytes at {position}  {}  leader epoch {}",
        header.record_count,
        header.codec().name(),
        header.size(),
        iso(header.max_timestamp),
        header.partition_leader_epoch,
    )?;
    if header.has_producer_id() {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        write!(out, "  producer {id} epoch {epoch} sequence {}", header.base_sequence)?;
    }
    for (is, word) in [(header.is_transactional(), "transactional"), (header.is_control(), "control")] {
        write!(out, "{}{}", if is { "  " } else { "" }, if is { word } else { "" })?;
    }
    writeln!(out, "{}", if checked.is_ok() { "" } else { "  CRC WRONG" })
}

fn batch_json(header: &BatchHeader, position: u64, valid: bool) -> Value {
    json!({
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "records": header.record_count,
        "codec": header.codec().name(),
        "bytes": header.size(),
        "position": position,
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "leader_epoch": header.partition_leader_epoch.0,
        "producer_id": header.producer_id.0,
        "producer_epoch": header.producer_epoch.0,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "crc_valid": valid,
    })
}

/// The outer error is the output's, the inner one the batch's.
fn print_records(batch: &Batch<'_>, json: bool, out: &mut impl Write) -> io::Result<Result<(), RecordError>> {
    let plain = match batch.plain_records(INFLATED_MAX) {
        Ok(plain) => plain,
        Err(error) => return Ok(Err(error)),
    };
    for record in Records::new(&batch.header, &plain) {
        match record {
            Ok(record) if json => writeln!(out, "{}", record_json(&record))?,
            Ok(record) => print_record(&record, batch.header.is_control(), out)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

fn print_record(record: &Record<'_>, control: bool, out: &mut impl Write) -> io::Result<()> {
    write!(out, "    {}  {}", record.offset, iso(record.timestamp))?;
    if let Some(marker) = EndTransactionMarker::from_record(record).filter(|_| control) {
        let result = match marker.result {
            TransactionResult::Abort => "abort",
            TransactionResult::Commit => "commit",
        };
        return writeln!(out, "  {result} by coordinator epoch {}", marker.coordinator_epoch);
    }
    write!(out, "  key {}  value {}", shown(record.key), shown(record.value))?;
    for header in record.headers {
        write!(out, "  {}={}", String::from_utf8_lossy(header.key), shown(header.value))?;
    }
    writeln!(out)
}

fn record_json(record: &Record<'_>) -> Value {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let header = |header: crate::record::Header<'_>| json!({ "key": String::from_utf8_lossy(header.key), "value": text(header.value) });
    json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": text(record.key),
        "value": text(record.value),
        "headers": record.headers.map(header).collect::<Vec<_>>(),
    })
}

/// Bytes as a quoted text on one line.
fn shown(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > SHOWN_MAX => {
            format!("\"{}\"... ({} bytes)", bytes[..SHOWN_MAX].escape_ascii(), bytes.len())
        }
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => format!("\"{text}\""),
            _ => format!("\"{}\"", bytes.escape_ascii()),
        },
    }
}
