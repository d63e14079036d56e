//! No bytes make any function of this module panic; what is written is read back; bombs do not go off.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::layout::ATTRIBUTES_AT;
use super::*;
use crate::model::{ProducerEpoch, ProducerId, Wall};

#[derive(Clone, Debug)]
struct Plain {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn plain_record() -> impl Strategy<Value = Plain> {
    let bytes = || vec(any::<u8>(), 0..80);
    (any::<i64>(), option::of(bytes()), option::of(bytes()), vec((bytes(), option::of(bytes())), 0..3))
        .prop_map(|(timestamp, key, value, headers)| Plain { timestamp, key, value, headers })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

fn build(records: &[Plain], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec, None).producer(ProducerId(9), ProducerEpoch(1), 5);
    for record in records {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.append(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    builder.build()
}

/// Everything that reads bytes, on these bytes.
fn read_all_ways(bytes: &[u8]) {
    let _ = verify_crc(bytes);
    for batch in Batches::new(bytes).flatten() {
        let _ = (batch.verify_crc(), batch.header.last_sequence(), batch.header.next_offset());
        let _ = batch.plain_records(1 << 16).map(|plain| Records::new(&batch.header, &plain).count());
        let records = Records::new(&batch.header, batch.records_bytes()).take(1_000).flatten();
        records.for_each(|record| {
            let _ = (record.headers.count(), EndTransactionMarker::from_record(&record));
        });
    }
    for codec in Codec::ALL {
        assert!(decompress(codec, bytes, 1 << 16).unwrap_or_default().len() <= 1 << 16);
        let compression = TopicCompression::Codec { codec, level: None };
        let rules = ProduceRules { compression, compacted: true, ..ProduceRules::default() };
        let _ = rules.needs_codec(bytes);
        let _ = validate(Bytes::copy_from_slice(bytes), &rules, Wall(0)).map_err(|error| error.error_code());
    }
}

/// Sets length and CRC so that what lies behind them is reached.
fn reseal(bytes: &mut [u8]) {
    if bytes.len() >= BATCH_HEADER_LENGTH {
        let batch_length = (bytes.len() - LOG_OVERHEAD) as i32;
        bytes[8..12].copy_from_slice(&batch_length.to_be_bytes());
        let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(records in vec(plain_record(), 1..20), codec in any_codec()) {
        let bytes = build(&records, codec);
        let mut batches = Batches::new(&bytes);
        let batch = batches.next().unwrap().unwrap();
        prop_assert!(batches.rest().is_empty());
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.header.last_offset(), records.len() as i64 - 1);
        prop_assert_eq!(batch.header.last_sequence(), 4 + records.len() as i32);
        prop_assert_eq!(batch.header.max_timestamp, records.iter().map(|r| r.timestamp).max().unwrap().max(-1));
        let plain = batch.plain_records(1 << 20).unwrap();
        let mut read = 0;
        for (index, record) in Records::new(&batch.header, &plain).enumerate() {
            let (record, expected) = (record.unwrap(), &records[index]);
            prop_assert_eq!(record.offset, index as i64);
            prop_assert_eq!(record.timestamp, expected.timestamp);
            prop_assert_eq!(record.key, expected.key.as_deref());
            prop_assert_eq!(record.value, expected.value.as_deref());
            let headers: Vec<_> = record.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &expected.headers);
            read += 1;
        }
        prop_assert_eq!(read, records.len());
    }

    #[test]
    fn codecs_round_trip(bytes in vec(any::<u8>(), 0..200), repeats in 1_usize..2_000, codec in any_codec(), level in option::of(-200_000..40)) {
        let bytes = bytes.repeat(repeats);
        let compressed = compress(codec, level, &bytes);
        prop_assert_eq!(decompress(codec, &compressed, bytes.len()), Ok(bytes.clone()));
        if !bytes.is_empty() {
            let limit = bytes.len() - 1;
            prop_assert_eq!(decompress(codec, &compressed, limit), Err(RecordError::TooLarge { codec, limit }));
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in vec(any::<u8>(), 0..300)) {
        read_all_ways(&bytes);
        if let Some(magic) = bytes.get_mut(16) {
            *magic = MAGIC as u8;
        }
        reseal(&mut bytes);
        read_all_ways(&bytes);
    }

    #[test]
    fn no_mutation_panics(
        records in vec(plain_record(), 1..6),
        codec in any_codec(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        fix in any::<bool>(),
    ) {
        let mut bytes = build(&records, codec).to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(BATCH_HEADER_LENGTH + cut.index(bytes.len()));
        if fix {
            reseal(&mut bytes);
        }
        read_all_ways(&bytes);
    }

    #[test]
    fn a_flipped_bit_is_found(records in vec(plain_record(), 1..4), codec in any_codec(), bit in any::<prop::sample::Index>()) {
        let mut bytes = build(&records, codec).to_vec();
        let bit = ATTRIBUTES_AT * 8 + bit.index((bytes.len() - ATTRIBUTES_AT) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let is_crc_error = matches!(verify_crc(&bytes), Err(RecordError::Crc { .. }));
        prop_assert!(is_crc_error);
    }
}

/// `size` zero bytes through the codec, without holding them.
fn bomb(codec: Codec, size: usize) -> Vec<u8> {
    let chunk = vec![0; 1 << 20];
    let fill = |out: &mut dyn std::io::Write| (0..size >> 20).for_each(|_| out.write_all(&chunk).unwrap());
    match codec {
        Codec::None => unreachable!("plain bytes are no bomb"),
        Codec::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            fill(&mut out);
            out.finish().unwrap()
        }
        Codec::Snappy => compress(Codec::Snappy, None, &vec![0; size]),
        Codec::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            fill(&mut out);
            out.finish().unwrap()
        }
        Codec::Zstd => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            fill(&mut out);
            out.finish().unwrap()
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let limit = 1 << 20;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = bomb(codec, 16 << 20);
        assert!(bomb.len() < 1 << 20, "{codec:?}");
        assert_eq!(decompress(codec, &bomb, limit), Err(RecordError::TooLarge { codec, limit }));
    }
}

#[test]
fn a_bomb_for_a_topic_that_must_inflate_is_too_large_and_stored_by_one_that_need_not() {
    let compacted = ProduceRules { compacted: true, ..ProduceRules::default() };
    for codec in [Codec::Gzip, Codec::Zstd] {
        let header = BatchBuilder::new().codec(codec, None);
        let mut header = BatchHeader::parse(&header.build()).unwrap();
        header.record_count = 1;
        let batch = seal(header, &bomb(codec, 72 << 20));
        let error = validate(batch.clone(), &compacted, Wall(0)).unwrap_err();
        assert_eq!(error, RecordError::TooLarge { codec, limit: 64 << 20 }.into());
        let validated = validate(batch.clone(), &ProduceRules::default(), Wall(0)).unwrap();
        assert_eq!(validated.batch.as_ptr(), batch.as_ptr());
    }
}

#[test]
fn claims_cost_nothing() {
    let corrupt = |codec, bytes: &[u8]| {
        let error = decompress(codec, bytes, 1 << 30).unwrap_err();
        assert!(matches!(error, RecordError::Corrupt { .. }), "{codec:?}: {error}");
    };
    // A Snappy block that claims 512 MiB and holds three bytes.
    corrupt(Codec::Snappy, &[0x80, 0x80, 0x80, 0x80, 0x02, 0, 0, 0]);
    // A xerial chunk of 2 GiB.
    corrupt(Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff\0");
    // A Zstandard frame with a window of 2 GiB.
    corrupt(Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]);
    corrupt(Codec::Gzip, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    corrupt(Codec::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x00]);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        corrupt(codec, b"no compressed data at all");
    }
}

#[test]
fn snappy_is_read_raw_and_framed() {
    let text = b"the same bytes, the same bytes".repeat(3_000);
    let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, text.len()).unwrap(), text);
    let framed = compress(Codec::Snappy, None, &text);
    assert!(framed.starts_with(b"\x82SNAPPY\0"));
    let twice = [framed.clone(), framed].concat();
    assert_eq!(decompress(Codec::Snappy, &twice, 2 * text.len()).unwrap(), [text.clone(), text].concat());
}
