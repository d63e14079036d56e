//! Reads the topics out of a consumer's subscription (KIP-211: an offset of a topic that nobody consumes expires).
//!
//! | field | type |
//! |---|---|
//! | version | int16; all later versions begin with version 0's fields |
//! | topics | int32 count, then strings: int16 length and UTF-8 bytes |
//! | the rest | not looked at |

use std::collections::BTreeSet;

/// The topics of one subscription; `None` when the bytes are no subscription.
pub(super) fn subscribed_topics(mut metadata: &[u8]) -> Option<BTreeSet<String>> {
    let version = i16::from_be_bytes(take(&mut metadata)?);
    if version < 0 {
        return None;
    }
    let count = i32::from_be_bytes(take(&mut metadata)?);
    let mut topics = BTreeSet::new();
    for _ in 0..u32::try_from(count).ok()? {
        let length = usize::try_from(i16::from_be_bytes(take(&mut metadata)?)).ok()?;
        let (name, rest) = metadata.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        metadata = rest;
    }
    Some(topics)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_topics_and_nothing_else() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff more";
        let topics = subscribed_topics(bytes).unwrap();
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "bc"]);
    }

    #[test]
    fn what_is_no_subscription_has_no_topics() {
        for bytes in [&b""[..], b"\0\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\0\x05ab"] {
            assert_eq!(subscribed_topics(bytes), None, "{bytes:?}");
        }
        assert_eq!(subscribed_topics(b"\0\0\0\0\0\0"), Some(BTreeSet::new()));
    }
}
