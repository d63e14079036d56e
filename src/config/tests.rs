//! The table against the key list of a real Kafka 4.3.1, and the resolved configuration as a whole.

use std::collections::BTreeSet;

use super::*;

/// One line of the fixture.
struct KafkaKey {
    resource: &'static str,
    name: &'static str,
    config_type: &'static str,
    default: &'static str,
    update_mode: &'static str,
    sensitive: bool,
    described: bool,
}

fn kafka_keys() -> Vec<KafkaKey> {
    let fixture = include_str!("../../tests/golden/kafka-4.3.1/configs.tsv");
    let lines = fixture.lines().filter(|line| !line.starts_with('#'));
    let keys = lines.map(|line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [resource, name, config_type, default, update_mode, sensitive, described] = fields[..] else {
            panic!("seven fields in {line:?}");
        };
        KafkaKey {
            resource,
            name,
            config_type,
            default,
            update_mode,
            sensitive: sensitive == "sensitive",
            described: described == "described",
        }
    });
    keys.collect()
}

fn declared(key: &KafkaKey) -> Option<&'static ConfigKey> {
    match key.resource {
        "broker" => broker_key(key.name),
        "topic" => topic_key(key.name),
        _ => group_key(key.name),
    }
}

/// Defaults that differ from Kafka's on purpose.
const OTHER_DEFAULTS: &[(&str, &str)] = &[
    // Kafka demands these; here a node starts without being told anything.
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    // /tmp is no place for data.
    ("log.dir", "./ottla-data"),
    // Fencing is always safe, so it is quick.
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("controller.quorum.election.timeout.ms", "500"),
    // The kernel sizes buffers better than a fixed number does.
    ("socket.receive.buffer.bytes", "-1"),
    ("socket.send.buffer.bytes", "-1"),
    // Only what is served is offered.
    ("group.coordinator.rebalance.protocols", "classic,consumer"),
];

/// Keys that Kafka lets change while it runs, and that here act only at the start: a change is refused.
const AT_START_ONLY: &[&str] = &["listeners", "listener.security.protocol.map", "num.recovery.threads.per.data.dir"];

#[test]
fn every_key_of_kafka_is_in_the_table_with_its_status() {
    let keys = kafka_keys();
    let count = |resource: &str| keys.iter().filter(|key| key.resource == resource).count();
    assert_eq!((count("broker"), count("topic"), count("group")), (360, 34, 17));
    for key in &keys {
        let ours = declared(key).unwrap_or_else(|| panic!("{} is missing", key.name));
        assert_eq!(ours.config_type.name(), key.config_type, "type of {}", key.name);
        assert_eq!(ours.is_sensitive(), key.sensitive, "{}", key.name);
        assert_eq!(!ours.internal, key.described, "{}", key.name);
        assert!(ours.documentation().len() > 15, "{} is documented", key.name);
        if let Status::Accepted(why) | Status::Refused(why) = ours.status {
            assert!(why.len() > 15 && why.ends_with('.'), "{}: {why:?} is a reason", key.name);
        }
        if key.resource == "broker" {
            let update_mode = match ours.update_mode {
                UpdateMode::ReadOnly => "read-only",
                UpdateMode::PerBroker => "per-broker",
                UpdateMode::ClusterWide => "cluster-wide",
            };
            let expected = if AT_START_ONLY.contains(&key.name) { "read-only" } else { key.update_mode };
            assert_eq!(update_mode, expected, "{}", key.name);
        }
    }
}

#[test]
fn defaults_are_kafkas_but_for_a_few() {
    for key in kafka_keys() {
        let ours = declared(&key).expect("in the table").default;
        match OTHER_DEFAULTS.iter().find(|(name, _)| key.resource == "broker" && *name == key.name) {
            Some((_, other)) => assert!(ours == Some(other) && *other != key.default, "{}", key.name),
            None => assert_eq!(ours.unwrap_or("null"), key.default, "{}", key.name),
        }
    }
}

