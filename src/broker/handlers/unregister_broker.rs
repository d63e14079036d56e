//! UnregisterBroker, version 0 (KIP-631).
//!
//! Forgets a broker that will not come back. One that lives registers again with its next heartbeat, so this is for
//! brokers that were taken away for good, after their replicas were moved.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{error_code, message};
use crate::broker::submit::CONTROLLER_TIMEOUT;
use crate::protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::rpc::metadata::{UnregisterBroker, metadata_command};

/// Forgets the broker.
pub async fn handle(context: &Context, _: Call, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let command = UnregisterBroker { broker_id: request.broker_id };
    let reply = context.submit(metadata_command::Kind::UnregisterBroker(command), CONTROLLER_TIMEOUT).await;
    let (error_code, error_message) = match reply {
        Ok(reply) => (error_code(reply.error_code), message(reply.error_message)),
        Err(error) => (error.error_code(), Some(error.to_string())),
    };
    UnregisterBrokerResponse { throttle_time_ms: 0, error_code, error_message }
}
