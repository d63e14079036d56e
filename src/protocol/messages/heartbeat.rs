//! Heartbeat: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message HeartbeatRequest (versions 0..=4, flexible 4..) {
        group_id: String [0..],
        generation_id: i32 [0..],
        member_id: String [0..],
        group_instance_id: Option<String> [3.., null 3..],
    }

    message HeartbeatResponse (versions 0..=4, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
    }
}
