//! UpdateFeatures: raises or lowers the levels of features (KIP-584).
//!
//! Version 1 brings kinds of downgrade and `validate_only` (KIP-778); version 2 has one error for all.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The levels to set.
    message UpdateFeaturesRequest (versions 0..=2, flexible 0..) {
        timeout_ms: i32 [0.., default 60000],
        feature_updates: Vec<FeatureUpdateKey> [0..],
        validate_only: bool [1..],
    }

    /// The level to set for one feature.
    struct FeatureUpdateKey {
        feature: String [0..],
        max_version_level: i16 [0..],
        allow_downgrade: bool [0..=0],
        /// 1 upgrade, 2 safe downgrade, 3 unsafe downgrade.
        upgrade_type: i8 [1.., default 1],
    }

    /// Which levels were set.
    message UpdateFeaturesResponse (versions 0..=2, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        results: Vec<UpdatableFeatureResult> [0..=1],
    }

    /// What became of one feature.
    struct UpdatableFeatureResult {
        feature: String [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
