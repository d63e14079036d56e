//! What can stand in a field of a schema, and how each type looks on the wire.

use std::fmt::Debug;

use bytes::Bytes;

use super::error::{DecodeError, DecodeFault};
use super::reader::Reader;
use super::records::Records;
use super::writer::Writer;
use crate::model::{ErrorCode, Uuid};

/// The wire type of a field, for those who want to walk a schema as data.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "Kafka's protocol guide explains each type under the same name")]
pub enum FieldType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint16,
    Float64,
    /// An INT16 that is one of Kafka's error codes.
    ErrorCode,
    Uuid,
    String,
    Bytes,
    Records,
    Array(Box<FieldType>),
    Struct(Vec<FieldSchema>),
}

/// One field of a struct, as data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldSchema {
    /// Its name in snake case.
    pub name: &'static str,
    /// The versions that have it, first and last.
    pub versions: (i16, i16),
    /// The versions in which it may be null.
    pub nullable: Option<(i16, i16)>,
    /// Its tag, when it is a tagged field.
    pub tag: Option<u32>,
    /// Its type.
    pub field_type: FieldType,
}

/// A type with an encoding.
pub trait Field: Sized {
    /// The fewest bytes that a value takes in any version; at least 1, or a short frame could claim an
    /// array without end.
    const SIZE_MIN: usize = 1;

    /// The type as data.
    fn field_type() -> FieldType;

    /// Reads a value that is not null.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the value.
    fn write(&self, writer: &mut Writer);
}

/// A type with an encoding for null.
pub trait Nullable: Field {
    /// Reads a value or null.
    fn read_nullable(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError>;

    /// Appends the value or null.
    fn write_nullable(value: Option<&Self>, writer: &mut Writer);
}

/// A group of fields; `schema!` implements it.
pub trait Structure: Clone + Debug + Default + PartialEq {
    /// The fields as data.
    fn fields() -> Vec<FieldSchema>;

    /// Reads the fields of the reader's version. Others keep their defaults.
    fn read_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the fields of the writer's version. What others hold is not sent.
    fn write_fields(&self, writer: &mut Writer);
}

macro_rules! numbers {
    ($($number:ident $field_type:ident;)*) => {
        $(impl Field for $number {
            const SIZE_MIN: usize = size_of::<$number>();

            fn field_type() -> FieldType {
                FieldType::$field_type
            }

            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self::from_be_bytes)
            }

            #[inline]
            fn write(&self, writer: &mut Writer) {
                writer.put(&self.to_be_bytes());
            }
        })*
    };
}

numbers! {
    i8 Int8;
    i16 Int16;
    i32 Int32;
    i64 Int64;
    u16 Uint16;
    f64 Float64;
}

impl Field for bool {
    fn field_type() -> FieldType {
        FieldType::Bool
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.byte().map(|byte| byte != 0)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&[u8::from(*self)]);
    }
}

/// A number that Kafka has not given out reads as UNKNOWN_SERVER_ERROR.
impl Field for ErrorCode {
    const SIZE_MIN: usize = size_of::<i16>();

    fn field_type() -> FieldType {
        FieldType::ErrorCode
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.int16().map(|code| Self::from_code(code).unwrap_or(Self::UnknownServerError))
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.code().to_be_bytes());
    }
}

impl Field for Uuid {
    const SIZE_MIN: usize = size_of::<Uuid>();

    fn field_type() -> FieldType {
        FieldType::Uuid
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.0);
    }
}

/// Records that are null read as such, in every version.
impl Field for Records {
    fn field_type() -> FieldType {
        FieldType::Records
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bytes().map(|bytes| bytes.map_or(Self::Null, Self::Inline))
    }

    fn write(&self, writer: &mut Writer) {
        writer.records(self);
    }
}

/// `Field` for a type that is `Nullable`: both encodings are one, and null is refused.
macro_rules! field_of_nullable {
    () => {
        fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Self::read_nullable(reader)?.ok_or_else(|| reader.error(DecodeFault::UnexpectedNull))
        }

        fn write(&self, writer: &mut Writer) {
            Self::write_nullable(Some(self), writer);
        }
    };
}

impl Field for String {
    fn field_type() -> FieldType {
        FieldType::String
    }

    field_of_nullable!();
}

impl Nullable for String {
    fn read_nullable(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.string()
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.string(value.map(String::as_str));
    }
}

impl Field for Bytes {
    fn field_type() -> FieldType {
        FieldType::Bytes
    }

    field_of_nullable!();
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.bytes()
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.bytes(value.map(AsRef::as_ref));
    }
}

impl<T: Field> Field for Vec<T> {
    fn field_type() -> FieldType {
        FieldType::Array(Box::new(T::field_type()))
    }

    field_of_nullable!();
}

impl<T: Field> Nullable for Vec<T> {
    fn read_nullable(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.array_length(T::SIZE_MIN)? else { return Ok(None) };
        // Room for no more memory than the rest of the frame takes; beyond that the array grows as its
        // elements turn out to be there.
        let mut elements = Vec::with_capacity(count.min(reader.remaining() / size_of::<T>().max(1)));
        for _ in 0..count {
            elements.push(T::read(reader)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.long_length(value.map(Vec::len));
        for element in value.into_iter().flatten() {
            element.write(writer);
        }
    }
}

impl<T: Structure> Field for T {
    fn field_type() -> FieldType {
        FieldType::Struct(T::fields())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::read_fields(reader)
    }

    fn write(&self, writer: &mut Writer) {
        self.write_fields(writer);
    }
}

/// A struct that may be null follows a byte: negative for null, 1 for a value.
impl<T: Structure> Nullable for T {
    fn read_nullable(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        if i8::read(reader)? < 0 { Ok(None) } else { T::read_fields(reader).map(Some) }
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        let marker: i8 = if value.is_some() { 1 } else { -1 };
        marker.write(writer);
        if let Some(value) = value {
            value.write_fields(writer);
        }
    }
}

/// Reads a field that is nullable in some versions only.
pub(super) fn read_optional<T: Nullable>(reader: &mut Reader<'_>, nullable: bool) -> Result<Option<T>, DecodeError> {
    if nullable { T::read_nullable(reader) } else { T::read(reader).map(Some) }
}

/// Appends a field that is nullable in some versions only; in the others nothing means the empty value.
pub(super) fn write_optional<T: Nullable + Default>(value: Option<&T>, writer: &mut Writer, nullable: bool) {
    match value {
        None if !nullable => T::default().write(writer),
        _ => T::write_nullable(value, writer),
    }
}

/// True when a tagged field is not at its default, so that it has to be sent.
pub(super) fn differs<T: PartialEq>(value: &T, default: T) -> bool {
    *value != default
}
