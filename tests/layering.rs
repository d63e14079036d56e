//! The house stands: a module uses only modules of lower rows.
//!
//! A plain text scan of `crate::<module>` paths. Adding a folder under `src/` without giving it a row fails too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Modules of one row do not know each other.
const ROWS: &[&[&str]] = &[
    &["model"],
    &["record", "protocol", "rpc", "config", "observability", "clock", "quota"],
    &["metadata", "replication", "group", "transaction", "log"],
    &["cluster", "client"],
    &["controller", "partition"],
    &["coordinator"],
    &["broker", "http"],
    &["node"],
    &["cli"],
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names that follow `crate::` in `text`, those in `crate::{a, b}` included.
fn used_modules(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = Vec::new();
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                Some(list) => used.extend(list.split(',').map(|item| name(item.trim()))),
                None => used.push(name(rest)),
            }
        }
    }
    used
}

#[test]
fn modules_only_look_downwards() {
    let row_of: BTreeMap<&str, usize> =
        ROWS.iter().enumerate().flat_map(|(row, names)| names.iter().map(move |name| (*name, row))).collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for entry in fs::read_dir(&source).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let module = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(&row) = row_of.get(module.as_str()) else {
            problems.push(format!("src/{module}/ has no row: give it one in tests/layering.rs and ARCHITECTURE.md"));
            continue;
        };
        let mut files = Vec::new();
        rust_files(&folder, &mut files);
        for file in files {
            for used in used_modules(&fs::read_to_string(&file).unwrap()) {
                if let Some(&used_row) = row_of.get(used.as_str())
                    && used != module
                    && used_row >= row
                {
                    problems.push(format!("{} (row {row}) uses {used} (row {used_row})", file.display()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
