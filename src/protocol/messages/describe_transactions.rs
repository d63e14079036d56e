//! DescribeTransactions: the state of transactions (KIP-664).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The transactional ids asked.
    message DescribeTransactionsRequest (versions 0..=0, flexible 0..) {
        transactional_ids: Vec<String> [0..],
    }

    /// Their transactions.
    message DescribeTransactionsResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        transaction_states: Vec<DescribeTransactionsState> [0..],
    }

    /// A transaction.
    struct DescribeTransactionsState {
        error_code: ErrorCode [0..],
        transactional_id: String [0..],
        transaction_state: String [0..],
        transaction_timeout_ms: i32 [0..],
        transaction_start_time_ms: i64 [0..],
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        topics: Vec<DescribeTransactionsTopic> [0..],
    }

    /// The partitions of one topic in a transaction.
    struct DescribeTransactionsTopic {
        topic: String [0..],
        partitions: Vec<i32> [0..],
    }
}
