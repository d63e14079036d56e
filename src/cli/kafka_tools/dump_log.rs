//! `kafka-dump-log`: prints what lies in the files of a partition.

use std::fs;
use std::path::Path;

use super::failure::Failure;
use super::options::{Given, HELP, Opt, Style, Tool, VERSION};
use super::session::{print, say};
use crate::record::{Batch, Batches, Codec, EndTransactionMarker, Record, Records, TimestampType, TransactionResult};

/// The most a batch may inflate to, in bytes.
const INFLATED_MAX: usize = 1 << 30;
const NO_DECODER: &str = "keys and values are printed as text";

pub(super) static TOOL: Tool = Tool {
    name: "kafka-dump-log",
    about: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.",
    style: Style::JoptSimple,
    options: &[
        Opt::flag("cluster-metadata-decoder", "Decodes Kafka's cluster metadata.").not_served(NO_DECODER),
        Opt::flag("deep-iteration", "Prints records, not only batches."),
        Opt::value("files", "file,…", "The files: .log, .index, .timeindex, .txnindex, .snapshot."),
        HELP,
        Opt::flag("index-sanity-check", "Checks an index without printing it."),
        Opt::maybe("key-decoder-class", "class", "What decodes keys.").not_served(NO_DECODER),
        Opt::value("max-bytes", "bytes", "How much of a log to read."),
        Opt::value("max-message-size", "bytes", "How large a record may be.")
            .without_effect("records may have any size"),
        Opt::flag("offsets-decoder", "Decodes offsets of groups.").not_served(NO_DECODER),
        Opt::flag("print-data-log", "Prints records with keys and values."),
        Opt::flag("remote-log-metadata-decoder", "Decodes metadata of remote logs.").not_served(NO_DECODER),
        Opt::flag("share-group-state-decoder", "Decodes states of share groups.").not_served(NO_DECODER),
        Opt::flag("skip-record-metadata", "Prints only keys and values."),
        Opt::flag("transaction-log-decoder", "Decodes states of transactions.").not_served(NO_DECODER),
        Opt::maybe("value-decoder-class", "class", "What decodes values.").not_served(NO_DECODER),
        Opt::flag("verify-index-only", "Compares an index with its log without printing it."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["files"])?;
    for file in given.value("files").unwrap_or_default().split(',') {
        say!("Dumping {file}");
        let path = Path::new(file);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => dump_log(given, path)?,
            Some("index") => dump_index(given, path)?,
            Some("timeindex") => dump_time_index(given, path)?,
            Some("snapshot") => dump_producers(path)?,
            Some("txnindex") => dump_transactions(path)?,
            _ => eprintln!("Ignoring unknown file {file}"),
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::said(format!("cannot read {}: {error}", path.display())))
}

/// The offset in the file's name.
fn base_offset(path: &Path) -> Result<i64, Failure> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.parse().map_err(|_| Failure::said(format!("{} is not named after an offset", path.display())))
}

fn dump_log(given: &Given, path: &Path) -> Result<(), Failure> {
    say!("Log starting offset: {}", base_offset(path)?);
    let bytes = read(path)?;
    let max: Option<usize> = given.parsed("max-bytes")?;
    let with_data = given.has("print-data-log");
    let mut batches = Batches::new(&bytes[..bytes.len().min(max.unwrap_or(usize::MAX))]);
    let mut last_offset = None;
    for batch in batches.by_ref() {
        // What follows is told as invalid bytes.
        let Ok(batch) = batch else { break };
        print_batch(&batch);
        if !with_data && !given.has("deep-iteration") {
            continue;
        }
        let damaged = |error| Failure::said(format!("{}: {error}", path.display()));
        let plain = batch.plain_records(INFLATED_MAX).map_err(damaged)?;
        for record in Records::new(&batch.header, &plain) {
            let record = record.map_err(damaged)?;
            if last_offset.is_some_and(|last: i64| record.offset != last + 1) {
                eprintln!("Non-consecutive offsets in {}: before {}", path.display(), record.offset);
            }
            last_offset = Some(record.offset);
            print_record(&batch, &record, with_data, given.has("skip-record-metadata"));
        }
    }
    let rest = bytes.len() - batches.position();
    if rest > 0 && max.is_none() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        say!("Found {rest} invalid bytes at the end of {name}");
    }
    Ok(())
}

fn print_batch(batch: &Batch<'_>) {
    let header = &batch.header;
    let codec = match header.codec() {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Snappy => "snappy",
        Codec::Lz4 => "lz4",
        Codec::Zstd => "zstd",
    };
    let horizon = match header.delete_horizon() {
        Some(horizon) => format!("OptionalLong[{horizon}]"),
        None => "OptionalLong.empty".to_owned(),
    };
    say!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {} {}: {} \
         size: {} magic: 2 compresscodec: {codec} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        batch.position,
        timestamp_type(batch),
        header.max_timestamp,
        header.size(),
        header.crc,
        batch.verify_crc().is_ok(),
    );
}

