//! `kafka-configs` for users, clients and addresses: their quotas, in the words of Kafka's tool.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::options::Given;
use super::session::say;
use crate::client::ClusterClient;
use crate::client::admin::quotas::{self, QuotaName};
use crate::protocol::QuotaEntry;

/// Options that name one entity, and those that mean the default of its type; in the order in which Kafka looks.
const FLAGS: [(&str, &Kind); 3] = [("client", &CLIENTS), ("user", &USERS), ("ip", &IPS)];
const DEFAULTS: [(&str, &Kind); 3] = [("client-defaults", &CLIENTS), ("user-defaults", &USERS), ("ip-defaults", &IPS)];

const CLIENT_KEYS: [&str; 4] =
    ["consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"];
const IP_KEYS: [&str; 1] = ["connection_creation_rate"];

/// A type of entity that quotas are for.
#[derive(PartialEq, Eq, Debug)]
struct Kind {
    /// Of `--entity-type`.
    plural: &'static str,
    /// In DescribeClientQuotas.
    entity_type: &'static str,
    /// In what is printed.
    shown: &'static str,
}

const USERS: Kind = Kind { plural: "users", entity_type: "user", shown: "user-principal" };
const CLIENTS: Kind = Kind { plural: "clients", entity_type: "client-id", shown: "client-id" };
const IPS: Kind = Kind { plural: "ips", entity_type: "ip", shown: "ip" };

/// Whose quotas. Each type has a name, empty for the default, or none for all of the type.
pub(super) struct Subject {
    parts: Vec<(&'static Kind, Option<String>)>,
}

impl Subject {
    /// What the command line names; `None` when it names no user, client or address.
    pub(super) fn of(given: &Given) -> Result<Option<Self>, Failure> {
        let types: Vec<&str> = given.values("entity-type").collect();
        let kind = |name: &str| [&USERS, &CLIENTS, &IPS].into_iter().find(|kind| kind.plural == name);
        let flags = FLAGS.into_iter().filter(|(option, _)| given.has(option));
        let defaults = DEFAULTS.into_iter().filter(|(option, _)| given.has(option));
        let kinds: Vec<&'static Kind> = types
            .iter()
            .filter_map(|name| kind(name))
            .chain(flags.clone().map(|(_, kind)| kind))
            .chain(defaults.clone().map(|(_, kind)| kind))
            .collect();
        if kinds.is_empty() {
            return Ok(None);
        }
        check_together(&kinds, types.iter().any(|name| kind(name).is_none()))?;
        let of_types = given.in_order(&["entity-name", "entity-default"]).map(Option::unwrap_or_default);
        let of_flags = flags.filter_map(|(option, _)| given.value(option));
        let names: Vec<String> = of_types.chain(of_flags).chain(defaults.map(|_| "")).map(str::to_owned).collect();
        if names.len() > kinds.len() {
            return Err(Failure::said("More entity names specified than entity types"));
        }
        if given.has("alter") && names.len() < kinds.len() {
            let what =
                "an entity-name or default entity must be specified with --alter of users, clients, brokers or ips";
            return Err(Failure::said(what));
        }
        let names = names.into_iter().map(Some).chain(std::iter::repeat(None));
        Ok(Some(Self { parts: kinds.into_iter().zip(names).collect() }))
    }

    /// Prints the quotas.
    pub(super) async fn describe(&self, client: &mut ClusterClient) -> Result<(), Failure> {
        for entry in self.found(client).await? {
            say!("{}", sentence(&entry));
        }
        Ok(())
    }

