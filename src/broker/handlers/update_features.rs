//! UpdateFeatures, versions 0 to 2.
//!
//! Finalises levels of features, all of them or none (KIP-584). Version 0 has `allow_downgrade`, version 1 an upgrade
//! type and `validate_only` (KIP-778). Up to version 1 each feature is answered when all went well; a failure is
//! answered for the request as a whole, with the first feature that cannot be changed. The features are Ottla's own:
//! those of Kafka's releases (`metadata.version` and others) do not exist here, and are refused as unknown.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{ask, error_code, unexpected};
use crate::model::ErrorCode;
use crate::protocol::messages::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use crate::rpc::metadata::{FeatureResult, FeatureUpdate, UpdateFeatures, metadata_command, metadata_reply};

/// Kafka's numbers.
const UPGRADE: i32 = 1;
const SAFE_DOWNGRADE: i32 = 2;

/// Changes the levels of features.
pub async fn handle(context: &Context, call: Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let command = UpdateFeatures {
        updates: request.feature_updates.iter().map(|update| wanted(update, call.api_version)).collect(),
        validate_only: request.validate_only,
    };
    let refused = match ask(context, metadata_command::Kind::UpdateFeatures(command), request.timeout_ms).await {
        Ok(metadata_reply::Kind::UpdateFeatures(reply)) => return answer(reply.features),
        Ok(_) => unexpected(),
        Err(refused) => refused,
    };
    UpdateFeaturesResponse {
        error_code: refused.error_code,
        error_message: refused.error_message,
        ..UpdateFeaturesResponse::default()
    }
}

fn wanted(update: &FeatureUpdateKey, api_version: i16) -> FeatureUpdate {
    let upgrade_type = match api_version {
        0 if update.allow_downgrade => SAFE_DOWNGRADE,
        0 => UPGRADE,
        _ => update.upgrade_type.into(),
    };
    FeatureUpdate { name: update.feature.clone(), level: update.max_version_level.into(), upgrade_type }
}

fn answer(features: Vec<FeatureResult>) -> UpdateFeaturesResponse {
    if let Some(failed) = features.iter().find(|feature| feature.error_code != 0) {
        return UpdateFeaturesResponse {
            error_code: error_code(failed.error_code),
            error_message: Some(format!("no feature was changed, because of {}", failed.error_message)),
            ..UpdateFeaturesResponse::default()
        };
    }
    let changed = |feature: FeatureResult| UpdatableFeatureResult {
        feature: feature.name,
        error_code: ErrorCode::None,
        error_message: None,
    };
    UpdateFeaturesResponse { results: features.into_iter().map(changed).collect(), ..UpdateFeaturesResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_the_answer_for_all() {
        let good = FeatureResult { name: "a".to_owned(), ..FeatureResult::default() };
        let bad = FeatureResult { error_code: 95, error_message: "b: why".to_owned(), ..good.clone() };
        let response = answer(vec![good.clone(), bad]);
        assert_eq!((response.error_code, response.results.len()), (ErrorCode::InvalidUpdateVersion, 0));
        let response = answer(vec![good]);
        assert_eq!((response.error_code, response.results.len()), (ErrorCode::None, 1));
    }

    #[test]
    fn version_0_may_allow_a_downgrade() {
        let update = FeatureUpdateKey { allow_downgrade: true, upgrade_type: 3, ..FeatureUpdateKey::default() };
        assert_eq!((wanted(&update, 0).upgrade_type, wanted(&update, 1).upgrade_type), (SAFE_DOWNGRADE, 3));
        assert_eq!(wanted(&FeatureUpdateKey { allow_downgrade: false, ..update }, 0).upgrade_type, UPGRADE);
    }
}
