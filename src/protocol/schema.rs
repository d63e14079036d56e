//! The form in which messages are declared.
//!
//! ```text
//! schema! {
//!     /// What the message is for.
//!     message ExampleRequest (versions 0..=5, flexible 3..) {
//!         name: String [0..],                                 // in every version
//!         rack: Option<String> [2.., null 4..],               // from version 2 on, nullable from 4 on
//!         leader_id: i32 [1..=3, default -1],                 // -1 where the version does not have it
//!         epoch: i32 [3.., default -1, tag 0],                // a tagged field, sent unless it is -1
//!         partitions: Vec<ExamplePartition> [0..],
//!     }
//!
//!     struct ExamplePartition {
//!         index: i32 [0..],
//!     }
//! }
//! ```
//!
//! A message without `flexible` has no flexible version. A struct's fields follow the version of the
//! message it is part of. Tagged fields stand in the order of their tags. Of each struct come its type,
//! `Default`, decoding, encoding, and the schema as data.

use std::ops::{Bound, RangeBounds};

use super::field::{Field, FieldSchema};

/// The first and the last version of a range.
pub(super) fn bounds(range: impl RangeBounds<i16>) -> (i16, i16) {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(_) | Bound::Unbounded => 0,
    };
    match range.end_bound() {
        Bound::Included(&last) => (first, last),
        Bound::Excluded(_) | Bound::Unbounded => (first, i16::MAX),
    }
}

/// A field as data. Its type comes from a function that would read it.
pub(super) fn describe<S, T: Field>(
    name: &'static str,
    versions: impl RangeBounds<i16>,
    tag: Option<u32>,
    _: fn(&S) -> &T,
) -> FieldSchema {
    FieldSchema { name, versions: bounds(versions), nullable: None, tag, field_type: T::field_type() }
}

/// The same for a field that may be null.
pub(super) fn describe_optional<S, T: Field>(
    name: &'static str,
    versions: impl RangeBounds<i16>,
    nullable: impl RangeBounds<i16>,
    tag: Option<u32>,
    _: fn(&S) -> &Option<T>,
) -> FieldSchema {
    let nullable = Some(bounds(nullable));
    FieldSchema { name, versions: bounds(versions), nullable, tag, field_type: T::field_type() }
}

