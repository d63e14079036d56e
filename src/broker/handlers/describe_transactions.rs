//! DescribeTransactions, version 0 (KIP-664).
//!
//! Where the transactions of transactional ids stand, and which partitions they have written to. An id that nobody uses
//! is TRANSACTIONAL_ID_NOT_FOUND.

use std::collections::BTreeMap;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::ErrorCode;
use crate::protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, DescribeTransactionsState, DescribeTransactionsTopic,
};
use crate::transaction::TransactionRecord;

const NO_TIMESTAMP: i64 = -1;

/// Describes transactions.
pub async fn handle(context: &Context, _: Call, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states =
        request.transactional_ids.into_iter().map(|transactional_id| match describe(context, &transactional_id) {
            Ok(record) => state(transactional_id, record),
            Err(error_code) => DescribeTransactionsState {
                error_code,
                transactional_id,
                producer_id: -1,
                producer_epoch: -1,
                transaction_start_time_ms: NO_TIMESTAMP,
                ..DescribeTransactionsState::default()
            },
        });
    DescribeTransactionsResponse { throttle_time_ms: 0, transaction_states: states.collect() }
}

fn describe(context: &Context, transactional_id: &str) -> Result<TransactionRecord, ErrorCode> {
    if transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    context.transactions.describe(transactional_id)?.ok_or(ErrorCode::TransactionalIdNotFound)
}

fn state(transactional_id: String, record: TransactionRecord) -> DescribeTransactionsState {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in &record.partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition.partition);
    }
    let topic = |(topic, partitions)| DescribeTransactionsTopic { topic, partitions };
    DescribeTransactionsState {
        error_code: ErrorCode::None,
        transactional_id,
        transaction_state: record.state.name().to_owned(),
        transaction_timeout_ms: record.timeout_ms,
        transaction_start_time_ms: record.started.map_or(NO_TIMESTAMP, |started| started.0),
        producer_id: record.producer_id.0,
        producer_epoch: record.producer_epoch.0,
        topics: topics.into_iter().map(topic).collect(),
    }
}
