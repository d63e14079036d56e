//! IncrementalAlterConfigs: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message IncrementalAlterConfigsRequest (versions 0..=1, flexible 1..) {
        resources: Vec<IncrementalAlterConfigsResource> [0..],
        validate_only: bool [0..],
    }

    struct IncrementalAlterConfigsResource {
        resource_type: i8 [0..],
        resource_name: String [0..],
        configs: Vec<IncrementalAlterableConfig> [0..],
    }

    struct IncrementalAlterableConfig {
        name: String [0..],
        config_operation: i8 [0..],
        value: Option<String> [0.., null 0..],
    }

    message IncrementalAlterConfigsResponse (versions 0..=1, flexible 1..) {
        throttle_time_ms: i32 [0..],
        responses: Vec<IncrementalAlterConfigsResourceResponse> [0..],
    }

    struct IncrementalAlterConfigsResourceResponse {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        resource_type: i8 [0..],
        resource_name: String [0..],
    }
}
