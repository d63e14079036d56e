//! Apache Kafka's own DumpLogSegments reads what is written here.
//!
//! Needs Java and Kafka's jars, so it is ignored unless asked for; `scripts/kafka-reads-our-logs` does that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::disk::OsDisk;
use super::{DataDirectory, FilePool, LogConfig, PartitionLog};
use crate::model::{LeaderEpoch, ProducerEpoch, ProducerId, TopicId, TopicPartition, Uuid, Wall};
use crate::record::{BatchBuilder, BatchHeader, Codec};

const BATCHES: i32 = 400;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Writes a log of several segments, with every codec, three leader epochs and four producers, killed once.
fn write_log(path: &Path) {
    let directory = DataDirectory::open(Arc::new(FilePool::new(OsDisk, 10)), path).unwrap();
    let open = || {
        let config = LogConfig { segment_bytes: 64 << 10, index_interval_bytes: 1024, ..LogConfig::default() };
        let topic_id = Some(TopicId(Uuid([7; 16])));
        let partition = TopicPartition::new("written", 0);
        PartitionLog::open(&directory, partition, topic_id, Arc::new(config), false, Wall(0)).unwrap().0
    };
    let mut log = open();
    for n in 0..BATCHES {
        if n == BATCHES / 2 {
            log.flush().unwrap();
            drop(log);
            log = open();
        }
        let mut builder = BatchBuilder::new().codec(CODECS[n as usize % CODECS.len()], None).producer(
            ProducerId(i64::from(n % 4)),
            ProducerEpoch(1),
            n / 4 * 3,
        );
        for m in 0..3 {
            let timestamp = 1_700_000_000_000 + i64::from(n * 10 + m);
            let value: Vec<u8> = (0..300).map(|at| (at * (n + 7 * m) % 251) as u8).collect();
            builder.append(timestamp, Some(&n.to_be_bytes()), Some(&value), &[]);
        }
        let batch = builder.build();
        log.append_as_leader(&batch, &BatchHeader::parse(&batch).unwrap(), LeaderEpoch(n / 150), None, Wall(0))
            .unwrap();
    }
    log.close().unwrap();
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// What DumpLogSegments prints.
fn dump(files: &[PathBuf], options: &[&str]) -> String {
    let jars = std::env::var("KAFKA_JARS").expect("KAFKA_JARS names the directory of Kafka's jars");
    let list: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let output = Command::new("java")
        .args(["-Xmx256M", "-cp", &format!("{jars}/*"), "org.apache.kafka.tools.DumpLogSegments"])
        .args(["--files", &list.join(",")])
        .args(options)
        .output()
        .expect("java runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs Java and Kafka's jars: scripts/kafka-reads-our-logs"]
fn kafka_reads_our_logs() {
    let temporary = tempfile::tempdir().unwrap();
    write_log(temporary.path());
    let path = temporary.path().join("written-0");

    let (logs, indexes) = (files(&path, "log"), files(&path, "index"));
    assert!(logs.len() > 3, "several segments");
    assert_eq!((indexes.len(), files(&path, "timeindex").len()), (logs.len(), logs.len()));
    let text = dump(&logs, &["--deep-iteration"]);
    let batches: Vec<&str> = text.lines().filter(|line| line.starts_with("baseOffset")).collect();
    assert_eq!(batches.len(), BATCHES as usize);
    assert!(batches.iter().all(|line| line.contains("isvalid: true")), "{text}");
    for (n, line) in batches.iter().enumerate() {
        let expected = format!("baseOffset: {} lastOffset: {} count: 3", 3 * n, 3 * n + 2);
        let epoch = format!("partitionLeaderEpoch: {} ", n / 150);
        assert!(line.starts_with(&expected) && line.contains(&epoch), "{line}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("| offset")).count(), 3 * BATCHES as usize);

    // The index dumps look every entry up in the segment beside it, and complain of what is not there.
    for kind in ["index", "timeindex"] {
        let text = dump(&files(&path, kind), &[]);
        assert!(text.lines().count() > 2 * logs.len(), "{text}");
        for complaint in ["Mismatches", "not monotonically", "Found timestamp mismatch", "out of order", "not found"] {
            assert!(!text.contains(complaint), "{kind}: {text}");
        }
    }
    assert!(dump(&indexes, &["--index-sanity-check"]).contains("passed sanity check"));

    let snapshots = files(&path, "snapshot");
    let text = dump(&snapshots[snapshots.len() - 1..], &[]);
    // Five batches for each of four producers.
    assert_eq!(text.lines().filter(|line| line.starts_with("producerId")).count(), 20, "{text}");
    assert!(text.contains("lastSequence: 299") || text.contains("lastSequence=299"), "{text}");
}
