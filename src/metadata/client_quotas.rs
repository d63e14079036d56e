//! Whom limits are set for (KIP-55, KIP-257, KIP-612).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rpc::metadata::QuotaEntityPart;

/// Kafka's words for the parts of an entity.
const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// A part of an entity: all those that have no limit of their own, or one by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EntityName {
    /// All others.
    Default,
    /// This one.
    Name(Arc<str>),
}

/// Whom a limit is for: a user, a client id, both together, or an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct QuotaEntity {
    /// The principal's name.
    pub user: Option<EntityName>,
    /// As the client calls itself.
    pub client_id: Option<EntityName>,
    /// Where it connects from; never beside the others.
    pub ip: Option<EntityName>,
}

/// The limits of one entity: Kafka's keys, such as `producer_byte_rate`, and their values.
pub type QuotaLimits = BTreeMap<String, f64>;

impl QuotaEntity {
    /// The entity of these parts: type, and name (`None` for the default). `None` when there are none, one comes twice or
    /// is of no known type, or an address is beside others.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Option<Self> {
        let mut entity = Self::default();
        for (entity_type, name) in parts {
            let part = match entity_type {
                USER => &mut entity.user,
                CLIENT_ID => &mut entity.client_id,
                IP => &mut entity.ip,
                _ => return None,
            };
            let name = name.map_or(EntityName::Default, |name| EntityName::Name(name.into()));
            if part.replace(name).is_some() {
                return None;
            }
        }
        let Self { user, client_id, ip } = &entity;
        let of_client = user.is_some() || client_id.is_some();
        (of_client != ip.is_some()).then_some(entity)
    }

    /// Its parts as they are told: type, and name (`None` for the default).
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        let parts = [(USER, &self.user), (CLIENT_ID, &self.client_id), (IP, &self.ip)];
        parts.into_iter().filter_map(|(entity_type, name)| match name.as_ref()? {
            EntityName::Default => Some((entity_type, None)),
            EntityName::Name(name) => Some((entity_type, Some(&**name))),
        })
    }

    /// True for the types of entities there are.
    pub fn is_type(entity_type: &str) -> bool {
        [USER, CLIENT_ID, IP].contains(&entity_type)
    }

    pub(super) fn to_parts(&self) -> Vec<QuotaEntityPart> {
        let part = |(entity_type, name): (&str, Option<&str>)| QuotaEntityPart {
            entity_type: entity_type.to_owned(),
            name: name.map(str::to_owned),
        };
        self.parts().map(part).collect()
    }

    pub(super) fn of(parts: &[QuotaEntityPart]) -> Option<Self> {
        Self::from_parts(parts.iter().map(|part| (part.entity_type.as_str(), part.name.as_deref())))
    }
}

/// Who shares a limit: what these clients do is added up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct QuotaShare {
    /// The user, where the limit is for one.
    pub user: Option<Arc<str>>,
    /// The client id, where the limit is for one.
    pub client_id: Option<Arc<str>>,
}
