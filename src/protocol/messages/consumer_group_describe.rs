//! ConsumerGroupDescribe: state and members of groups of the consumer protocol (KIP-848).
//!
//! Version 1 tells classic members from others (KIP-1099). Tagged fields from 10000 on are our own: a client that sets
//! the one of the request gets those of the answer.

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The groups to describe.
    message ConsumerGroupDescribeRequest (versions 0..=1, flexible 0..) {
        group_ids: Vec<String> [0..],
        include_authorized_operations: bool [0..],
        /// Ours: asks for the reason of the last rebalance.
        include_last_rebalance: bool [0.., tag 10000],
    }

    /// The groups described.
    message ConsumerGroupDescribeResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        groups: Vec<ConsumerGroupDescribeGroup> [0..],
    }

    /// A group.
    struct ConsumerGroupDescribeGroup {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        group_id: String [0..],
        group_state: String [0..],
        group_epoch: i32 [0..],
        assignment_epoch: i32 [0..],
        assignor_name: String [0..],
        members: Vec<ConsumerGroupDescribeMember> [0..],
        authorized_operations: i32 [0.., default i32::MIN],
        /// Ours: milliseconds since the Unix epoch; 0 when it is not known.
        last_rebalance_at: i64 [0.., tag 10000],
        /// Ours: who caused it and how.
        last_rebalance_reason: String [0.., tag 10001],
    }

    /// A member of a group.
    struct ConsumerGroupDescribeMember {
        member_id: String [0..],
        instance_id: Option<String> [0.., null 0..],
        rack_id: Option<String> [0.., null 0..],
        member_epoch: i32 [0..],
        client_id: String [0..],
        client_host: String [0..],
        subscribed_topic_names: Vec<String> [0..],
        subscribed_topic_regex: Option<String> [0.., null 0..],
        assignment: ConsumerGroupDescribeAssignment [0..],
        target_assignment: ConsumerGroupDescribeAssignment [0..],
        member_type: i8 [1.., default -1],
    }

    /// Partitions of one topic.
    struct ConsumerGroupDescribeTopicPartitions {
        topic_id: Uuid [0..],
        topic_name: String [0..],
        partitions: Vec<i32> [0..],
    }

    /// The partitions assigned to a member.
    struct ConsumerGroupDescribeAssignment {
        topic_partitions: Vec<ConsumerGroupDescribeTopicPartitions> [0..],
    }
}