/// Declares messages and structs; the module's documentation shows the form.
macro_rules! schema {
    ($(
        $(#[$meta:meta])*
        $kind:ident $name:ident $((versions $versions:expr $(, flexible $flexible:literal ..)?))? {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $type:ty
                    [$present:expr $(, null $null:expr)? $(, default $default:expr)? $(, tag $tag:literal)?],
            )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: schema!(@default $($default)?),)* }
            }
        }

        impl $crate::protocol::field::Structure for $name {
            fn fields() -> Vec<$crate::protocol::field::FieldSchema> {
                vec![$(schema!(@describe $name, $field, ($present), ($($null)?), ($($tag)?))),*]
            }

            #[allow(unused_variables, reason = "a struct may have all its fields in every version")]
            fn read_fields(
                reader: &mut $crate::protocol::Reader<'_>,
            ) -> Result<Self, $crate::protocol::DecodeError> {
                let version = reader.version();
                let mut value = Self::default();
                $(schema!(@read_field reader, version, value, $name, $field, ($present), ($($null)?), ($($tag)?));)*
                schema!(@read_tags reader, ($($($tag)?)*), |reader, tag| {
                    $(schema!(@read_tag reader, version, value, $name, $field, tag,
                        ($present), ($($null)?), ($($tag)?));)*
                    Ok(false)
                });
                Ok(value)
            }

            #[allow(unused_variables, reason = "a struct may have all its fields in every version")]
            fn write_fields(&self, writer: &mut $crate::protocol::Writer) {
                let version = writer.version();
                $(schema!(@write_field writer, version, self.$field, ($present), ($($null)?), ($($tag)?));)*
                if writer.is_flexible() {
                    writer.unsigned_varint(
                        0 $(+ schema!(@count_tag version, self.$field, ($present), ($($default)?), ($($tag)?)))*
                    );
                    $(schema!(@write_tag writer, version, self.$field,
                        ($present), ($($null)?), ($($default)?), ($($tag)?));)*
                }
            }
        }

        $(impl $crate::protocol::Message for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FLEXIBLE_FROM: i16 = schema!(@flexible $($flexible)?);
        })?
    )*};

    (@flexible) => { i16::MAX };
    (@flexible $from:literal) => { $from };

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };

    (@tag) => { None };
    (@tag $tag:literal) => { Some($tag) };

    (@describe $name:ident, $field:ident, ($present:expr), (), ($($tag:literal)?)) => {
        $crate::protocol::schema::describe(
            stringify!($field), $present, schema!(@tag $($tag)?), |value: &$name| &value.$field)
    };
    (@describe $name:ident, $field:ident, ($present:expr), ($null:expr), ($($tag:literal)?)) => {
        $crate::protocol::schema::describe_optional(
            stringify!($field), $present, $null, schema!(@tag $($tag)?), |value: &$name| &value.$field)
    };

    // One value, without regard to whether it is tagged. A failure names the field.
    (@read_value $reader:ident, $version:ident, $name:ident, $field:ident, ()) => {
        $crate::protocol::field::Field::read($reader)
            .map_err(|error| error.within(concat!(stringify!($name), ".", stringify!($field))))?
    };
    (@read_value $reader:ident, $version:ident, $name:ident, $field:ident, ($null:expr)) => {
        $crate::protocol::field::read_optional($reader, ($null).contains(&$version))
            .map_err(|error| error.within(concat!(stringify!($name), ".", stringify!($field))))?
    };
    (@write_value $writer:ident, $version:ident, $value:expr, ()) => {
        $crate::protocol::field::Field::write(&$value, $writer)
    };
    (@write_value $writer:ident, $version:ident, $value:expr, ($null:expr)) => {
        $crate::protocol::field::write_optional($value.as_ref(), $writer, ($null).contains(&$version))
    };

    (@read_field $reader:ident, $version:ident, $value:ident, $name:ident, $field:ident,
        ($present:expr), $null:tt, ()) => {
        if ($present).contains(&$version) {
            $value.$field = schema!(@read_value $reader, $version, $name, $field, $null);
        }
    };
    (@read_field $reader:ident, $version:ident, $value:ident, $name:ident, $field:ident,
        ($present:expr), $null:tt, ($tag:literal)) => {};

    (@write_field $writer:ident, $version:ident, $value:expr, ($present:expr), $null:tt, ()) => {
        if ($present).contains(&$version) {
            schema!(@write_value $writer, $version, $value, $null);
        }
    };
    (@write_field $writer:ident, $version:ident, $value:expr, ($present:expr), $null:tt, ($tag:literal)) => {};

    (@read_tags $reader:ident, (), $read:expr) => { $reader.skip_tagged_fields()? };
    (@read_tags $reader:ident, ($($tag:literal)+), $read:expr) => { $reader.tagged_fields(&mut $read)? };

    (@read_tag $reader:ident, $version:ident, $value:ident, $name:ident, $field:ident, $seen:ident,
        ($present:expr), $null:tt, ()) => {};
    (@read_tag $reader:ident, $version:ident, $value:ident, $name:ident, $field:ident, $seen:ident,
        ($present:expr), $null:tt, ($tag:literal)) => {
        if $seen == $tag && ($present).contains(&$version) {
            $value.$field = schema!(@read_value $reader, $version, $name, $field, $null);
            return Ok(true);
        }
    };

    // A tagged field is sent when its version has it and it is not at its default.
    (@is_sent $version:ident, $value:expr, $present:expr, ($($default:expr)?)) => {
        ($present).contains(&$version) && $crate::protocol::field::differs(&$value, schema!(@default $($default)?))
    };
    (@count_tag $version:ident, $value:expr, ($present:expr), $default:tt, ()) => { 0 };
    (@count_tag $version:ident, $value:expr, ($present:expr), $default:tt, ($tag:literal)) => {
        u32::from(schema!(@is_sent $version, $value, $present, $default))
    };
    (@write_tag $writer:ident, $version:ident, $value:expr, ($present:expr), $null:tt, $default:tt, ()) => {};
    (@write_tag $writer:ident, $version:ident, $value:expr, ($present:expr), $null:tt, $default:tt,
        ($tag:literal)) => {
        if schema!(@is_sent $version, $value, $present, $default) {
            $writer.tagged_field($tag, &mut |writer| schema!(@write_value writer, $version, $value, $null));
        }
    };
}

