//! Writes docs/configuration.md from the table of keys.
//!
//! `UPDATE_GOLDENFILES=1 cargo test config::reference` writes it anew; without the variable a stale page fails.

use std::fmt::Write;
use std::path::Path;

use super::{ConfigKey, Status, UpdateMode, broker_keys, group_keys, topic_keys};

const PAGE: &str = "docs/configuration.md";

const HEAD: &str = "\
# Configuration

Made from the table of keys in `src/config/table/`; do not edit. The keys, types and defaults are Kafka 4.3's, all of
them; what is ours starts with `ottla.`, `cluster.id` and `flush.before.ack` excepted.

Later sources win: defaults, the properties file, the environment (`KAFKA_NODE_ID` is `node.id`; a double underscore is
an underscore, a triple one a dash; `KAFKA_CFG_NODE_ID` and `CLUSTER_ID` are read as well, an empty variable counts as
not set), `--override key=value`. An unknown key in them is a
warning that names the nearest known one; in CreateTopics and AlterConfigs it is an error. Two settings that contradict
each other, and values out of range, end the start with a sentence that names both places.

With three voters and more in `controller.quorum.voters`, `default.replication.factor` is 3 and `min.insync.replicas` 2
unless they are set: one node may then fail, and nothing is lost nor refused. A topic that asks for its own replication
factor has it; the controller names those in its log that one failure would harm.

Each key is one of three: **in force**; **accepted**, that is taken, checked and shown by DescribeConfigs, and without
effect for the reason given; or **refused**, when ignoring it would break a promise.
";

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default(key: &ConfigKey) -> String {
    match key.default {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{}`", escaped(default)),
    }
}

fn changes(key: &ConfigKey) -> &'static str {
    match key.update_mode {
        UpdateMode::ReadOnly => "at start",
        UpdateMode::PerBroker => "per broker",
        UpdateMode::ClusterWide => "at any time",
    }
}

fn in_force(page: &mut String, what: &str, keys: &[&ConfigKey], with_changes: bool) {
    let keys: Vec<_> = keys.iter().filter(|key| key.status == Status::InForce).collect();
    if keys.is_empty() {
        return;
    }
    let (head, rule) = if with_changes { ("changes | ", "---|") } else { ("", "") };
    write!(page, "\n## {what} in force\n\n| key | type | default | {head}what it does |\n|---|---|---|{rule}---|\n")
        .expect("writing to a string");
    for key in keys {
        let changes = if with_changes { format!("{} | ", changes(key)) } else { String::new() };
        let (name, config_type, default) = (key.name, key.config_type.name(), default(key));
        let documentation = escaped(key.documentation());
        writeln!(page, "| `{name}` | {config_type} | {default} | {changes}{documentation} |")
            .expect("writing to a string");
    }
}

fn without_effect(page: &mut String, heading: &str, keys: &[(&ConfigKey, &str)]) {
    if keys.is_empty() {
        return;
    }
    write!(page, "\n## {heading}\n\n| key | why |\n|---|---|\n").expect("writing to a string");
    for (key, why) in keys {
        writeln!(page, "| `{}` | {} |", key.name, escaped(why)).expect("writing to a string");
    }
}

fn section(page: &mut String, what: &str, keys: &[&ConfigKey], with_changes: bool) {
    in_force(page, what, keys, with_changes);
    let refused: Vec<_> = keys
        .iter()
        .filter_map(|key| match key.status {
            Status::Refused(why) => Some((*key, why)),
            _ => None,
        })
        .collect();
    let accepted: Vec<_> = keys
        .iter()
        .filter_map(|key| match key.status {
            Status::Accepted(why) => Some((*key, why)),
            _ => None,
        })
        .collect();
    without_effect(page, &format!("{what} refused unless they have their default"), &refused);
    without_effect(page, &format!("{what} accepted without effect"), &accepted);
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Broker keys", &broker_keys().collect::<Vec<_>>(), true);
    section(&mut page, "Topic keys", &topic_keys().collect::<Vec<_>>(), false);
    section(&mut page, "Group keys", &group_keys().collect::<Vec<_>>(), false);
    page
}

#[test]
fn the_page_tells_what_each_key_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == page, "{PAGE} is stale: run UPDATE_GOLDENFILES=1 cargo test config::reference");
}
