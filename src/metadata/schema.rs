//! What the machine must know about configuration keys, and does not own.

use std::collections::BTreeMap;

use super::image::ConfigResource;

/// Knows the configuration keys. The broker's table of keys implements it; the machine only asks.
pub trait ConfigSchema {
    /// Judges the whole configuration that a resource would have; the error says what to change.
    fn validate(&self, resource: &ConfigResource, configs: &BTreeMap<String, String>) -> Result<(), String>;

    /// True when the key's value is a list, to which APPEND and SUBTRACT apply.
    fn is_list(&self, resource: &ConfigResource, key: &str) -> bool;

    /// The value of a key that is not set on the resource: what APPEND and SUBTRACT start from.
    fn default_value(&self, resource: &ConfigResource, key: &str) -> Option<String>;
}
