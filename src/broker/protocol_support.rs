//! Writes docs/protocol-support.md from the dispatch table and the heads of the handler files.
//!
//! `UPDATE_GOLDENFILES=1 cargo test protocol_support` writes it anew; without the variable a stale page fails.

use std::fmt::Write;
use std::path::Path;

use crate::protocol::ApiKey;

use super::dispatch;
use super::served::Served;

const PAGE: &str = "docs/protocol-support.md";

const HEAD: &str = "\
# Protocol support

Made from the dispatch table and the contracts at the head of each handler in `src/broker/handlers/`; do not edit.
What is not in this table is not advertised, and a request for it closes the connection, as in Kafka.

| key | API | versions |
|---|---|---|
";

/// The `//!` lines at the head of a handler file, without its first heading line.
fn contract(handler: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/broker/handlers/{handler}.rs"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    head.map(str::trim).collect::<Vec<_>>().join("\n")
}

fn page(table: &[Served]) -> String {
    let mut page = HEAD.to_owned();
    for row in table {
        let (first, last) = (row.advertised.start(), row.advertised.end());
        let versions = if first == last { first.to_string() } else { format!("{first}–{last}") };
        writeln!(page, "| {} | {:?} | {versions} |", row.api.code(), row.api).expect("writing to a string");
    }
    for row in table {
        write!(page, "\n## {:?}\n\n{}\n", row.api, contract(row.handler)).expect("writing to a string");
    }
    page
}

#[test]
fn the_page_tells_what_is_served() {
    let mut table = dispatch::table();
    table.sort_by_key(|row| row.api.code());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page(&table);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == page, "{PAGE} is stale: run UPDATE_GOLDENFILES=1 cargo test protocol_support");
}

#[test]
fn every_row_is_within_its_schema_and_named_once() {
    let table = dispatch::table();
    for row in &table {
        let schema = row.api.schema_versions().unwrap_or_else(|| panic!("{:?} has no schema", row.api));
        assert!(row.advertised.end() <= schema.versions.end(), "{:?}", row.api);
        // Produce alone is advertised below its schema; the table says why.
        let floor_served = row.advertised.start() >= schema.versions.start() || row.api == ApiKey::Produce;
        assert!(floor_served, "{:?}", row.api);
        assert_eq!(table.iter().filter(|other| other.api == row.api).count(), 1, "{:?}", row.api);
    }
}
