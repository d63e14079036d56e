//! ApiVersions: which APIs a broker serves, in which versions.
//!
//! The first request of every client. Its response always has header version 0, and a version that is not
//! known is answered in version 0. Version 3 is flexible and brings the client's software (KIP-511) and
//! features (KIP-584); from version 4 on the lowest version of a feature may be 0.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Who asks.
    message ApiVersionsRequest (versions 0..=4, flexible 3..) {
        client_software_name: String [3..],
        client_software_version: String [3..],
    }

    /// What the broker serves.
    message ApiVersionsResponse (versions 0..=4, flexible 3..) {
        error_code: ErrorCode [0..],
        api_keys: Vec<ApiVersion> [0..],
        throttle_time_ms: i32 [1..],
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0],
        /// Grows with every change of the features; -1 when it is not known.
        finalized_features_epoch: i64 [3.., default -1, tag 1],
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2],
        zk_migration_ready: bool [3.., tag 3],
    }

    /// The versions of one API that the broker serves.
    struct ApiVersion {
        /// A plain number, because a broker may serve APIs that we do not know.
        api_key: i16 [0..],
        min_version: i16 [0..],
        max_version: i16 [0..],
    }

    /// A feature with the levels that the broker supports.
    struct SupportedFeatureKey {
        name: String [3..],
        min_version: i16 [3..],
        max_version: i16 [3..],
    }

    /// A feature with the level that is in force in the cluster.
    struct FinalizedFeatureKey {
        name: String [3..],
        max_version_level: i16 [3..],
        min_version_level: i16 [3..],
    }
}
