//! AddRaftVoter and RemoveRaftVoter: change who votes in the metadata quorum (KIP-853).

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The controller that is to vote.
    message AddRaftVoterRequest (versions 0..=1, flexible 0..) {
        cluster_id: Option<String> [0.., null 0..],
        timeout_ms: i32 [0..],
        voter_id: i32 [0..],
        voter_directory_id: Uuid [0..],
        listeners: Vec<AddRaftVoterListener> [0..],
        /// False to be answered before the change is committed.
        ack_when_committed: bool [1.., default true],
    }

    /// Where the controller listens.
    struct AddRaftVoterListener {
        name: String [0..],
        host: String [0..],
        port: u16 [0..],
    }

    /// What became of it.
    message AddRaftVoterResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }

    /// The voter that is to leave.
    message RemoveRaftVoterRequest (versions 0..=0, flexible 0..) {
        cluster_id: Option<String> [0.., null 0..],
        voter_id: i32 [0..],
        voter_directory_id: Uuid [0..],
    }

    /// What became of it.
    message RemoveRaftVoterResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