#[test]
fn the_page_of_differences_has_every_default_that_differs() {
    let page = include_str!("../../docs/differences-from-kafka.md");
    for (name, ours) in OTHER_DEFAULTS {
        let kafkas = kafka_keys().into_iter().find(|key| key.name == *name && key.resource == "broker");
        let kafkas = kafkas.expect("a key of Kafka's").default;
        let line = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let line = line.unwrap_or_else(|| panic!("{name} is missing"));
        assert!(line.contains(&format!("| `{ours}` |")), "{name} is {ours} here, and the page says {line}");
        assert!(line.contains(&format!("| `{kafkas}` |")) || line.contains("required"), "{kafkas} in {line}");
    }
}

#[test]
fn every_default_is_a_valid_value() {
    for key in broker_keys().chain(topic_keys()).chain(group_keys()) {
        if let Some(default) = key.default {
            assert_eq!(update::validate_value(key, default), Ok(()), "{}", key.name);
        }
    }
}

#[test]
fn names_in_the_table_exist() {
    for key in topic_keys().chain(group_keys()) {
        assert!(key.broker_key.is_none_or(|name| broker_key(name).is_some()), "{}", key.name);
    }
    for key in broker_keys() {
        assert!(key.stand_ins.iter().all(|(name, _)| broker_key(name).is_some()), "{}", key.name);
    }
}

/// "In force" means that a typed struct carries the value to the module that acts on it.
#[test]
fn keys_in_force_are_those_that_are_read() {
    let (broker, topic) = reads::during(|| {
        resolve(&[("listeners", "PLAINTEXT://:9092")]).expect("it resolves");
        let _ = NetworkConfig::default();
        let _ = LogConfig::default();
        let _ = CleanerConfig::default();
        let _ = FollowerConfig::default();
        let _ = ReplicationQuotaConfig::default();
        let _ = ClusterConfig::default();
        let _ = TopicCreationConfig::default();
        let _ = GroupConfig::default();
        let _ = TransactionConfig::default();
        let _ = TopicConfig::default();
    });
    let in_force = |keys: &mut dyn Iterator<Item = &'static ConfigKey>| -> BTreeSet<String> {
        keys.filter(|key| key.status == Status::InForce).map(|key| key.name.to_owned()).collect()
    };
    let declared_broker = in_force(&mut broker_keys());
    let inherited: BTreeSet<String> = topic_keys().filter_map(|key| key.broker_key).map(str::to_owned).collect();
    let read_not_declared: Vec<_> =
        broker.difference(&declared_broker).filter(|name| !inherited.contains(*name)).collect();
    let declared_not_read: Vec<_> = declared_broker.difference(&broker).collect();
    assert_eq!((read_not_declared, declared_not_read), (vec![], vec![]));
    assert_eq!(topic, in_force(&mut topic_keys()));
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn resolve(pairs: Pairs<'_>) -> Result<ServerConfig, ConfigError> {
    let overrides = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    ServerConfig::resolve(load(&Sources { overrides, ..Sources::default() })?)
}

