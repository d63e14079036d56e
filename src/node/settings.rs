//! From the configuration to what each module is told at its start.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use crate::broker::{ConnectionLimits, ReceiveMemory};
use crate::cluster::VoterAddress;
use crate::config::{FollowerConfig, LogConfig, NetworkConfig, ServerConfig, TopicConfig, TopicCreationConfig};
use crate::controller::{LeaderBalanceConfig, LivenessLimits, RaftTimes};
use crate::metadata::ClusterDefaults;
use crate::model::BrokerId;
use crate::partition::{FetcherConfig, LogDirectory, ReplicasConfig};
use crate::quota::QuotaWindows;
use crate::rpc::metadata::Endpoint;

use super::bind::{Bound, SocketOptions};
use super::limits;

/// A snapshot of the metadata is taken after so many log entries.
pub(super) const ENTRIES_BETWEEN_SNAPSHOTS: u64 = 10_000;

/// Memory for requests in flight where `queued.max.request.bytes` sets no bound.
const REQUEST_MEMORY_BYTES: u64 = 512 << 20;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The voters, or where they are found; a node that was told of nobody is the only one, at the port its controller
/// listens on.
pub(super) fn voters(config: &ServerConfig, controller: Option<&Bound>) -> Vec<VoterAddress> {
    let configured = config.controller.voters.iter();
    let mut voters: Vec<_> = configured
        .map(|voter| VoterAddress { node_id: voter.node_id, host: voter.host.clone(), port: voter.port })
        .collect();
    // Files for a single node often name a host that exists elsewhere, or nowhere; nobody else has to find it.
    if let ([only], Some(bound)) = (&mut voters[..], controller)
        && only.node_id == config.node.node_id
        && (only.host.as_str(), only.port).to_socket_addrs().is_err()
    {
        only.host = bound.reachable_host();
    }
    if voters.is_empty() {
        let server = |(host, port): &(String, u16)| VoterAddress {
            node_id: VoterAddress::UNKNOWN,
            host: host.clone(),
            port: *port,
        };
        voters.extend(config.controller.bootstrap_servers.iter().map(server));
    }
    if voters.is_empty() {
        voters.extend(controller.map(|bound| VoterAddress {
            node_id: config.node.node_id,
            host: bound.reachable_host(),
            port: bound.address.port(),
        }));
    }
    voters
}

pub(super) fn liveness(config: &ServerConfig) -> LivenessLimits {
    LivenessLimits {
        session_timeout_ms: milliseconds(config.controller.broker_session_timeout),
        grace_ms: milliseconds(config.controller.broker_session_grace),
    }
}

pub(super) fn leader_balance(config: &ServerConfig) -> Option<LeaderBalanceConfig> {
    config.controller.leader_rebalance.map(|rebalance| LeaderBalanceConfig {
        check_interval: rebalance.check_interval,
        imbalance_percentage: rebalance.imbalance_percentage,
    })
}

pub(super) fn raft_times(config: &ServerConfig) -> RaftTimes {
    RaftTimes {
        heartbeat_interval_ms: milliseconds(config.controller.heartbeat_interval),
        election_timeout_min_ms: milliseconds(config.controller.election_timeout_min),
        election_timeout_max_ms: milliseconds(config.controller.election_timeout_max),
    }
}

pub(super) fn mutation_quota_windows(config: &ServerConfig) -> QuotaWindows {
    QuotaWindows {
        num: config.controller.mutation_quota_window_num,
        size_ms: milliseconds(config.controller.mutation_quota_window_size),
    }
}

pub(super) fn cluster_defaults(config: &ServerConfig) -> ClusterDefaults {
    let creation = TopicCreationConfig::resolve(config.layers());
    let topic = TopicConfig::resolve(config.layers(), &crate::config::ConfigMap::new());
    ClusterDefaults {
        num_partitions: creation.num_partitions,
        default_replication_factor: creation.default_replication_factor.into(),
        min_insync_replicas: i32::try_from(topic.min_insync_replicas).unwrap_or(i32::MAX),
        unclean_leader_election_enable: topic.unclean_leader_election_enable,
        topic_delete_retention_ms: creation.delete_retention_ms,
        ..ClusterDefaults::default()
    }
}

pub(super) fn replicas(config: &ServerConfig, log_dirs: Vec<LogDirectory>, lost: Vec<PathBuf>) -> ReplicasConfig {
    let log = LogConfig::resolve(config.layers());
    ReplicasConfig {
        broker_id: BrokerId(config.node.node_id),
        log_dirs,
        lost_log_dirs: lost,
        open_files_max: limits::open_log_files_max(),
        recovery_threads: log.recovery_threads,
        mover_threads: log.mover_threads,
        retention_interval: log.retention_check_interval,
        replica_lag_time_max_ms: log.replica_lag_time_max_ms,
        settings: config.start.clone(),
    }
}

/// How followers here fetch from their leaders.
pub(super) fn fetcher(config: &ServerConfig) -> FetcherConfig {
    let listener_name = config.listeners.inter_broker_listener_name.clone();
    FetcherConfig { listener_name, limits: FollowerConfig::resolve(config.layers()) }
}

/// Where clients and other brokers are told to connect.
pub(super) fn endpoints(listeners: &[Bound]) -> Vec<Endpoint> {
    let endpoint = |bound: &Bound| Endpoint {
        name: bound.listener.endpoint.name.clone(),
        host: bound.advertised_host(),
        port: bound.advertised_port().into(),
        security_protocol: bound.listener.protocol.code().into(),
    };
    listeners.iter().map(endpoint).collect()
}

pub(super) fn socket_options(network: &NetworkConfig) -> SocketOptions {
    SocketOptions {
        backlog: network.listen_backlog_size,
        receive_buffer_bytes: network.receive_buffer_bytes,
        send_buffer_bytes: network.send_buffer_bytes,
    }
}

pub(super) fn connection_limits(network: &NetworkConfig) -> ConnectionLimits {
    ConnectionLimits {
        request_bytes_max: network.request_max_bytes,
        // An hour beyond any patience, and yet no overflow in a timer.
        idle_max: network.connections_max_idle.unwrap_or(Duration::from_secs(365 * 86_400)),
    }
}

pub(super) fn receive_memory(network: &NetworkConfig) -> ReceiveMemory {
    ReceiveMemory::new(network.queued_max_request_bytes.map_or(REQUEST_MEMORY_BYTES, |bytes| bytes as u64))
}
