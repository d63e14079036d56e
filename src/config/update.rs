//! Changes to configuration: what CreateTopics, AlterConfigs and IncrementalAlterConfigs may set.
//!
//! Kafka answers INVALID_CONFIG to a value that is wrong, and INVALID_REQUEST to a broker key that cannot
//! change while the broker runs.

use crate::model::ErrorCode;

use super::ConfigMap;
use super::key::{ConfigKey, ConfigType, Status, UpdateMode};
use super::table::{broker_key, broker_keys, group_key, group_keys, nearest_name, topic_key, topic_keys};
use super::value::{self, split_list};

/// Whom a configuration belongs to. The numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i8)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    /// The resource type with this number.
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|resource_type| resource_type.code() == code)
    }

    /// The number on the wire.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// Why a configuration is not taken. The texts are for the person who sent it, and never hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum InvalidConfig {
    #[error("unknown {what} config {name}{}", hint(*.nearest))]
    UnknownKey { what: &'static str, name: String, nearest: Option<&'static str> },
    #[error("invalid value{} for {name}: {reason}", quoted(.value))]
    InvalidValue { name: String, value: Option<String>, reason: String },
    #[error("{name} is refused: {reason}")]
    Refused { name: &'static str, reason: &'static str },
    #[error("{name} has no value; to remove it, delete it")]
    NoValue { name: String },
    #[error("{name} is no list, so nothing can be appended to it or subtracted from it")]
    NotAList { name: String },
    #[error("{name} cannot change while the broker runs; set it in server.properties and restart")]
    ReadOnly { name: &'static str },
    #[error("{name} can only be set for a single broker")]
    PerBroker { name: &'static str },
}

impl InvalidConfig {
    /// Kafka's answer.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::ReadOnly { .. } | Self::PerBroker { .. } | Self::NoValue { .. } => ErrorCode::InvalidRequest,
            _ => ErrorCode::InvalidConfig,
        }
    }
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

fn quoted(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!(" {value:?}")).unwrap_or_default()
}

/// Checks a value of a known key: its type, its range, and whether this broker honours it.
pub(super) fn validate_value(key: &'static ConfigKey, value: &str) -> Result<(), InvalidConfig> {
    let parsed = value::parse(key, value).map_err(|reason| InvalidConfig::InvalidValue {
        name: key.name.to_owned(),
        value: (!key.is_sensitive()).then(|| value.to_owned()),
        reason,
    })?;
    if let Status::Refused(reason) = key.status
        && key.default.and_then(|default| value::parse(key, default).ok()) != Some(parsed)
        && !(key.default.is_none() && value.trim().is_empty())
    {
        return Err(InvalidConfig::Refused { name: key.name, reason });
    }
    Ok(())
}

/// Checks one config of a topic, as CreateTopics and AlterConfigs set it.
pub fn validate_topic_config(name: &str, value: &str) -> Result<(), InvalidConfig> {
    let key = topic_key(name).ok_or_else(|| InvalidConfig::UnknownKey {
        what: "topic",
        name: name.to_owned(),
        nearest: nearest_name(name, topic_keys()),
    })?;
    validate_value(key, value)
}

/// Checks all configs of a topic, each by itself and then together.
pub fn validate_topic_configs(configs: &ConfigMap) -> Result<(), InvalidConfig> {
    configs.iter().try_for_each(|(name, value)| validate_topic_config(name, value))?;
    let number = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    if let (Some(minimum), Some(maximum)) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"))
        && minimum > maximum
    {
        return Err(InvalidConfig::InvalidValue {
            name: "min.compaction.lag.ms".to_owned(),
            value: Some(minimum.to_string()),
            reason: format!("it must not exceed max.compaction.lag.ms, which is {maximum}"),
        });
    }
    Ok(())
}

/// Checks one config of a group.
pub fn validate_group_config(name: &str, value: &str) -> Result<(), InvalidConfig> {
    let key = group_key(name).ok_or_else(|| InvalidConfig::UnknownKey {
        what: "group",
        name: name.to_owned(),
        nearest: nearest_name(name, group_keys()),
    })?;
    validate_value(key, value)
}

/// Checks that a broker key may change while the broker runs: for one broker, or (`cluster_wide`) for all.
pub fn validate_broker_config(name: &str, value: &str, cluster_wide: bool) -> Result<(), InvalidConfig> {
    validate_value(updatable_broker_key(name, cluster_wide)?, value)
}

/// Checks that a broker key may be removed while the broker runs.
pub fn validate_broker_removal(name: &str, cluster_wide: bool) -> Result<(), InvalidConfig> {
    updatable_broker_key(name, cluster_wide).map(|_| ())
}

fn updatable_broker_key(name: &str, cluster_wide: bool) -> Result<&'static ConfigKey, InvalidConfig> {
    let key = broker_key(name).ok_or_else(|| InvalidConfig::UnknownKey {
        what: "broker",
        name: name.to_owned(),
        nearest: nearest_name(name, broker_keys()),
    })?;
    match key.update_mode {
        UpdateMode::ReadOnly => Err(InvalidConfig::ReadOnly { name: key.name }),
        UpdateMode::PerBroker if cluster_wide => Err(InvalidConfig::PerBroker { name: key.name }),
        _ => Ok(key),
    }
}