fn timestamp_type(batch: &Batch<'_>) -> &'static str {
    match batch.header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn print_record(batch: &Batch<'_>, record: &Record<'_>, with_data: bool, without_metadata: bool) {
    let header = &batch.header;
    let mut prefix = "| ";
    if !without_metadata {
        let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        let sequence = match header.base_sequence {
            -1 => -1,
            base => i64::from(base) + record.offset - header.base_offset,
        };
        let keys: Vec<_> = record.headers.map(|header| String::from_utf8_lossy(header.key).into_owned()).collect();
        print(format_args!(
            "{prefix}offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
            record.offset,
            timestamp_type(batch),
            record.timestamp,
            size(record.key),
            size(record.value),
            keys.join(","),
        ));
        prefix = " ";
        if let Some(marker) = EndTransactionMarker::from_record(record).filter(|_| header.is_control()) {
            let result = match marker.result {
                TransactionResult::Abort => "ABORT",
                TransactionResult::Commit => "COMMIT",
            };
            print(format_args!(" endTxnMarker: {result} coordinatorEpoch: {}", marker.coordinator_epoch));
        }
    }
    if with_data && !header.is_control() {
        if let Some(key) = record.key {
            print(format_args!("{prefix}key: {}", String::from_utf8_lossy(key)));
            prefix = " ";
        }
        if let Some(value) = record.value {
            print(format_args!("{prefix}payload: {}", String::from_utf8_lossy(value)));
        }
    }
    say!("");
}

/// The batch of the index's own log that begins at a position.
fn batch_at(log: &[u8], position: usize) -> Option<Batch<'_>> {
    Batches::new(log.get(position..)?).next()?.ok()
}

fn log_beside(path: &Path) -> Result<Vec<u8>, Failure> {
    read(&path.with_extension("log"))
}

/// Prints an entry's fields when its own is the whole story; false when the file passed the check alone.
fn sane(given: &Given, path: &Path, size: usize, length: usize) -> Result<bool, Failure> {
    if !given.has("index-sanity-check") {
        return Ok(true);
    }
    if !length.is_multiple_of(size) {
        return Err(Failure::said(format!("{} is corrupt: its length is no multiple of {size}", path.display())));
    }
    say!("{} passed sanity check.", path.display());
    Ok(false)
}

fn dump_index(given: &Given, path: &Path) -> Result<(), Failure> {
    let (base, bytes, log) = (base_offset(path)?, read(path)?, log_beside(path)?);
    if bytes.is_empty() {
        say!("{} is empty.", path.display());
        return Ok(());
    }
    if !sane(given, path, 8, bytes.len())? {
        return Ok(());
    }
    for (at, entry) in bytes.chunks_exact(8).enumerate() {
        let (offset, position) = (base + i64::from(number(entry)), number(&entry[4..]));
        // The rest was allocated ahead.
        if offset == base && at > 0 {
            return Ok(());
        }
        let found = batch_at(&log, position as usize).map(|batch| batch.header.last_offset());
        if found != Some(offset) {
            let found = found.map_or("nothing".to_owned(), |found| found.to_string());
            eprintln!("Mismatches in :{}\n  Index offset: {offset}, log offset: {found}", path.display());
        }
        if !given.has("verify-index-only") {
            say!("offset: {offset} position: {position}");
        }
    }
    Ok(())
}

fn dump_time_index(given: &Given, path: &Path) -> Result<(), Failure> {
    let (base, bytes, log) = (base_offset(path)?, read(path)?, log_beside(path)?);
    if !sane(given, path, 12, bytes.len())? {
        return Ok(());
    }
    for (at, entry) in bytes.chunks_exact(12).enumerate() {
        let (timestamp, offset) = (long(entry), base + i64::from(number(&entry[8..])));
        if offset == base && at > 0 {
            return Ok(());
        }
        let mut batches = Batches::new(&log).map_while(Result::ok);
        let batch = batches.find(|batch| batch.header.last_offset() >= offset);
        if batch.is_none_or(|batch| batch.header.max_timestamp != timestamp) {
            eprintln!("Found timestamp mismatch in :{}\n  Index timestamp: {timestamp}", path.display());
        }
        if !given.has("verify-index-only") {
            say!("timestamp: {timestamp} offset: {offset}");
        }
    }
    Ok(())
}

/// The producers of a snapshot; the layout stands in log/producer_snapshot.rs.
fn dump_producers(path: &Path) -> Result<(), Failure> {
    const HEAD: usize = 10;
    const ENTRY: usize = 46;
    let bytes = read(path)?;
    let corrupt = || Failure::said(format!("{} is not a snapshot of producers", path.display()));
    let entries = bytes.get(HEAD..).ok_or_else(corrupt)?;
    for entry in entries.chunks_exact(ENTRY) {
        let (epoch, sequence) = (i16::from_be_bytes([entry[8], entry[9]]), number(&entry[10..]));
        let (last_offset, delta, timestamp) = (long(&entry[14..]), number(&entry[22..]), long(&entry[26..]));
        let (coordinator_epoch, begun) = (number(&entry[34..]), long(&entry[38..]));
        let begun = if begun < 0 { "OptionalLong.empty".to_owned() } else { format!("OptionalLong[{begun}]") };
        print(format_args!(
            "producerId: {} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} \
             currentTxnFirstOffset: {begun} lastTimestamp: {timestamp} ",
            long(entry)
        ));
        if last_offset >= 0 {
            let first = sequence.wrapping_sub(delta);
            print(format_args!(
                "firstSequence: {first} lastSequence: {sequence} lastOffset: {last_offset} offsetDelta: {delta} \
                 timestamp: {timestamp}"
            ));
        }
        say!("");
    }
    Ok(())
}

/// The aborted transactions of a segment; the layout stands in log/transaction_index.rs.
fn dump_transactions(path: &Path) -> Result<(), Failure> {
    for entry in read(path)?.chunks_exact(34) {
        let version = i16::from_be_bytes([entry[0], entry[1]]);
        say!(
            "version: {version} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            long(&entry[2..]),
            long(&entry[10..]),
            long(&entry[18..]),
            long(&entry[26..])
        );
    }
    Ok(())
}

fn number(bytes: &[u8]) -> i32 {
    bytes.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

fn long(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