#[test]
fn with_nothing_configured_a_node_is_combined_and_only_for_this_machine() {
    let config = ServerConfig::resolve(Loaded::default()).expect("it resolves");
    assert_eq!(config.node.node_id, 1);
    assert!(config.node.roles.broker && config.node.roles.controller);
    assert_eq!(config.node.log_dirs, [std::path::Path::new("./ottla-data")]);
    let [listener] = &config.listeners.broker[..] else { panic!("one listener: {:?}", config.listeners) };
    assert_eq!(listener.endpoint.to_string(), "PLAINTEXT://localhost:9092");
    assert_eq!(listener.advertised_host.as_deref(), Some("localhost"));
    let controller = config.listeners.controller.expect("a controller listener");
    assert_eq!(controller.endpoint.to_string(), "CONTROLLER://127.0.0.1:0");
    assert_eq!(config.listeners.inter_broker_listener_name, "PLAINTEXT");
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn kafkas_own_image_environment_makes_a_node() {
    let environment = [
        ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092"),
        ("KAFKA_LISTENERS", "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@broker:29093"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_LOG_DIRS", "/data/logs"),
    ];
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load(&Sources { environment, ..Sources::default() }).expect("it loads");
    let config = ServerConfig::resolve(loaded).expect("it resolves");
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.node.cluster_id.as_deref(), Some("4L6g3nShT-eMCtK--X86sw"));
    assert_eq!(config.listeners.broker.len(), 2);
    assert_eq!(config.listeners.broker[1].advertised_host.as_deref(), Some("broker"));
    assert_eq!(config.listeners.controller.expect("one").endpoint.port, 29093);
    assert_eq!(config.controller.voters[0].address(), "broker:29093");
}

#[test]
fn a_zookeeper_era_file_makes_a_combined_node() {
    let config = resolve(&[("broker.id", "3"), ("listeners", "PLAINTEXT://:9092"), ("log.dirs", "/var/kafka")]);
    let config = config.expect("it resolves");
    assert_eq!(config.node.node_id, 3);
    assert!(config.node.roles.broker && config.node.roles.controller);
    assert_eq!(config.listeners.controller.expect("added").endpoint.host, "127.0.0.1");
    assert!(config.warnings[0].contains("forms a cluster of its own"), "{:?}", config.warnings);
}

#[test]
fn a_missing_controller_listener_is_where_the_voters_expect_it() {
    let voters = "1@a:9093,2@b:9094,3@c:9095";
    let config = resolve(&[("node.id", "2"), ("controller.quorum.voters", voters)]).expect("it resolves");
    assert_eq!(config.listeners.controller.expect("added").endpoint.to_string(), "CONTROLLER://:9094");
    assert_eq!(config.controller.voters.len(), 3);
}

/// Each configuration, and what its refusal must say.
#[test]
fn contradictions_name_both_places() {
    let cases: &[(Pairs, &[&str])] = &[
        (&[("node.id", "1"), ("broker.id", "2")], &["node.id=1 (--override)", "broker.id=2 (--override)"]),
        (
            &[("node.id", "4"), ("controller.quorum.voters", "1@a:9093")],
            &["process.roles=broker,controller (default)", "controller.quorum.voters=1@a:9093", "node.id=4"],
        ),
        (
            &[("process.roles", "broker"), ("controller.quorum.voters", "1@a:9093")],
            &["makes this node no controller", "has a voter 1"],
        ),
        (&[("process.roles", "broker")], &["nothing says who its controllers are"]),
        (
            &[("listeners", "PLAINTEXT://:9092"), ("advertised.listeners", "EXTERNAL://a:9092")],
            &["advertised.listeners=EXTERNAL://a:9092", "listeners=PLAINTEXT://:9092", "lacks"],
        ),
        (
            &[("listeners", "PLAINTEXT://:9092"), ("controller.listener.names", "CTRL")],
            &["controller.listener.names=CTRL", "listeners=PLAINTEXT://:9092"],
        ),
        (
            &[
                ("process.roles", "broker"),
                ("controller.quorum.voters", "9@a:9093"),
                ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ],
            &["has the controller listener CONTROLLER", "process.roles=broker"],
        ),
        (&[("listeners", "PLAINTEXT://:9092,CONTROLLER://:9092")], &["PLAINTEXT and CONTROLLER use the same port"]),
        (&[("listeners", "PLAINTEXT://:9092,PLAINTEXT://:9094")], &["has the name PLAINTEXT twice"]),
        (&[("listeners", "CONTROLLER://:9093")], &["leaves no listener for clients"]),
        (&[("listeners", "INTERNAL://:9092")], &["INTERNAL", "listener.security.protocol.map"]),
        (&[("listeners", "SSL://:9092")], &["speaks SSL, which this version does not serve"]),
        (
            &[("listeners", "A://:9092"), ("listener.security.protocol.map", "A:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT")],
            &["speaks SASL_PLAINTEXT"],
        ),
        (&[("listener.security.protocol.map", "A:TLS")], &["\"A:TLS\" is no NAME:PROTOCOL pair"]),
        (&[("listeners", "9092")], &["\"9092\" is no listener"]),
        (&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")], &["no address that anybody could connect to"]),
        (&[("inter.broker.listener.name", "INTERNAL")], &["inter.broker.listener.name=INTERNAL", "is none of"]),
        (
            &[("inter.broker.listener.name", "PLAINTEXT"), ("security.inter.broker.protocol", "PLAINTEXT")],
            &["keep one of them"],
        ),
        (&[("controller.quorum.voters", "1@a")], &["\"1@a\" is no voter"]),
        (&[("controller.quorum.voters", "1@a:1,1@b:2")], &["voter 1 is there twice"]),
        (&[("log.dirs", "/a,/b,/a")], &["log.dirs=/a,/b,/a", "names /a twice"]),
        (
            &[("group.min.session.timeout.ms", "70000"), ("group.max.session.timeout.ms", "60000")],
            &["group.min.session.timeout.ms=70000", "exceeds", "group.max.session.timeout.ms=60000"],
        ),
        (&[("authorizer.class.name", "x.Y")], &["authorizer.class.name is refused"]),
    ];
    for (pairs, expected) in cases {
        let error = resolve(pairs).expect_err(&format!("{pairs:?} contradicts itself")).to_string();
        for part in *expected {
            assert!(error.contains(part), "{part:?} in {error:?}");
        }
    }
}

#[test]
fn describe_lists_every_visible_key_with_its_source() {
    let start = StaticConfig::from_overrides(&[("log.retention.hours", "2"), ("ssl.key.password", "canary")]);
    let cluster = ConfigMap::from([("message.max.bytes".to_owned(), "2000".to_owned())]);
    let broker = ConfigMap::new();
    let layers = Layers { broker: &broker, cluster: &cluster, start: &start };

    let described = describe_broker(layers);
    let visible = kafka_keys().iter().filter(|key| key.resource == "broker" && key.described).count();
    assert!(described.len() >= visible);
    let find = |name: &str| described.iter().find(|config| config.name == name).expect("described");
    assert_eq!(find("log.retention.hours").source, ConfigSource::StaticBroker);
    assert!(find("log.retention.hours").read_only && !find("log.retention.ms").read_only);
    assert_eq!(find("log.retention.ms").value, None);
    assert_eq!(find("message.max.bytes").source, ConfigSource::DynamicDefaultBroker);
    assert_eq!(find("message.max.bytes").synonyms.len(), 2);
    let secret = find("ssl.key.password");
    assert!(secret.is_sensitive && !format!("{secret:?}").contains("canary"));

    let topic = describe_topic(layers, &ConfigMap::from([("retention.bytes".to_owned(), "5".to_owned())]));
    assert_eq!(topic.len(), 33 + 1, "Kafka's 33 visible topic keys and flush.before.ack");
    let find = |name: &str| topic.iter().find(|config| config.name == name).expect("described");
    assert_eq!(find("retention.ms").value.as_deref(), Some("7200000"));
    assert_eq!(find("retention.ms").source, ConfigSource::StaticBroker);
    assert_eq!(find("retention.ms").synonyms[0].name, "log.retention.hours");
    assert_eq!(find("retention.bytes").source, ConfigSource::DynamicTopic);
    assert_eq!(find("max.message.bytes").value.as_deref(), Some("2000"));
    assert!(find("segment.bytes").is_default());
    assert_eq!(describe_cluster_default(&cluster).len(), 1);
}

#[test]
fn dynamic_values_beat_static_ones_in_the_typed_structs() {
    let start = StaticConfig::from_overrides(&[("max.connections", "10")]);
    let broker = ConfigMap::from([("max.connections".to_owned(), "7".to_owned())]);
    let cluster = ConfigMap::from([("max.connections".to_owned(), "8".to_owned())]);
    let resolve = |broker, cluster| NetworkConfig::resolve(Layers { broker, cluster, start: &start }).max_connections;
    let nothing = ConfigMap::new();
    assert_eq!(resolve(&nothing, &nothing), 10);
    assert_eq!(resolve(&nothing, &cluster), 8);
    assert_eq!(resolve(&broker, &cluster), 7);
}
