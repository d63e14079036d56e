//! IncrementalAlterConfigs: sets or removes single configuration values (KIP-339). Version 1 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The changes.
    message IncrementalAlterConfigsRequest (versions 0..=1, flexible 1..) {
        resources: Vec<IncrementalAlterConfigsResource> [0..],
        validate_only: bool [0..],
    }

    /// The changes of one resource.
    struct IncrementalAlterConfigsResource {
        resource_type: i8 [0..],
        resource_name: String [0..],
        configs: Vec<IncrementalAlterableConfig> [0..],
    }

    /// The change of one configuration value.
    struct IncrementalAlterableConfig {
        name: String [0..],
        /// 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
        config_operation: i8 [0..],
        value: Option<String> [0.., null 0..],
    }

    /// Which resources were changed.
    message IncrementalAlterConfigsResponse (versions 0..=1, flexible 1..) {
        throttle_time_ms: i32 [0..],
        responses: Vec<IncrementalAlterConfigsResourceResponse> [0..],
    }

    /// Whether one resource was changed.
    struct IncrementalAlterConfigsResourceResponse {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        resource_type: i8 [0..],
        resource_name: String [0..],
    }
}
