//! ConsumerGroupHeartbeat: ?

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    message ConsumerGroupHeartbeatRequest (versions 0..=1, flexible 0..) {
        group_id: String [0..],
        member_id: String [0..],
        member_epoch: i32 [0..],
        instance_id: Option<String> [0.., null 0..],
        rack_id: Option<String> [0.., null 0..],
        rebalance_timeout_ms: i32 [0.., default -1],
        subscribed_topic_names: Option<Vec<String>> [0.., null 0..],
        subscribed_topic_regex: Option<String> [1.., null 1..],
        server_assignor: Option<String> [0.., null 0..],
        topic_partitions: Option<Vec<ConsumerGroupHeartbeatTopicPartitions>> [0.., null 0..],
    }

    struct ConsumerGroupHeartbeatTopicPartitions {
        topic_id: Uuid [0..],
        partitions: Vec<i32> [0..],
    }

    message ConsumerGroupHeartbeatResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        member_id: Option<String> [0.., null 0..],
        member_epoch: i32 [0..],
        heartbeat_interval_ms: i32 [0..],
        assignment: Option<ConsumerGroupHeartbeatAssignment> [0.., null 0..],
    }

    struct ConsumerGroupHeartbeatAssignment {
        topic_partitions: Vec<ConsumerGroupHeartbeatTopicPartitions> [0..],
    }
}
