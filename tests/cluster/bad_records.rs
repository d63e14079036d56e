//! Produce of batches that are wrong: Kafka's error, and nothing appended.

use ottla::model::ErrorCode;
use ottla::record::{BatchBuilder, Codec, compress};

use super::harness::Connection;
use super::probe::{Broker, batch, batch_at, end_offset, now_ms, produce, produce_request, reseal, unique};

/// Where the fields of a batch lie.
const BATCH_LENGTH: usize = 8;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const BASE_SEQUENCE: usize = 53;
const RECORD_COUNT: usize = 57;
const RECORDS: usize = 61;

/// For what no client ever sends Kafka has more than one answer; UNKNOWN_SERVER_ERROR is an exception in its decoder.
const MALFORMED: [ErrorCode; 4] = [
    ErrorCode::CorruptMessage,
    ErrorCode::InvalidRecord,
    ErrorCode::UnsupportedCompressionType,
    ErrorCode::UnknownServerError,
];

/// A topic of its own and a connection to produce to it.
struct Log {
    connection: Connection,
    topic: String,
}

impl Log {
    fn new(broker: &Broker) -> Self {
        Self::with_configs(broker, &[])
    }

    fn with_configs(broker: &Broker, configs: &[(&str, &str)]) -> Self {
        let mut connection = broker.connect();
        let topic = unique("records");
        connection.create_topic_with(&topic, 1, 1, configs);
        let mut log = Self { connection, topic };
        assert_eq!(log.answer_to(batch(&[b"before"])), ErrorCode::None);
        log
    }

    fn answer_to(&mut self, records: Vec<u8>) -> ErrorCode {
        produce(&mut self.connection, &self.topic, records).error_code
    }

    #[track_caller]
    fn refuses(&mut self, records: Vec<u8>, expected: &[ErrorCode]) {
        let before = end_offset(&mut self.connection, &self.topic);
        let error = self.answer_to(records);
        assert!(expected.contains(&error), "{error:?} instead of {expected:?}");
        assert_eq!(end_offset(&mut self.connection, &self.topic), before, "nothing may be appended");
    }

    #[track_caller]
    fn takes(&mut self, records: Vec<u8>) {
        assert_eq!(self.answer_to(records), ErrorCode::None);
    }
}

/// A batch of three records after a change and with its checksum made right again.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch(&[b"one", b"two", b"three"]);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    reseal(&mut batch);
    batch
}

#[test]
fn damaged_batches_are_corrupt() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    for at in [CRC, ATTRIBUTES + 1, LAST_OFFSET_DELTA + 3, RECORDS + 2] {
        let mut damaged = batch(&[b"one", b"two"]);
        damaged[at] ^= 0x40;
        log.refuses(damaged, &[ErrorCode::CorruptMessage]);
    }
    let whole = batch(&[b"one", b"two"]);
    for length in [i32::MIN, -1, 0, 48, whole.len() as i32, i32::MAX] {
        let mut wrong = whole.clone();
        wrong[BATCH_LENGTH..MAGIC - 4].copy_from_slice(&length.to_be_bytes());
        log.refuses(wrong, &MALFORMED);
    }
    for cut in [1, 12, 60, whole.len() - 1] {
        log.refuses(whole[..cut].to_vec(), &MALFORMED);
    }
    log.takes(whole);
}

#[test]
fn unknown_magic_is_refused() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    for magic in [3, 0x7f, 0xff] {
        let refused = [ErrorCode::InvalidRecord, ErrorCode::UnsupportedForMessageFormat, ErrorCode::CorruptMessage];
        log.refuses(changed(MAGIC, &[magic]), &refused);
    }
}

