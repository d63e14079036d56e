//! DescribeConfigs: reads the configuration of topics, brokers and the like.
//!
//! Version 1 brings the source of each value and synonyms instead of `is_default` (KIP-226), version 3 types
//! and documentation (KIP-569), version 4 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The resources to describe.
    message DescribeConfigsRequest (versions 0..=4, flexible 4..) {
        resources: Vec<DescribeConfigsResource> [0..],
        include_synonyms: bool [1..],
        include_documentation: bool [3..],
    }

    /// A resource to describe, and which of its keys.
    struct DescribeConfigsResource {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        resource_name: String [0..],
        /// Null for all keys.
        configuration_keys: Option<Vec<String>> [0.., null 0..],
    }

    /// The resources described.
    message DescribeConfigsResponse (versions 0..=4, flexible 4..) {
        throttle_time_ms: i32 [0..],
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// The configuration of one resource.
    struct DescribeConfigsResult {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        resource_type: i8 [0..],
        resource_name: String [0..],
        configs: Vec<DescribeConfigsResourceResult> [0..],
    }

    /// One configuration value.
    struct DescribeConfigsResourceResult {
        name: String [0..],
        value: Option<String> [0.., null 0..],
        read_only: bool [0..],
        is_default: bool [0..=0],
        /// 1 topic, 2 broker, 3 default of all brokers, 4 file, 5 default, 6 broker logger, 7 client metrics, 8
        /// group.
        config_source: i8 [1.., default -1],
        is_sensitive: bool [0..],
        synonyms: Vec<DescribeConfigsSynonym> [1..],
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        config_type: i8 [3..],
        documentation: Option<String> [3.., null 0..],
    }

    /// Another key, or another source, that would give the value if this one did not.
    struct DescribeConfigsSynonym {
        name: String [1..],
        value: Option<String> [1.., null 0..],
        source: i8 [1..],
    }
}
