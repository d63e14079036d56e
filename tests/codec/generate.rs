//! Random frames that follow a schema. Written from the schema as data, not with the codec under test.

use ottla::model::ErrorCode;
use ottla::protocol::{FieldSchema, FieldType};
use rand::prelude::*;

use crate::codecs::Codec;

/// Which tagged fields a frame has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    None,
    /// Some of those that the schema has.
    Known,
    /// Also some that it has not.
    Any,
}

/// Writes the body of one message.
pub struct Generator<'a, R> {
    pub random: &'a mut R,
    pub version: i16,
    pub flexible: bool,
    pub tags: Tags,
    pub out: Vec<u8>,
}

/// A random body of `codec` in `version`.
pub fn frame(random: &mut impl Rng, codec: &Codec, version: i16, tags: Tags) -> Vec<u8> {
    let flexible = version >= codec.flexible_from;
    let mut generator = Generator { random, version, flexible, tags, out: Vec::new() };
    generator.fields(&codec.fields);
    generator.out
}

impl<R: Rng> Generator<'_, R> {
    fn fields(&mut self, fields: &[FieldSchema]) {
        let here = |range: (i16, i16)| (range.0..=range.1).contains(&self.version);
        let present: Vec<(&FieldSchema, bool)> = fields
            .iter()
            .filter(|field| here(field.versions))
            .map(|field| (field, field.nullable.is_some_and(here)))
            .collect();
        for (field, nullable) in present.iter().filter(|(field, _)| field.tag.is_none()) {
            self.value(&field.field_type, *nullable);
        }
        if self.flexible {
            self.tags(&present);
        }
    }

    fn tags(&mut self, present: &[(&FieldSchema, bool)]) {
        let mut sent = Vec::new();
        for (field, nullable) in present {
            if let Some(tag) = field.tag
                && self.tags != Tags::None
                && self.random.random_bool(0.5)
            {
                let outer = std::mem::take(&mut self.out);
                self.value(&field.field_type, *nullable);
                sent.push((tag, std::mem::replace(&mut self.out, outer)));
            }
        }
        if self.tags == Tags::Any && self.random.random_bool(0.2) {
            sent.push((30_000, vec![7; self.random.random_range(0..200)]));
        }
        self.unsigned_varint(sent.len());
        for (tag, value) in sent {
            self.unsigned_varint(tag as usize);
            self.unsigned_varint(value.len());
            self.out.extend(value);
        }
    }

    fn value(&mut self, field_type: &FieldType, nullable: bool) {
        if nullable && self.random.random_bool(0.2) {
            return self.null(field_type);
        }
        match field_type {
            FieldType::Bool => self.out.push(self.random.random_range(0..=1)),
            FieldType::Int8 => self.number::<1>(),
            FieldType::Int16 | FieldType::Uint16 => self.number::<2>(),
            FieldType::Int32 => self.number::<4>(),
            FieldType::Int64 => self.number::<8>(),
            // A number: what is none differs from itself.
            FieldType::Float64 => self.out.extend(f64::from(self.random.random::<i32>()).to_be_bytes()),
            FieldType::Uuid => self.number::<16>(),
            FieldType::ErrorCode => {
                let error = ErrorCode::ALL.choose(self.random).unwrap();
                self.out.extend(error.code().to_be_bytes());
            }
            FieldType::String => self.string(),
            FieldType::Bytes | FieldType::Records => {
                let length = self.random.random_range(0..30);
                self.long_length(length);
                let bytes: Vec<u8> = (0..length).map(|_| self.random.random()).collect();
                self.out.extend(bytes);
            }
            FieldType::Array(element) => {
                let length = self.random.random_range(0..4);
                self.long_length(length);
                for _ in 0..length {
                    self.value(element, false);
                }
            }
            FieldType::Struct(fields) => {
                if nullable {
                    self.out.push(1);
                }
                self.fields(fields);
            }
        }
    }

    fn null(&mut self, field_type: &FieldType) {
        match field_type {
            FieldType::Struct(_) => self.out.push(0xff),
            _ if self.flexible => self.out.push(0),
            FieldType::String => self.out.extend([0xff; 2]),
            _ => self.out.extend([0xff; 4]),
        }
    }

    /// Random bits, or one of the numbers that code treats in a special way.
    fn number<const N: usize>(&mut self) {
        let bytes = match self.random.random_range(0..6) {
            0 => [0; N],
            1 => [0xff; N],
            2 => std::array::from_fn(|at| if at == 0 { 0x7f } else { 0xff }),
            3 => std::array::from_fn(|at| if at == 0 { 0x80 } else { 0 }),
            _ => std::array::from_fn(|_| self.random.random()),
        };
        self.out.extend(bytes);
    }

    fn string(&mut self) {
        let length = self.random.random_range(0..=12) * self.random.random_range(0..=12);
        let text: String =
            (0..length).map(|_| *['a', 'Z', '-', '0', 'ß', '猫', '🦀'].choose(self.random).unwrap()).collect();
        if self.flexible {
            self.unsigned_varint(text.len() + 1);
        } else {
            self.out.extend((text.len() as i16).to_be_bytes());
        }
        self.out.extend(text.into_bytes());
    }

    fn long_length(&mut self, length: usize) {
        if self.flexible {
            self.unsigned_varint(length + 1);
        } else {
            self.out.extend((length as i32).to_be_bytes());
        }
    }

    fn unsigned_varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
