//! WriteTxnMarkers: writes the end of transactions into partitions; from coordinators to leaders.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The transactions that have ended.
    message WriteTxnMarkersRequest (versions 1..=2, flexible 1..) {
        markers: Vec<WritableTxnMarker> [0..],
    }

    /// How one transaction has ended, and in which partitions it is to be told.
    struct WritableTxnMarker {
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        /// True for commit.
        transaction_result: bool [0..],
        topics: Vec<WritableTxnMarkerTopic> [0..],
        coordinator_epoch: i32 [0..],
        transaction_version: i8 [2..],
    }

    /// The partitions of one topic.
    struct WritableTxnMarkerTopic {
        name: String [0..],
        partition_indexes: Vec<i32> [0..],
    }

    /// The markers written.
    message WriteTxnMarkersResponse (versions 1..=2, flexible 1..) {
        markers: Vec<WritableTxnMarkerResult> [0..],
    }

    /// The markers written for one producer.
    struct WritableTxnMarkerResult {
        producer_id: i64 [0..],
        topics: Vec<WritableTxnMarkerTopicResult> [0..],
    }

    /// The markers written to one topic.
    struct WritableTxnMarkerTopicResult {
        name: String [0..],
        partitions: Vec<WritableTxnMarkerPartitionResult> [0..],
    }

    /// Whether the marker was written to one partition.
    struct WritableTxnMarkerPartitionResult {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
