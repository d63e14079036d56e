//! Keys and values of `__transaction_state`, as Kafka's transaction coordinator writes them.
//!
//! Each begins with its version as an INT16. A record without a value (a tombstone) deletes what its
//! key names. Persisted, keep stable.

use super::schema::schema;

schema! {
    /// Names a transactional id.
    message TransactionLogKey (versions 0..=0) {
        transactional_id: String [0..],
    }

    /// The state of a transactional id.
    message TransactionLogValue (versions 0..=1, flexible 1..) {
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        transaction_timeout_ms: i32 [0..],
        /// 0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort, 6 Dead.
        transaction_status: i8 [0..],
        transaction_partitions: Option<Vec<TransactionLogPartitions>> [0.., null 0..],
        /// Since the Unix epoch.
        transaction_last_update_timestamp_ms: i64 [0..],
        /// Since the Unix epoch.
        transaction_start_timestamp_ms: i64 [0..],
        previous_producer_id: i64 [1.., default -1, tag 0],
        next_producer_id: i64 [1.., default -1, tag 1],
        client_transaction_version: i16 [1.., tag 2],
        next_producer_epoch: i16 [1.., default -1, tag 3],
    }

    /// The partitions of one topic that a transaction has written to.
    struct TransactionLogPartitions {
        topic: String [0..],
        partition_ids: Vec<i32> [0..],
    }
}
