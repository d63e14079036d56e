//! Heartbeat: keeps a member in a classic group, and tells it of rebalances.
//!
//! Version 3 brings static members (KIP-345), version 4 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Who is alive.
    message HeartbeatRequest (versions 0..=4, flexible 4..) {
        group_id: String [0..],
        generation_id: i32 [0..],
        member_id: String [0..],
        group_instance_id: Option<String> [3.., null 3..],
    }

    /// Whether the member may go on.
    message HeartbeatResponse (versions 0..=4, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
    }
}
