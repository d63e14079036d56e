//! Batches good and bad, and the answers of Kafka 4.3.1 to them.

use super::*;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, decompress};

const NOW: Wall = Wall(1_700_000_000_000);

fn builder(count: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    (0..count).for_each(|index| builder.append(NOW.0 + index, Some(b"k"), Some(b"value"), &[]));
    builder
}

fn batch(count: i64) -> (BatchHeader, Vec<u8>) {
    let bytes = builder(count).build();
    (BatchHeader::parse(&bytes).unwrap(), bytes[super::super::BATCH_HEADER_LENGTH..].to_vec())
}

/// A good batch of three records after `change` was made to its header; the CRC is right.
fn changed(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let (mut header, records) = batch(3);
    change(&mut header);
    seal(header, &records)
}

fn refusal(input: impl Into<Bytes>, rules: &ProduceRules) -> ErrorCode {
    validate(input.into(), rules, NOW).unwrap_err().error_code()
}

#[test]
fn a_good_batch_is_passed_on_untouched() {
    for codec in Codec::ALL {
        let input = builder(3).codec(codec, None).build();
        let validated = validate(input.clone(), &ProduceRules::default(), NOW).unwrap();
        assert_eq!(validated.batch.as_ptr(), input.as_ptr());
        assert_eq!((validated.header.next_offset(), validated.log_append_time()), (3, -1));
    }
}

#[test]
fn header_claims() {
    use ErrorCode::*;
    let producer = |id, epoch, sequence| {
        move |header: &mut BatchHeader| {
            (header.producer_id, header.producer_epoch) = (ProducerId(id), ProducerEpoch(epoch));
            header.base_sequence = sequence;
        }
    };
    let rules = ProduceRules::default();
    for (name, input, code) in [
        ("base offset", changed(|header| header.base_offset = 5), InvalidRecord),
        ("negative base offset", changed(|header| header.base_offset = -1), InvalidRecord),
        ("offset overflow", changed(|header| header.base_offset = i64::MAX - 1), InvalidRecord),
        ("count 0", changed(|header| (header.record_count, header.last_offset_delta) = (0, 0)), InvalidRecord),
        ("count -1", changed(|header| header.record_count = -1), InvalidRecord),
        ("count 4 of 3", changed(|header| (header.record_count, header.last_offset_delta) = (4, 3)), InvalidRecord),
        ("count 2 of 3", changed(|header| (header.record_count, header.last_offset_delta) = (2, 1)), InvalidRecord),
        ("count and delta", changed(|header| header.last_offset_delta = 5), InvalidRecord),
        (
            "count 2^31",
            changed(|header| (header.record_count, header.last_offset_delta) = (i32::MAX, i32::MAX - 1)),
            InvalidRecord,
        ),
        ("control", changed(|header| header.attributes.control = true), InvalidRecord),
        ("delete horizon", changed(|header| header.attributes.delete_horizon = true), InvalidRecord),
        ("no sequence", changed(producer(5, 0, -1)), InvalidRecord),
        ("sequence -2", changed(producer(-1, -1, -2)), InvalidRecord),
        ("no epoch", changed(producer(5, -1, 0)), InvalidProducerEpoch),
        ("transactional", changed(|header| header.attributes.transactional = true), TransactionalIdAuthorizationFailed),
        (
            "log append time",
            changed(|header| header.attributes.timestamp_type = TimestampType::LogAppendTime),
            InvalidTimestamp,
        ),
    ] {
        assert_eq!(refusal(input, &rules), code, "{name}");
    }
    assert!(validate(changed(producer(5, 0, 0)), &rules, NOW).is_ok());
    let transactional = changed(|header| {
        producer(5, 0, 0)(header);
        header.attributes.transactional = true;
    });
    assert!(validate(transactional, &ProduceRules { transactional: true, ..rules }, NOW).is_ok());
}

