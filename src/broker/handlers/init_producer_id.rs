//! InitProducerId, versions 0 to 5.
//!
//! A producer without a transactional id gets a new id with epoch 0. One with a transactional id fences whoever used it
//! before: it gets the next epoch, or a new id when the epochs are used up. A transaction that is still open is aborted
//! first, and the producer asks again (CONCURRENT_TRANSACTIONS) until that is done. From version 3 on a producer may
//! name the id and epoch it had, to go on after an error (KIP-360); version 4 knows PRODUCER_FENCED, which earlier ones
//! hear as INVALID_PRODUCER_EPOCH. Two-phase commit (KIP-939) is not served.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use crate::transaction::Producer;

/// First version that knows PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 4;

/// Gives out a producer id and epoch.
pub async fn handle(context: &Context, call: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match init(context, &request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..InitProducerIdResponse::default()
        },
        Err(ErrorCode::ProducerFenced) if call.api_version < PRODUCER_FENCED => {
            refused(ErrorCode::InvalidProducerEpoch)
        }
        Err(error_code) => refused(error_code),
    }
}

async fn init(context: &Context, request: &InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let known = Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let known = match (known.id, known.epoch) {
        (ProducerId::NONE, ProducerEpoch::NONE) => None,
        (ProducerId::NONE, _) | (_, ProducerEpoch::NONE) => return Err(ErrorCode::InvalidRequest),
        _ => Some(known),
    };
    match request.transactional_id.as_deref() {
        None => {
            let id = context.transactions.next_producer_id().await?;
            Ok(Producer { id, epoch: ProducerEpoch(0) })
        }
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(id) => context.transactions.init_producer(id, request.transaction_timeout_ms, known).await,
    }
}

fn refused(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..InitProducerIdResponse::default() }
}