#[test]
fn counts_that_do_not_agree_are_invalid() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    let refused = [ErrorCode::InvalidRecord, ErrorCode::CorruptMessage];
    for count in [-1, 0, 2, 4, i32::MAX] {
        log.refuses(changed(RECORD_COUNT, &i32::to_be_bytes(count)), &refused);
    }
    for delta in [-1, 0, 1, 3, i32::MAX] {
        log.refuses(changed(LAST_OFFSET_DELTA, &i32::to_be_bytes(delta)), &refused);
    }
    // The length of the first record: longer than the batch, negative.
    log.refuses(changed(RECORDS, &[0x7e]), &refused);
    log.refuses(changed(RECORDS, &[0x01]), &refused);
    log.takes(changed(RECORD_COUNT, &3_i32.to_be_bytes()));
}

#[test]
fn one_batch_for_each_partition() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    let two = [batch(&[b"one"]), batch(&[b"two"])].concat();
    log.refuses(two, &[ErrorCode::InvalidRecord]);
    log.refuses(Vec::new(), &[ErrorCode::InvalidRecord, ErrorCode::CorruptMessage]);
}

#[test]
fn clients_write_no_control_batches() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    log.refuses(changed(ATTRIBUTES + 1, &[0x20]), &[ErrorCode::InvalidRecord]);
}

#[test]
fn producer_fields_must_make_sense() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    // A producer id needs an epoch and a sequence.
    let with = |id: i64, epoch: i16, sequence: i32| {
        let mut batch = batch(&[b"one"]);
        batch[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&id.to_be_bytes());
        batch[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&epoch.to_be_bytes());
        batch[BASE_SEQUENCE..RECORD_COUNT].copy_from_slice(&sequence.to_be_bytes());
        reseal(&mut batch);
        batch
    };
    log.refuses(with(4242, 0, -2), &[ErrorCode::InvalidRecord]);
    log.refuses(with(4242, 0, -1), &[ErrorCode::InvalidRecord]);
    if broker.data().is_some() {
        // Kafka takes this one.
        log.refuses(with(4242, -1, 0), &[ErrorCode::InvalidRecord, ErrorCode::InvalidProducerEpoch]);
    }
    log.takes(with(4242, 0, 0));
    log.refuses(with(4242, 0, 7), &[ErrorCode::OutOfOrderSequenceNumber]);
    log.takes(with(4242, 0, 1));
    // A repetition of the last batch is acknowledged again where it was.
    let again = produce(&mut log.connection, &log.topic, with(4242, 0, 1));
    assert_eq!((again.error_code, again.base_offset), (ErrorCode::None, 2));
    assert_eq!(end_offset(&mut log.connection, &log.topic), 3);
}

#[test]
fn batches_above_the_limit_are_too_large() {
    let broker = Broker::start();
    let mut log = Log::with_configs(&broker, &[("max.message.bytes", "10000")]);
    log.refuses(batch(&[&[1; 10_000]]), &[ErrorCode::MessageTooLarge]);
    log.takes(batch(&[&[1; 9_000]]));
}

#[test]
fn times_out_of_bounds_are_invalid() {
    let broker = Broker::start();
    let hour = 3_600_000;
    let mut log = Log::new(&broker);
    // One hour ahead is Kafka's default limit.
    log.refuses(batch_at(now_ms() + 2 * hour, &[b"future"]), &[ErrorCode::InvalidTimestamp]);
    log.refuses(batch_at(i64::MAX, &[b"end of days"]), &[ErrorCode::InvalidTimestamp]);
    log.takes(batch_at(0, &[b"1970"]));
    let bounds = [("message.timestamp.before.max.ms", "1000000"), ("message.timestamp.after.max.ms", "1000000")];
    let mut log = Log::with_configs(&broker, &bounds);
    log.refuses(batch_at(now_ms() - hour, &[b"past"]), &[ErrorCode::InvalidTimestamp]);
    log.refuses(batch_at(now_ms() + hour, &[b"future"]), &[ErrorCode::InvalidTimestamp]);
    log.takes(batch(&[b"now"]));
}

