//! Who a node is, which roles it plays, and how long its start and stop may take.

use super::super::key::keys;
use super::reasons::{JVM_PLUGIN, NO_SAMPLES, THREADS};

keys! {
    /// Roles this node plays: `broker`, `controller` or both. Without it a node plays both.
    List "process.roles" = "broker,controller"; each_of(&["broker", "controller"]), high, in_force;
    /// This node's number in the cluster, unique among all brokers and controllers.
    Int "node.id" = "1"; at_least(0), high, stand_ins(&[("broker.id", 1)]), in_force;
    /// Older name of node.id, used when node.id is not set.
    Int "broker.id" = "-1"; high, in_force;
    /// Where this broker stands, such as a rack or an availability zone; replicas of a partition are spread over racks.
    String "broker.rack" = null; in_force;
    /// How often a broker tells the controllers that it is alive, in milliseconds.
    Int "broker.heartbeat.interval.ms" = "500"; in_force;
    /// A broker that has been silent for this many milliseconds is fenced and loses its leaderships. To be the same on
    /// brokers and controllers: a broker that did not run for half as long (at most 2 s) asks what it has missed before it
    /// coordinates anything again.
    Int "broker.session.timeout.ms" = "3000"; in_force;
    /// How long a starting broker tries to register with the controllers before it gives up, in milliseconds.
    Int "initial.broker.registration.timeout.ms" = "60000"; in_force;
    /// Whether a stopping broker first hands over what it leads.
    Boolean "controlled.shutdown.enable" = "true"; accepted("A stop by SIGTERM is always a controlled one.");
    /// Longest time a start may take, in milliseconds.
    Long "server.max.startup.time.ms" = "9223372036854775807";
        at_least(0), internal, accepted("Start-up is bounded by the registration time-out.");
    /// Size of the pool for background work.
    Int "background.threads" = "10"; at_least(1), high, cluster_wide, accepted(THREADS);
    /// Number of threads that work off requests.
    Int "num.io.threads" = "8"; at_least(1), high, cluster_wide, accepted(THREADS);
    /// Number of threads that read requests from sockets and write answers to them.
    Int "num.network.threads" = "3"; at_least(1), high, cluster_wide, accepted(THREADS);
    /// Names of plug-ins that replace variables in values.
    List "config.providers" = "";
        low, cluster_wide, accepted("No config provider can be loaded: values are taken as they are written.");
    /// Classes that publish metrics.
    List "metric.reporters" = "org.apache.kafka.common.metrics.JmxReporter"; low, cluster_wide, accepted(JVM_PLUGIN);
    /// Number of samples a metric is computed from.
    Int "metrics.num.samples" = "2"; at_least(1), low, accepted(NO_SAMPLES);
    /// How much detail metrics record.
    String "metrics.recording.level" = "INFO"; low, accepted(NO_SAMPLES);
    /// Length in milliseconds of the window a metric's sample covers.
    Long "metrics.sample.window.ms" = "30000"; at_least(1), low, accepted(NO_SAMPLES);
    /// How often metrics reporters are polled, in seconds.
    Int "kafka.metrics.polling.interval.secs" = "10"; at_least(1), low, accepted(JVM_PLUGIN);
    /// Classes that report Yammer metrics.
    List "kafka.metrics.reporters" = ""; low, accepted(JVM_PLUGIN);
    /// Largest telemetry payload in bytes that is taken from a client.
    Int "telemetry.max.bytes" = "1048576";
        at_least(1), low, accepted("Clients' telemetry is not served, so none is taken in.");
    /// Classes that provide Java security algorithms.
    String "security.providers" = null; low, accepted(JVM_PLUGIN);
    /// Whether unfinished versions of the protocol are offered.
    Boolean "unstable.api.versions.enable" = "false";
        high, internal, accepted("Only stable versions of the protocol are served.");
    /// Whether unfinished feature versions may be used.
    Boolean "unstable.feature.versions.enable" = "false"; high, internal, accepted("Only stable features are served.");
}
