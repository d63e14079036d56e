//! InitProducerId, versions 0 to 5, for idempotent producers.
//!
//! A producer without a transactional id gets a new id with epoch 0; from version 3 on it may name the id and epoch it
//! had (KIP-360), which changes nothing without a transaction to fence. Transactions are not served: a transactional
//! id is refused with UNSUPPORTED_VERSION, which clients take as final.

use crate::broker::context::Context;
use crate::broker::dispatch::Call;
use crate::model::ErrorCode;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

/// Gives out a producer id.
pub async fn handle(context: &Context, _: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return refused(ErrorCode::UnsupportedVersion);
    }
    match context.producer_ids.next(context.broker_id, &context.lifecycle, &context.controller).await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id: producer_id.0,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error_code) => refused(error_code),
    }
}

fn refused(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..InitProducerIdResponse::default() }
}