/// One operation of IncrementalAlterConfigs. The numbers are those on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum AlterOperation {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

impl AlterOperation {
    /// The operation with this number.
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract].into_iter().find(|operation| *operation as i8 == code)
    }
}

/// What a config becomes under one operation; `None` means that it is removed.
///
/// `inherited` is the value in effect when the resource sets none: a list is appended to what is in effect.
/// The result is not yet validated.
pub fn apply_operation(
    resource_type: ResourceType,
    name: &str,
    operation: AlterOperation,
    current: Option<&str>,
    inherited: Option<&str>,
    value: Option<&str>,
) -> Result<Option<String>, InvalidConfig> {
    if operation == AlterOperation::Delete {
        return Ok(None);
    }
    let value = value.ok_or_else(|| InvalidConfig::NoValue { name: name.to_owned() })?;
    if operation == AlterOperation::Set {
        return Ok(Some(value.to_owned()));
    }
    let key = match resource_type {
        ResourceType::Topic => topic_key(name),
        ResourceType::Group => group_key(name),
        _ => broker_key(name),
    };
    if key.is_none_or(|key| key.config_type != ConfigType::List) {
        return Err(InvalidConfig::NotAList { name: name.to_owned() });
    }
    let mut items = split_list(current.or(inherited).unwrap_or_default());
    let changed = split_list(value);
    match operation {
        AlterOperation::Append => {
            for item in changed {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
        }
        _ => items.retain(|item| !changed.contains(item)),
    }
    Ok(Some(items.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_neighbour() {
        let error = validate_topic_config("retention.mss", "1").unwrap_err();
        assert_eq!(error.to_string(), "unknown topic config retention.mss; did you mean retention.ms?");
        assert_eq!(error.error_code(), ErrorCode::InvalidConfig);
        let error = validate_topic_config("zzz", "1").unwrap_err();
        assert_eq!(error.to_string(), "unknown topic config zzz");
    }

    #[test]
    fn broker_keys_change_only_as_their_mode_allows() {
        use ErrorCode::{InvalidConfig as Config, InvalidRequest as Request};
        let cases = [
            ("log.retention.ms", "60000", true, None),
            ("log.retention.ms", "abc", true, Some(Config)),
            ("broker.id", "3", false, Some(Request)),
            ("advertised.listeners", "PLAINTEXT://a:1", true, Some(Request)),
            ("listeners", "PLAINTEXT://a:1", true, Some(Request)),
            ("auto.create.topics.enable", "false", false, Some(Request)),
            ("max.connections.per.ip", "5", true, None),
            ("no.such.key", "5", true, Some(Config)),
        ];
        for (name, value, cluster_wide, expected) in cases {
            let answer = validate_broker_config(name, value, cluster_wide).err().map(|error| error.error_code());
            assert_eq!(answer, expected, "{name}={value}");
        }
    }

    #[test]
    fn what_is_not_honoured_is_refused_with_its_reason() {
        assert!(matches!(validate_topic_config("remote.storage.enable", "true"), Err(InvalidConfig::Refused { .. })));
        assert_eq!(validate_topic_config("remote.storage.enable", "false"), Ok(()));
    }

    #[test]
    fn a_wrong_password_is_not_repeated() {
        let key = broker_key("ssl.key.password").expect("declared");
        let error = InvalidConfig::InvalidValue { name: key.name.to_owned(), value: None, reason: "x".to_owned() };
        assert_eq!(error.to_string(), "invalid value for ssl.key.password: x");
    }

    #[test]
    fn lists_are_appended_to_and_subtracted_from() {
        let apply = |operation, current, inherited, value| {
            apply_operation(ResourceType::Topic, "cleanup.policy", operation, current, inherited, Some(value))
        };
        use AlterOperation::{Append, Subtract};
        assert_eq!(apply(Append, None, Some("delete"), "compact"), Ok(Some("delete,compact".to_owned())));
        assert_eq!(apply(Append, Some("compact"), Some("delete"), "compact"), Ok(Some("compact".to_owned())));
        assert_eq!(apply(Subtract, Some("delete,compact"), None, "delete"), Ok(Some("compact".to_owned())));
        assert_eq!(apply(Subtract, None, None, "delete"), Ok(Some(String::new())));
    }

    #[test]
    fn numbers_are_no_lists_and_nothing_is_no_value() {
        let apply = |name, operation, value| apply_operation(ResourceType::Topic, name, operation, None, None, value);
        let error = apply("retention.ms", AlterOperation::Append, Some("1")).unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::InvalidConfig);
        let error = apply("retention.ms", AlterOperation::Set, None).unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::InvalidRequest);
        assert_eq!(apply("retention.ms", AlterOperation::Delete, None), Ok(None));
    }

    #[test]
    fn compaction_lags_must_not_cross() {
        let configs = ConfigMap::from([
            ("min.compaction.lag.ms".to_owned(), "10".to_owned()),
            ("max.compaction.lag.ms".to_owned(), "5".to_owned()),
        ]);
        assert!(validate_topic_configs(&configs).is_err());
    }
}