#[test]
fn bytes_that_are_no_single_batch() {
    use ErrorCode::*;
    let rules = ProduceRules::default();
    let good = builder(2).build().to_vec();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    for (name, input, code) in [
        ("nothing", vec![], InvalidRecord),
        ("ten bytes", vec![0; 10], InvalidRecord),
        ("crc", with(20, &[good[20] ^ 1]), CorruptMessage),
        ("magic 0", with(16, &[0]), InvalidRecord),
        ("magic 1", with(16, &[1]), InvalidRecord),
        ("magic 3", with(16, &[3]), CorruptMessage),
        ("magic -1", with(16, &[0xff]), CorruptMessage),
        ("length 48", with(8, &48_i32.to_be_bytes()), CorruptMessage),
        ("length -1", with(8, &(-1_i32).to_be_bytes()), CorruptMessage),
        ("length 1000", with(8, &1000_i32.to_be_bytes()), InvalidRecord),
        ("two batches", good.repeat(2), InvalidRecord),
        ("five bytes more", [&good[..], &[0; 5]].concat(), InvalidRecord),
    ] {
        assert_eq!(refusal(input, &rules), code, "{name}");
    }
    // A message set of the format before v2 is 26 bytes here: named by its magic, not by its length.
    let mut message_set = vec![0; 26];
    message_set[11] = 14;
    assert_eq!(refusal(message_set, &rules), InvalidRecord);
}

#[test]
fn records_are_walked() {
    let rules = ProduceRules::default();
    let (header, records) = batch(2);
    let single = records.len() / 2;
    let refused = |records: &[u8]| validate(seal(header, records), &rules, NOW).unwrap_err();
    assert_eq!(refused(&records[..single]), RecordError::RecordCount { stated: 2, found: 1 }.into());
    assert_eq!(
        refused(&[&records[..], &[0]].concat()),
        RecordError::Record { index: 2, reason: "bytes after the last record" }.into()
    );
    assert_eq!(refused(&records[..single].repeat(2)), InvalidBatch::OffsetDelta { index: 1, offset_delta: 0 });
    for at in [0, single] {
        for value in [0x7f, 0x01, 0xff, records[at] + 2, records[at] - 2] {
            let mut records = records.clone();
            records[at] = value;
            assert_eq!(refused(&records).error_code(), ErrorCode::InvalidRecord, "byte {at} is {value}");
        }
    }
    // A compressed batch is stored unseen.
    let mut unseen = header;
    unseen.attributes.codec = Codec::Gzip;
    assert!(validate(seal(unseen, b"no gzip"), &rules, NOW).is_ok());
    let compacted = ProduceRules { compacted: true, ..rules };
    assert!(compacted.needs_codec(&seal(unseen, b"no gzip")) && !rules.needs_codec(&seal(unseen, b"no gzip")));
    assert_eq!(refusal(seal(unseen, b"no gzip"), &compacted), ErrorCode::InvalidRecord);
}

#[test]
fn size_is_checked_as_sent_and_as_stored() {
    let mut builder = BatchBuilder::new().codec(Codec::Gzip, None);
    builder.append(NOW.0, None, Some(&[7; 10_000]), &[]);
    let input = builder.build();
    let rules = ProduceRules { message_bytes_max: 5_000, ..ProduceRules::default() };
    assert!(validate(input.clone(), &rules, NOW).is_ok());
    let plain = TopicCompression::Codec { codec: Codec::None, level: None };
    let stored_plain = ProduceRules { compression: plain, ..rules };
    assert_eq!(refusal(input.clone(), &stored_plain), ErrorCode::MessageTooLarge);
    assert_eq!(refusal(input, &ProduceRules { message_bytes_max: 60, ..rules }), ErrorCode::MessageTooLarge);
}

