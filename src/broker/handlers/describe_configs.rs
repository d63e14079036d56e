//! DescribeConfigs, versions 0 to 4.
//!
//! Answers every key of a resource, or those asked for, with its value in effect and where it comes from; an empty list
//! of keys asks for all. Version 0 tells only whether a value is the default. Version 1 brings sources and, when asked
//! for, synonyms (KIP-226), version 3 types and, when asked for, documentation (KIP-569); version 4 is flexible.
//! Resources: topics, this broker (another broker answers for itself), the default of all brokers (an empty name), and
//! groups (KIP-1043), which need not exist. Broker loggers and client metrics subscriptions exist in Kafka; there are
//! none here, and none are listed. Passwords are never shown.
//!
//! Ours: the topic `ottla:deleted`, which cannot exist, is answered with the deleted topics that can be restored
//! (docs/adr/0010): a row for each topic id.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::Refused;
use crate::config::{self, ConfigMap, ConfigSource, ConfigType, DescribedConfig, ResourceType, TopicCreationConfig};
use crate::metadata::{ClusterImage, ConfigResource, DeletedTopic};
use crate::model::{BrokerId, ErrorCode, validate_topic_name};
use crate::partition;
use crate::protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

/// Describes resources.
pub async fn handle(context: &Context, _: Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = context.image();
    let parts = Parts { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request
        .resources
        .into_iter()
        .map(|resource| answer(describe(context, &image, &resource), resource, parts))
        .collect();
    DescribeConfigsResponse { throttle_time_ms: 0, results }
}

/// What was asked for beside the values.
#[derive(Clone, Copy)]
struct Parts {
    synonyms: bool,
    documentation: bool,
}

fn describe(
    context: &Context,
    image: &ClusterImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribedConfig>, Refused> {
    let invalid = |message: &str| Err(Refused::new(ErrorCode::InvalidRequest, message));
    let layers = partition::broker_layers(image, context.broker_id, &context.settings);
    let own = |resource: ConfigResource| image.config(&resource).map(|own| (**own).clone()).unwrap_or_default();
    let name = resource.resource_name.as_str();
    match ResourceType::from_code(resource.resource_type) {
        Some(ResourceType::Topic) if name == config::DELETED_TOPICS => {
            let retention_ms = TopicCreationConfig::resolve(layers.layers()).delete_retention_ms;
            Ok(image.deleted_topics().map(|deleted| describe_deleted(deleted, retention_ms)).collect())
        }
        Some(ResourceType::Topic) => {
            check_topic(image, name)?;
            Ok(config::describe_topic(layers.layers(), &own(ConfigResource::topic(name))))
        }
        Some(ResourceType::Broker) if name.is_empty() => {
            let set: ConfigMap = own(ConfigResource::default_broker());
            Ok(config::describe_cluster_default(&set))
        }
        Some(ResourceType::Broker) => {
            check_broker(context.broker_id, name)?;
            Ok(config::describe_broker(layers.layers()))
        }
        Some(ResourceType::BrokerLogger) => check_broker(context.broker_id, name).map(|()| Vec::new()),
        Some(ResourceType::Group) if name.is_empty() => invalid("a group needs a name"),
        Some(ResourceType::Group) => Ok(config::describe_group(layers.layers(), &own(ConfigResource::group(name)))),
        Some(ResourceType::ClientMetrics) if name.is_empty() => invalid("a subscription needs a name"),
        Some(ResourceType::ClientMetrics) => Ok(Vec::new()),
        None => invalid("there is no such type of resource"),
    }
}

/// A deleted topic as a row: what it was, and until when it can be restored, in milliseconds since the epoch.
fn describe_deleted(deleted: &DeletedTopic, retention_ms: i64) -> DescribedConfig {
    let DeletedTopic { topic, deleted_at, .. } = deleted;
    let value = format!(
        "name={} partitions={} replicas={} deleted.ms={} until.ms={}",
        topic.name,
        topic.partition_count(),
        topic.replication_factor(),
        deleted_at.0,
        deleted.kept_until(retention_ms).0
    );
    DescribedConfig {
        name: topic.id.to_string(),
        value: Some(value),
        source: ConfigSource::DynamicTopic,
        read_only: true,
        is_sensitive: false,
        config_type: ConfigType::String,
        synonyms: Vec::new(),
        documentation: "A deleted topic. CreateTopics with its name and the config ottla.topic.undelete restores it.",
    }
}

fn check_topic(image: &ClusterImage, name: &str) -> Result<(), Refused> {
    validate_topic_name(name).map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    match image.topic_by_name(name) {
        Some(_) => Ok(()),
        None => Err(Refused::new(ErrorCode::UnknownTopicOrPartition, format!("there is no topic {name}"))),
    }
}

/// Only a broker itself knows what it was started with.
fn check_broker(own_id: BrokerId, name: &str) -> Result<(), Refused> {
    match name.parse().map(BrokerId) {
        Ok(id) if id == own_id => Ok(()),
        Ok(id) => {
            let message = format!("this is broker {own_id}; ask broker {id} for its own configuration");
            Err(Refused::new(ErrorCode::InvalidRequest, message))
        }
        Err(_) => Err(Refused::new(ErrorCode::InvalidRequest, format!("{name:?} is no broker id"))),
    }
}

fn answer(
    described: Result<Vec<DescribedConfig>, Refused>,
    resource: DescribeConfigsResource,
    parts: Parts,
) -> DescribeConfigsResult {
    let DescribeConfigsResource { resource_type, resource_name, configuration_keys } = resource;
    let nothing = DescribeConfigsResult { resource_type, resource_name, ..DescribeConfigsResult::default() };
    let asked = configuration_keys.filter(|keys| !keys.is_empty());
    let is_asked = |name: &String| asked.as_ref().is_none_or(|keys| keys.contains(name));
    match described {
        Ok(configs) => DescribeConfigsResult {
            configs: configs
                .into_iter()
                .filter(|config| is_asked(&config.name))
                .map(|config| row(config, parts))
                .collect(),
            ..nothing
        },
        Err(Refused { error_code, error_message }) => DescribeConfigsResult { error_code, error_message, ..nothing },
    }
}

fn row(config: DescribedConfig, parts: Parts) -> DescribeConfigsResourceResult {
    let synonym = |synonym: config::ConfigSynonym| DescribeConfigsSynonym {
        name: synonym.name,
        value: synonym.value,
        source: synonym.source.code(),
    };
    DescribeConfigsResourceResult {
        is_default: config.is_default(),
        name: config.name,
        value: config.value,
        read_only: config.read_only,
        config_source: config.source.code(),
        is_sensitive: config.is_sensitive,
        synonyms: if parts.synonyms { config.synonyms.into_iter().map(synonym).collect() } else { Vec::new() },
        config_type: config.config_type.code(),
        documentation: parts.documentation.then(|| config.documentation.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, StaticConfig};

    fn answered(keys: Option<&[&str]>, parts: Parts) -> Vec<DescribeConfigsResourceResult> {
        let start = StaticConfig::from_overrides(&[("log.retention.hours", "2")]);
        let own = ConfigMap::from([("segment.bytes".to_owned(), "1048576".to_owned())]);
        let configs = config::describe_topic(Layers::at_start(&start), &own);
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".to_owned(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
        };
        answer(Ok(configs), resource, parts).configs
    }

    #[test]
    fn all_keys_or_those_asked_for() {
        let plain = Parts { synonyms: false, documentation: false };
        let all = answered(None, plain);
        assert!(all.len() > 25, "{}", all.len());
        assert_eq!(answered(Some(&[]), plain), all);
        let two = answered(Some(&["segment.bytes", "no.such.key", "retention.ms"]), plain);
        let rows: Vec<_> = two
            .iter()
            .map(|row| (row.name.as_str(), row.value.as_deref(), row.config_source, row.is_default))
            .collect();
        // Sources: 1 is the topic's own, 4 what the broker was started with.
        assert!(rows.contains(&("segment.bytes", Some("1048576"), 1, false)), "{rows:?}");
        assert!(rows.contains(&("retention.ms", Some("7200000"), 4, false)), "{rows:?}");
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn synonyms_and_documentation_only_when_asked_for() {
        let key = Some(&["segment.bytes"][..]);
        let bare = answered(key, Parts { synonyms: false, documentation: false });
        assert!(bare.iter().all(|row| row.synonyms.is_empty() && row.documentation.is_none()));
        let full = answered(key, Parts { synonyms: true, documentation: true });
        let synonyms: Vec<_> = full[0].synonyms.iter().map(|synonym| (synonym.name.as_str(), synonym.source)).collect();
        assert_eq!(synonyms[0], ("segment.bytes", 1));
        assert!(synonyms.contains(&("log.segment.bytes", 5)), "{synonyms:?}");
        assert!(full[0].documentation.as_ref().is_some_and(|text| !text.is_empty()));
        assert_eq!(full[0].config_type, 3);
    }

    #[test]
    fn a_broker_answers_for_itself() {
        assert_eq!(check_broker(BrokerId(1), "1"), Ok(()));
        for other in ["2", "x", ""] {
            assert_eq!(check_broker(BrokerId(1), other).unwrap_err().error_code, ErrorCode::InvalidRequest, "{other}");
        }
    }
}
