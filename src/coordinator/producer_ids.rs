//! Hands out producer ids from blocks that the controllers allot to this broker.

use std::ops::Range;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::cluster::{BrokerLifecycle, ControllerCalls};
use crate::model::{BrokerId, ErrorCode, ProducerId};
use crate::rpc::metadata::{AllocateProducerIds, MetadataCommand, metadata_command, metadata_reply};

/// How long the controllers are waited for.
const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(30);

/// The block in use. One request fetches the next block while others wait for it.
pub struct ProducerIds {
    broker_id: BrokerId,
    lifecycle: BrokerLifecycle,
    controller: ControllerCalls,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// Without a block yet.
    pub fn new(broker_id: BrokerId, lifecycle: BrokerLifecycle, controller: ControllerCalls) -> Self {
        Self { broker_id, lifecycle, controller, block: Mutex::default() }
    }

    /// An id that no producer of this cluster has had. The error is retriable.
    pub async fn next(&self) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(ProducerId(id));
        }
        *block = self.allocate().await?;
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }

    async fn allocate(&self) -> Result<Range<i64>, ErrorCode> {
        let broker_epoch = self.lifecycle.broker_epoch().ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let command = AllocateProducerIds { broker_id: self.broker_id.0, broker_epoch: broker_epoch.0 };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::AllocateProducerIds(command)) };
        let reply = self.controller.submit(command, CONTROLLER_TIMEOUT).await;
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
}
