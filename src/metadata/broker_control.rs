//! The lives of brokers: registration, fencing, controlled shutdown.
//!
//! ```text
//!                    UnfenceBroker                 BeginControlledShutdown
//!   RegisterBroker ─▶ fenced ─▶ active ───────────────▶ in controlled shutdown
//!        (a new epoch)  ▲          │ FenceBroker                │ FenceBroker
//!                       └──────────┴────────────────────────────┘
//! ```
//!
//! A broker is in an ISR, and leads, only while it is active (D8). Its epoch is the index of its
//! registration record (D5), and what carries another epoch is refused.

use std::sync::Arc;

use super::broker_image::BrokerImage;
use super::draft::{Draft, Refusal};
use super::feature_control::{keeps_deleted_topics, supports};
use super::image::ClusterImage;
use super::partition_change::PartitionChange;
use super::record::uuid_from_bytes;
use super::topic_image::{PartitionImage, TopicImage};
use crate::model::{BrokerEpoch, BrokerId, ErrorCode, StartNumber, TopicId, Uuid};
use crate::rpc::metadata::{
    BeginControlledShutdown, BrokerRegistrationChangeRecord, FenceBroker, RegisterBroker, RegisterBrokerRecord,
    RegisterBrokerReply, SupportedFeature, UnfenceBroker, UnregisterBroker, UnregisterBrokerRecord,
    metadata_reply::Kind as Reply,
};

/// A broker begins a life. It starts fenced, and whatever an earlier life led or was in sync with is over in
/// the same entry.
pub(super) fn register(draft: &mut Draft<'_>, command: &RegisterBroker) -> Result<Reply, Refusal> {
    check_registration(draft.image(), command)?;
    let id = BrokerId(command.broker_id);
    let previous = draft.image().broker(id).cloned();
    if let Some(previous) = &previous {
        if uuid_bytes_equal(&command.incarnation_id, previous.incarnation_id)
            && !mutant!("registration-retry-gets-a-new-epoch")
        {
            return Ok(registered(previous.epoch));
        }
        check_place(previous, command)?;
    }
    let continued = BrokerEpoch(command.previous_broker_epoch);
    let continues = |previous: &BrokerImage| {
        (previous.is_continued_by(continued) || mutant!("every-restart-counts-as-whole"))
            && previous.directory_ids.iter().all(|known| has_directory(command, known.0))
    };
    let previous = previous.filter(|previous| continues(previous));
    let log_is_whole = previous.is_some();
    let epoch = BrokerEpoch(draft.next_index());
    let mut record = registration_record(command, epoch, if log_is_whole { continued } else { epoch });
    if keeps_deleted_topics(draft.image()) {
        record.logs_intact_since = previous.map(|previous| previous.logs_intact_since.0);
        record.start_number = command.start_number;
    }
    draft.add(record);
    if !mutant!("registration-stays-in-its-isrs") {
        leave_isrs(draft, id, if log_is_whole { LogTail::Whole } else { LogTail::MayBeLost });
    }
    Ok(registered(epoch))
}

/// A life that is not fenced ends only for a later one on the same data. What a process of long ago has sent may come
/// late, and would take replicas that this one serves for incomplete.
fn check_place(previous: &BrokerImage, command: &RegisterBroker) -> Result<(), Refusal> {
    let duplicate = |with: String| {
        let message = format!("broker {} is registered and alive, {with}", previous.id);
        Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, message))
    };
    if previous.fenced {
        return Ok(());
    }
    if !previous.directory_ids.iter().any(|known| has_directory(command, known.0)) {
        return duplicate("with another data directory".to_owned());
    }
    let (earlier, later) = (StartNumber(command.start_number), previous.start_number);
    if earlier < later && !mutant!("earlier-start-ends-a-later-one") {
        return duplicate(format!("started as number {later} on its data directory, and this is start {earlier}"));
    }
    Ok(())
}

fn check_registration(image: &ClusterImage, command: &RegisterBroker) -> Result<(), Refusal> {
    if let Some(ours) = image.cluster_id().filter(|ours| ***ours != *command.cluster_id) {
        let message = format!("this is cluster {ours}, the broker belongs to {}", command.cluster_id);
        return Err(Refusal::new(ErrorCode::InconsistentClusterId, message));
    }
    let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidRegistration, format!("the registration {what}")));
    if command.broker_id < 0 {
        return invalid("has a negative broker id");
    }
    if command.endpoints.is_empty() {
        return invalid("names no listener");
    }
    if uuid_from_bytes(&command.incarnation_id).is_none() {
        return invalid("has no incarnation id");
    }
    if command.directory_ids.is_empty() || command.directory_ids.iter().any(|id| uuid_from_bytes(id).is_none()) {
        return invalid("has no valid directory id");
    }
    check_features(image, &command.features)
}

/// D10: a broker that cannot read what the cluster has agreed to write stays out.
fn check_features(image: &ClusterImage, supported: &[SupportedFeature]) -> Result<(), Refusal> {
    for (name, level) in image.features() {
        if !supports(supported, name, level) {
            let message = format!("the broker cannot run at level {level} of {name}, which the cluster has finalized");
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, message));
        }
    }
    Ok(())
}

