//! UpdateFeatures: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message UpdateFeaturesRequest (versions 0..=2, flexible 0..) {
        timeout_ms: i32 [0.., default 60000],
        feature_updates: Vec<FeatureUpdateKey> [0..],
        validate_only: bool [1..],
    }

    struct FeatureUpdateKey {
        feature: String [0..],
        max_version_level: i16 [0..],
        allow_downgrade: bool [0..=0],
        upgrade_type: i8 [1.., default 1],
    }

    message UpdateFeaturesResponse (versions 0..=2, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        results: Vec<UpdatableFeatureResult> [0..=1],
    }

    struct UpdatableFeatureResult {
        feature: String [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
