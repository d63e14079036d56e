//! No bytes make a decoder panic, or allocate more than a small multiple of what it was given.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use ottla::protocol::{FieldSchema, FieldType};
use proptest::prelude::{ProptestConfig, any, proptest};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::allocation::peak_of;
use crate::codecs::{Codec, all_versions};
use crate::generate::{Tags, frame};

/// Bytes of memory that one byte of input may cost. An empty name in an array is one or two bytes on
/// the wire and a struct of some dozen bytes in memory, and an array that grows exists twice for a moment.
const COST_MAX: usize = 64;
/// What even an empty frame may cost.
const COST_BASE: usize = 1024;

fn decode(codec: &Codec, version: i16, bytes: &Bytes) -> (bool, usize) {
    let outcome = catch_unwind(AssertUnwindSafe(|| peak_of(|| (codec.decode)(bytes, version))));
    let Ok((result, peak)) = outcome else { panic!("{} {version} panics on {bytes:02x?}", codec.name) };
    assert!(
        peak <= COST_MAX * bytes.len() + COST_BASE,
        "{} {version} allocates {peak} bytes for {}: {bytes:02x?}",
        codec.name,
        bytes.len()
    );
    (result.is_ok(), peak)
}

/// Spoils a frame in one of the ways that have broken decoders before.
fn mutate(random: &mut impl Rng, bytes: &mut Vec<u8>) {
    let at = random.random_range(0..=bytes.len());
    let here = at.min(bytes.len().saturating_sub(1));
    match random.random_range(0..8) {
        0 if !bytes.is_empty() => bytes[here] ^= 1 << random.random_range(0..8),
        1 if !bytes.is_empty() => bytes[here] = *[0, 1, 0x7f, 0x80, 0xff].choose(random).unwrap(),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.random()),
        4 => drop(bytes.drain(at..(at + random.random_range(0..8)).min(bytes.len()))),
        // A length beyond all measure, classic or compact.
        5 => {
            let length: &[u8] =
                [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 4], &[0x7f, 0xff]]
                    .choose(random)
                    .unwrap();
            let end = (at + length.len()).min(bytes.len());
            bytes.splice(at..end, length.iter().copied());
        }
        // A part of the frame twice.
        6 => {
            let part = bytes[at..(at + random.random_range(0..64)).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
        _ => bytes.extend((0..random.random_range(0..16)).map(|_| random.random::<u8>())),
    }
}

/// `OTTLA_FUZZ_FRAMES` says how many, `OTTLA_FUZZ_SEED` which ones.
#[test]
fn mutated_frames() {
    let frames: u64 = std::env::var("OTTLA_FUZZ_FRAMES").map_or(20_000, |count| count.parse().unwrap());
    let seed: u64 = std::env::var("OTTLA_FUZZ_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let (mut accepted, mut highest_cost) = (0u64, (0.0, ""));
    for _ in 0..frames {
        let (codec, version) = all_versions().choose(&mut random).unwrap();
        let mut bytes = frame(&mut random, codec, *version, Tags::Any);
        for _ in 0..random.random_range(1..=3) {
            mutate(&mut random, &mut bytes);
        }
        let bytes = Bytes::from(bytes);
        let (decoded, peak) = decode(codec, *version, &bytes);
        accepted += u64::from(decoded);
        let cost = peak.saturating_sub(COST_BASE) as f64 / bytes.len().max(1) as f64;
        if cost > highest_cost.0 {
            highest_cost = (cost, codec.name);
        }
    }
    println!("{frames} mutated frames, {accepted} still decode; the dearest cost {highest_cost:.1?} bytes per byte");
    assert!(accepted > 0 && accepted < frames, "{accepted} of {frames}: the mutations are too wild or too tame");
}

/// Writes a frame as short as can be, with one element per array, but for the `nth` array: it gets `count`
/// elements, and those hold empty arrays.
struct Shortest {
    version: i16,
    flexible: bool,
    nth: Option<usize>,
    count: usize,
    out: Vec<u8>,
}

impl Shortest {
    fn fields(&mut self, fields: &[FieldSchema]) {
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            if (field.versions.0..=field.versions.1).contains(&self.version) {
                let is_null = |range: (i16, i16)| (range.0..=range.1).contains(&self.version);
                self.value(&field.field_type, field.nullable.is_some_and(is_null));
            }
        }
        if self.flexible {
            self.out.push(0);
        }
    }

    fn value(&mut self, field_type: &FieldType, nullable: bool) {
        match field_type {
            FieldType::Bool | FieldType::Int8 => self.out.push(0),
            FieldType::Int16 | FieldType::Uint16 | FieldType::ErrorCode => self.out.extend([0; 2]),
            FieldType::Int32 => self.out.extend([0; 4]),
            FieldType::Int64 | FieldType::Float64 => self.out.extend([0; 8]),
            FieldType::Uuid => self.out.extend([0; 16]),
            FieldType::String if !self.flexible => self.out.extend([0; 2]),
            FieldType::String | FieldType::Bytes | FieldType::Records => self.length(0),
            FieldType::Array(element) => self.array(element),
            FieldType::Struct(_) if nullable => self.out.push(0xff),
            FieldType::Struct(fields) => self.fields(fields),
        }
    }

    fn array(&mut self, element: &FieldType) {
        let length = match self.nth {
            None => 0,
            Some(0) => self.count,
            Some(_) => 1,
        };
        self.nth = self.nth.and_then(|nth| nth.checked_sub(1));
        self.length(length);
        for _ in 0..length {
            self.value(element, false);
        }
    }

    fn length(&mut self, length: usize) {
        if self.flexible {
            let length = length + 1;
            self.out.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        } else {
            self.out.extend((length as i32).to_be_bytes());
        }
    }
}

#[test]
fn long_arrays_of_nothing() {
    let mut highest_cost = (0.0, "", 0);
    for (codec, version) in all_versions() {
        let (version, flexible) = (*version, *version >= codec.flexible_from);
        for nth in 0..8 {
            let mut shortest = Shortest { version, flexible, nth: Some(nth), count: 1_025, out: Vec::new() };
            shortest.fields(&codec.fields);
            let bytes = Bytes::from(shortest.out);
            let (decoded, peak) = decode(codec, version, &bytes);
            assert!(decoded, "{} {version}", codec.name);
            let cost = peak as f64 / bytes.len().max(COST_BASE) as f64;
            if cost > highest_cost.0 {
                highest_cost = (cost, codec.name, version);
            }
        }
    }
    println!("the dearest cost {highest_cost:.1?} bytes per byte");
}

#[test]
fn unknown_tags_are_skipped_in_one_go() {
    let mut random = StdRng::seed_from_u64(2);
    for (codec, version) in all_versions().iter().filter(|(codec, version)| *version >= codec.flexible_from) {
        let mut bytes = frame(&mut random, codec, *version, Tags::None);
        assert_eq!(bytes.pop(), Some(0), "the number of tags ends the frame");
        // 16,384 tags of three bytes each, and no value.
        bytes.extend([0x80, 0x80, 0x01]);
        for tag in 100_000u32..116_384 {
            bytes.extend([tag as u8 | 0x80, (tag >> 7) as u8 | 0x80, (tag >> 14) as u8, 0]);
        }
        let (decoded, _) = decode(codec, *version, &Bytes::from(bytes));
        assert!(decoded, "{} {version}", codec.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        for (codec, version) in all_versions() {
            decode(codec, *version, &bytes);
        }
    }
}
