//! What can go wrong between this process and a cluster, in words for the person who asked.

use super::error::ClientError;
use crate::model::{ErrorCode, TopicPartition};

/// A question to a cluster that got no usable answer. Its text says what happened in one line;
/// [`ClusterError::next_step`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// None of the bootstrap servers can be talked to.
    #[error("no broker answers at {servers}: {last}")]
    NoBroker {
        /// The servers tried, as they were given.
        servers: String,
        /// What the last one of them said.
        #[source]
        last: ClientError,
    },
    /// The cluster names a broker at an address that cannot be talked to.
    #[error("broker {broker} is advertised at an address that does not answer here: {source}")]
    AdvertisedUnreachable {
        /// The broker.
        broker: i32,
        /// Why it cannot be reached.
        source: ClientError,
    },
    /// The cluster does not know a broker of this id, or it is down.
    #[error("broker {0} is not among the cluster's live brokers")]
    UnknownBroker(i32),
    /// No topic has this name.
    #[error("there is no topic {topic:?}{}", but_there_is(.near))]
    UnknownTopic {
        /// The name.
        topic: String,
        /// Names of topics that look like it, the nearest first.
        near: Vec<String>,
    },
    /// The topic has no such partition.
    #[error("topic {topic:?} has no partition {partition}; it has {count}, counted from 0")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition that was asked for.
        partition: i32,
        /// How many partitions the topic has.
        count: usize,
    },
    /// The partition has no leader now.
    #[error("{0} has no leader")]
    NoLeader(TopicPartition),
    /// A broker answers with an error.
    #[error("{subject}: {}", refusal(*.code, .message.as_deref()))]
    Refused {
        /// What was asked about, such as `topic "orders"`.
        subject: String,
        /// The error.
        code: ErrorCode,
        /// What the broker says about it.
        message: Option<String>,
    },
    /// A connection failed while it was used.
    #[error(transparent)]
    Connection(#[from] ClientError),
}

impl ClusterError {
    /// A broker's refusal; `message` is what the broker says about it.
    pub fn refused(subject: impl Into<String>, code: ErrorCode, message: Option<String>) -> Self {
        Self::Refused { subject: subject.into(), code, message: message.filter(|message| !message.is_empty()) }
    }

    /// Nobody answered: the cluster may be well and out of reach.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::NoBroker { .. } | Self::AdvertisedUnreachable { .. } => true,
            Self::Connection(error) => !matches!(error, ClientError::NotServed { .. }),
            Self::Refused { code, .. } => *code == ErrorCode::RequestTimedOut,
            _ => false,
        }
    }

    /// What was named does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } | Self::UnknownBroker(_) => true,
            Self::Refused { code, .. } => matches!(
                code,
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::GroupIdNotFound
                    | ErrorCode::TransactionalIdNotFound
                    | ErrorCode::ResourceNotFound
            ),
            _ => false,
        }
    }

    /// What the person who asked can do about it, as a sentence.
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::NoBroker { last, .. } => Some(match last {
                ClientError::NotKafka { .. } => "Name the port of a plaintext Kafka listener with --bootstrap-server.",
                _ => "Start the broker, or name another one with --bootstrap-server.",
            }),
            Self::AdvertisedUnreachable { .. } => {
                Some("Set the broker's advertised.listeners to an address that clients can reach.")
            }
            Self::UnknownBroker(_) => Some("See the brokers with: ottla cluster status."),
            Self::UnknownTopic { near, .. } => near
                .is_empty()
                .then_some("See the topics with: ottla topics list; create one with: ottla topics create."),
            Self::UnknownPartition { .. } => None,
            Self::NoLeader(_) => {
                Some("Start the brokers that hold its replicas; see them with: ottla topics describe.")
            }
            Self::Refused { code, .. } => step_after(*code),
            Self::Connection(ClientError::NotServed { .. }) => Some("This broker is too old or does not offer that."),
            Self::Connection(_) => Some("Look at the broker's log, and try again."),
        }
    }
}

fn but_there_is(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", but there is {}", names.join(", ")) }
}

/// The broker's words and the name of the error, without saying it twice.
fn refusal(code: ErrorCode, message: Option<&str>) -> String {
    match message.map(|message| message.trim_end_matches('.')) {
        Some(message) => format!("{message} ({code})"),
        None => code.to_string(),
    }
}

fn step_after(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::NonEmptyGroup => Some("Stop the group's members first; see them with: ottla groups describe."),
        ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {
            Some("The group is in use: stop its members first.")
        }
        ErrorCode::GroupIdNotFound => Some("See the groups with: ottla groups list."),
        ErrorCode::TransactionalIdNotFound => Some("See the ids with: ottla transactions list."),
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
            Some("The producer has gone on meanwhile; look again.")
        }
        ErrorCode::GroupSubscribedToTopic => Some("Stop the members that consume the topic first."),
        ErrorCode::TopicAlreadyExists => {
            Some("Look at it with: ottla topics describe; --if-not-exists is content with it.")
        }
        ErrorCode::InvalidReplicationFactor => Some("Start more brokers, or ask for fewer replicas."),
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            Some("Start the brokers that are down, or lower min.insync.replicas of the topic.")
        }
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => Some("Ask for an ACL that allows it."),
        ErrorCode::MessageTooLarge => Some("Raise max.message.bytes of the topic, or send smaller records."),
        ErrorCode::RequestTimedOut => Some("Try again, with a longer --timeout."),
        code if code.is_retriable() => Some("Try again in a moment."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_with_the_brokers_own_words() {
        let refused = |message: Option<&str>| {
            ClusterError::refused("topic \"a\"", ErrorCode::InvalidConfig, message.map(str::to_owned)).to_string()
        };
        assert_eq!(refused(Some("Unknown key.")), "topic \"a\": Unknown key (INVALID_CONFIG)");
        assert_eq!(refused(Some("")), "topic \"a\": INVALID_CONFIG");
        assert_eq!(refused(None), "topic \"a\": INVALID_CONFIG");
        let unknown = ClusterError::UnknownTopic { topic: "ordres".to_owned(), near: vec!["orders".to_owned()] };
        assert_eq!(unknown.to_string(), "there is no topic \"ordres\", but there is orders");
        assert!(unknown.is_not_found() && unknown.next_step().is_none());
    }
}
