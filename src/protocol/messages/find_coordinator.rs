//! FindCoordinator: asks which broker coordinates a group or a transactional id.
//!
//! | from | brings |
//! |------|--------|
//! | 1 | transactional ids |
//! | 3 | flexible |
//! | 4 | several keys in one request (KIP-699) |
//! | 6 | share groups (KIP-932) |

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Whose coordinator is asked; one key until version 3, several from version 4 on.
    message FindCoordinatorRequest (versions 0..=6, flexible 3..) {
        key: String [0..=3],
        /// 0 group, 1 transactional id, 2 share group.
        key_type: i8 [1..],
        coordinator_keys: Vec<String> [4..],
    }

    /// The coordinator; one until version 3, one for each key from version 4 on.
    message FindCoordinatorResponse (versions 0..=6, flexible 3..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..=3],
        error_message: Option<String> [1..=3, null 1..=3],
        node_id: i32 [0..=3],
        host: String [0..=3],
        port: i32 [0..=3],
        coordinators: Vec<Coordinator> [4..],
    }

    /// The coordinator of one key.
    struct Coordinator {
        key: String [4..],
        node_id: i32 [4..],
        host: String [4..],
        port: i32 [4..],
        error_code: ErrorCode [4..],
        error_message: Option<String> [4.., null 4..],
    }
}
