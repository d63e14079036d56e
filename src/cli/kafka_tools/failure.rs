//! How a tool ends that did not do what it was told: something on standard error, and exit code 1.

use std::process::ExitCode;

use crate::client::{ClusterError, InvalidBootstrap};
use crate::model::ErrorCode;

use super::exceptions;

/// Why a tool ends with exit code 1.
#[derive(Debug)]
pub(super) enum Failure {
    /// To be told on standard error.
    Said(String),
    /// The cluster refused or did not answer. Some tools tell it on standard output.
    Cluster(ClusterError),
    /// All was told already.
    Silent,
    /// The tool ran something that has an exit code of its own, which may be 0.
    Ended(ExitCode),
}

impl Failure {
    pub(super) fn said(what: impl Into<String>) -> Self {
        Self::Said(what.into())
    }

    /// What the exception of Kafka's client would say, without its class.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Said(what) => what.clone(),
            Self::Cluster(error) => message(error),
            Self::Silent | Self::Ended(_) => String::new(),
        }
    }

    /// The same with the class in front, as Java prints exceptions.
    pub(super) fn exception(&self) -> String {
        match self {
            Self::Cluster(error) => exception(error),
            other => other.message(),
        }
    }
}

/// A broker's words about what it refused, or else what Kafka's client says for the error.
pub(super) fn message(error: &ClusterError) -> String {
    match error {
        ClusterError::Refused { message: Some(message), .. } => message.clone(),
        ClusterError::Refused { code, message: None, .. } => exceptions::message(*code).to_owned(),
        ClusterError::UnknownTopic { .. } | ClusterError::UnknownPartition { .. } => {
            exceptions::message(ErrorCode::UnknownTopicOrPartition).to_owned()
        }
        other => match other.next_step() {
            Some(step) => format!("{other}. {step}"),
            None => other.to_string(),
        },
    }
}

/// The same with the class of Kafka's exception in front.
pub(super) fn exception(error: &ClusterError) -> String {
    let class = match error {
        ClusterError::Refused { code, .. } => exceptions::class(*code),
        ClusterError::UnknownTopic { .. } | ClusterError::UnknownPartition { .. } => {
            exceptions::class(ErrorCode::UnknownTopicOrPartition)
        }
        _ => "TimeoutException".to_owned(),
    };
    format!("org.apache.kafka.common.errors.{class}: {}", message(error))
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}

impl From<InvalidBootstrap> for Failure {
    fn from(error: InvalidBootstrap) -> Self {
        Self::Said(format!("--bootstrap-server: {error}"))
    }
}
