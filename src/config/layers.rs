//! Where a broker key's value comes from: what was set for this broker, for all brokers, at start, or the default.

use super::ConfigMap;
use super::key::{ConfigKey, ConfigType};
use super::static_config::StaticConfig;
use super::table::broker_key;
use super::value::{self, ConfigValue};

/// Which layer a value comes from. The numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum ConfigSource {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    Group = 8,
}

impl ConfigSource {
    /// The number in a DescribeConfigs response.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// The layers of a broker's configuration, highest first.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// Set for this broker while it runs.
    pub broker: &'a ConfigMap,
    /// Set for all brokers while they run.
    pub cluster: &'a ConfigMap,
    /// What the broker was started with.
    pub start: &'a StaticConfig,
}

/// One place that holds a value for a key.
pub(super) struct Found<'a> {
    pub(super) source: ConfigSource,
    pub(super) key: &'static ConfigKey,
    pub(super) value: &'a str,
    /// From the unit of `key` to the unit of the key that was asked for.
    pub(super) factor: i64,
}

static NOTHING: ConfigMap = ConfigMap::new();

impl<'a> Layers<'a> {
    /// The layers before any metadata is known.
    pub fn at_start(start: &'a StaticConfig) -> Self {
        Self { broker: &NOTHING, cluster: &NOTHING, start }
    }

    /// Every place that holds a value for this broker key, the one in effect first.
    pub(super) fn find_all(self, name: &str) -> Vec<Found<'a>> {
        let key = declared(name);
        let mut names = vec![(key, 1)];
        names.extend(key.stand_ins.iter().map(|&(name, factor)| (declared(name), factor)));
        let mut found = Vec::new();
        for source in [ConfigSource::DynamicBroker, ConfigSource::DynamicDefaultBroker, ConfigSource::StaticBroker] {
            for &(key, factor) in &names {
                if let Some(value) = self.value_in(source, key.name).filter(|value| value::parse(key, value).is_ok()) {
                    found.push(Found { source, key, value, factor });
                }
            }
        }
        let defaults = names.iter().filter_map(|&(key, factor)| {
            Some(Found { source: ConfigSource::Default, key, value: key.default?, factor })
        });
        found.extend(defaults);
        found
    }

    fn value_in(self, source: ConfigSource, name: &str) -> Option<&'a str> {
        match source {
            ConfigSource::DynamicBroker => self.broker.get(name).map(String::as_str),
            ConfigSource::DynamicDefaultBroker => self.cluster.get(name).map(String::as_str),
            ConfigSource::StaticBroker => self.start.value(name),
            _ => None,
        }
    }

    fn value(self, name: &str) -> Option<ConfigValue> {
        let found = self.find_all(name).into_iter().next()?;
        let value = value::parse(found.key, found.value).expect("values in the layers have been checked");
        Some(scaled(value, found.factor))
    }

    /// The value in effect of a key that is a whole number; `None` where it is Kafka's null.
    pub(super) fn long_or_null(self, name: &str) -> Option<i64> {
        match self.value(name)? {
            ConfigValue::Number(number) => Some(number),
            other => panic!("{name} is no whole number but {other:?}"),
        }
    }

    pub(super) fn long(self, name: &str) -> i64 {
        self.long_or_null(name).unwrap_or_else(|| panic!("{name} has no default"))
    }

    pub(super) fn int(self, name: &str) -> i32 {
        let number = self.long(name);
        i32::try_from(number).unwrap_or_else(|_| panic!("{name} is an int, and yet {number}"))
    }

    pub(super) fn double(self, name: &str) -> f64 {
        match self.value(name) {
            Some(ConfigValue::Double(number)) => number,
            other => panic!("{name} is no number but {other:?}"),
        }
    }

    pub(super) fn boolean(self, name: &str) -> bool {
        match self.value(name) {
            Some(ConfigValue::Boolean(flag)) => flag,
            other => panic!("{name} is no boolean but {other:?}"),
        }
    }

    pub(super) fn list(self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(ConfigValue::List(items)) => items,
            None => Vec::new(),
            other => panic!("{name} is no list but {other:?}"),
        }
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.value(name)? {
            ConfigValue::Text(text) => Some(text).filter(|text| !text.is_empty()),
            other => panic!("{name} is no text but {other:?}"),
        }
    }

    /// Milliseconds, bytes or a count that cannot be negative.
    pub(super) fn size(self, name: &str) -> u64 {
        u64::try_from(self.long(name)).unwrap_or(0)
    }
}

/// The declaration of a key that the program itself names.
fn declared(name: &str) -> &'static ConfigKey {
    #[cfg(test)]
    super::reads::record(name);
    broker_key(name).unwrap_or_else(|| panic!("{name} is not in the table of broker keys"))
}

/// A value in the unit of the key that was asked for. Negative numbers mean "for ever" in every unit.
pub(super) fn scaled(value: ConfigValue, factor: i64) -> ConfigValue {
    match value {
        ConfigValue::Number(number) if number > 0 => ConfigValue::Number(number.saturating_mul(factor)),
        other => other,
    }
}

/// Text of `value` in the unit of the key that was asked for.
pub(super) fn scaled_text(key: &ConfigKey, value: &str, factor: i64) -> String {
    match (key.config_type, value.trim().parse::<i64>()) {
        (ConfigType::Int | ConfigType::Long | ConfigType::Short, Ok(number)) if factor != 1 && number > 0 => {
            number.saturating_mul(factor).to_string()
        }
        _ => value.trim().to_owned(),
    }
}
