//! AlterClientQuotas: which limits may be set for whom.

use std::collections::BTreeSet;

use super::client_quotas::QuotaEntity;
use super::draft::{Draft, Refusal};
use super::feature_control::check_client_quotas;
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    AlterClientQuotas, AlterClientQuotasReply, ClientQuotaChange, ClientQuotaOperation, ClientQuotaRecord,
    ClientQuotaResult, metadata_reply::Kind as Reply,
};

/// Limits of clients; true for those that are whole numbers.
const CLIENT_KEYS: [(&str, bool); 4] = [
    ("producer_byte_rate", true),
    ("consumer_byte_rate", true),
    ("request_percentage", false),
    ("controller_mutation_rate", false),
];
/// Limits of addresses.
const IP_KEYS: [(&str, bool); 1] = [("connection_creation_rate", true)];

/// Sets and removes limits, each entity by itself, or only says whether it would.
pub(super) fn alter(draft: &mut Draft<'_>, command: &AlterClientQuotas) -> Result<Reply, Refusal> {
    check_client_quotas(draft.image())?;
    let mut alteration = draft.branch();
    let mut seen = BTreeSet::new();
    let mut results = Vec::with_capacity(command.changes.len());
    for change in &command.changes {
        let refusal = alter_entity(&mut alteration, change, &mut seen).err();
        results.push(ClientQuotaResult {
            entity: change.entity.clone(),
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
            error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
        });
    }
    if !command.validate_only {
        draft.merge(alteration);
    }
    Ok(Reply::AlterClientQuotas(AlterClientQuotasReply { results }))
}

fn alter_entity(
    draft: &mut Draft<'_>,
    change: &ClientQuotaChange,
    seen: &mut BTreeSet<QuotaEntity>,
) -> Result<(), Refusal> {
    let entity = QuotaEntity::of(&change.entity).ok_or_else(|| {
        invalid("a limit is for a user, a client-id, both together or an ip, each named at most once".to_owned())
    })?;
    if entity.parts().any(|(_, name)| name == Some("")) {
        return Err(invalid("an entity cannot have an empty name; null stands for the default".to_owned()));
    }
    if !seen.insert(entity.clone()) {
        return Err(invalid("the request names the entity twice".to_owned()));
    }
    // All or nothing for an entity.
    change.operations.iter().try_for_each(|operation| check(&entity, operation))?;
    let before = draft.image().client_quotas.get(&entity).cloned().unwrap_or_default();
    for ClientQuotaOperation { key, value } in &change.operations {
        if before.get(key) != value.as_ref() {
            draft.add(ClientQuotaRecord { entity: entity.to_parts(), key: key.clone(), value: *value });
        }
    }
    Ok(())
}

