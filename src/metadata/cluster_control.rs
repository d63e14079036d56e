//! The cluster's name, and the producer ids it hands out.

use super::broker_control::check_epoch;
use super::config_image::ConfigResourceType;
use super::draft::{Draft, MIN_INSYNC_REPLICAS, Refusal};
use super::feature_control::supported_features;
use crate::model::{BrokerId, ErrorCode};
use crate::rpc::metadata::{
    AllocateProducerIds, AllocateProducerIdsReply, ClusterIdRecord, ConfigRecord, FeatureLevelRecord,
    InitializeCluster, InitializeClusterReply, ProducerIdsRecord, SupportedFeature, metadata_reply::Kind as Reply,
};

/// How many producer ids a broker gets at a time.
const PRODUCER_ID_BLOCK_SIZE: i32 = 1000;

/// The first caller names the cluster, whose features begin at the highest levels of this version; whoever
/// comes later learns the name. The minimum of the ISR is written down too, as Kafka does where there are ELRs (KIP-966):
/// controllers whose files differ decide by the same one.
pub(super) fn initialize(draft: &mut Draft<'_>, command: &InitializeCluster) -> Result<Reply, Refusal> {
    if draft.image().cluster_id().is_none() {
        if command.cluster_id.is_empty() {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "a cluster needs a name"));
        }
        draft.add(ClusterIdRecord { cluster_id: command.cluster_id.clone() });
        for SupportedFeature { name, max_level, .. } in supported_features() {
            draft.add(FeatureLevelRecord { name, level: max_level });
        }
    }
    if !draft.image().has_agreed_minimum() {
        draft.add(ConfigRecord {
            resource_type: ConfigResourceType::Broker.code().into(),
            resource_name: String::new(),
            key: MIN_INSYNC_REPLICAS.to_owned(),
            value: Some(draft.defaults().min_insync_replicas.to_string()),
        });
    }
    let cluster_id = draft.image().cluster_id().map(|id| id.to_string()).unwrap_or_default();
    Ok(Reply::InitializeCluster(InitializeClusterReply { cluster_id }))
}

/// Hands a block of ids to a broker; no id is ever handed out twice.
pub(super) fn allocate_producer_ids(draft: &mut Draft<'_>, command: &AllocateProducerIds) -> Result<Reply, Refusal> {
    check_epoch(draft.image(), BrokerId(command.broker_id), command.broker_epoch)?;
    let start = draft.image().next_producer_id().0;
    let exhausted = || Refusal::new(ErrorCode::UnknownServerError, "there are no producer ids left");
    let next_producer_id = start.checked_add(PRODUCER_ID_BLOCK_SIZE.into()).ok_or_else(exhausted)?;
    let AllocateProducerIds { broker_id, broker_epoch } = *command;
    draft.add(ProducerIdsRecord { broker_id, broker_epoch, next_producer_id });
    Ok(Reply::AllocateProducerIds(AllocateProducerIdsReply { start, length: PRODUCER_ID_BLOCK_SIZE }))
}