fn registration_record(
    command: &RegisterBroker,
    epoch: BrokerEpoch,
    log_whole_since: BrokerEpoch,
) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: command.broker_id,
        broker_epoch: epoch.0,
        incarnation_id: command.incarnation_id.clone(),
        directory_ids: command.directory_ids.clone(),
        endpoints: command.endpoints.clone(),
        rack: command.rack.clone(),
        features: command.features.clone(),
        fenced: true,
        in_controlled_shutdown: false,
        log_whole_since: log_whole_since.0,
        offline_replicas: Vec::new(),
        logs_intact_since: None,
        start_number: 0,
    }
}

fn registered(epoch: BrokerEpoch) -> Reply {
    Reply::RegisterBroker(RegisterBrokerReply { broker_epoch: epoch.0 })
}

fn has_directory(command: &RegisterBroker, directory: Uuid) -> bool {
    command.directory_ids.iter().any(|id| uuid_bytes_equal(id, directory))
}

fn uuid_bytes_equal(bytes: &[u8], id: Uuid) -> bool {
    uuid_from_bytes(bytes) == Some(id)
}

/// The broker is taken for dead.
pub(super) fn fence(draft: &mut Draft<'_>, command: &FenceBroker) -> Result<(), Refusal> {
    let id = BrokerId(command.broker_id);
    check_epoch(draft.image(), id, command.broker_epoch)?;
    change_registration(draft, id, command.broker_epoch, Some(true), None);
    if !mutant!("fencing-leaves-the-isr-alone") {
        leave_isrs(draft, id, LogTail::Whole);
    }
    Ok(())
}

/// The broker lives and has caught up with its own registration (D7); partitions without a leader may get one.
pub(super) fn unfence(draft: &mut Draft<'_>, command: &UnfenceBroker) -> Result<(), Refusal> {
    let id = BrokerId(command.broker_id);
    check_epoch(draft.image(), id, command.broker_epoch)?;
    if command.current_metadata_index < command.broker_epoch {
        let message = format!("broker {id} has not applied its registration, record {}", command.broker_epoch);
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    change_registration(draft, id, command.broker_epoch, Some(false), None);
    for (topic_id, partition) in draft.image().leaderless_partitions().collect::<Vec<_>>() {
        let (topic, image) = existing_partition(draft.image(), topic_id, partition);
        if image.replicas.contains(&id) {
            PartitionChange::of(draft, &topic, partition, &image).decide();
        }
    }
    Ok(())
}

/// The broker wants to stop: it hands over what it leads, as far as somebody can take it.
pub(super) fn begin_controlled_shutdown(
    draft: &mut Draft<'_>,
    command: &BeginControlledShutdown,
) -> Result<(), Refusal> {
    let id = BrokerId(command.broker_id);
    check_epoch(draft.image(), id, command.broker_epoch)?;
    change_registration(draft, id, command.broker_epoch, None, Some(true));
    if !mutant!("controlled-shutdown-keeps-leading") {
        leave_isrs(draft, id, LogTail::Whole);
    }
    Ok(())
}

/// The broker is gone for good, or until it registers anew.
pub(super) fn unregister(draft: &mut Draft<'_>, command: &UnregisterBroker) -> Result<(), Refusal> {
    let id = BrokerId(command.broker_id);
    let Some(broker) = draft.image().broker(id) else {
        let message = format!("broker {id} is not registered");
        return Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, message));
    };
    draft.add(UnregisterBrokerRecord { broker_id: id.0, broker_epoch: broker.epoch.0 });
    leave_isrs(draft, id, LogTail::Whole);
    Ok(())
}

/// Whether a broker that leaves may have lost records that it had acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LogTail {
    Whole,
    MayBeLost,
}

fn leave_isrs(draft: &mut Draft<'_>, id: BrokerId, tail: LogTail) {
    for (topic_id, partition) in draft.image().partitions_in_sync_on(id).collect::<Vec<_>>() {
        let (topic, image) = existing_partition(draft.image(), topic_id, partition);
        let change = PartitionChange::of(draft, &topic, partition, &image);
        match tail {
            LogTail::Whole => change.without(id).decide(),
            LogTail::MayBeLost => change.without_lost_tail(id).decide(),
        }
    }
}

fn change_registration(
    draft: &mut Draft<'_>,
    id: BrokerId,
    broker_epoch: i64,
    fenced: Option<bool>,
    in_controlled_shutdown: Option<bool>,
) {
    let unchanged = draft.image().broker(id).is_some_and(|broker| {
        fenced.is_none_or(|fenced| broker.fenced == fenced)
            && in_controlled_shutdown.is_none_or(|shutdown| broker.in_controlled_shutdown == shutdown)
    });
    if !unchanged {
        draft.add(BrokerRegistrationChangeRecord { broker_id: id.0, broker_epoch, fenced, in_controlled_shutdown });
    }
}

/// Refuses a broker that is not registered with just this epoch.
pub(super) fn check_epoch(image: &ClusterImage, id: BrokerId, epoch: i64) -> Result<(), Refusal> {
    match image.check_broker_epoch(id, BrokerEpoch(epoch)) {
        ErrorCode::None => Ok(()),
        code => Err(Refusal::new(code, format!("broker {id} is not registered with epoch {epoch}"))),
    }
}

/// A partition that an index of the image names.
fn existing_partition(
    image: &ClusterImage,
    topic_id: TopicId,
    partition: i32,
) -> (Arc<TopicImage>, Arc<PartitionImage>) {
    let topic = image.topic(topic_id);
    let found = topic.and_then(|topic| Some((Arc::clone(topic), Arc::clone(topic.partition(partition)?))));
    found.unwrap_or_else(|| panic!("the image's index names {topic_id}-{partition}, which does not exist"))
}
