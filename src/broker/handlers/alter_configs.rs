//! AlterConfigs, versions 0 to 2.
//!
//! Replaces all configs of topics, brokers, the default of all brokers and groups: what is not named is unset. Clients
//! should prefer IncrementalAlterConfigs. The controllers judge each resource by itself, and change all of its keys or
//! none. A null value is refused with INVALID_REQUEST. Version 2 is flexible.

use crate::broker::call::Call;
use crate::broker::config_answers;
use crate::broker::context::Context;
use crate::protocol::messages::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use crate::rpc::metadata::{AlterConfigs, ConfigEntry, ConfigReplacement, metadata_command};

/// Replaces configs.
pub async fn handle(context: &Context, _: Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let command = metadata_command::Kind::AlterConfigs(AlterConfigs {
        resources: request.resources.iter().map(wanted).collect(),
        validate_only: request.validate_only,
    });
    let asked = request.resources.into_iter().map(|resource| (resource.resource_type, resource.resource_name));
    let answers = config_answers::alter(context, command, asked.collect()).await;
    let responses = answers.into_iter().map(|answer| AlterConfigsResourceResponse {
        error_code: answer.error_code,
        error_message: answer.error_message,
        resource_type: answer.resource_type,
        resource_name: answer.resource_name,
    });
    AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() }
}

fn wanted(resource: &AlterConfigsResource) -> ConfigReplacement {
    let configs = resource.configs.iter();
    ConfigReplacement {
        resource: Some(config_answers::resource(resource.resource_type, &resource.resource_name)),
        configs: configs.map(|config| ConfigEntry { key: config.name.clone(), value: config.value.clone() }).collect(),
    }
}
