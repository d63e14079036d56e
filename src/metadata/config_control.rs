//! AlterConfigs and IncrementalAlterConfigs. The keys and their rules are those of [`crate::config`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config_image::{ConfigImage, ConfigResource, ConfigResourceType};
use super::draft::{Draft, MIN_INSYNC_REPLICAS, Refusal};
use super::image::ClusterImage;
use super::partition_change::PartitionChange;
use super::topic_image::TopicImage;
use crate::config::{
    self, AlterOperation, InvalidConfig, apply_operation, validate_broker_config, validate_group_config,
    validate_topic_configs,
};
use crate::model::{BrokerId, ErrorCode};
use crate::rpc::metadata::{
    self as proto, AlterConfigs, ConfigOperation, ConfigRecord, ConfigResult, ConfigResults, IncrementalAlterConfigs,
    metadata_reply::Kind as Reply,
};

/// Keys that decide who may be in the ELR and who may lead.
const PARTITION_KEYS: [&str; 2] = [MIN_INSYNC_REPLICAS, "unclean.leader.election.enable"];

/// Changes single keys of resources, or only says whether it would.
pub(super) fn incremental_alter_configs(draft: &mut Draft<'_>, command: &IncrementalAlterConfigs) -> Reply {
    let changes = command.resources.iter().map(|change| {
        let operations = &change.operations;
        (change.resource.clone().unwrap_or_default(), move |resource: &ConfigResource, before: &ConfigImage| {
            apply_operations(resource, before, operations)
        })
    });
    alter(draft, changes.collect(), command.validate_only)
}

/// Replaces all keys of resources, or only says whether it would.
pub(super) fn alter_configs(draft: &mut Draft<'_>, command: &AlterConfigs) -> Reply {
    let changes = command.resources.iter().map(|change| {
        let entries = &change.configs;
        (change.resource.clone().unwrap_or_default(), move |_: &ConfigResource, _: &ConfigImage| {
            distinct_keys(entries.iter().map(|entry| entry.key.as_str()))?;
            entries.iter().map(|entry| Ok((entry.key.clone(), some_value(&entry.key, entry.value.clone())?))).collect()
        })
    });
    alter(draft, changes.collect(), command.validate_only)
}

/// Resources, each with the way to its next configuration.
type Changes<F> = Vec<(proto::ConfigResource, F)>;

fn alter<F>(draft: &mut Draft<'_>, changes: Changes<F>, validate_only: bool) -> Reply
where
    F: Fn(&ConfigResource, &ConfigImage) -> Result<ConfigImage, Refusal>,
{
    let mut alteration = draft.branch();
    let mut seen: BTreeMap<(i32, &str), usize> = BTreeMap::new();
    for (resource, _) in &changes {
        *seen.entry((resource.resource_type, &resource.resource_name)).or_default() += 1;
    }
    let resources = changes.iter().map(|(resource, next)| {
        let altered = match seen.get(&(resource.resource_type, resource.resource_name.as_str())) {
            Some(1) => alter_resource(&mut alteration, resource, next),
            _ => Err(Refusal::new(ErrorCode::InvalidRequest, "the request names the resource twice")),
        };
        config_result(resource, altered)
    });
    let resources = resources.collect();
    if !validate_only {
        draft.merge(alteration);
    }
    Reply::AlterConfigs(ConfigResults { resources })
}

fn config_result(resource: &proto::ConfigResource, altered: Result<(), Refusal>) -> ConfigResult {
    let refusal = altered.err();
    ConfigResult {
        resource: Some(resource.clone()),
        error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
        error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
    }
}

fn alter_resource(
    draft: &mut Draft<'_>,
    resource: &proto::ConfigResource,
    next: impl Fn(&ConfigResource, &ConfigImage) -> Result<ConfigImage, Refusal>,
) -> Result<(), Refusal> {
    let resource = existing_resource(draft.image(), resource)?;
    let before = draft.image().config(&resource).map(|configs| (**configs).clone()).unwrap_or_default();
    let after = next(&resource, &before)?;
    check_changes(&resource, &before, &after)?;
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&String> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
    for key in &changed {
        draft.add(ConfigRecord {
            resource_type: resource.resource_type.code().into(),
            resource_name: resource.name.to_string(),
            key: (*key).clone(),
            value: after.get(*key).cloned(),
        });
    }
    if changed.iter().any(|key| PARTITION_KEYS.contains(&key.as_str())) {
        reconsider_partitions(draft, &resource);
    }
    Ok(())
}

/// The resource, when it is one that can hold configuration.
fn existing_resource(image: &ClusterImage, resource: &proto::ConfigResource) -> Result<ConfigResource, Refusal> {
    let invalid = |message| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    let name = resource.resource_name.as_str();
    let resource_type = i8::try_from(resource.resource_type).ok().and_then(ConfigResourceType::from_code);
    match resource_type {
        Some(ConfigResourceType::Topic) if name.is_empty() => invalid("a topic needs a name".to_owned()),
        Some(ConfigResourceType::Topic) if image.topic_id(name).is_none() => {
            Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("there is no topic {name}")))
        }
        Some(ConfigResourceType::Broker) if !name.is_empty() => match name.parse().map(BrokerId) {
            Err(_) => invalid(format!("{name} is no broker id")),
            Ok(id) if image.broker(id).is_none() => {
                Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("broker {id} is not registered")))
            }
            Ok(id) => Ok(ConfigResource::broker(id)),
        },
        Some(ConfigResourceType::Group) if name.is_empty() => invalid("a group needs a name".to_owned()),
        Some(resource_type @ (ConfigResourceType::Topic | ConfigResourceType::Broker | ConfigResourceType::Group)) => {
            Ok(ConfigResource { resource_type, name: name.into() })
        }
        _ => invalid(format!("resources of type {} hold no configuration here", resource.resource_type)),
    }
}

