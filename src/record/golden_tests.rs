//! Reads what Kafka 4.3.1 wrote, and compares with what its own DumpLogSegments says about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3.1").join(path)
}

/// The segments of the topics whose keys and values are plain text, with Kafka's dump of each.
fn segments() -> Vec<(String, Vec<u8>, String)> {
    let dump = std::fs::read(golden("dump.txt")).unwrap();
    let dump = String::from_utf8_lossy(&dump).into_owned();
    let mut segments = Vec::new();
    for part in dump.split("Dumping ").skip(1) {
        let (file, text) = part.split_once('\n').unwrap();
        if file.ends_with(".log") && !file.starts_with("__") {
            let text = text.split_inclusive('\n').skip(1).collect();
            segments.push((file.to_owned(), std::fs::read(golden("data").join(file)).unwrap(), text));
        }
    }
    assert_eq!(segments.len(), 18, "dump.txt names other segments than this test knows");
    segments
}

fn text(bytes: Option<&[u8]>) -> &str {
    std::str::from_utf8(bytes.unwrap_or_default()).unwrap()
}

fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| bytes.len() as i64)
}

fn dump_batch(batch: &Batch<'_>, out: &mut String) {
    let header = &batch.header;
    let time = match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    let horizon = header.delete_horizon().map_or(".empty".to_owned(), |horizon| format!("[{horizon}]"));
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: OptionalLong{horizon} \
         position: {} {time}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
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
        header.max_timestamp,
        header.size(),
        header.codec().name(),
        header.crc,
        batch.verify_crc().is_ok(),
    )
    .unwrap();
    let plain = batch.plain_records(1 << 20).unwrap();
    for (index, record) in (0..).zip(Records::new(header, &plain)) {
        let record = record.unwrap();
        let sequence = if header.base_sequence < 0 { -1 } else { header.base_sequence + index };
        let keys: Vec<_> = record.headers.map(|header| text(Some(header.key)).to_owned()).collect();
        write!(
            out,
            "| offset: {} {time}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
            record.offset,
            record.timestamp,
            length(record.key),
            length(record.value),
            keys.join(","),
        )
        .unwrap();
        if header.is_control() {
            let marker = EndTransactionMarker::from_record(&record).unwrap();
            let result = if marker.result == TransactionResult::Commit { "COMMIT" } else { "ABORT" };
            writeln!(out, " endTxnMarker: {result} coordinatorEpoch: {}", marker.coordinator_epoch).unwrap();
            continue;
        }
        for (name, bytes) in [("key", record.key), ("payload", record.value)] {
            if bytes.is_some() {
                write!(out, " {name}: {}", text(bytes)).unwrap();
            }
        }
        out.push('\n');
    }
}

#[test]
fn kafkas_segments_read_as_kafka_dumps_them() {
    for (file, bytes, dump) in segments() {
        let mut batches = Batches::new(&bytes);
        let mut ours = String::new();
        for batch in &mut batches {
            dump_batch(&batch.unwrap(), &mut ours);
        }
        assert!(batches.rest().is_empty(), "{file}");
        assert!(ours == dump, "{file}: ours\n{ours}\nKafka's\n{dump}");
    }
}

#[test]
fn header_values_of_all_codecs() {
    for codec in Codec::ALL {
        let bytes = std::fs::read(golden(&format!("data/{}-0/00000000000000000000.log", codec.name()))).unwrap();
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let plain = batch.plain_records(1 << 20).unwrap();
        let headers: Vec<_> = Records::new(&batch.header, &plain)
            .flat_map(|record| record.unwrap().headers)
            .map(|header| (text(Some(header.key)), header.value.map(|value| text(Some(value)))))
            .collect();
        let expected = [1, 2, 2, 4, 5, 5, 7].map(|record| format!("h{record}"));
        let expected: Vec<_> = [0, 0, 1, 0, 0, 1, 0]
            .iter()
            .zip(&expected)
            .map(|(at, value)| if *at == 0 { ("header-0", Some(value.as_str())) } else { ("header-1", None) })
            .collect();
        assert_eq!(headers, expected, "{}", codec.name());
    }
}

#[test]
fn the_builder_writes_the_same_bytes() {
    let mut same = 0;
    for (file, bytes, _) in segments() {
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            let plain = batch.plain_records(1 << 20).unwrap();
            let mut builder = BatchBuilder::replacing(&batch.header);
            for record in Records::new(&batch.header, &plain) {
                builder.append_at(&record.unwrap());
            }
            let rebuilt = builder.build();
            // Log append time replaces the timestamps that the deltas were made from.
            if batch.header.codec() == Codec::None && batch.header.timestamp_type() == TimestampType::CreateTime {
                assert_eq!(rebuilt, batch.bytes, "{file} at {}", batch.position);
                same += 1;
            }
            let rebuilt = Batches::new(&rebuilt).next().unwrap().unwrap();
            rebuilt.verify_crc().unwrap();
            assert_eq!(
                Records::new(&rebuilt.header, &rebuilt.plain_records(1 << 20).unwrap()).collect::<Vec<_>>(),
                Records::new(&batch.header, &plain).collect::<Vec<_>>()
            );
        }
    }
    assert!(same > 30, "only {same} batches compared byte by byte");
}

/// Kafka's own reader accepts every codec as we write it. Needs java, and KAFKA_LIBS as for generate.sh.
#[test]
#[ignore = "needs java and KAFKA_LIBS, the libs folder of Kafka 4.3.1"]
fn kafka_reads_what_we_write() {
    let libs = std::env::var("KAFKA_LIBS").expect("KAFKA_LIBS is set");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("00000000000000000000.log");
    let (mut segment, mut ours) = (Vec::new(), String::new());
    let value = "value ".repeat(30_000);
    for codec in Codec::ALL {
        let levels = codec.levels().map_or(vec![None], |levels| vec![None, Some(*levels.start()), Some(*levels.end())]);
        for level in levels {
            let mut builder = BatchBuilder::new().base_offset(segment.len() as i64).codec(codec, level);
            let headers = [Header { key: b"header", value: None }];
            builder.append(1_000, Some(b"key"), Some(value.as_bytes()), &headers);
            builder.append(999, None, Some(b"one"), &[]);
            segment.extend_from_slice(&builder.build());
        }
    }
    segment.extend_from_slice(&EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 7 }.batch(
        5,
        crate::model::ProducerId(4),
        crate::model::ProducerEpoch(1),
    ));
    Batches::new(&segment).for_each(|batch| dump_batch(&batch.unwrap(), &mut ours));
    std::fs::write(&file, &segment).unwrap();
    let output = std::process::Command::new("java")
        .args(["-cp", &format!("{libs}/*"), "org.apache.kafka.tools.DumpLogSegments", "--print-data-log", "--files"])
        .arg(&file)
        .output()
        .unwrap();
    let dump = String::from_utf8(output.stdout).unwrap();
    let dump: String = dump.split_inclusive('\n').filter(|line| line.starts_with(['b', '|'])).collect();
    assert!(ours == dump, "ours\n{ours:.2000}\nKafka's\n{dump:.2000}");
}
