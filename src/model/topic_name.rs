//! What a topic may be called, and which topics are the broker's own.

/// Holds the committed offsets of all consumer groups.
pub const CONSUMER_OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Holds the state of all transactions.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// The name that the metadata quorum's log goes by: its directory lies beside those of topics. No topic has it.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's limit; a directory name adds `-<partition>` and stays below 255 bytes.
const NAME_LENGTH_MAX: usize = 249;

/// Why a topic name is refused, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// No character at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// "." and ".." are directories.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    /// Longer than 249 characters.
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    /// A character outside ASCII letters, digits, '.', '_' and '-'.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    BadCharacter(String),
}

/// Accepts the names Kafka accepts.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        return Err(InvalidTopicName::Empty);
    }
    if name == "." || name == ".." {
        return Err(InvalidTopicName::Dots(name.to_owned()));
    }
    if name.len() > NAME_LENGTH_MAX {
        return Err(InvalidTopicName::TooLong(name.to_owned()));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(InvalidTopicName::BadCharacter(name.to_owned()));
    }
    Ok(())
}

/// True for the topics that only the broker itself writes.
pub fn is_internal_topic(name: &str) -> bool {
    name == CONSUMER_OFFSETS_TOPIC || name == TRANSACTION_STATE_TOPIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_rules() {
        for good in ["a", "user-events", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "a b", "a\0", "ä", &"x".repeat(250)] {
            assert!(validate_topic_name(bad).is_err(), "{bad}");
        }
    }
}