/// A batch whose records are said to be `codec`'s and are these bytes.
fn compressed(codec: Codec, records: &[u8], count: i32) -> Vec<u8> {
    let mut batch = BatchBuilder::new();
    batch.append(now_ms(), None, Some(b"x"), &[]);
    let mut batch = batch.build()[..RECORDS].to_vec();
    batch.extend(records);
    let length = batch.len() as i32 - 12;
    batch[BATCH_LENGTH..MAGIC - 4].copy_from_slice(&length.to_be_bytes());
    batch[ATTRIBUTES + 1] = codec as u8;
    batch[RECORD_COUNT..RECORDS].copy_from_slice(&count.to_be_bytes());
    batch[LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4].copy_from_slice(&(count - 1).to_be_bytes());
    reseal(&mut batch);
    batch
}

#[test]
fn bombs_cost_no_memory() {
    const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let broker = Broker::start();
    // As many zero bytes as compress to less than max.message.bytes; what arrives may grow to 64 MiB at most.
    let zeros = vec![0; 200 << 20];
    let bombs: Vec<(Codec, Vec<u8>)> = CODECS
        .into_iter()
        .map(|codec| {
            let zeros = if codec == Codec::Snappy { &zeros[..16 << 20] } else { &zeros[..] };
            (codec, compressed(codec, &compress(codec, None, zeros), 1))
        })
        .filter(|(_, bomb)| bomb.len() < 1_000_000)
        .collect();
    assert!(bombs.len() >= 3, "most codecs make bombs");
    drop(zeros);
    broker.undisturbed_by(32 * 1024, || {
        let mut plain = Log::new(&broker);
        for (_, bomb) in &bombs {
            // Stored as it came, or refused; never inflated.
            let _ = plain.answer_to(bomb.clone());
        }
    });
    // Where they have to be inflated, it is a few at a time, each until its limit of 64 MiB.
    broker.undisturbed_by(800 * 1024, || {
        let converting = |codec: &Codec| if *codec == Codec::Gzip { "zstd" } else { "gzip" };
        let logs = bombs
            .iter()
            .cycle()
            .take(32)
            .map(|(codec, bomb)| (Log::with_configs(&broker, &[("compression.type", converting(codec))]), bomb));
        let mut logs: Vec<_> = logs.collect();
        std::thread::scope(|scope| {
            for (log, bomb) in &mut logs {
                let refused = [ErrorCode::MessageTooLarge, ErrorCode::InvalidRecord, ErrorCode::CorruptMessage];
                scope.spawn(move || log.refuses(bomb.clone(), &refused));
            }
        });
    });
}

#[test]
fn compressed_nonsense_is_refused_where_it_has_to_be_read() {
    let broker = Broker::start();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let other = if codec == Codec::Gzip { "zstd" } else { "gzip" };
        let mut log = Log::with_configs(&broker, &[("compression.type", other)]);
        for nonsense in [&b""[..], b"\x00", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"nothing that a codec ever wrote"] {
            let refused = [ErrorCode::InvalidRecord, ErrorCode::CorruptMessage, ErrorCode::MessageTooLarge];
            log.refuses(compressed(codec, nonsense, 1), &refused);
        }
        // Whole, but not as many records as the header says.
        let records = batch(&[b"one", b"two"])[RECORDS..].to_vec();
        log.refuses(
            compressed(codec, &compress(codec, None, &records), 3),
            &[ErrorCode::InvalidRecord, ErrorCode::CorruptMessage],
        );
        log.takes(compressed(codec, &compress(codec, None, &records), 2));
    }
}

#[test]
fn codecs_that_do_not_exist_are_refused() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    for bits in [5, 6, 7] {
        log.refuses(changed(ATTRIBUTES + 1, &[bits]), &MALFORMED);
    }
}

#[test]
fn acks_that_do_not_exist_are_refused() {
    let broker = Broker::start();
    let mut log = Log::new(&broker);
    for acks in [2, -2, i16::MAX] {
        let response = log.connection.send(8, &produce_request(&log.topic, acks, batch(&[b"value"])));
        assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::InvalidRequiredAcks);
    }
    assert_eq!(end_offset(&mut log.connection, &log.topic), 1);
}
