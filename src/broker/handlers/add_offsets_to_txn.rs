//! AddOffsetsToTxn, versions 0 to 4.
//!
//! Makes the offsets of a group part of a transaction: the group's partition of `__consumer_offsets` is added like any
//! other. Version 2 knows PRODUCER_FENCED. Clients of transaction version 2 do without (KIP-890).

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use crate::transaction::{Producer, TransactionVersion};

/// First version that knows PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 2;

/// Adds a group's offsets.
pub async fn handle(context: &Context, call: Call, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error_code = match add(context, &request).await {
        Ok(()) => ErrorCode::None,
        Err(ErrorCode::ProducerFenced) if call.api_version < PRODUCER_FENCED => ErrorCode::InvalidProducerEpoch,
        Err(error_code) => error_code,
    };
    AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }
}

async fn add(context: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let partition = context.groups.partition_of(&request.group_id).await?;
    let producer = Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let transactions = &context.transactions;
    transactions.add_partitions(&request.transactional_id, producer, &[partition].into(), TransactionVersion::V1).await
}
