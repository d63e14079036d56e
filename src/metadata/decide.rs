//! The leader decides: commands in, records and replies out.
//!
//! A batch of commands is decided over one image, in order, and each command sees the records of those
//! before it. The batch's records go into the log as one entry, together with the index of the image that
//! they were decided on; an entry that finds another image when it is applied is dropped, and its callers
//! ask again. So a decision never takes effect in a state other than the one it was made in.
//!
//! `decide` is total. A refusal is a reply, and a refused command leaves no record.

use super::cluster_defaults::ClusterDefaults;
use super::draft::{Draft, Refusal};
use super::image::ClusterImage;
use super::{
    broker_control, client_quota_control, cluster_control, config_control, deleted_topic_control, election_control,
    feature_control, isr_control, offline_control, partition_control, reassignment_control, topic_control,
};
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    MetadataCommand, MetadataRecord, MetadataReply, metadata_command::Kind, metadata_reply::Kind as Reply,
};

/// The commands that become one entry of the log.
pub struct Batch<'a> {
    draft: Draft<'a>,
    base_index: i64,
}

impl<'a> Batch<'a> {
    /// Begins a batch over the applied image.
    pub fn new(image: &ClusterImage, defaults: &'a ClusterDefaults) -> Self {
        Self { draft: Draft::new(image.clone(), defaults), base_index: image.applied_index() }
    }

    /// Decides one command.
    pub fn decide(&mut self, command: &MetadataCommand) -> MetadataReply {
        let mut draft = self.draft.branch();
        let decided = decide(&mut draft, command);
        if decided.is_ok() {
            self.draft.merge(draft);
        }
        reply(decided, self.draft.image().applied_index())
    }

    /// The image as it will be once the records so far have been replayed.
    pub fn image(&self) -> &ClusterImage {
        self.draft.image()
    }

    /// The metadata index that the image must have for the records to be replayed.
    pub fn base_index(&self) -> i64 {
        self.base_index
    }

    /// The records of all commands decided, in order: the first has the index `base_index() + 1`.
    pub fn into_records(self) -> Vec<MetadataRecord> {
        self.draft.into_records()
    }
}

fn decide(draft: &mut Draft<'_>, command: &MetadataCommand) -> Result<Option<Reply>, Refusal> {
    let unknown = || Refusal::new(ErrorCode::UnsupportedVersion, "this controller does not know the command");
    let nothing_to_say = |()| None;
    match command.kind.as_ref().ok_or_else(unknown)? {
        Kind::InitializeCluster(command) => cluster_control::initialize(draft, command).map(Some),
        Kind::RegisterBroker(command) => broker_control::register(draft, command).map(Some),
        Kind::UnfenceBroker(command) => broker_control::unfence(draft, command).map(nothing_to_say),
        Kind::FenceBroker(command) => broker_control::fence(draft, command).map(nothing_to_say),
        Kind::BeginControlledShutdown(command) => {
            broker_control::begin_controlled_shutdown(draft, command).map(nothing_to_say)
        }
        Kind::UnregisterBroker(command) => broker_control::unregister(draft, command).map(nothing_to_say),
        Kind::CreateTopics(command) => Ok(Some(topic_control::create_topics(draft, command))),
        Kind::CreatePartitions(command) => Ok(Some(partition_control::create_partitions(draft, command))),
        Kind::DeleteTopics(command) => Ok(Some(topic_control::delete_topics(draft, command))),
        Kind::RemoveExpiredTopics(command) => {
            deleted_topic_control::remove_expired(draft, command);
            Ok(None)
        }
        Kind::AlterPartition(command) => isr_control::alter_partition(draft, command).map(Some),
        Kind::ElectLeaders(command) => election_control::elect_leaders(draft, command).map(Some),
        Kind::AlterPartitionReassignments(command) => Ok(Some(reassignment_control::reassign(draft, command))),
        Kind::IncrementalAlterConfigs(command) => Ok(Some(config_control::incremental_alter_configs(draft, command))),
        Kind::AlterConfigs(command) => Ok(Some(config_control::alter_configs(draft, command))),
        Kind::AllocateProducerIds(command) => cluster_control::allocate_producer_ids(draft, command).map(Some),
        Kind::AlterClientQuotas(command) => client_quota_control::alter(draft, command).map(Some),
        Kind::ReportOfflineReplicas(command) => offline_control::report(draft, command).map(nothing_to_say),
        // Every reply says how far the metadata has come.
        Kind::ReadIndex(_) => Ok(None),
        Kind::UpdateFeatures(command) => Ok(Some(feature_control::update_features(draft, command))),
    }
}

fn reply(decided: Result<Option<Reply>, Refusal>, metadata_index: i64) -> MetadataReply {
    let (error_code, error_message, kind) = match decided {
        Ok(kind) => (ErrorCode::None, String::new(), kind),
        Err(refusal) => (refusal.code, refusal.message, None),
    };
    MetadataReply { error_code: error_code.code().into(), error_message, metadata_index, kind }
}
