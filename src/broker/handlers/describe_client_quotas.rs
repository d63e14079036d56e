//! DescribeClientQuotas, versions 0 and 1.
//!
//! Tells the limits of all entities that match (KIP-546): each component names a type of entity and a name, the default
//! or any; `strict` leaves out entities that have other parts as well. Version 1 is flexible.

use std::collections::BTreeSet;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::Refused;
use crate::metadata::QuotaEntity;
use crate::model::ErrorCode;
use crate::protocol::messages::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, QuotaEntityData, QuotaEntry, QuotaFilter, QuotaValue,
};

/// Kafka's numbers.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

/// Answers from this broker's metadata.
pub async fn handle(
    context: &Context,
    _call: Call,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    if let Err(refused) = check(&request.components) {
        return DescribeClientQuotasResponse {
            error_code: refused.error_code,
            error_message: refused.error_message,
            entries: None,
            ..DescribeClientQuotasResponse::default()
        };
    }
    let image = context.image();
    let matching = image.client_quotas().filter(|(entity, _)| matches(entity, &request));
    let entries = matching.map(|(entity, limits)| QuotaEntry {
        entity: entity_data(entity),
        values: limits.iter().map(|(key, value)| QuotaValue { key: key.clone(), value: *value }).collect(),
    });
    DescribeClientQuotasResponse { entries: Some(entries.collect()), ..DescribeClientQuotasResponse::default() }
}

fn check(filters: &[QuotaFilter]) -> Result<(), Refused> {
    let invalid = |message: String| Err(Refused::new(ErrorCode::InvalidRequest, message));
    let mut seen = BTreeSet::new();
    for filter in filters {
        let entity_type = filter.entity_type.as_str();
        if !QuotaEntity::is_type(entity_type) {
            let message = format!("there are no limits for entities of type {entity_type:?}");
            return Err(Refused::new(ErrorCode::UnsupportedVersion, message));
        }
        if !seen.insert(entity_type) {
            return invalid(format!("the request names {entity_type} twice"));
        }
        match (filter.match_type, &filter.r#match) {
            (EXACT, Some(_)) | (DEFAULT | ANY, None) => {}
            (match_type, _) => {
                return invalid(format!("match type {match_type} of {entity_type} does not fit its name"));
            }
        }
    }
    Ok(())
}

fn matches(entity: &QuotaEntity, request: &DescribeClientQuotasRequest) -> bool {
    let fits = |filter: &QuotaFilter| {
        let part = entity.parts().find(|(entity_type, _)| *entity_type == filter.entity_type);
        part.is_some_and(|(_, name)| match filter.match_type {
            EXACT => name.is_some() && name == filter.r#match.as_deref(),
            DEFAULT => name.is_none(),
            _ => true,
        })
    };
    let nothing_else = !request.strict || entity.parts().count() == request.components.len();
    nothing_else && request.components.iter().all(fits)
}

fn entity_data(entity: &QuotaEntity) -> Vec<QuotaEntityData> {
    let data = |(entity_type, name): (&str, Option<&str>)| QuotaEntityData {
        entity_type: entity_type.to_owned(),
        entity_name: name.map(str::to_owned),
    };
    entity.parts().map(data).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(entity_type: &str, match_type: i8, name: Option<&str>) -> QuotaFilter {
        QuotaFilter { entity_type: entity_type.to_owned(), match_type, r#match: name.map(str::to_owned) }
    }

    #[test]
    fn filters_pick_by_name_default_and_type() {
        let entity = QuotaEntity::from_parts([("user", Some("u")), ("client-id", None)]).unwrap();
        let matches = |components: &[QuotaFilter], strict| {
            matches(&entity, &DescribeClientQuotasRequest { components: components.to_vec(), strict })
        };
        let user = |name| filter("user", EXACT, Some(name));
        assert!(matches(&[], false) && !matches(&[], true));
        assert!(matches(&[user("u")], false) && !matches(&[user("u")], true) && !matches(&[user("v")], false));
        let default = filter("client-id", DEFAULT, None);
        assert!(matches(&[user("u"), default.clone()], true) && matches(&[default], false));
        assert!(matches(&[filter("client-id", ANY, None)], false) && !matches(&[filter("ip", ANY, None)], false));
        assert!(!matches(&[filter("client-id", EXACT, Some("c"))], false));
    }

    #[test]
    fn filters_that_mean_nothing_are_refused() {
        let code = |filters: &[QuotaFilter]| check(filters).err().map(|refused| refused.error_code);
        assert_eq!(code(&[filter("user", ANY, None), filter("client-id", DEFAULT, None)]), None);
        assert_eq!(code(&[filter("user", EXACT, None)]), Some(ErrorCode::InvalidRequest));
        assert_eq!(code(&[filter("user", 3, None)]), Some(ErrorCode::InvalidRequest));
        assert_eq!(code(&[filter("user", ANY, None), filter("user", ANY, None)]), Some(ErrorCode::InvalidRequest));
        assert_eq!(code(&[filter("group", ANY, None)]), Some(ErrorCode::UnsupportedVersion));
    }
}
