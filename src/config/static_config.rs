//! What a node was started with: the values set in server.properties, the environment and `--override`,
//! each with the place it was set at.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::key::ConfigType;

/// The place where a value was set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of a properties file, counted from 1.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line the key begins at.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The container image, for what nothing else says.
    Image,
    /// The number of nodes in the cluster, for what nothing else says.
    ClusterSize,
    /// `--override` on the command line.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Image => f.write_str("the image"),
            Self::ClusterSize => f.write_str("the size of the cluster"),
            Self::Override => f.write_str("--override"),
        }
    }
}

/// One value and where it was set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The value as it was written, without the blanks around it.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// All values set at start. Unknown keys are not among them, and every value has been checked.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct StaticConfig {
    settings: BTreeMap<String, Setting>,
}

impl StaticConfig {
    /// The value of `name`, if it was set.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.value.as_str())
    }

    /// Where `name` was set.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.settings.get(name).map(|setting| &setting.origin)
    }

    /// Everything that was set, sorted by key.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// True when nothing was set at all.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// `key=value (where it was set)`, or `key=default (default)`, for sentences about what contradicts what; a
    /// password's value is left out.
    pub(super) fn named(&self, name: &str) -> String {
        let key = super::broker_key(name);
        let is_secret = key.is_some_and(|key| key.config_type == ConfigType::Password);
        match (self.value(name), self.origin(name)) {
            (Some(_), Some(origin)) if is_secret => format!("{name} ({origin})"),
            (Some(value), Some(origin)) => format!("{name}={value} ({origin})"),
            _ => format!("{name}={} (default)", key.and_then(|key| key.default).unwrap_or_default()),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str, origin: Origin) {
        self.settings.insert(name.to_owned(), Setting { value: value.trim().to_owned(), origin });
    }

    /// What `--override` with these pairs gives; for tests, which know their values to be right.
    ///
    /// # Panics
    /// When a key is unknown or a value is wrong.
    pub fn from_overrides(pairs: &[(&str, &str)]) -> Self {
        let mut config = Self::default();
        for (name, value) in pairs {
            let key = super::broker_key(name).unwrap_or_else(|| panic!("{name} is not a broker key"));
            super::update::validate_value(key, value).unwrap_or_else(|error| panic!("{error}"));
            config.set(name, value, Origin::Override);
        }
        config
    }
}
