//! A broker's address as files for Kafka 0.8 to 2.8 give it, in halves, and what it is called today.

use std::collections::BTreeMap;

use super::static_config::{Origin, StaticConfig};

const HOST: &str = "host.name";
const PORT: &str = "port";
const ADVERTISED_HOST: &str = "advertised.host.name";
const ADVERTISED_PORT: &str = "advertised.port";
const DEFAULT_PORT: &str = "9092";

/// The old keys that were set.
#[derive(Default)]
pub(super) struct OldAddress {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl OldAddress {
    /// Notes the value of an old key; false when `name` is none.
    pub(super) fn note(&mut self, name: &str, value: &str, origin: &Origin) -> bool {
        let known = [HOST, PORT, ADVERTISED_HOST, ADVERTISED_PORT].into_iter().find(|known| *known == name);
        if let Some(known) = known {
            self.values.insert(known, (value.trim().to_owned(), origin.clone()));
        }
        known.is_some()
    }

    /// What the old keys mean today, for the keys that `config` does not set itself.
    pub(super) fn todays(&self, config: &StaticConfig) -> Vec<(&'static str, String, Origin)> {
        let Some((_, origin)) = self.values.values().next() else {
            return Vec::new();
        };
        let value =
            |name: &str| self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty());
        let port = value(PORT).unwrap_or(DEFAULT_PORT);
        let listeners = config.value("listeners");
        let mut todays = Vec::new();
        if listeners.is_none() {
            todays.push(("listeners", endpoint("PLAINTEXT", value(HOST).unwrap_or_default(), port), origin.clone()));
        }
        let is_advertised = value(ADVERTISED_HOST).or(value(ADVERTISED_PORT)).is_some();
        if is_advertised && config.value("advertised.listeners").is_none() {
            let name =
                listeners.and_then(|listeners| listeners.split_once("://")).map_or("PLAINTEXT", |(name, _)| name);
            let host = value(ADVERTISED_HOST).or(value(HOST)).unwrap_or_default();
            let endpoint = endpoint(name.trim(), host, value(ADVERTISED_PORT).unwrap_or(port));
            todays.push(("advertised.listeners", endpoint, origin.clone()));
        }
        todays
    }
}

/// The port stays text: where it is no number, the check of the listeners says so.
fn endpoint(name: &str, host: &str, port: &str) -> String {
    if host.contains(':') { format!("{name}://[{host}]:{port}") } else { format!("{name}://{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn todays(old: &[(&str, &str)], config: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let mut address = OldAddress::default();
        for (name, value) in old {
            assert!(address.note(name, value, &Origin::Override), "{name}");
        }
        let todays = address.todays(&StaticConfig::from_overrides(config));
        todays.into_iter().map(|(name, value, _)| (name, value)).collect()
    }

    #[test]
    fn halves_become_listeners() {
        let host_only = todays(&[("advertised.host.name", "10.0.0.1")], &[]);
        assert_eq!(
            host_only,
            [
                ("listeners", "PLAINTEXT://:9092".to_owned()),
                ("advertised.listeners", "PLAINTEXT://10.0.0.1:9092".to_owned())
            ]
        );
        let all = [("host.name", "::1"), ("port", "9000"), ("advertised.host.name", "a"), ("advertised.port", "1")];
        assert_eq!(
            todays(&all, &[]),
            [
                ("listeners", "PLAINTEXT://[::1]:9000".to_owned()),
                ("advertised.listeners", "PLAINTEXT://a:1".to_owned())
            ]
        );
    }

    #[test]
    fn todays_keys_win() {
        let old = [("port", "9000"), ("advertised.host.name", "a")];
        let listeners = ("listeners", "INSIDE://:9092,OUTSIDE://:9094");
        assert_eq!(todays(&old, &[listeners]), [("advertised.listeners", "INSIDE://a:9000".to_owned())]);
        assert_eq!(todays(&old, &[listeners, ("advertised.listeners", "INSIDE://b:1")]), []);
        assert_eq!(todays(&[], &[]), []);
    }
}