fn check(entity: &QuotaEntity, operation: &ClientQuotaOperation) -> Result<(), Refusal> {
    let ClientQuotaOperation { key, value } = operation;
    let keys: &[(&str, bool)] = if entity.ip.is_some() { &IP_KEYS } else { &CLIENT_KEYS };
    let Some((_, whole)) = keys.iter().find(|(known, _)| known == key) else {
        let known: Vec<&str> = keys.iter().map(|(known, _)| *known).collect();
        return Err(invalid(format!("{key} is no limit that can be set here; these can: {}", known.join(", "))));
    };
    match *value {
        Some(value) if !value.is_finite() || value <= 0.0 => Err(invalid(format!("{key} must be greater than 0"))),
        Some(value) if *whole && value.fract().abs() > 1e-6 => Err(invalid(format!("{key} must be a whole number"))),
        _ => Ok(()),
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::super::cluster_defaults::ClusterDefaults;
    use super::super::decide::Batch;
    use super::super::image::ClusterImage;
    use super::*;
    use crate::rpc::metadata::{
        FeatureLevelRecord, MetadataCommand, QuotaEntityPart, metadata_command, metadata_reply,
    };

    fn part(entity_type: &str, name: Option<&str>) -> QuotaEntityPart {
        QuotaEntityPart { entity_type: entity_type.to_owned(), name: name.map(str::to_owned) }
    }

    fn change(entity: &[QuotaEntityPart], operations: &[(&str, Option<f64>)]) -> ClientQuotaChange {
        let operation = |(key, value): &(&str, Option<f64>)| ClientQuotaOperation { key: (*key).into(), value: *value };
        ClientQuotaChange { entity: entity.to_vec(), operations: operations.iter().map(operation).collect() }
    }

    /// The error codes, and the image afterwards.
    fn decided(image: &ClusterImage, changes: Vec<ClientQuotaChange>, validate_only: bool) -> (Vec<i32>, ClusterImage) {
        let defaults = ClusterDefaults::default();
        let mut batch = Batch::new(image, &defaults);
        let command = AlterClientQuotas { changes, validate_only };
        let reply = batch.decide(&MetadataCommand { kind: Some(metadata_command::Kind::AlterClientQuotas(command)) });
        let mut after = image.clone();
        after.replay_all(&batch.into_records()).unwrap();
        let codes = match reply.kind {
            Some(metadata_reply::Kind::AlterClientQuotas(reply)) => {
                reply.results.iter().map(|r| r.error_code).collect()
            }
            _ => vec![reply.error_code],
        };
        (codes, after)
    }

    fn cluster(level: i32) -> ClusterImage {
        let mut image = ClusterImage::default();
        image.replay(&FeatureLevelRecord { name: "ottla.version".to_owned(), level }.into(), 1).unwrap();
        image
    }

    #[test]
    fn limits_are_set_changed_and_removed() {
        let set = |value| vec![change(&[part("user", Some("u"))], &[("producer_byte_rate", value)])];
        let (codes, image) = decided(&cluster(3), set(Some(100.0)), false);
        assert_eq!(codes, [0]);
        assert_eq!(image.client_quota("u", "c", "producer_byte_rate").map(|(_, limit)| limit), Some(100.0));
        assert_eq!(ClusterImage::restore(&image.to_records(), image.applied_index()).unwrap(), image, "snapshots too");
        let (_, same) = decided(&image, set(Some(100.0)), false);
        assert_eq!(same.applied_index(), image.applied_index(), "nothing new is no record");
        let (_, tried) = decided(&image, set(None), true);
        assert!(!tried.has_no_client_quotas());
        let (_, image) = decided(&image, set(None), false);
        assert!(image.has_no_client_quotas());
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused_and_the_rest_is_taken() {
        let (user, ip) = ([part("user", None)], [part("ip", Some("::1"))]);
        let refused = ErrorCode::InvalidRequest.code().into();
        let cases = [
            (change(&[], &[]), refused),
            (change(&[part("group", None)], &[]), refused),
            (change(&[part("client-id", Some(""))], &[("producer_byte_rate", Some(1.0))]), refused),
            (change(&user, &[("producer_byte_rat", Some(1.0))]), refused),
            (change(&[part("client-id", None)], &[("connection_creation_rate", Some(1.0))]), refused),
            (change(&ip, &[("consumer_byte_rate", Some(1.0))]), refused),
            (change(&[part("client-id", Some("c"))], &[("consumer_byte_rate", Some(0.0))]), refused),
            (change(&[part("client-id", Some("d"))], &[("consumer_byte_rate", Some(1.5))]), refused),
            (change(&[part("client-id", Some("e"))], &[("request_percentage", Some(1.5))]), 0),
            (change(&[part("ip", None)], &[("connection_creation_rate", Some(3.0))]), 0),
            (change(&[part("ip", None)], &[("connection_creation_rate", Some(4.0))]), refused),
        ];
        let (changes, expected): (Vec<_>, Vec<i32>) = cases.into_iter().unzip();
        let (codes, image) = decided(&cluster(3), changes, false);
        assert_eq!(codes, expected);
        assert_eq!(image.client_quotas().count(), 2);
    }

    #[test]
    fn a_cluster_with_nodes_that_cannot_read_limits_has_none() {
        let (codes, image) = decided(&cluster(2), vec![change(&[part("user", None)], &[])], false);
        assert_eq!(codes, [i32::from(ErrorCode::UnsupportedVersion.code())]);
        assert!(image.has_no_client_quotas());
    }
}
