//! Why a frame cannot be decoded, and where in it.

use std::fmt;

/// A frame that is not what its schema says. The connection it came from cannot be trusted further.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{fault} at byte {offset}{}", In(self.field))]
pub struct DecodeError {
    /// What is wrong.
    pub fault: DecodeFault,
    /// How many bytes of the frame had been read.
    pub offset: usize,
    /// The innermost field being read, as `ProduceTopic.name`; empty outside of any field.
    pub field: &'static str,
}

/// The kinds of malformed frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeFault {
    /// The frame ends inside a value.
    #[error("{needed} bytes are needed, {remaining} remain")]
    UnexpectedEnd {
        /// Bytes the value takes.
        needed: usize,
        /// Bytes left in the frame.
        remaining: usize,
    },
    /// A length below -1, or -1 where null has no meaning.
    #[error("length {0} is negative")]
    NegativeLength(i64),
    /// An array that claims more elements than the rest of the frame can hold.
    #[error("an array of {count} elements cannot lie in {remaining} bytes")]
    ArrayTooLong {
        /// Elements claimed.
        count: usize,
        /// Bytes left in the frame.
        remaining: usize,
    },
    /// Kafka's strings have at most 32,767 bytes.
    #[error("a string of {0} bytes is longer than Kafka allows")]
    StringTooLong(usize),
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A varint of more than five bytes, or beyond 32 bits.
    #[error("a varint does not fit 32 bits")]
    VarintTooLong,
    /// A varlong of more than ten bytes, or beyond 64 bits.
    #[error("a varlong does not fit 64 bits")]
    VarlongTooLong,
    /// Null in a field that is not nullable in this version.
    #[error("null is not allowed")]
    UnexpectedNull,
    /// Tags must rise strictly.
    #[error("tag {0} is out of order")]
    TagOutOfOrder(u32),
    /// Bytes are left where the value, a tagged field or a whole frame, should end.
    #[error("{0} bytes are left over")]
    TrailingBytes(usize),
    /// The schema has no such version.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
    /// No API has this key, or none that has a schema here.
    #[error("API key {0} is not known")]
    UnknownApiKey(i16),
}

impl DecodeError {
    /// Names the field, unless an inner one has been named already.
    #[cold]
    #[must_use]
    pub(super) fn within(mut self, field: &'static str) -> Self {
        if self.field.is_empty() {
            self.field = field;
        }
        self
    }
}

/// Displays ` in <field>`, or nothing.
struct In(&'static str);

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " in {}", self.0) }
    }
}
