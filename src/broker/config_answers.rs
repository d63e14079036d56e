//! What AlterConfigs and IncrementalAlterConfigs have in common: one answer for each resource.

use crate::model::ErrorCode;
use crate::rpc::metadata::{ConfigResource, ConfigResult, metadata_command, metadata_reply};

use super::context::Context;
use super::controller_answers::{ask, error_code, message, unexpected};

/// How one resource fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAnswer {
    /// Kafka's number.
    pub resource_type: i8,
    /// Its name.
    pub resource_name: String,
    /// NONE when it was changed.
    pub error_code: ErrorCode,
    /// Why it was not.
    pub error_message: Option<String>,
}

/// A resource in a command.
pub fn resource(resource_type: i8, resource_name: &str) -> ConfigResource {
    ConfigResource { resource_type: resource_type.into(), resource_name: resource_name.to_owned() }
}

/// Has the controllers change configs. `asked` are the resources of the command, by type and name. The requests carry
/// no time-out of their own.
pub async fn alter(context: &Context, command: metadata_command::Kind, asked: Vec<(i8, String)>) -> Vec<ConfigAnswer> {
    let refused = match ask(context, command, 0).await {
        Ok(metadata_reply::Kind::AlterConfigs(reply)) => return reply.resources.into_iter().map(answer).collect(),
        Ok(_) => unexpected(),
        Err(refused) => refused,
    };
    let failed = |(resource_type, resource_name)| ConfigAnswer {
        resource_type,
        resource_name,
        error_code: refused.error_code,
        error_message: refused.error_message.clone(),
    };
    asked.into_iter().map(failed).collect()
}

fn answer(result: ConfigResult) -> ConfigAnswer {
    let resource = result.resource.unwrap_or_default();
    ConfigAnswer {
        resource_type: i8::try_from(resource.resource_type).unwrap_or_default(),
        resource_name: resource.resource_name,
        error_code: error_code(result.error_code),
        error_message: message(result.error_message),
    }
}
