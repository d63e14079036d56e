//! From a property's text to a value of its type, and whether that value is allowed.

use super::key::{ConfigKey, ConfigType, ValidValues};

/// A value, parsed.
#[derive(Clone, PartialEq, Debug)]
pub enum ConfigValue {
    /// Of a boolean key.
    Boolean(bool),
    /// Of an int, short or long key.
    Number(i64),
    /// Of a double key.
    Double(f64),
    /// Of a list key.
    List(Vec<String>),
    /// Of a string, class or password key.
    Text(String),
}

/// Parses and checks `text` as a value of `key`. The error says what is wrong with it, without repeating it.
pub(super) fn parse(key: &ConfigKey, text: &str) -> Result<ConfigValue, String> {
    let value = parse_type(key.config_type, text).map_err(|wrong| match key.valid {
        // What is no number at all is told what would be one, as a number that is too low is.
        ValidValues::AtLeast(minimum) if text.trim().parse::<i64>().is_err() => {
            format!("it must be a number of at least {minimum}")
        }
        _ => wrong,
    })?;
    check(key.valid, &value)?;
    Ok(value)
}

fn parse_type(config_type: ConfigType, text: &str) -> Result<ConfigValue, String> {
    let trimmed = text.trim();
    match config_type {
        ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(ConfigValue::Boolean(true)),
        ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(ConfigValue::Boolean(false)),
        ConfigType::Boolean => Err("it must be true or false".to_owned()),
        ConfigType::Short => whole_number(trimmed, i16::MIN.into(), i16::MAX.into()),
        ConfigType::Int => whole_number(trimmed, i32::MIN.into(), i32::MAX.into()),
        ConfigType::Long => whole_number(trimmed, i64::MIN, i64::MAX),
        ConfigType::Double => match trimmed.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(ConfigValue::Double(number)),
            _ => Err("it must be a number".to_owned()),
        },
        ConfigType::List => Ok(ConfigValue::List(split_list(trimmed))),
        ConfigType::String | ConfigType::Class => Ok(ConfigValue::Text(trimmed.to_owned())),
        ConfigType::Password => Ok(ConfigValue::Text(text.to_owned())),
    }
}

fn whole_number(text: &str, minimum: i64, maximum: i64) -> Result<ConfigValue, String> {
    match text.parse::<i64>() {
        Ok(number) if (minimum..=maximum).contains(&number) => Ok(ConfigValue::Number(number)),
        Ok(_) => Err(format!("it must be a whole number from {minimum} to {maximum}")),
        Err(_) => Err("it must be a whole number".to_owned()),
    }
}

/// The items of a comma-separated list, without the blanks around them; empty items do not count.
pub(super) fn split_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn check(valid: ValidValues, value: &ConfigValue) -> Result<(), String> {
    match (valid, value) {
        (ValidValues::AtLeast(minimum), ConfigValue::Number(number)) => {
            ensure(*number >= minimum, || format!("it must be at least {minimum}"))
        }
        (ValidValues::Between(minimum, maximum), ConfigValue::Number(number)) => {
            ensure((minimum..=maximum).contains(number), || format!("it must be from {minimum} to {maximum}"))
        }
        (ValidValues::BetweenOr(minimum, maximum, special), ConfigValue::Number(number)) => {
            ensure((minimum..=maximum).contains(number) || *number == special, || {
                format!("it must be from {minimum} to {maximum}, or {special}")
            })
        }
        (ValidValues::Fraction(maximum), ConfigValue::Double(number)) => {
            ensure((0.0..=maximum).contains(number), || format!("it must be from 0 to {maximum}"))
        }
        (ValidValues::OneOf(allowed), ConfigValue::Text(text)) => {
            ensure(allowed.contains(&text.as_str()), || format!("it must be one of {}", allowed.join(", ")))
        }
        (ValidValues::OneOfIgnoringCase(allowed), ConfigValue::Text(text)) => {
            ensure(allowed.iter().any(|item| item.eq_ignore_ascii_case(text)), || {
                format!("it must be one of {}", allowed.join(", "))
            })
        }
        (ValidValues::EachOf(allowed), ConfigValue::List(items)) => {
            ensure(items.iter().all(|item| allowed.contains(&item.as_str())), || {
                format!("each item must be one of {}", allowed.join(", "))
            })
        }
        (ValidValues::NonEmpty, ConfigValue::Text(text)) => {
            ensure(!text.is_empty(), || "it must not be empty".to_owned())
        }
        (ValidValues::ThrottledReplicas, ConfigValue::List(items)) => {
            ensure(is_throttled_replicas(items), || "it must be * or a list of partition:broker".to_owned())
        }
        _ => Ok(()),
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn is_throttled_replicas(items: &[String]) -> bool {
    let is_pair = |item: &String| match item.split_once(':') {
        Some((partition, broker)) => partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok(),
        None => false,
    };
    items == ["*"] || items.iter().all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic_key;

    /// Answers of Kafka 4.3.1 to CreateTopics with this one config.
    #[test]
    fn values_are_judged_as_kafka_judges_them() {
        let cases = [
            ("retention.ms", "abc", false),
            ("retention.ms", "-2", false),
            ("retention.ms", "-1", true),
            ("retention.ms", "+5000", true),
            ("retention.ms", "5 000", false),
            ("retention.ms", "0x10", false),
            ("retention.ms", "", false),
            ("cleanup.policy", "foo", false),
            ("cleanup.policy", "", true),
            ("cleanup.policy", " compact , delete ", true),
            ("cleanup.policy", "delete,delete", true),
            ("segment.bytes", "10", false),
            ("segment.bytes", " 1048576 ", true),
            ("segment.bytes", "3000000000", false),
            ("min.cleanable.dirty.ratio", "2", false),
            ("min.cleanable.dirty.ratio", "1e-1", true),
            ("min.insync.replicas", "0", false),
            ("compression.type", "GZIP", false),
            ("compression.type", "gzip", true),
            ("compression.gzip.level", "0", false),
            ("compression.gzip.level", "-1", true),
            ("compression.gzip.level", "10", false),
            ("compression.zstd.level", "23", false),
            ("preallocate", "yes", false),
            ("preallocate", "TRUE", true),
            ("message.timestamp.type", "logappendtime", false),
            ("max.compaction.lag.ms", "0", false),
            ("leader.replication.throttled.replicas", "a:b", false),
            ("leader.replication.throttled.replicas", "*", true),
            ("leader.replication.throttled.replicas", "0:1,1:2", true),
        ];
        for (name, text, allowed) in cases {
            let key = topic_key(name).expect("a topic key");
            assert_eq!(parse(key, text).is_ok(), allowed, "{name}={text}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let key = topic_key("min.cleanable.dirty.ratio").expect("a topic key");
        for text in ["NaN", "inf", "-0.1", "", "1d"] {
            assert!(parse(key, text).is_err(), "{text}");
        }
    }
}
