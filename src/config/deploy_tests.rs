//! The files under deploy/: that each configuration in them resolves without a warning, and that what they say of each
//! other agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_norway::Value;

use super::{ServerConfig, Sources, load};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// The documents of a YAML file, with `<<` merged in.
fn documents(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let documents = serde_norway::Deserializer::from_str(&text);
    let parse = |document| {
        let mut value = Value::deserialize(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        value.apply_merge().expect("merges of mappings");
        value
    };
    documents.map(parse).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => panic!("{other:?} is no plain value"),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_mapping().expect("a mapping").iter().map(|(name, value)| (text(name), value))
}

fn resolve(sources: &Sources) -> ServerConfig {
    let config = ServerConfig::resolve(load(sources).expect("it loads")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    config
}

/// Each service's configuration, by its name.
fn services(file: &str) -> BTreeMap<String, ServerConfig> {
    let compose = &documents(file)[0];
    let service = |(name, service): (String, &Value)| {
        let environment = entries(&service["environment"]).map(|(name, value)| (name, text(value))).collect();
        (name, resolve(&Sources { environment, ..Sources::default() }))
    };
    entries(&compose["services"]).map(service).collect()
}

#[test]
fn every_compose_file_makes_a_quorum_of_its_controllers() {
    let cases =
        [("compose.yaml", 1, 1), ("compose.3.yaml", 3, 3), ("compose.5.yaml", 5, 5), ("compose.isolated.yaml", 3, 3)];
    for (file, controllers, brokers) in cases {
        let services = services(file);
        let ids: BTreeSet<i32> = services.values().map(|config| config.node.node_id).collect();
        assert_eq!(ids.len(), services.len(), "{file}: node ids differ");
        assert_eq!(services.values().filter(|config| config.node.roles.controller).count(), controllers, "{file}");
        assert_eq!(services.values().filter(|config| config.node.roles.broker).count(), brokers, "{file}");
        for (name, config) in &services {
            assert_eq!(config.controller.voters.len(), controllers, "{file}: {name}");
            for voter in &config.controller.voters {
                let named = &services[&voter.host];
                assert_eq!(named.node.node_id, voter.node_id, "{file}: {name} names {}", voter.address());
                let listener = named.listeners.controller.as_ref().expect("a controller listener");
                assert_eq!(listener.endpoint.port, voter.port, "{file}: {name}");
            }
            let between = config.listeners.broker.iter().find(|listener| listener.endpoint.name == "INTERNAL");
            let host = between.map(|listener| listener.advertised_host.clone().expect("advertised"));
            assert_eq!(host.is_some(), config.node.roles.broker, "{file}: {name}");
            assert!(host.is_none_or(|host| host == *name), "{file}: {name} is reached by its own name");
        }
    }
}

/// The port a service publishes is the one that it tells clients on the host.
#[test]
fn published_ports_are_those_that_clients_are_told() {
    for file in ["compose.yaml", "compose.3.yaml", "compose.5.yaml", "compose.isolated.yaml"] {
        let compose = &documents(file)[0];
        let mut published = BTreeSet::new();
        for (name, config) in services(file).iter().filter(|(_, config)| config.node.roles.broker) {
            let ports = text(&compose["services"][name.as_str()]["ports"][0]);
            let (host, container) = ports.split_once(':').expect("HOST:CONTAINER");
            let external = config.listeners.broker.iter().find(|listener| listener.endpoint.name == "EXTERNAL");
            let external = external.expect("a listener for the host");
            assert_eq!(external.advertised_port.map(|port| port.to_string()).as_deref(), Some(host), "{file}: {name}");
            assert_eq!(external.endpoint.port.to_string(), container, "{file}: {name}");
            assert!(published.insert(host.to_owned()), "{file}: {host} twice");
        }
    }
}

#[test]
fn every_volume_is_mounted_once_and_at_the_images_data() {
    for file in ["compose.yaml", "compose.3.yaml", "compose.5.yaml", "compose.isolated.yaml"] {
        let compose = &documents(file)[0];
        let mounts = entries(&compose["services"]).map(|(_, service)| text(&service["volumes"][0]));
        let mounted: Vec<String> = mounts
            .map(|mount| mount.strip_suffix(":/var/lib/kafka/data").expect("the image's volume").to_owned())
            .collect();
        let declared: BTreeSet<String> = entries(&compose["volumes"]).map(|(name, _)| name).collect();
        assert_eq!(mounted.len(), declared.len(), "{file}");
        assert_eq!(mounted.into_iter().collect::<BTreeSet<_>>(), declared, "{file}");
    }
}

fn kubernetes(kind: &str, name: &str) -> Value {
    let files = entries(&documents("k8s/kustomization.yaml")[0])
        .find(|(key, _)| key == "resources")
        .map(|(_, files)| files.as_sequence().expect("a list").iter().map(text).collect::<Vec<_>>());
    let all = files.expect("resources").into_iter().flat_map(|file| documents(&format!("k8s/{file}")));
    let mut found = all.filter(|object| text(&object["kind"]) == kind && text(&object["metadata"]["name"]) == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn kubernetes_objects_name_each_other_rightly() {
    let set = kubernetes("StatefulSet", "kafka");
    let pod = &set["spec"]["template"];
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    let nodes = kubernetes("Service", &text(&set["spec"]["serviceName"]));
    assert_eq!(nodes["spec"]["clusterIP"], "None");
    assert_eq!(nodes["spec"]["publishNotReadyAddresses"], true);
    let labels = &pod["metadata"]["labels"];
    let selectors = [
        &set["spec"]["selector"]["matchLabels"],
        &nodes["spec"]["selector"],
        &kubernetes("Service", "kafka")["spec"]["selector"],
        &kubernetes("PodDisruptionBudget", "kafka")["spec"]["selector"]["matchLabels"],
    ];
    assert!(selectors.iter().all(|selector| *selector == labels), "{selectors:?}");

    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    let ports: Vec<String> =
        container["ports"].as_sequence().expect("ports").iter().map(|port| text(&port["name"])).collect();
    for port in nodes["spec"]["ports"].as_sequence().expect("ports") {
        assert!(ports.contains(&text(&port["targetPort"])), "{port:?}");
    }
    let mounts: BTreeSet<String> =
        container["volumeMounts"].as_sequence().expect("mounts").iter().map(|mount| text(&mount["name"])).collect();
    let volumes = pod["spec"]["volumes"].as_sequence().expect("volumes").iter().map(|volume| text(&volume["name"]));
    let claims = set["spec"]["volumeClaimTemplates"].as_sequence().expect("claims");
    let given = volumes.chain(claims.iter().map(|claim| text(&claim["metadata"]["name"]))).collect();
    assert_eq!(mounts, given);
    let config = &pod["spec"]["volumes"][0]["configMap"]["name"];
    kubernetes("ConfigMap", &text(config));
}

/// What the pod's shell works out is put into the environment here; the file is the ConfigMap's.
#[test]
fn every_pod_is_the_voter_of_its_ordinal() {
    let set = kubernetes("StatefulSet", "kafka");
    let replicas = set["spec"]["replicas"].as_u64().expect("a number");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let properties = text(&kubernetes("ConfigMap", "kafka")["data"]["server.properties"]);
    std::fs::write(file.path(), properties).expect("written");
    for ordinal in 0..replicas {
        let environment = vec![
            ("KAFKA_NODE_ID".to_owned(), (ordinal + 1).to_string()),
            ("KAFKA_ADVERTISED_LISTENERS".to_owned(), format!("PLAINTEXT://kafka-{ordinal}.kafka-nodes.here.svc:9092")),
        ];
        let config = resolve(&Sources { file: Some(file.path().to_owned()), environment, ..Sources::default() });
        assert_eq!(config.controller.voters.len() as u64, replicas);
        let own = config.controller.voters.iter().find(|voter| voter.node_id == config.node.node_id);
        let service = text(&set["spec"]["serviceName"]);
        assert_eq!(own.expect("a voter").address(), format!("kafka-{ordinal}.{service}:9093"));
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(config.node.log_dirs, [Path::new(&text(&container["volumeMounts"][0]["mountPath"]))]);
    }
}

#[test]
fn the_properties_files_resolve() {
    for file in ["server.properties", "image/server.properties"] {
        resolve(&Sources { file: Some(deploy().join(file)), ..Sources::default() });
    }
}
