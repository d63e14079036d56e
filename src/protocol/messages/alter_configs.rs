//! AlterConfigs: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message AlterConfigsRequest (versions 0..=2, flexible 2..) {
        resources: Vec<AlterConfigsResource> [0..],
        validate_only: bool [0..],
    }

    struct AlterConfigsResource {
        resource_type: i8 [0..],
        resource_name: String [0..],
        configs: Vec<AlterableConfig> [0..],
    }

    struct AlterableConfig {
        name: String [0..],
        value: Option<String> [0.., null 0..],
    }

    message AlterConfigsResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    struct AlterConfigsResourceResponse {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        resource_type: i8 [0..],
        resource_name: String [0..],
    }
}
