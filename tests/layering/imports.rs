//! Which files of `src/` name which others, read as plain text: the paths that begin with `super::` or `crate::`,
//! followed through re-exports to the file that holds the name. Parts that are compiled for tests alone are left out.
//!
//! It relies on the layout that rustfmt gives, and knows no macros: a name that it cannot follow ends at the `mod.rs`
//! that was asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::rust_files;

/// A module as its path from the crate's root; the root has none.
pub type Module = Vec<String>;

/// The crate's modules, each with the text of its file.
pub struct Sources {
    texts: BTreeMap<Module, String>,
}

impl Sources {
    /// All of `source`, the folder of the crate's root.
    pub fn read(source: &Path) -> Self {
        let mut files = Vec::new();
        rust_files(source, &mut files);
        let mut texts = BTreeMap::new();
        let mut of_tests = BTreeSet::new();
        for file in files {
            let mut module: Module =
                file.strip_prefix(source).unwrap().iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            let name = module.pop().unwrap().trim_end_matches(".rs").to_owned();
            // A binary's root knows the library from outside.
            if module.is_empty() && name == "main" {
                continue;
            }
            let is_folder = name == "mod" || (module.is_empty() && name == "lib");
            module.extend(Some(name).filter(|_| !is_folder));
            let (text, test_modules) = without_tests(&fs::read_to_string(&file).unwrap());
            of_tests.extend(test_modules.into_iter().map(|name| [module.clone(), vec![name]].concat()));
            texts.insert(module, text);
        }
        texts.retain(|module, _| !(1..=module.len()).any(|length| of_tests.contains(&module[..length])));
        Self { texts }
    }

    /// For every folder: which of its files and folders names which others in it. A `mod.rs` is none of them.
    pub fn uses(&self) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
        let mut uses: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, text) in &self.texts {
            for path in named(module, text) {
                let found = self.resolve(&path, 0);
                let shared = module.iter().zip(&found).take_while(|(one, other)| one == other).count();
                if let (Some(user), Some(used)) = (module.get(shared), found.get(shared)) {
                    let folder = uses.entry(module[..shared].to_vec()).or_default();
                    folder.entry(user.clone()).or_default().insert(used.clone());
                }
            }
        }
        uses
    }

    /// The module that holds what `path` names.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let is_module = |module: &[String]| self.texts.keys().any(|known| known.starts_with(module));
        let length = (0..=path.len()).rev().find(|&length| is_module(&path[..length])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        let (Some(name), Some(text)) = (rest.first(), self.texts.get(module)) else { return module.to_vec() };
        // A circle of re-exports would not compile, but a macro may look like one.
        let followed = (depth < 8 && !defines(text, name)).then(|| self.re_exported(module, text, name)).flatten();
        match followed {
            Some(path) => self.resolve(&path, depth + 1),
            None => module.to_vec(),
        }
    }

    /// What a module's `use` says that `name` is.
    fn re_exported(&self, module: &[String], text: &str, name: &str) -> Option<Vec<String>> {
        let mut globs = Vec::new();
        for line in statements(text, "use ") {
            for (path, known_as) in tree(line) {
                let path = absolute(module, path);
                if known_as == name {
                    return Some(path);
                }
                globs.extend(path.strip_suffix(&["*".to_owned()]).map(<[String]>::to_vec));
            }
        }
        globs.into_iter().find(|glob| self.texts.get(glob).is_some_and(|text| defines(text, name)))
    }
}

/// All paths to modules of this crate in `text`, from the crate's root.
fn named(module: &[String], text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["super::", "crate::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                paths.extend(tree(&text[at..]).into_iter().map(|(path, _)| absolute(module, path)));
            }
        }
    }
    paths
}

/// A path written in `module`, from the crate's root.
fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => [module, &path[1..]].concat(),
        _ => [&module[..module.len().saturating_sub(ups)], &path[ups..]].concat(),
    }
}

/// What a path or a tree of paths at the start of `text` names: each whole path, and the name it is known by.
fn tree(text: &str) -> Vec<(Vec<String>, String)> {
    let mut path = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if !name.is_empty() {
            path.push(name.to_owned());
        }
        rest = behind;
        match rest.strip_prefix("::") {
            Some(next) => rest = next.trim_start(),
            None => break,
        }
        if let Some(list) = rest.strip_prefix('{') {
            let whole = |(end, known_as): (Vec<String>, String)| {
                // `self` in a list is the path before it.
                let own = end == ["self"];
                let path = if own { path.clone() } else { [path.clone(), end].concat() };
                (path.clone(), if own { path.last().cloned().unwrap_or_default() } else { known_as })
            };
            return items(list).into_iter().flat_map(tree).map(whole).collect();
        }
    }
    let renamed = rest.strip_prefix(" as ").map(|name| name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_'));
    let known_as = renamed.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
    vec![(path, known_as)]
}

/// The items of a list in braces that is open at the start of `text`.
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// What comes behind `word` in the statements of `text` that begin with it, whoever may see them.
fn statements<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let begins = move |at: usize| {
        let before = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        let is_prefix =
            |word: &str| word.starts_with("pub") || word.ends_with(')') || ["const", "async"].contains(&word);
        before.split_whitespace().all(is_prefix)
    };
    text.match_indices(word).filter(move |(at, _)| begins(*at)).map(|(at, word)| &text[at + word.len()..])
}

/// Whether an item of this name is in `text`.
fn defines(text: &str, name: &str) -> bool {
    let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    ["struct ", "enum ", "fn ", "const ", "static ", "type ", "trait "]
        .iter()
        .any(|word| statements(text, word).any(|rest| rest.strip_prefix(name).is_some_and(is_whole)))
}

/// The text without comments and without what is compiled for tests alone, and which modules are that.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut test_modules) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line.split("//").next().unwrap_or_default());
            kept.push('\n');
            continue;
        }
        // The item ends with the first line that is as far to the left and closes something.
        let indent = line.len() - line.trim_start().len();
        for line in lines.by_ref() {
            let is_outer = line.len() - line.trim_start().len() == indent;
            if let Some(name) = line.trim().strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                test_modules.push(name.to_owned());
            }
            if is_outer && line.ends_with([';', '}', ',']) {
                break;
            }
        }
    }
    (kept, test_modules)
}
