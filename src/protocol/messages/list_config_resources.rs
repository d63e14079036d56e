//! ListConfigResources: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message ListConfigResourcesRequest (versions 0..=1, flexible 0..) {
        resource_types: Vec<i8> [1..],
    }

    message ListConfigResourcesResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        config_resources: Vec<ConfigResource> [0..],
    }

    struct ConfigResource {
        resource_name: String [0..],
        resource_type: i8 [1.., default 16],
    }
}
