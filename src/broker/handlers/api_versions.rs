//! ApiVersions, versions 0 to 4.
//!
//! Answers the dispatch table, so what is not served is not advertised. Version 3 brings the client's name and
//! version (KIP-511), which are checked; the response header is version 0 always. A version above 4 is answered in
//! version 0 with UNSUPPORTED_VERSION and the range of this API, by `dispatch`, and the connection goes on.
//! Finalised features are those of the metadata image (KIP-584).

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::served::Served;
use crate::metadata::ClusterImage;
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey};

/// Answers what is served.
pub async fn handle(context: &Context, call: Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let named = call.api_version >= 3;
    if named && !(is_valid(&request.client_software_name) && is_valid(&request.client_software_version)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest, ..ApiVersionsResponse::default() };
    }
    let image = context.image();
    ApiVersionsResponse {
        api_keys: context.served.iter().map(Served::row).collect(),
        supported_features: supported_features(&image, context.broker_id, call.api_version),
        finalized_features_epoch: image.applied_index(),
        finalized_features: image
            .features()
            .map(|(name, level)| {
                let level = i16::try_from(level).unwrap_or(i16::MAX);
                FinalizedFeatureKey { name: name.to_owned(), max_version_level: level, min_version_level: level }
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

/// What this broker registered that it can run at.
fn supported_features(image: &ClusterImage, broker_id: BrokerId, api_version: i16) -> Vec<SupportedFeatureKey> {
    let level = |level: i32| i16::try_from(level).unwrap_or(i16::MAX);
    let features = image.broker(broker_id).map(|broker| broker.features.as_slice()).unwrap_or_default();
    features
        .iter()
        // Clients before version 4 cannot read a minimum of 0 (KAFKA-17011).
        .filter(|feature| api_version >= 4 || feature.min_level > 0)
        .map(|feature| SupportedFeatureKey {
            name: feature.name.clone(),
            min_version: level(feature.min_level),
            max_version: level(feature.max_level),
        })
        .collect()
}

/// Letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_valid(text: &str) -> bool {
    let ends = |at: Option<char>| at.is_some_and(|c| c.is_ascii_alphanumeric());
    let all = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    all && ends(text.chars().next()) && ends(text.chars().last())
}
