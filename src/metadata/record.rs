//! Small conversions between the generated records and the machine's own types.

use bytes::Bytes;

use crate::model::{TopicId, Uuid};
use crate::rpc::metadata::{self as proto, MetadataRecord, TopicIdPartition, metadata_record::Kind};

/// An id as the `bytes` of a message.
pub fn uuid_bytes(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

/// The id in a message's `bytes`; `None` unless there are 16.
pub fn uuid_from_bytes(bytes: &[u8]) -> Option<Uuid> {
    bytes.try_into().ok().map(Uuid)
}

/// A partition as messages name it.
pub fn partition_name((topic_id, partition): (TopicId, i32)) -> TopicIdPartition {
    TopicIdPartition { topic_id: uuid_bytes(topic_id.0), partition }
}

/// The partition that a message names; `None` when its topic has no id.
pub(super) fn named_partition(name: &TopicIdPartition) -> Option<(TopicId, i32)> {
    uuid_from_bytes(&name.topic_id).map(|topic_id| (TopicId(topic_id), name.partition))
}

macro_rules! wrap_in_metadata_record {
    ($($message:ident => $kind:ident,)*) => {
        $(impl From<proto::$message> for MetadataRecord {
            fn from(message: proto::$message) -> Self {
                Self { kind: Some(Kind::$kind(message)) }
            }
        })*
    };
}

wrap_in_metadata_record! {
    ClusterIdRecord => ClusterId,
    FeatureLevelRecord => FeatureLevel,
    RegisterBrokerRecord => RegisterBroker,
    BrokerRegistrationChangeRecord => BrokerRegistrationChange,
    UnregisterBrokerRecord => UnregisterBroker,
    TopicRecord => Topic,
    PartitionRecord => Partition,
    PartitionChangeRecord => PartitionChange,
    RemoveTopicRecord => RemoveTopic,
    ConfigRecord => Config,
    ProducerIdsRecord => ProducerIds,
    ClientQuotaRecord => ClientQuota,
    OfflineReplicasRecord => OfflineReplicas,
    SetTopicAsideRecord => SetTopicAside,
    RestoreTopicRecord => RestoreTopic,
}
