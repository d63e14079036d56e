//! DescribeCluster: the cluster's id and brokers (KIP-700).
//!
//! Version 1 can ask for controllers (KIP-919), version 2 for fenced brokers (KIP-1073).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Asks for brokers or controllers.
    message DescribeClusterRequest (versions 0..=2, flexible 0..) {
        include_cluster_authorized_operations: bool [0..],
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1.., default 1],
        include_fenced_brokers: bool [2..],
    }

    /// The cluster.
    message DescribeClusterResponse (versions 0..=2, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        endpoint_type: i8 [1.., default 1],
        cluster_id: String [0..],
        controller_id: i32 [0.., default -1],
        brokers: Vec<DescribeClusterBroker> [0..],
        cluster_authorized_operations: i32 [0.., default i32::MIN],
    }

    /// Where a broker is reached.
    struct DescribeClusterBroker {
        broker_id: i32 [0..],
        host: String [0..],
        port: i32 [0..],
        rack: Option<String> [0.., null 0..],
        is_fenced: bool [2..],
    }
}
