//! Names that are not in the table: environment variables, and keys of the past.

/// What an environment variable means to the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Variable {
    /// It sets this key.
    Key(String),
    /// It is for a Java virtual machine or a script around one.
    NotNeeded,
    /// It is somebody else's.
    Other,
}

/// Variables that configure the JVM, its logging, or the scripts of other images.
const NOT_NEEDED: &[&str] = &[
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_DEBUG",
    "KAFKA_HOME",
    "KAFKA_VERSION",
    "KAFKA_CREATE_TOPICS_SEPARATOR",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_RUN_MODE",
    "KAFKA_ENABLE_KRAFT",
    "KAFKA_SKIP_KRAFT_STORAGE_INIT",
    "KAFKA_EXTRA_FLAGS",
    "KAFKA_BASE_DIR",
    "KAFKA_CONF_DIR",
    "KAFKA_MOUNTED_CONF_DIR",
    "KAFKA_VOLUME_DIR",
];
const NOT_NEEDED_PREFIXES: &[&str] = &["KAFKA_JMX_", "KAFKA_LOG4J_", "KAFKA_LOG4J2_", "KAFKA_GC_"];

/// Reads a variable's name as Kafka's image does: `KAFKA_NODE_ID` is `node.id`, a double underscore is an
/// underscore and a triple one a dash. `KAFKA_CFG_…` (Bitnami's spelling) means the same.
pub(super) fn variable(name: &str) -> Variable {
    if matches!(name, "CLUSTER_ID" | "KAFKA_KRAFT_CLUSTER_ID") {
        return Variable::Key("cluster.id".to_owned());
    }
    // The variable of an image of ZooKeeper's days; the key that it sets is ours.
    if name == "KAFKA_CREATE_TOPICS" {
        return Variable::Key("ottla.create.topics".to_owned());
    }
    if NOT_NEEDED.contains(&name) || NOT_NEEDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Variable::NotNeeded;
    }
    let Some(rest) = name.strip_prefix("KAFKA_CFG_").or_else(|| name.strip_prefix("KAFKA_")) else {
        return Variable::Other;
    };
    if rest.is_empty() || is_service_link(rest) {
        return Variable::Other;
    }
    let key = rest.replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_");
    Variable::Key(key.to_ascii_lowercase())
}

/// Kubernetes sets KAFKA_PORT, KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP_ADDR and the like for a service named kafka.
fn is_service_link(rest: &str) -> bool {
    rest == "PORT" || ["PORT_", "SERVICE_"].iter().any(|prefix| rest.starts_with(prefix)) || rest.contains("_TCP")
}

/// Keys that earlier Kafka releases knew and that have nothing left to say.
const GONE: &[&str] = &[
    "zookeeper.",
    "confluent.",
    "broker.id.generation.enable",
    "reserved.broker.max.id",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "control.plane.listener.name",
    "offsets.commit.required.acks",
    "password.encoder.",
    "transaction.partition.verification.timeout.ms",
    "group.coordinator.new.enable",
    "eligible.leader.replicas.enable",
    "replica.fetch.wait.min.ms",
    "quota.producer.default",
    "quota.consumer.default",
];

/// True for a key that is of no use any more, such as `zookeeper.connect`.
pub(super) fn is_gone(key: &str) -> bool {
    GONE.iter().any(|gone| key == *gone || (gone.ends_with('.') && key.starts_with(gone)))
}

/// Keys of the past whose meaning has moved, and where to.
pub(super) fn successor(key: &str) -> Option<&'static str> {
    match key {
        "log.message.timestamp.difference.max.ms" => {
            Some("log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms")
        }
        _ => None,
    }
}

/// `max.connections` of `listener.name.internal.max.connections`, with the listener's name.
pub(super) fn listener_prefixed(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("listener.name.")?.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_kafkas_image_reads_them() {
        let cases = [
            ("KAFKA_NODE_ID", Variable::Key("node.id".to_owned())),
            ("KAFKA_CFG_NODE_ID", Variable::Key("node.id".to_owned())),
            ("KAFKA_ADVERTISED_LISTENERS", Variable::Key("advertised.listeners".to_owned())),
            ("KAFKA_LISTENER_NAME_MY__LISTENER_X___Y", Variable::Key("listener.name.my_listener.x-y".to_owned())),
            ("CLUSTER_ID", Variable::Key("cluster.id".to_owned())),
            ("KAFKA_CREATE_TOPICS", Variable::Key("ottla.create.topics".to_owned())),
            ("KAFKA_HEAP_OPTS", Variable::NotNeeded),
            ("KAFKA_JMX_PORT", Variable::NotNeeded),
            ("KAFKA_LOG4J_ROOT_LOGLEVEL", Variable::NotNeeded),
            ("KAFKA_PORT_9092_TCP_ADDR", Variable::Other),
            ("KAFKA_SERVICE_HOST", Variable::Other),
            ("PATH", Variable::Other),
            ("KAFKA_", Variable::Other),
        ];
        for (name, expected) in cases {
            assert_eq!(variable(name), expected, "{name}");
        }
    }

    #[test]
    fn zookeepers_keys_are_gone() {
        assert!(is_gone("zookeeper.connect") && is_gone("broker.id.generation.enable"));
        assert!(!is_gone("zookeepers") && !is_gone("log.dirs"));
    }
}
