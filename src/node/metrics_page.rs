//! Writes docs/metrics.md from the families that modules declare.
//!
//! `UPDATE_GOLDENFILES=1 cargo test metrics_page` writes it anew; without the variable a stale page fails.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use crate::observability::metrics::Family;

const PAGE: &str = "docs/metrics.md";

const HEAD: &str = "\
# Metrics

Made from the families declared in the source; do not edit. They are served as `/metrics` on `ottla.http.listener` (port
9404 unless set), in Prometheus's text format, under the names that Kafka's metrics have behind the usual JMX exporter, so
that dashboards find them; consumer lag has the names of kafka_exporter. `/healthz` and `/readyz` are on the same port.

What starts with `kafka_controller` and `kafka_server_raft` comes from nodes that are controllers, and is about the whole
cluster as that node knows it: take the maximum, not the sum. The rest is about the node itself, and sums up.
";

fn sections() -> [(&'static str, &'static [&'static Family]); 5] {
    [
        ("The partitions of a broker", crate::partition::metrics::FAMILIES),
        ("Requests", crate::broker::metrics::FAMILIES),
        ("Consumer groups", crate::coordinator::metrics::FAMILIES),
        ("The cluster, as a controller sees it", crate::controller::metrics::FAMILIES),
        ("The process", super::metrics::FAMILIES),
    ]
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, families) in sections() {
        write!(page, "\n## {title}\n\n| metric | kind | labels | tells |\n|---|---|---|---|\n").expect("a string");
        for family in families {
            let Family { name, kind, labels, help } = family;
            let labels = labels.join(", ");
            writeln!(page, "| `{name}` | {} | {labels} | {help} |", kind.name()).expect("a string");
        }
    }
    page
}

#[test]
fn the_page_tells_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == page, "{PAGE} is stale: run UPDATE_GOLDENFILES=1 cargo test metrics_page");
}

#[test]
fn names_are_prometheus_names_and_there_once() {
    let mut names = BTreeSet::new();
    for family in sections().into_iter().flat_map(|(_, families)| families) {
        let word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        assert!(word(family.name) && family.labels.iter().all(|label| word(label)), "{}", family.name);
        assert!(names.insert(family.name), "{} is there twice", family.name);
        assert_eq!(family.name.ends_with("_total"), family.kind.name() == "counter", "{}", family.name);
        assert!(family.help.ends_with('.'), "{}", family.name);
    }
}
