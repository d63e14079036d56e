//! AddPartitionsToTxn: makes partitions part of a transaction.
//!
//! Version 3 is flexible. Version 4 is for brokers, which ask for several transactions and may only verify
//! (KIP-890); the fields of earlier versions bear that in their names.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions of one transaction until version 3, of several from version 4 on.
    message AddPartitionsToTxnRequest (versions 0..=5, flexible 3..) {
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        v3_and_below_transactional_id: String [0..=3],
        v3_and_below_producer_id: i64 [0..=3],
        v3_and_below_producer_epoch: i16 [0..=3],
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// The partitions of one transaction, from version 4 on.
    struct AddPartitionsToTxnTransaction {
        transactional_id: String [4..],
        producer_id: i64 [4..],
        producer_epoch: i16 [4..],
        verify_only: bool [4..],
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// The partitions of one topic.
    struct AddPartitionsToTxnTopic {
        name: String [0..],
        partitions: Vec<i32> [0..],
    }

    /// The partitions added; by topic until version 3, by transaction from version 4 on.
    message AddPartitionsToTxnResponse (versions 0..=5, flexible 3..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [4..],
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// The partitions added to one transaction.
    struct AddPartitionsToTxnResult {
        transactional_id: String [4..],
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// The partitions added of one topic.
    struct AddPartitionsToTxnTopicResult {
        name: String [0..],
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// Whether one partition was added.
    struct AddPartitionsToTxnPartitionResult {
        partition_index: i32 [0..],
        partition_error_code: ErrorCode [0..],
    }
}
