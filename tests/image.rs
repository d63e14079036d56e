//! The image has a link for every tool of Kafka that the binary knows by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names in the tables of `src/cli/kafka_tools/`, without `kafka-`.
fn known_tools() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/cli/kafka_tools")).unwrap() {
        let path = entry.unwrap().path();
        let text = if path.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
        for (at, found) in text.match_indices("name: \"kafka-") {
            names.insert(text[at + found.len()..].split('"').next().unwrap().to_owned());
        }
    }
    names
}

/// The words of `TOOLS="…"` in deploy/image/rootfs.
fn linked_tools() -> BTreeSet<String> {
    let script = fs::read_to_string(root().join("deploy/image/rootfs")).unwrap();
    let list = script.split("TOOLS=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a list of tools");
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_tool_the_binary_knows_is_linked_in_the_image() {
    let known = known_tools();
    assert!(known.len() >= 8, "the tables were not read: {known:?}");
    let missing: Vec<_> = known.difference(&linked_tools()).cloned().collect();
    assert!(missing.is_empty(), "add to TOOLS in deploy/image/rootfs: {missing:?}");
}