pub(super) use schema;

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use crate::protocol::{DecodeError, DecodeFault, FieldType, Message, Reader, Structure, Writer};

    schema! {
        message Example (versions 1..=4, flexible 3..) {
            name: Option<String> [0.., null 2..],
            leader_id: i32 [1..=2, default -1],
            parts: Vec<Part> [2..],
            epoch: i32 [3.., default -1, tag 0],
            rest: Option<Part> [4.., null 4.., tag 5],
        }

        struct Part {
            index: i16 [0..],
        }
    }

    fn encode(version: i16, example: &Example) -> Bytes {
        let mut writer = Writer::new(BytesMut::new());
        example.encode(&mut writer, version);
        writer.finish().0.freeze()
    }

    fn decode(version: i16, bytes: &[u8]) -> Result<Example, DecodeError> {
        let frame = Bytes::copy_from_slice(bytes);
        let mut reader = Reader::new(&frame);
        let example = Example::decode(&mut reader, version)?;
        reader.expect_end()?;
        Ok(example)
    }

    fn full() -> Example {
        Example {
            name: Some("n".to_owned()),
            leader_id: 2,
            parts: vec![Part { index: 3 }],
            epoch: 4,
            rest: Some(Part { index: 5 }),
        }
    }

    #[test]
    fn each_version_has_its_fields() {
        for (version, bytes) in [
            (1, b"\0\x01n\0\0\0\x02".as_slice()),
            (2, b"\0\x01n\0\0\0\x02\0\0\0\x01\0\x03"),
            (3, b"\x02n\x02\0\x03\0\x01\0\x04\0\0\0\x04"),
            (4, b"\x02n\x02\0\x03\0\x02\0\x04\0\0\0\x04\x05\x04\x01\0\x05\0"),
        ] {
            assert_eq!(encode(version, &full()), bytes, "{version}");
            assert_eq!(encode(version, &decode(version, bytes).unwrap()), bytes, "{version}");
        }
        assert_eq!(decode(4, &encode(4, &full())).unwrap(), Example { leader_id: -1, ..full() });
        let old = Example { parts: vec![], epoch: -1, rest: None, ..full() };
        assert_eq!(decode(1, &encode(1, &full())).unwrap(), old);
    }

    #[test]
    fn defaults_need_no_tag() {
        assert_eq!(encode(4, &Example::default()), b"\0\x01\0".as_slice());
        assert_eq!(decode(4, b"\0\x01\0"), Ok(Example::default()));
    }

    #[test]
    fn null_is_for_the_versions_that_allow_it() {
        assert_eq!(encode(1, &Example::default()), b"\0\0\xff\xff\xff\xff".as_slice());
        assert_eq!(encode(2, &Example::default()), b"\xff\xff\xff\xff\xff\xff\0\0\0\0".as_slice());
        let error = decode(1, b"\xff\xff\0\0\0\0").unwrap_err();
        assert_eq!((error.fault, error.field), (DecodeFault::UnexpectedNull, "Example.name"));
        assert_eq!(decode(2, b"\xff\xff\0\0\0\0\0\0\0\0").unwrap().name, None);
    }

    #[test]
    fn versions_and_fields_as_data() {
        let [name, leader_id, parts, epoch, rest] = Example::fields().try_into().unwrap();
        assert_eq!((name.name, name.versions, name.nullable), ("name", (0, i16::MAX), Some((2, i16::MAX))));
        assert_eq!((leader_id.versions, leader_id.tag), ((1, 2), None));
        assert_eq!((epoch.versions, epoch.tag, rest.tag), ((3, i16::MAX), Some(0), Some(5)));
        assert_eq!(parts.field_type, FieldType::Array(Box::new(rest.field_type)));
        assert_eq!((Example::VERSIONS, Example::FLEXIBLE_FROM), (1..=4, 3));
    }

    #[test]
    fn other_versions_are_refused() {
        for version in [0, 5, -1] {
            assert_eq!(decode(version, b"").unwrap_err().fault, DecodeFault::UnsupportedVersion(version));
        }
    }
}