fn apply_operations(
    resource: &ConfigResource,
    before: &ConfigImage,
    operations: &[ConfigOperation],
) -> Result<ConfigImage, Refusal> {
    distinct_keys(operations.iter().map(|operation| operation.key.as_str()))?;
    let mut configs = before.clone();
    for ConfigOperation { key, operation, value } in operations {
        let operation = i8::try_from(*operation).ok().and_then(AlterOperation::from_code).ok_or_else(|| {
            Refusal::new(ErrorCode::InvalidRequest, format!("there is no config operation {operation}"))
        })?;
        let (current, default) = (configs.get(key).map(String::as_str), default_value(resource, key));
        let next = apply_operation(resource.resource_type, key, operation, current, default, value.as_deref());
        match next.map_err(refusal)? {
            Some(next) => _ = configs.insert(key.clone(), next),
            None => _ = configs.remove(key),
        }
    }
    Ok(configs)
}

fn distinct_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Refusal::new(ErrorCode::InvalidRequest, format!("the request names the key {key} twice")));
        }
    }
    Ok(())
}

fn some_value(key: &str, value: Option<String>) -> Result<String, Refusal> {
    value.ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, format!("{key} has no value")))
}

/// What a list starts from when it is not set: as in Kafka the key's own default, whatever brokers override.
fn default_value(resource: &ConfigResource, key: &str) -> Option<&'static str> {
    match resource.resource_type {
        ConfigResourceType::Topic => config::topic_key(key),
        ConfigResourceType::Group => config::group_key(key),
        _ => config::broker_key(key),
    }?
    .default
}

/// Judges what changes. Keys that stay as they are were judged when they were set, by rules that may have
/// been others.
fn check_changes(resource: &ConfigResource, before: &ConfigImage, after: &ConfigImage) -> Result<(), Refusal> {
    if resource.resource_type != ConfigResourceType::Broker {
        return check_configs(resource, after);
    }
    let cluster_wide = resource.name.is_empty();
    check_agreed_minimum(before, after, cluster_wide)?;
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
        validate_broker_config(key, value, cluster_wide).map_err(refusal)?;
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        config::validate_broker_removal(key, cluster_wide).map_err(refusal)?;
    }
    Ok(())
}

/// The controllers and all leaders must go by the same minimum (KIP-966; the words are Kafka's): without a value for
/// the cluster, or with one for a single broker, they would not.
fn check_agreed_minimum(before: &ConfigImage, after: &ConfigImage, cluster_wide: bool) -> Result<(), Refusal> {
    let (before, after) = (before.get(MIN_INSYNC_REPLICAS), after.get(MIN_INSYNC_REPLICAS));
    let refuse = |message: &str| Err(Refusal::new(ErrorCode::InvalidConfig, message));
    match (cluster_wide, before, after) {
        (true, Some(_), None) => {
            refuse("Cluster-level min.insync.replicas cannot be removed while ELR is enabled: set another value")
        }
        (false, before, Some(_)) if before != after => {
            refuse("Broker-level min.insync.replicas cannot be altered while ELR is enabled: set it for all brokers")
        }
        _ => Ok(()),
    }
}

/// Judges the whole configuration of a topic or a group.
pub(super) fn check_configs(resource: &ConfigResource, configs: &ConfigImage) -> Result<(), Refusal> {
    match resource.resource_type {
        ConfigResourceType::Topic => validate_topic_configs(configs),
        _ => configs.iter().try_for_each(|(key, value)| validate_group_config(key, value)),
    }
    .map_err(refusal)
}

fn refusal(error: InvalidConfig) -> Refusal {
    Refusal::new(error.error_code(), error.to_string())
}

/// A smaller minimum may make an ISR sufficient, and it then commits without the ELR; with unclean election
/// enabled, a partition may get a leader.
fn reconsider_partitions(draft: &mut Draft<'_>, resource: &ConfigResource) {
    let topics: Vec<Arc<TopicImage>> = match resource.resource_type {
        ConfigResourceType::Topic => draft.image().topic_by_name(&resource.name).cloned().into_iter().collect(),
        ConfigResourceType::Broker if resource.name.is_empty() => draft.image().topics().cloned().collect(),
        _ => return,
    };
    for topic in topics {
        for (partition, image) in topic.partitions() {
            PartitionChange::of(draft, &topic, partition, image).decide();
        }
    }
}
