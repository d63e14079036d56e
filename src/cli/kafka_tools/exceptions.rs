//! How Kafka's Java client calls the error codes: the tools print its exceptions, and scripts look for them.

use crate::model::ErrorCode;

/// The class of the exception for a code, without its package: the code's own name, but for some.
pub(super) fn class(code: ErrorCode) -> String {
    match code {
        ErrorCode::CorruptMessage => "CorruptRecordException".to_owned(),
        ErrorCode::InvalidTopicException => "InvalidTopicException".to_owned(),
        ErrorCode::InvalidConfig => "InvalidConfigurationException".to_owned(),
        ErrorCode::MessageTooLarge => "RecordTooLargeException".to_owned(),
        ErrorCode::NetworkException => "NetworkException".to_owned(),
        ErrorCode::RecordListTooLarge => "RecordBatchTooLargeException".to_owned(),
        ErrorCode::RequestTimedOut => "TimeoutException".to_owned(),
        ErrorCode::TopicAlreadyExists => "TopicExistsException".to_owned(),
        ErrorCode::TopicDeletionDisabled => "TopicDeletionDisabledException".to_owned(),
        ErrorCode::KafkaStorageError => "KafkaStorageException".to_owned(),
        ErrorCode::UnknownServerError => "UnknownServerException".to_owned(),
        other => {
            let words = other.name().split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_owned() + &rest.to_lowercase()
            });
            words.collect::<String>() + "Exception"
        }
    }
}

/// What the exception says when the broker has said nothing.
pub(super) fn message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OffsetOutOfRange => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ErrorCode::LeaderNotAvailable => {
            "There is no leader for this topic-partition as we are in the middle of a leadership election."
        }
        ErrorCode::RequestTimedOut => "The request timed out.",
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::InvalidTopicException => "The request attempted to perform an operation on an invalid topic.",
        ErrorCode::UnknownMemberId => "The coordinator is not aware of this member.",
        ErrorCode::RebalanceInProgress => "The group is rebalancing, so a rejoin is needed.",
        ErrorCode::InvalidGroupId => "The group id is invalid.",
        ErrorCode::UnsupportedVersion => "The version of API is not supported.",
        ErrorCode::InvalidConfig => "Configuration is invalid.",
        ErrorCode::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details."
        }
        ErrorCode::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::TopicDeletionDisabled => "Topic deletion is disabled.",
        ErrorCode::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        ErrorCode::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ErrorCode::SecurityDisabled => "Security features are disabled.",
        ErrorCode::TransactionalIdNotFound => "The transactionalId could not be found.",
        ErrorCode::BrokerIdNotRegistered => "The given broker ID was not registered.",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_java_clients() {
        let classes = [
            (ErrorCode::GroupIdNotFound, "GroupIdNotFoundException"),
            (ErrorCode::TopicAlreadyExists, "TopicExistsException"),
            (ErrorCode::NotLeaderOrFollower, "NotLeaderOrFollowerException"),
            (ErrorCode::InvalidConfig, "InvalidConfigurationException"),
        ];
        for (code, expected) in classes {
            assert_eq!(class(code), expected);
        }
    }
}
