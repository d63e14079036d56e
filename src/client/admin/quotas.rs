//! Reads and changes the quotas of users, clients and addresses (KIP-546).

use super::unanimous;
use crate::client::{ClusterClient, ClusterError, Target};
use crate::protocol::{
    AlterClientQuotasRequest, AlterQuotaEntry, DescribeClientQuotasRequest, QuotaEntityData, QuotaEntry, QuotaFilter,
    QuotaOperation,
};

/// Which names a quota may be for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuotaName {
    /// All of the type that have a quota.
    Any,
    /// Those that have none of their own.
    Default,
    /// This one.
    Exactly(String),
}

/// The quotas of entities that consist of just these types, `user`, `client-id` or `ip`, each with the names wanted.
pub async fn describe(
    client: &mut ClusterClient,
    parts: &[(&str, QuotaName)],
) -> Result<Vec<QuotaEntry>, ClusterError> {
    let filter = |(entity_type, name): &(&str, QuotaName)| {
        let (match_type, name) = match name {
            QuotaName::Exactly(name) => (0, Some(name.clone())),
            QuotaName::Default => (1, None),
            QuotaName::Any => (2, None),
        };
        QuotaFilter { entity_type: (*entity_type).to_owned(), match_type, r#match: name }
    };
    let request = DescribeClientQuotasRequest { components: parts.iter().map(filter).collect(), strict: true };
    let response = client.ask(&Target::Any, &request, |response| response.error_code).await?;
    match response.error_code.is_error() {
        true => Err(ClusterError::refused("quotas", response.error_code, response.error_message)),
        false => Ok(response.entries.unwrap_or_default()),
    }
}

/// Sets quotas of one entity, or removes those without a value. A part without a name is the default of its type.
pub async fn alter(
    client: &mut ClusterClient,
    entity: &[(&str, Option<&str>)],
    changes: &[(String, Option<f64>)],
) -> Result<(), ClusterError> {
    let part = |(entity_type, name): &(&str, Option<&str>)| QuotaEntityData {
        entity_type: (*entity_type).to_owned(),
        entity_name: name.map(str::to_owned),
    };
    let operation = |(key, value): &(String, Option<f64>)| QuotaOperation {
        key: key.clone(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    let entry =
        AlterQuotaEntry { entity: entity.iter().map(part).collect(), ops: changes.iter().map(operation).collect() };
    let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
    let response = client
        .ask(&Target::Controller, &request, |response| unanimous(response.entries.iter().map(|entry| entry.error_code)))
        .await?;
    match response.entries.into_iter().find(|entry| entry.error_code.is_error()) {
        Some(refused) => Err(ClusterError::refused("quotas", refused.error_code, refused.error_message)),
        None => Ok(()),
    }
}
