//! Listeners, connections and the bounds on what a client may ask for.

use super::super::key::keys;
use super::reasons::{ONE_TRY, PURGATORY};

keys! {
    /// Addresses to listen on, as NAME://host:port; an empty host means every interface.
    List "listeners" = "PLAINTEXT://:9092"; high, in_force;
    /// Addresses that clients and other brokers are told to connect to, when they differ from listeners.
    List "advertised.listeners" = null; high, in_force;
    /// Which security protocol each listener name speaks.
    String "listener.security.protocol.map" =
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT";
        low, in_force;
    /// Name of the listener that brokers use among themselves.
    String "inter.broker.listener.name" = null; in_force;
    /// Names the listener brokers use among themselves by its security protocol, when inter.broker.listener.name is not
    /// set.
    String "security.inter.broker.protocol" = "PLAINTEXT";
        one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), in_force;
    /// Listeners that accept connections before the broker has caught up.
    List "early.start.listeners" = null;
        high, accepted("The controller listener always starts first, the others once the broker may serve.");
    /// Receive buffer of a client's socket in bytes (SO_RCVBUF); -1 leaves it to the operating system.
    Int "socket.receive.buffer.bytes" = "-1"; high, in_force;
    /// Send buffer of a client's socket in bytes (SO_SNDBUF); -1 leaves it to the operating system.
    Int "socket.send.buffer.bytes" = "-1"; high, in_force;
    /// How many connections may wait to be accepted on a listener.
    Int "socket.listen.backlog.size" = "50"; at_least(1), in_force;
    /// Largest request in bytes; a connection that announces more is closed.
    Int "socket.request.max.bytes" = "104857600"; at_least(1), high, in_force;
    /// How long setting up a connection to another node may take, in milliseconds.
    Long "socket.connection.setup.timeout.ms" = "10000"; in_force;
    /// Upper bound in milliseconds when attempts to connect to another node back off.
    Long "socket.connection.setup.timeout.max.ms" = "30000"; accepted(ONE_TRY);
    /// A connection without traffic for this many milliseconds is closed.
    Long "connections.max.idle.ms" = "600000"; in_force;
    /// How many connections this broker accepts at once, over all its listeners.
    Int "max.connections" = "2147483647"; at_least(0), cluster_wide, in_force;
    /// How many connections one address may hold at once.
    Int "max.connections.per.ip" = "2147483647"; at_least(0), cluster_wide, in_force;
    /// Exceptions from max.connections.per.ip, as a list of address:count.
    String "max.connections.per.ip.overrides" = ""; cluster_wide, in_force;
    /// How many new connections per second the broker accepts.
    Int "max.connection.creation.rate" = "2147483647"; at_least(0), cluster_wide, in_force;
    /// How many requests may wait in the broker before it stops reading from sockets.
    Int "queued.max.requests" = "500";
        at_least(1), high,
        accepted("Requests that wait are bounded by their bytes, and per connection by their number.");
    /// How many bytes of requests may wait in the broker before it stops reading from sockets; -1 means no bound beyond
    /// the broker's own.
    Long "queued.max.request.bytes" = "-1"; in_force;
    /// How long the broker waits for another node's answer, in milliseconds.
    Int "request.timeout.ms" = "30000";
        at_least(1), high, in_force;
    /// Most bytes a Fetch is answered with; a single larger batch is still returned whole.
    Int "fetch.max.bytes" = "57671680"; at_least(1024), in_force;
    /// How many incremental fetch sessions the broker remembers.
    Int "max.incremental.fetch.session.cache.slots" = "1000"; at_least(0), in_force;
    /// Most partitions one DescribeTopicPartitions is answered with.
    Int "max.request.partition.size.limit" = "2000"; at_least(1), in_force;
    /// How many finished fetches are kept before they are cleared away.
    Int "fetch.purgatory.purge.interval.requests" = "1000"; accepted(PURGATORY);
    /// How many finished produces are kept before they are cleared away.
    Int "producer.purgatory.purge.interval.requests" = "1000"; accepted(PURGATORY);
    /// How many finished DeleteRecords are kept before they are cleared away.
    Int "delete.records.purgatory.purge.interval.requests" = "1"; accepted(PURGATORY);
    /// How many finished share fetches are kept before they are cleared away.
    Int "share.fetch.purgatory.purge.interval.requests" = "1000"; accepted(PURGATORY);
}
