//! ListConfigResources, versions 0 and 1.
//!
//! Version 0 lists client metrics subscriptions, of which there are none here. Version 1 lists resources by type
//! (KIP-1142): all topics, all brokers, the groups that have configs; no type asks for all types. A type that does not
//! exist is UNSUPPORTED_VERSION. Broker loggers cannot be configured here, so none are listed.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::config::ResourceType;
use crate::metadata::{ClusterImage, ConfigResource as ConfigOwner};
use crate::model::ErrorCode;
use crate::protocol::messages::{ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse};

const ALL: [ResourceType; 3] = [ResourceType::Broker, ResourceType::Topic, ResourceType::Group];

/// Lists resources.
pub async fn handle(context: &Context, call: Call, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    if call.api_version == 0 {
        return ListConfigResourcesResponse::default();
    }
    let asked: Option<Vec<ResourceType>> = match request.resource_types.as_slice() {
        [] => Some(ALL.to_vec()),
        codes => codes.iter().map(|&code| ResourceType::from_code(code)).collect(),
    };
    let Some(mut asked) = asked else {
        let error_code = ErrorCode::UnsupportedVersion;
        return ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
    };
    asked.sort();
    asked.dedup();
    let image = context.image();
    let config_resources = asked.into_iter().flat_map(|resource_type| resources(&image, resource_type)).collect();
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

fn resources(image: &ClusterImage, resource_type: ResourceType) -> Vec<ConfigResource> {
    let names: Vec<String> = match resource_type {
        ResourceType::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        ResourceType::Broker => image.brokers().map(|broker| broker.id.to_string()).collect(),
        ResourceType::Group => {
            let owners = image.configs().map(|(owner, _)| owner);
            let is_group = |owner: &&ConfigOwner| **owner == ConfigOwner::group(&owner.name);
            owners.filter(is_group).map(|owner| owner.name.to_string()).collect()
        }
        ResourceType::BrokerLogger | ResourceType::ClientMetrics => Vec::new(),
    };
    let resource_type = resource_type.code();
    names.into_iter().map(|resource_name| ConfigResource { resource_name, resource_type }).collect()
}
