//! EndTxn, versions 0 to 5.
//!
//! Commits or aborts a transaction. The answer comes once the decision is in the log; its partitions hear of it
//! afterwards, and until they all have, the producer's next transaction is told CONCURRENT_TRANSACTIONS. A retry hears
//! the same as the first. Version 2 knows PRODUCER_FENCED; version 5 ends transactions of version 2 (KIP-890): the
//! answer has the producer id and epoch of the next one.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::protocol::messages::{EndTxnRequest, EndTxnResponse};
use crate::record::TransactionResult;
use crate::transaction::{Producer, TransactionVersion};

/// First version that knows PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 2;
/// First version that bumps the epoch.
const EPOCH_BUMP: i16 = 5;

/// Ends a transaction.
pub async fn handle(context: &Context, call: Call, request: EndTxnRequest) -> EndTxnResponse {
    let version = if call.api_version >= EPOCH_BUMP { TransactionVersion::V2 } else { TransactionVersion::V1 };
    let refused = |error_code| EndTxnResponse { error_code, ..EndTxnResponse::default() };
    if request.transactional_id.is_empty() {
        return refused(ErrorCode::InvalidRequest);
    }
    let producer = Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let result = if request.committed { TransactionResult::Commit } else { TransactionResult::Abort };
    match context.transactions.end(&request.transactional_id, producer, result, version).await {
        Ok(next) => {
            EndTxnResponse { producer_id: next.id.0, producer_epoch: next.epoch.0, ..EndTxnResponse::default() }
        }
        Err(ErrorCode::ProducerFenced) if call.api_version < PRODUCER_FENCED => {
            refused(ErrorCode::InvalidProducerEpoch)
        }
        Err(error_code) => refused(error_code),
    }
}
