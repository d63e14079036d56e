//! IncrementalAlterConfigs, versions 0 and 1.
//!
//! Sets, deletes, appends to and subtracts from single keys of topics, brokers, the default of all brokers and groups
//! (KIP-339); appending and subtracting are for lists. The controllers judge each resource by itself, and change all of
//! its keys or none. Version 1 is flexible. Broker loggers and client metrics are refused with INVALID_REQUEST.

use crate::broker::call::Call;
use crate::broker::config_answers;
use crate::broker::context::Context;
use crate::protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterConfigsResourceResponse,
    IncrementalAlterConfigsResponse,
};
use crate::rpc::metadata::{ConfigOperation, IncrementalAlterConfigs, IncrementalConfigChange, metadata_command};

/// Changes configs.
pub async fn handle(
    context: &Context,
    _: Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let command = metadata_command::Kind::IncrementalAlterConfigs(IncrementalAlterConfigs {
        resources: request.resources.iter().map(wanted).collect(),
        validate_only: request.validate_only,
    });
    let asked = request.resources.into_iter().map(|resource| (resource.resource_type, resource.resource_name));
    let answers = config_answers::alter(context, command, asked.collect()).await;
    let responses = answers.into_iter().map(|answer| IncrementalAlterConfigsResourceResponse {
        error_code: answer.error_code,
        error_message: answer.error_message,
        resource_type: answer.resource_type,
        resource_name: answer.resource_name,
    });
    IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
}

fn wanted(resource: &IncrementalAlterConfigsResource) -> IncrementalConfigChange {
    let operations = resource.configs.iter().map(|config| ConfigOperation {
        key: config.name.clone(),
        operation: config.config_operation.into(),
        value: config.value.clone(),
    });
    IncrementalConfigChange {
        resource: Some(config_answers::resource(resource.resource_type, &resource.resource_name)),
        operations: operations.collect(),
    }
}
