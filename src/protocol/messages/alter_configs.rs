//! AlterConfigs: replaces the whole configuration of a topic or a broker. Version 2 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The new configurations.
    message AlterConfigsRequest (versions 0..=2, flexible 2..) {
        resources: Vec<AlterConfigsResource> [0..],
        validate_only: bool [0..],
    }

    /// The new configuration of one resource. What it leaves out returns to the default.
    struct AlterConfigsResource {
        resource_type: i8 [0..],
        resource_name: String [0..],
        configs: Vec<AlterableConfig> [0..],
    }

    /// One configuration value.
    struct AlterableConfig {
        name: String [0..],
        value: Option<String> [0.., null 0..],
    }

    /// Which configurations were replaced.
    message AlterConfigsResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// Whether one configuration was replaced.
    struct AlterConfigsResourceResponse {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        resource_type: i8 [0..],
        resource_name: String [0..],
    }
}
