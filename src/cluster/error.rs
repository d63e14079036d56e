//! What can go wrong between a broker and the controllers.

use crate::model::ErrorCode;

/// A fault on the way to the metadata quorum. A refusal by the quorum is not one: it is a reply.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No voter led the quorum, or none could be reached, before the time was up. Nothing was done.
    #[error("no controller leads the metadata quorum ({voters}); the last answer was: {last}")]
    NoController {
        /// The voters asked.
        voters: String,
        /// What the last of them said.
        last: String,
    },
    /// The connection broke, or the time was up, after the command had been sent: it may have been done.
    #[error("controller {node_id} did not answer; the command may or may not have been carried out: {reason}")]
    OutcomeUnknown {
        /// `node.id` of the controller.
        node_id: i32,
        /// What happened to the call.
        reason: String,
    },
    /// The quorum does not accept this broker's registration, for good.
    #[error("the controllers refuse to register this broker: {error_code} ({message})")]
    RegistrationRefused {
        /// Kafka's error code.
        error_code: ErrorCode,
        /// The controller's sentence.
        message: String,
    },
    /// The voter belongs to another cluster, or is another node than the address says.
    #[error("{0}")]
    WrongPeer(String),
    /// The feed carried a record that this version does not know or cannot replay (invariant D10): going on would
    /// mean to skip it.
    #[error("metadata record {index} cannot be applied: {reason}; upgrade this node before it joins the cluster again")]
    UnknownRecord {
        /// Metadata index of the record.
        index: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The broker is stopping.
    #[error("this broker is stopping")]
    Stopping,
}

impl ClusterError {
    /// What a client is told when its request needed the controllers.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::NoController { .. } | Self::OutcomeUnknown { .. } => ErrorCode::RequestTimedOut,
            Self::RegistrationRefused { error_code, .. } => *error_code,
            Self::WrongPeer(_) => ErrorCode::InconsistentClusterId,
            Self::UnknownRecord { .. } => ErrorCode::UnknownServerError,
            Self::Stopping => ErrorCode::BrokerNotAvailable,
        }
    }
}
