//! Messages: structs with a range of versions.

use std::ops::RangeInclusive;

use super::error::{DecodeError, DecodeFault};
use super::field::Structure;
use super::reader::Reader;
use super::writer::Writer;

/// The body of a request or a response, or a versioned value in an internal topic.
pub trait Message: Structure {
    /// Kafka's name of it.
    const NAME: &'static str;
    /// The versions the schema describes. What a broker serves can be less.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields; `i16::MAX` when there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads the body of `version`. Bytes may remain: [`Reader::expect_end`] is the caller's.
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(reader.error(DecodeFault::UnsupportedVersion(version)).within(Self::NAME));
        }
        reader.set_version(version, version >= Self::FLEXIBLE_FROM);
        Self::read_fields(reader)
    }

    /// Appends the body in `version`, which must lie in [`Message::VERSIONS`]. Fields that the version
    /// does not have are not sent.
    fn encode(&self, writer: &mut Writer, version: i16) {
        assert!(Self::VERSIONS.contains(&version), "{} has no version {version}", Self::NAME);
        writer.set_version(version, version >= Self::FLEXIBLE_FROM);
        self.write_fields(writer);
    }
}