#[test]
fn timestamps_within_the_topics_limits() {
    let rules = ProduceRules { timestamp_before_max_ms: 1_000, timestamp_after_max_ms: 500, ..ProduceRules::default() };
    let hour = 3_600_000;
    for codec in [Codec::None, Codec::Gzip] {
        let validated = |timestamps: [i64; 2], rules: &ProduceRules| {
            let mut builder = BatchBuilder::new().codec(codec, None);
            timestamps.iter().for_each(|timestamp| builder.append(*timestamp, Some(b"k"), None, &[]));
            validate(builder.build(), rules, NOW).map_err(|error| error.error_code())
        };
        for good in [[0, 0], [-1_000, 500], [-NOW.0 - 1; 2]] {
            assert!(validated(good.map(|time| NOW.0 + time), &rules).is_ok(), "{codec:?} {good:?}");
        }
        for bad in [[-1_001, 0], [0, 501], [i64::MIN / 2, 0]] {
            let refused = validated(bad.map(|time| NOW.0 + time), &rules);
            assert_eq!(refused, Err(ErrorCode::InvalidTimestamp), "{codec:?} {bad:?}");
        }
        let defaults = ProduceRules::default();
        assert!(validated([-5, NOW.0 + hour], &defaults).is_ok());
        assert_eq!(validated([0, NOW.0 + hour + 1], &defaults), Err(ErrorCode::InvalidTimestamp));
        assert_eq!(validated([i64::MIN, 0], &defaults), Err(ErrorCode::InvalidTimestamp));
    }
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    for wrong in [-1, NOW.0, i64::MAX] {
        let validated = validate(changed(|header| header.max_timestamp = wrong), &ProduceRules::default(), NOW);
        assert_eq!(validated.unwrap().batch, builder(3).build());
    }
}

#[test]
fn log_append_time_replaces_the_timestamps() {
    let rules = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..ProduceRules::default() };
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().codec(codec, None);
        builder.append(NOW.0 + 99_000_000, Some(b"k"), Some(b"v"), &[]);
        let validated = validate(builder.build(), &rules, NOW).unwrap();
        assert_eq!(validated.log_append_time(), NOW.0);
        let stored = crate::record::Batches::new(&validated.batch).next().unwrap().unwrap();
        stored.verify_crc().unwrap();
        assert_eq!((stored.header, stored.header.codec()), (validated.header, codec));
        let plain = stored.plain_records(1_000).unwrap();
        assert_eq!(Records::new(&stored.header, &plain).next().unwrap().unwrap().timestamp, NOW.0);
    }
}

#[test]
fn a_compacted_topic_needs_keys() {
    let rules = ProduceRules { compacted: true, ..ProduceRules::default() };
    for codec in Codec::ALL {
        let mut keyed = BatchBuilder::new().codec(codec, None);
        keyed.append(NOW.0, Some(b""), None, &[]);
        let mut keyless = keyed.clone();
        keyless.append(NOW.0, None, Some(b"v"), &[]);
        assert!(validate(keyed.build(), &rules, NOW).is_ok());
        let error = validate(keyless.build(), &rules, NOW).unwrap_err();
        assert_eq!((error.error_code(), error.record_index()), (ErrorCode::InvalidRecord, Some(1)));
    }
}

#[test]
fn a_topic_may_store_another_codec() {
    for source in Codec::ALL {
        for target in Codec::ALL {
            let compression = TopicCompression::Codec { codec: target, level: None };
            let rules = ProduceRules { compression, ..ProduceRules::default() };
            let input = builder(50).codec(source, None).producer(ProducerId(3), ProducerEpoch(1), 7).build();
            assert_eq!(rules.needs_codec(&input), source != target);
            let stored = validate(input.clone(), &rules, NOW).unwrap();
            assert_eq!(stored.header.codec(), target);
            assert_eq!(stored.batch == input, source == target);
            crate::record::verify_crc(&stored.batch).unwrap();
            let records = &stored.batch[super::super::BATCH_HEADER_LENGTH..];
            assert_eq!(decompress(target, records, 1 << 20).unwrap(), batch(50).1);
            let sent = BatchHeader::parse(&input).unwrap();
            let same = BatchHeader { crc: 0, batch_length: 0, attributes: Attributes::default(), ..sent };
            let kept = BatchHeader { crc: 0, batch_length: 0, attributes: Attributes::default(), ..stored.header };
            assert_eq!(same, kept);
        }
    }
}

#[test]
fn zstd_needs_a_version_that_knows_it() {
    let rules = ProduceRules { zstd_known: false, ..ProduceRules::default() };
    let code = refusal(builder(1).codec(Codec::Zstd, None).build(), &rules);
    assert_eq!(code, ErrorCode::UnsupportedCompressionType);
    let mut unknown = builder(1).build().to_vec();
    unknown[ATTRIBUTES_AT + 1] = 5;
    assert_eq!(refusal(unknown, &rules), ErrorCode::UnsupportedCompressionType);
}
