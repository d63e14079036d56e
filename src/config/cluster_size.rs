//! What holds in a cluster of three nodes and more where nothing else is said: three replicas, two of them in sync.
//!
//! Kafka's defaults are those of one broker, and a cluster that keeps them loses records with its first disk. The
//! size is that of the configured quorum, not of what is up: a cold start must not make it smaller.

use super::static_config::StaticConfig;
use super::value::split_list;

/// From so many voters on.
const VOTERS_MIN: usize = 3;

/// Values for what `config` leaves open.
pub(super) fn defaults(config: &StaticConfig) -> Vec<(&'static str, &'static str)> {
    let voters = config.value("controller.quorum.voters").map(split_list).unwrap_or_default();
    if voters.len() < VOTERS_MIN {
        return Vec::new();
    }
    let mut defaults = Vec::new();
    let replicas = config.value("default.replication.factor");
    if replicas.is_none() {
        defaults.push(("default.replication.factor", "3"));
    }
    // Who wants fewer replicas wants to write with fewer, too.
    let are_three = replicas.is_none_or(|replicas| replicas.parse::<i64>().is_ok_and(|replicas| replicas >= 3));
    if are_three && config.value("min.insync.replicas").is_none() {
        defaults.push(("min.insync.replicas", "2"));
    }
    defaults
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: (&str, &str) = ("controller.quorum.voters", "1@a:9093,2@b:9093,3@c:9093");

    #[test]
    fn three_voters_mean_three_replicas_and_two_in_sync() {
        let config = StaticConfig::from_overrides(&[THREE]);
        assert_eq!(defaults(&config), [("default.replication.factor", "3"), ("min.insync.replicas", "2")]);
    }

    #[test]
    fn one_or_two_nodes_keep_kafkas_defaults() {
        assert_eq!(defaults(&StaticConfig::default()), []);
        let two = StaticConfig::from_overrides(&[("controller.quorum.voters", "1@a:9093,2@b:9093")]);
        assert_eq!(defaults(&two), []);
    }

    #[test]
    fn what_is_said_elsewhere_stays() {
        let of = |pairs: &[(&str, &str)]| defaults(&StaticConfig::from_overrides(&[&[THREE], pairs].concat()));
        assert_eq!(of(&[("default.replication.factor", "2")]), []);
        assert_eq!(of(&[("default.replication.factor", "5")]), [("min.insync.replicas", "2")]);
        assert_eq!(of(&[("min.insync.replicas", "1")]), [("default.replication.factor", "3")]);
    }
}
