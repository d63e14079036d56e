//! Which requests may be sent again after a failure.
//!
//! A refusal with a retriable error had no effect, so the request may go out again. A connection that breaks, or stays
//! silent, leaves open whether the request took effect: then only requests go out again that do no harm twice.

use super::cluster_error::ClusterError;
use super::error::ClientError;
use crate::model::ErrorCode;
use crate::protocol::ApiKey;

/// True for requests that only read, or whose second execution leaves things as the first did and says so.
fn is_safe_twice(api: ApiKey) -> bool {
    !matches!(
        api,
        // The second would be told that the topic exists, is gone, has that many partitions already, …
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::DeleteGroups
            | ApiKey::AlterPartitionReassignments
            // … or append to and subtract from lists twice, …
            | ApiKey::IncrementalAlterConfigs
            // … or store the records twice; an idempotent producer repeats by its own rules, …
            | ApiKey::Produce
            // … or make a second member.
            | ApiKey::JoinGroup
    )
}

/// True when a request that was answered with `code` may be sent again.
pub(super) fn after_answer(api: ApiKey, code: ErrorCode) -> bool {
    match code {
        // The broker gave up waiting; the change may still be made.
        ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend => is_safe_twice(api),
        // A client that names what is not there should learn it at once.
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => false,
        // These two say that there is nothing to do, or nobody to do it with.
        ErrorCode::ElectionNotNeeded | ErrorCode::EligibleLeadersNotAvailable => false,
        code => code.is_retriable(),
    }
}

/// True when a request that failed with `error` may be sent again.
pub(super) fn after_failure(api: ApiKey, error: &ClusterError) -> bool {
    match error {
        // Nothing was sent.
        ClusterError::NoLeader(_) | ClusterError::AdvertisedUnreachable { .. } | ClusterError::UnknownBroker(_) => true,
        ClusterError::Connection(ClientError::Unreachable { .. }) => true,
        ClusterError::Connection(ClientError::Broken { .. } | ClientError::TimedOut { .. }) => is_safe_twice(api),
        ClusterError::Refused { code, .. } => after_answer(api, *code),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_may_have_taken_effect_is_not_sent_again() {
        let broken = || {
            let source = io::ErrorKind::BrokenPipe.into();
            ClusterError::Connection(ClientError::Broken { address: "b:1".to_owned(), source })
        };
        assert!(!after_failure(ApiKey::CreateTopics, &broken()));
        assert!(!after_failure(ApiKey::Produce, &broken()));
        assert!(after_failure(ApiKey::Metadata, &broken()));
        assert!(!after_answer(ApiKey::CreateTopics, ErrorCode::RequestTimedOut));
        assert!(!after_answer(ApiKey::Produce, ErrorCode::NotEnoughReplicasAfterAppend));
        assert!(after_answer(ApiKey::CreateTopics, ErrorCode::NotController));
        assert!(after_answer(ApiKey::Produce, ErrorCode::NotLeaderOrFollower));
        assert!(!after_answer(ApiKey::CreateTopics, ErrorCode::TopicAlreadyExists));
    }

    #[test]
    fn what_was_never_sent_may_be_sent() {
        let source = io::ErrorKind::ConnectionRefused.into();
        let unreachable = ClusterError::Connection(ClientError::Unreachable { address: "b:1".to_owned(), source });
        assert!(after_failure(ApiKey::CreateTopics, &unreachable));
    }
}
