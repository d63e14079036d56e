//! DescribeConfigs: every key of a resource with its value, where it comes from, and what else would supply it.

use super::ConfigMap;
use super::key::{ConfigKey, ConfigType, UpdateMode};
use super::layers::{ConfigSource, Found, Layers, scaled_text};
use super::table::{broker_keys, group_keys, topic_keys};

/// One place that holds a value for a key, the one in effect first.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfigSynonym {
    /// The key at that place, such as `log.retention.hours` for `retention.ms`.
    pub name: String,
    /// Its value; `None` when it must not be shown.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// One key as DescribeConfigs answers it.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribedConfig {
    /// The key.
    pub name: String,
    /// Value in effect; `None` for null and for what must not be shown.
    pub value: Option<String>,
    /// The layer the value comes from.
    pub source: ConfigSource,
    /// True when it cannot change while the broker runs.
    pub read_only: bool,
    /// True when the value must not be shown.
    pub is_sensitive: bool,
    /// Type of the value.
    pub config_type: ConfigType,
    /// Every place that holds a value, the one in effect first.
    pub synonyms: Vec<ConfigSynonym>,
    /// What the key does.
    pub documentation: &'static str,
}

impl DescribedConfig {
    /// True when nobody has set the key.
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// Every key of a topic.
pub fn describe_topic(layers: Layers<'_>, overrides: &ConfigMap) -> Vec<DescribedConfig> {
    let visible = topic_keys().filter(|key| !key.internal || overrides.contains_key(key.name));
    visible.map(|key| describe_inherited(key, layers, overrides, ConfigSource::DynamicTopic)).collect()
}

/// Every key of a group.
pub fn describe_group(layers: Layers<'_>, overrides: &ConfigMap) -> Vec<DescribedConfig> {
    group_keys().map(|key| describe_inherited(key, layers, overrides, ConfigSource::Group)).collect()
}

/// Every key of this broker.
pub fn describe_broker(layers: Layers<'_>) -> Vec<DescribedConfig> {
    let visible = broker_keys().filter(|key| !key.internal);
    visible.map(|key| describe_broker_key(key, layers)).collect()
}

/// The keys that are set for all brokers while they run.
pub fn describe_cluster_default(cluster: &ConfigMap) -> Vec<DescribedConfig> {
    let set = broker_keys().filter_map(|key| Some((key, cluster.get(key.name)?)));
    set.map(|(key, value)| {
        let source = ConfigSource::DynamicDefaultBroker;
        let synonym = ConfigSynonym { name: key.name.to_owned(), value: shown(key, value), source };
        described(key, shown(key, value), source, false, vec![synonym])
    })
    .collect()
}

/// The value in effect of one topic key, in text, as a list operation appends to it.
pub fn effective_topic_value(layers: Layers<'_>, overrides: &ConfigMap, name: &str) -> Option<String> {
    let key = super::topic_key(name)?;
    describe_inherited(key, layers, overrides, ConfigSource::DynamicTopic).value
}

/// The value in effect of one broker key, in text; `None` for null and for what must not be shown.
pub fn effective_broker_value(layers: Layers<'_>, name: &str) -> Option<String> {
    describe_broker_key(super::broker_key(name)?, layers).value
}

fn describe_inherited(
    key: &'static ConfigKey,
    layers: Layers<'_>,
    overrides: &ConfigMap,
    own_source: ConfigSource,
) -> DescribedConfig {
    let own = overrides.get(key.name).map(|value| {
        let synonym = ConfigSynonym { name: key.name.to_owned(), value: shown(key, value), source: own_source };
        (shown(key, value), own_source, synonym)
    });
    let inherited = key.broker_key.map(|name| layers.find_all(name)).unwrap_or_default();
    let (value, source) = match (&own, inherited.first()) {
        (Some((value, source, _)), _) => (value.clone(), *source),
        (None, Some(found)) => (in_effect(found), found.source),
        (None, None) => (key.default.map(str::to_owned), ConfigSource::Default),
    };
    let mut synonyms: Vec<_> = own.map(|(_, _, synonym)| synonym).into_iter().collect();
    synonyms.extend(inherited.iter().map(synonym));
    described(key, value, source, false, synonyms)
}

/// Unlike a topic key, a broker key shows no stand-in's value as its own: each is a key by itself.
fn describe_broker_key(key: &'static ConfigKey, layers: Layers<'_>) -> DescribedConfig {
    let found = layers.find_all(key.name);
    let own = found.iter().find(|found| found.key.name == key.name);
    let (value, source) = match own {
        Some(found) => (shown(key, found.value), found.source),
        None => (None, ConfigSource::Default),
    };
    let read_only = key.update_mode == UpdateMode::ReadOnly;
    described(key, value, source, read_only, found.iter().map(synonym).collect())
}

fn described(
    key: &'static ConfigKey,
    value: Option<String>,
    source: ConfigSource,
    read_only: bool,
    synonyms: Vec<ConfigSynonym>,
) -> DescribedConfig {
    DescribedConfig {
        name: key.name.to_owned(),
        value,
        source,
        read_only,
        is_sensitive: key.is_sensitive(),
        config_type: key.config_type,
        synonyms,
        documentation: key.documentation(),
    }
}

fn synonym(found: &Found<'_>) -> ConfigSynonym {
    ConfigSynonym { name: found.key.name.to_owned(), value: shown(found.key, found.value), source: found.source }
}

fn in_effect(found: &Found<'_>) -> Option<String> {
    (!found.key.is_sensitive()).then(|| scaled_text(found.key, found.value, found.factor))
}

fn shown(key: &ConfigKey, value: &str) -> Option<String> {
    (!key.is_sensitive()).then(|| value.trim().to_owned())
}
