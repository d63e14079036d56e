//! ConsumerGroupHeartbeat: joins, keeps, reassigns and leaves: all of the consumer protocol (KIP-848).
//!
//! Version 1 brings regular expressions for topics; its members choose their own ids (KIP-1082).

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// Who is alive, and what has changed for it; null is what has not changed.
    message ConsumerGroupHeartbeatRequest (versions 0..=1, flexible 0..) {
        group_id: String [0..],
        member_id: String [0..],
        /// 0 joins, -1 leaves, -2 leaves but may come back (static members).
        member_epoch: i32 [0..],
        instance_id: Option<String> [0.., null 0..],
        rack_id: Option<String> [0.., null 0..],
        rebalance_timeout_ms: i32 [0.., default -1],
        subscribed_topic_names: Option<Vec<String>> [0.., null 0..],
        subscribed_topic_regex: Option<String> [1.., null 1..],
        server_assignor: Option<String> [0.., null 0..],
        topic_partitions: Option<Vec<ConsumerGroupHeartbeatTopicPartitions>> [0.., null 0..],
    }

    /// Partitions of one topic.
    struct ConsumerGroupHeartbeatTopicPartitions {
        topic_id: Uuid [0..],
        partitions: Vec<i32> [0..],
    }

    /// The member's epoch, and its assignment when that has changed.
    message ConsumerGroupHeartbeatResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        member_id: Option<String> [0.., null 0..],
        member_epoch: i32 [0..],
        heartbeat_interval_ms: i32 [0..],
        assignment: Option<ConsumerGroupHeartbeatAssignment> [0.., null 0..],
    }

    /// The partitions assigned to a member.
    struct ConsumerGroupHeartbeatAssignment {
        topic_partitions: Vec<ConsumerGroupHeartbeatTopicPartitions> [0..],
    }
}
