//! ListTransactions: the transactions that a broker coordinates (KIP-664).
//!
//! Version 1 filters by duration (KIP-994), version 2 by a pattern of transactional ids (KIP-1152).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Which transactions to list; empty filters let all pass.
    message ListTransactionsRequest (versions 0..=2, flexible 0..) {
        state_filters: Vec<String> [0..],
        producer_id_filters: Vec<i64> [0..],
        duration_filter: i64 [1.., default -1],
        transactional_id_pattern: Option<String> [2.., null 2..],
    }

    /// The transactions listed.
    message ListTransactionsResponse (versions 0..=2, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        unknown_state_filters: Vec<String> [0..],
        transaction_states: Vec<ListTransactionsState> [0..],
    }

    /// A transaction.
    struct ListTransactionsState {
        transactional_id: String [0..],
        producer_id: i64 [0..],
        transaction_state: String [0..],
    }
}
