//! Metadata: brokers, topics, and who leads their partitions.
//!
//! | from | brings |
//! |------|--------|
//! | 1 | null topics for all of them; in version 0 an empty array means all |
//! | 2 | the cluster id |
//! | 4 | auto-creation of topics can be declined |
//! | 5 | offline replicas |
//! | 7 | leader epochs (KIP-320) |
//! | 8 | authorized operations (KIP-430); those of the cluster only up to version 10 |
//! | 9 | flexible |
//! | 10 | topic ids (KIP-516) |
//! | 12 | topics asked by id |
//! | 13 | a top-level error: clients may have to bootstrap again (KIP-1102) |

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// Which topics to describe.
    message MetadataRequest (versions 0..=13, flexible 9..) {
        /// Null for all topics.
        topics: Option<Vec<MetadataRequestTopic>> [0.., null 1..],
        allow_auto_topic_creation: bool [4.., default true],
        include_cluster_authorized_operations: bool [8..=10],
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic to describe, by id or by name.
    struct MetadataRequestTopic {
        topic_id: Uuid [10..],
        name: Option<String> [0.., null 10..],
    }

    /// The cluster as clients see it.
    message MetadataResponse (versions 0..=13, flexible 9..) {
        throttle_time_ms: i32 [3..],
        brokers: Vec<MetadataResponseBroker> [0..],
        cluster_id: Option<String> [2.., null 2..],
        /// The broker that takes the requests for controllers, from the clients' view.
        controller_id: i32 [1.., default -1],
        topics: Vec<MetadataResponseTopic> [0..],
        cluster_authorized_operations: i32 [8..=10, default i32::MIN],
        error_code: ErrorCode [13..],
    }

    /// Where a broker is reached, on the listener that was asked.
    struct MetadataResponseBroker {
        node_id: i32 [0..],
        host: String [0..],
        port: i32 [0..],
        rack: Option<String> [1.., null 1..],
    }

    /// A topic and its partitions.
    struct MetadataResponseTopic {
        error_code: ErrorCode [0..],
        name: Option<String> [0.., null 12..],
        topic_id: Uuid [10..],
        is_internal: bool [1..],
        partitions: Vec<MetadataResponsePartition> [0..],
        /// A bit for each operation; the lowest number when they were not asked.
        topic_authorized_operations: i32 [8.., default i32::MIN],
    }

    /// Who leads a partition and who replicates it.
    struct MetadataResponsePartition {
        error_code: ErrorCode [0..],
        partition_index: i32 [0..],
        leader_id: i32 [0..],
        leader_epoch: i32 [7.., default -1],
        replica_nodes: Vec<i32> [0..],
        isr_nodes: Vec<i32> [0..],
        offline_replicas: Vec<i32> [5..],
    }
}
