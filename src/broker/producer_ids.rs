//! Hands out producer ids from blocks that the controllers allot to this broker.

use std::ops::Range;

use tokio::sync::Mutex;

use crate::cluster::{BrokerLifecycle, ControllerCalls};
use crate::model::{BrokerId, ErrorCode, ProducerId};
use crate::rpc::metadata::{AllocateProducerIds, MetadataCommand, metadata_command, metadata_reply};

use super::context::CONTROLLER_TIMEOUT;

/// The block in use. One request fetches the next block while others wait for it.
#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id that no producer of this cluster has had. The error is retriable.
    pub async fn next(
        &self,
        broker_id: BrokerId,
        lifecycle: &BrokerLifecycle,
        controller: &ControllerCalls,
    ) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(ProducerId(id));
        }
        *block = allocate(broker_id, lifecycle, controller).await?;
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}

async fn allocate(
    broker_id: BrokerId,
    lifecycle: &BrokerLifecycle,
    controller: &ControllerCalls,
) -> Result<Range<i64>, ErrorCode> {
    let broker_epoch = lifecycle.broker_epoch().ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let command = AllocateProducerIds { broker_id: broker_id.0, broker_epoch: broker_epoch.0 };
    let command = MetadataCommand { kind: Some(metadata_command::Kind::AllocateProducerIds(command)) };
    let reply = controller.submit(command, CONTROLLER_TIMEOUT).await;
    match reply.map(|reply| reply.kind) {
        Ok(Some(metadata_reply::Kind::AllocateProducerIds(block))) if block.length > 0 => {
            Ok(block.start..block.start + i64::from(block.length))
        }
        // Whatever the reason, the producer asks again and may find it gone.
        Ok(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        Err(error) => {
            tracing::warn!("cannot get a block of producer ids: {error}");
            Err(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}
