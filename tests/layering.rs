//! The house stands: a module uses only modules of lower rows, and within a folder the files form no circle.
//!
//! Plain text scans of `crate::` and `super::` paths. Adding a folder under `src/` without giving it a row fails too.

#[path = "layering/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
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

/// Leaves of a folder's files those that are in a circle or between two.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let before: usize = uses.values().map(BTreeSet::len).sum();
        // Whoever uses nothing that is left is below all circles, and whom nobody uses is above them.
        let users: BTreeSet<String> = uses.keys().cloned().collect();
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        uses.retain(|user, _| used.contains(user));
        uses.values_mut().for_each(|of_one| of_one.retain(|name| users.contains(name)));
        uses.retain(|_, of_one| !of_one.is_empty());
        if uses.values().map(BTreeSet::len).sum::<usize>() == before {
            return uses;
        }
    }
}

#[test]
fn the_files_of_a_folder_form_no_circle() {
    let sources = imports::Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut problems = Vec::new();
    for (folder, uses) in sources.uses() {
        for (user, used) in circles(uses) {
            let used: Vec<_> = used.into_iter().collect();
            problems.push(format!("src/{}: {user} uses {}", folder.join("/"), used.join(", ")));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The files of the folder `a` that a scan finds in circles.
fn found_in(files: &[(&str, &str)]) -> Vec<String> {
    let source = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = source.path().join("a").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let uses = imports::Sources::read(source.path()).uses();
    uses.get(&vec!["a".to_owned()]).map(|of_a| circles(of_a.clone()).into_keys().collect()).unwrap_or_default()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let by_path = [("one.rs", "fn f() {\n    super::two::g();\n}\n"), ("two.rs", "use crate::a::one;\n")];
    assert_eq!(found_in(&by_path), ["one", "two"]);
    let re_exported = [
        ("mod.rs", "pub use one::{f, One as Two};\n"),
        ("one.rs", "use super::two::g;\n"),
        ("two.rs", "use super::Two;\n"),
    ];
    assert_eq!(found_in(&re_exported), ["one", "two"]);
    let by_glob = [
        ("mod.rs", "pub use one::*;\n"),
        ("one.rs", "pub fn f() {}\nuse super::two::g;\n"),
        ("two.rs", "use super::f;\n"),
    ];
    assert_eq!(found_in(&by_glob), ["one", "two"]);
    let in_lists = [
        ("one.rs", "use super::{\n    three::{T, U},\n    zero,\n};\n"),
        ("two.rs", "use crate::a::{one::{self, f}, zero};\n"),
        ("three.rs", "pub(super) use super::two as another;\n"),
        ("zero.rs", "struct Zero;\n"),
        ("above.rs", "use super::one::f;\n"),
    ];
    assert_eq!(found_in(&in_lists), ["one", "three", "two"]);
    let through_a_folder = [("one.rs", "use super::two::f;\n"), ("two/deep.rs", "use crate::a::one::g;\n")];
    assert_eq!(found_in(&through_a_folder), ["one", "two"]);
}

#[test]
fn what_only_tests_use_and_what_comments_say_makes_no_circle() {
    let overlooked = [
        ("mod.rs", "mod one;\n#[cfg(test)]\nmod helpers;\nmod two;\n"),
        ("one.rs", "use super::two::f;\n"),
        ("two.rs", "//! See super::one::g.\nstruct T;\n\n#[cfg(test)]\nmod tests {\n    use crate::a::one::g;\n}\n"),
        ("helpers.rs", "use super::one::g;\nuse super::user;\n"),
        ("user.rs", "use super::helpers;\n"),
    ];
    assert_eq!(found_in(&overlooked), Vec::<String>::new());
}
