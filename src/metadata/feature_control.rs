//! Features: what the whole cluster has agreed to be able to read (invariant D10).
//!
//! A new kind of record, or a new meaning of an old one, gets a new level of `ottla.version`. It is written
//! only once that level has been finalized, and a level is finalized only when every registered broker can
//! run at it; a broker that cannot is not registered afterwards.
//!
//! | level of `ottla.version` | brings |
//! |---|---|
//! | 1 | the first records |
//! | 2 | reassignments: replicas that change, and are being added and removed |
//! | 3 | limits of clients |
//! | 4 | replicas that are offline while their broker goes on |
//! | 5 | topics that are deleted and can be restored; numbers of the starts of brokers |

use std::collections::BTreeSet;

use super::draft::{Draft, Refusal};
use super::image::ClusterImage;
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    FeatureLevelRecord, FeatureResult, FeatureUpdate, SupportedFeature, UpdateFeatures, UpdateFeaturesReply,
    metadata_reply::Kind as Reply,
};

/// Kafka's number for an update that may only raise the level.
const UPGRADE: i32 = 1;

/// What decides which records may be written.
const VERSION_FEATURE: &str = "ottla.version";
/// The level from which on the replicas of a partition may change.
const REASSIGNMENT_LEVEL: i32 = 2;
/// The level from which on clients may have limits.
const CLIENT_QUOTA_LEVEL: i32 = 3;
/// The level from which on a deleted topic may be kept.
const DELETED_TOPIC_LEVEL: i32 = 5;

/// The level from which on single replicas of a broker may be offline.
const OFFLINE_REPLICAS_LEVEL: i32 = 4;

/// Kafka's: from level 2 on clients may end their transactions with a bump of the epoch (KIP-890).
const TRANSACTION_VERSION_FEATURE: &str = "transaction.version";

/// The features of this version with the levels that it can run at. A broker registers with these.
pub fn supported_features() -> Vec<SupportedFeature> {
    vec![
        SupportedFeature { name: VERSION_FEATURE.to_owned(), min_level: 1, max_level: DELETED_TOPIC_LEVEL },
        SupportedFeature { name: TRANSACTION_VERSION_FEATURE.to_owned(), min_level: 0, max_level: 2 },
    ]
}

/// Finalizes levels of features, all of them or none.
pub(super) fn update_features(draft: &mut Draft<'_>, command: &UpdateFeatures) -> Reply {
    let mut update = draft.branch();
    let mut seen = BTreeSet::new();
    let features = command.updates.iter().map(|asked| {
        let updated = match seen.insert(&asked.name) {
            true => update_feature(&mut update, asked),
            false => Err(Refusal::new(ErrorCode::InvalidRequest, "the request names the feature twice")),
        };
        feature_result(&asked.name, updated)
    });
    let features: Vec<FeatureResult> = features.collect();
    let all_granted = features.iter().all(|feature| feature.error_code == i32::from(ErrorCode::None.code()));
    if all_granted && !command.validate_only {
        draft.merge(update);
    }
    Reply::UpdateFeatures(UpdateFeaturesReply { features })
}

fn feature_result(name: &str, updated: Result<(), Refusal>) -> FeatureResult {
    let refusal = updated.err();
    FeatureResult {
        name: name.to_owned(),
        error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
        error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
    }
}

fn update_feature(draft: &mut Draft<'_>, asked: &FeatureUpdate) -> Result<(), Refusal> {
    let FeatureUpdate { name, level, upgrade_type } = asked;
    let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidUpdateVersion, format!("{name}: {why}")));
    let Some(ours) = supported_features().into_iter().find(|feature| feature.name == *name) else {
        return refuse("the controllers do not know this feature".to_owned());
    };
    if !supports(std::slice::from_ref(&ours), name, *level) {
        return refuse(format!("the controllers can run at levels {} to {}", ours.min_level, ours.max_level));
    }
    let current = draft.image().feature_level(name);
    if *level < current && *upgrade_type == UPGRADE {
        return refuse(format!("an upgrade cannot go from level {current} to {level}"));
    }
    if let Some(broker) = draft.image().brokers().find(|broker| !supports(&broker.features, name, *level)) {
        return refuse(format!("broker {} cannot run at level {level}", broker.id));
    }
    if *level < REASSIGNMENT_LEVEL && draft.image().reassignments().next().is_some() {
        return refuse(format!("level {level} knows no reassignments, and some are under way: finish or cancel them"));
    }
    if name == VERSION_FEATURE && *level < CLIENT_QUOTA_LEVEL && !draft.image().has_no_client_quotas() {
        return refuse(format!("level {level} knows no limits of clients, and some are set: remove them first"));
    }
    if name == VERSION_FEATURE && *level < OFFLINE_REPLICAS_LEVEL && has_offline_replicas(draft.image()) {
        return refuse(format!(
            "level {level} knows no offline replicas, and some brokers have failed log directories"
        ));
    }
    if name == VERSION_FEATURE && *level < DELETED_TOPIC_LEVEL && draft.image().deleted_topics().next().is_some() {
        let message = "keeps no deleted topics, and some are kept: set ottla.topic.delete.retention.ms=0 first";
        return refuse(format!("level {level} {message}"));
    }
    if *level != current {
        draft.add(FeatureLevelRecord { name: name.clone(), level: *level });
    }
    Ok(())
}

/// Refuses to change the replicas of partitions while a node may be in the cluster that cannot read it.
pub(super) fn check_reassignments(image: &ClusterImage) -> Result<(), Refusal> {
    check_level(image, REASSIGNMENT_LEVEL, "partitions can be reassigned")
}

/// The same for limits of clients.
pub(super) fn check_client_quotas(image: &ClusterImage) -> Result<(), Refusal> {
    check_level(image, CLIENT_QUOTA_LEVEL, "limits of clients can be set")
}

/// The same for replicas that are offline while their broker goes on.
pub(super) fn check_offline_replicas(image: &ClusterImage) -> Result<(), Refusal> {
    check_level(image, OFFLINE_REPLICAS_LEVEL, "a broker can go on without a failed log directory")
}

/// True when the cluster can be told of replicas that are offline while their broker goes on.
pub fn knows_offline_replicas(image: &ClusterImage) -> bool {
    check_offline_replicas(image).is_ok()
}

fn has_offline_replicas(image: &ClusterImage) -> bool {
    image.brokers().any(|broker| !broker.offline_replicas.is_empty())
}

/// Whether a deleted topic may be kept: every node can read it.
pub(super) fn keeps_deleted_topics(image: &ClusterImage) -> bool {
    image.feature_level(VERSION_FEATURE) >= DELETED_TOPIC_LEVEL
}

fn check_level(image: &ClusterImage, needed: i32, what: &str) -> Result<(), Refusal> {
    let level = image.feature_level(VERSION_FEATURE);
    if level >= needed {
        return Ok(());
    }
    let message = format!(
        "the cluster runs at level {level} of {VERSION_FEATURE}, and {what} from level {needed} on: upgrade the feature \
         once all nodes run this version"
    );
    Err(Refusal::new(ErrorCode::UnsupportedVersion, message))
}

/// True when a node with these features can run at that level of one of them.
pub(super) fn supports(features: &[SupportedFeature], name: &str, level: i32) -> bool {
    features.iter().any(|feature| feature.name == name && (feature.min_level..=feature.max_level).contains(&level))
}
