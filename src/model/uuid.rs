//! Kafka's UUID: 16 bytes, written as 22 characters of URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 128 bits of identity. All zero means "none" on Kafka's wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Uuid(pub [u8; 16]);

/// A text that is not 16 bytes of URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Kafka UUID (22 characters of URL-safe base64)")]
pub struct InvalidUuid(pub String);

impl Uuid {
    /// Kafka's "no id".
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// A version 4 UUID from 16 random bytes that the caller drew.
    pub fn from_random_bytes(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// True for the "no id" value.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The first 64 bits, big-endian.
    pub fn high_bits(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| InvalidUuid(text.to_owned()))?;
        bytes.try_into().map(Self).map_err(|_| InvalidUuid(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kafkas_base64() {
        let id: Uuid = "5L6g3nShT-eMCtK--X86sw".parse().unwrap();
        assert_eq!(id.0[0], 0xe4);
        assert_eq!(id.to_string(), "5L6g3nShT-eMCtK--X86sw");
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "x", "5L6g3nShT-eMCtK--X86s/", "5L6g3nShT-eMCtK--X86swAA"] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
