//! Reads and changes the configuration of topics, brokers and groups.

use std::fmt;

use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::ErrorCode;
use crate::protocol::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResource, IncrementalAlterableConfig,
};

/// What is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker by its id.
    Broker(i32),
    /// The defaults of all brokers.
    BrokerDefaults,
    /// The loggers of a broker.
    BrokerLogger(i32),
    /// A subscription to client metrics.
    ClientMetrics(String),
    /// A consumer group.
    Group(String),
}

impl ConfigResource {
    /// Kafka's number for the kind.
    pub fn resource_type(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::BrokerDefaults => 4,
            Self::BrokerLogger(_) => 8,
            Self::ClientMetrics(_) => 16,
            Self::Group(_) => 32,
        }
    }

    /// The name on the wire; that of the brokers' defaults is empty.
    pub fn resource_name(&self) -> String {
        match self {
            Self::Topic(name) | Self::ClientMetrics(name) | Self::Group(name) => name.clone(),
            Self::Broker(id) | Self::BrokerLogger(id) => id.to_string(),
            Self::BrokerDefaults => String::new(),
        }
    }

    /// A broker tells and changes its own configuration itself.
    fn target(&self) -> Target {
        match self {
            Self::Broker(id) | Self::BrokerLogger(id) => Target::Broker(*id),
            _ => Target::Any,
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name:?}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::BrokerDefaults => f.write_str("the brokers' defaults"),
            Self::BrokerLogger(id) => write!(f, "the loggers of broker {id}"),
            Self::ClientMetrics(name) => write!(f, "client metrics {name:?}"),
            Self::Group(name) => write!(f, "group {name:?}"),
        }
    }
}

/// How one key is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigChange {
    /// Gives it a value.
    Set(String),
    /// Takes its value away, so that the default is in force.
    Unset,
    /// Adds to its list.
    Append(String),
    /// Takes from its list.
    Subtract(String),
}

/// What a description is to contain.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ConfigDetail {
    /// Also the values that would be in force if the first were taken away.
    pub synonyms: bool,
    /// Also what each key is for.
    pub documentation: bool,
}

/// The configuration of one resource; `keys` narrows it down.
pub async fn describe(
    client: &mut ClusterClient,
    resource: &ConfigResource,
    keys: Option<&[String]>,
    detail: ConfigDetail,
) -> Result<Vec<DescribeConfigsResourceResult>, ClusterError> {
    let asked = DescribeConfigsResource {
        resource_type: resource.resource_type(),
        resource_name: resource.resource_name(),
        configuration_keys: keys.map(<[String]>::to_vec),
    };
    let request = DescribeConfigsRequest {
        resources: vec![asked],
        include_synonyms: detail.synonyms,
        include_documentation: detail.documentation,
    };
    let verdict = |code: Option<ErrorCode>| code.unwrap_or_default();
    let response = client
        .ask(&resource.target(), &request, |response| verdict(response.results.first().map(|result| result.error_code)))
        .await?;
    let result = response.results.into_iter().next();
    let result =
        result.ok_or_else(|| ClusterError::refused(resource.to_string(), ErrorCode::ResourceNotFound, None))?;
    if result.error_code.is_error() {
        return Err(ClusterError::refused(resource.to_string(), result.error_code, result.error_message));
    }
    Ok(result.configs)
}

/// Changes single keys of one resource, or with `validate_only` asks whether they could be.
pub async fn alter(
    client: &mut ClusterClient,
    resource: &ConfigResource,
    changes: &[(String, ConfigChange)],
    validate_only: bool,
) -> Result<(), ClusterError> {
    let change = |(name, change): &(String, ConfigChange)| {
        let (config_operation, value) = match change {
            ConfigChange::Set(value) => (0, Some(value.clone())),
            ConfigChange::Unset => (1, None),
            ConfigChange::Append(value) => (2, Some(value.clone())),
            ConfigChange::Subtract(value) => (3, Some(value.clone())),
        };
        IncrementalAlterableConfig { name: name.clone(), config_operation, value }
    };
    let altered = IncrementalAlterConfigsResource {
        resource_type: resource.resource_type(),
        resource_name: resource.resource_name(),
        configs: changes.iter().map(change).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![altered], validate_only };
    let target = resource.target();
    let response = client
        .ask(&target, &request, |response| {
            response.responses.first().map(|result| result.error_code).unwrap_or_default()
        })
        .await?;
    match response.responses.into_iter().find(|result| result.error_code.is_error()) {
        Some(result) => Err(ClusterError::refused(resource.to_string(), result.error_code, result.error_message)),
        None => Ok(()),
    }
}

/// Where a value comes from, in words; the numbers are DescribeConfigs'.
pub fn source_name(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker",
        3 => "default of all brokers",
        4 => "broker's file",
        5 => "default",
        6 => "broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}
