//! ListConfigResources: the resources that have a configuration.
//!
//! Version 0 knew client metrics only (KIP-714), version 1 brings other types (KIP-1142).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The types of resources to list; none for all of them.
    message ListConfigResourcesRequest (versions 0..=1, flexible 0..) {
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    message ListConfigResourcesResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        config_resources: Vec<ConfigResource> [0..],
    }

    /// A resource that has a configuration.
    struct ConfigResource {
        resource_name: String [0..],
        resource_type: i8 [1.., default 16],
    }
}