    /// Sets and removes quotas.
    pub(super) async fn alter(
        &self,
        client: &mut ClusterClient,
        added: BTreeMap<String, String>,
        deleted: Vec<String>,
    ) -> Result<(), Failure> {
        self.check_keys("added", added.keys())?;
        self.check_keys("deleted", deleted.iter())?;
        let mut changes = Vec::new();
        for (key, value) in added {
            let number = value
                .trim()
                .parse::<f64>()
                .map_err(|_| Failure::said(format!("Cannot parse quota configuration value for {key}: {value}")))?;
            changes.push((key, Some(number)));
        }
        let old = self.found(client).await?.into_iter().next().map(|entry| entry.values).unwrap_or_default();
        let unset: Vec<&str> =
            deleted.iter().map(String::as_str).filter(|key| old.iter().all(|value| value.key != *key)).collect();
        if !unset.is_empty() {
            return Err(Failure::said(format!("Invalid config(s): {}", unset.join(","))));
        }
        changes.extend(deleted.into_iter().map(|key| (key, None)));
        let parts = self.parts.iter();
        let entity: Vec<_> =
            parts.map(|(kind, name)| (kind.entity_type, name.as_deref().filter(|name| !name.is_empty()))).collect();
        quotas::alter(client, &entity, &changes).await?;
        match self.parts.first() {
            Some((kind, Some(name))) if !name.is_empty() => {
                say!("Completed updating config for {} {name}.", &kind.plural[..kind.plural.len() - 1]);
            }
            Some((kind, _)) => say!("Completed updating default config for {} in the cluster.", kind.plural),
            None => {}
        }
        Ok(())
    }

    async fn found(&self, client: &mut ClusterClient) -> Result<Vec<QuotaEntry>, Failure> {
        let wanted = |(kind, name): &(&'static Kind, Option<String>)| {
            let name = match name.as_deref() {
                None => QuotaName::Any,
                Some("") => QuotaName::Default,
                Some(name) => QuotaName::Exactly(name.to_owned()),
            };
            (kind.entity_type, name)
        };
        let parts: Vec<_> = self.parts.iter().map(wanted).collect();
        Ok(quotas::describe(client, &parts).await?)
    }

    /// `done` is what was to become of the keys.
    fn check_keys<'a>(&self, done: &str, keys: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
        let of_addresses = self.parts.iter().any(|(kind, _)| **kind == IPS);
        let known: &[&str] = if of_addresses { &IP_KEYS } else { &CLIENT_KEYS };
        let unknown: Vec<&str> = keys.map(String::as_str).filter(|key| !known.contains(key)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let names = unknown.join(", ");
        if unknown.iter().any(|key| key.starts_with("SCRAM-")) {
            return Err(Failure::said(format!("kafka-configs: {names}: SCRAM credentials are not there yet.")));
        }
        let (what, whose) = match self.parts.as_slice() {
            _ if of_addresses => ("connection quota", "ips"),
            [(kind, _)] if **kind == USERS => ("quota and SCRAM credential", "users"),
            _ => ("quota", "clients"),
        };
        Err(Failure::said(format!(
            "Only {what} configs can be {done} for '{whose}' using --bootstrap-server. Unexpected config names: {names}"
        )))
    }
}

/// A user and a client go together, and nothing else does.
fn check_together(kinds: &[&'static Kind], with_others: bool) -> Result<(), Failure> {
    if kinds.iter().enumerate().any(|(at, kind)| kinds[..at].contains(kind)) {
        return Err(Failure::said("Duplicate entity type(s) specified"));
    }
    match with_others || kinds.len() > 1 && kinds.contains(&&IPS) {
        true => Err(Failure::said("Only 'users' and 'clients' entity types may be specified together")),
        false => Ok(()),
    }
}

fn sentence(entry: &QuotaEntry) -> String {
    let part = |kind: &Kind| {
        let part = entry.entity.iter().find(|part| part.entity_type == kind.entity_type)?;
        Some(match &part.entity_name {
            Some(name) => format!("{} '{name}'", kind.shown),
            None => format!("the default {}", kind.shown),
        })
    };
    let entity: Vec<String> = [&USERS, &CLIENTS, &IPS].into_iter().filter_map(part).collect();
    let values: Vec<String> = entry.values.iter().map(|value| format!("{}={}", value.key, java(value.value))).collect();
    format!("Quota configs for {} are {}", entity.join(", "), values.join(", "))
}

/// A number as Java prints it: 1024.0, 1.048576E7.
fn java(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_java() {
        for (value, text) in [
            (1024.0, "1024.0"),
            (0.5, "0.5"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (10_485_760.0, "1.048576E7"),
            (0.0005, "5.0E-4"),
        ] {
            assert_eq!(java(value), text);
        }
    }
}
