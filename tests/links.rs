//! Every relative link of every page leads somewhere: to a file, and to a heading where it names one.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no pages of this repository's own.
const SKIPPED: &[&str] = &["target", "node_modules", ".git", "ottla-data"];

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The lines of a page outside its code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            links.push(target.to_owned());
        }
    }
    links
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link of `page`, if anything is.
fn broken(page: &Path, text: &str, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !target.exists() {
        return Some(format!("{}: {link} leads nowhere", page.display()));
    }
    if anchor.is_empty() || target.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let there = if path.is_empty() { text.to_owned() } else { fs::read_to_string(&target).unwrap() };
    (!anchors(&there).iter().any(|heading| heading == anchor))
        .then(|| format!("{}: {link}: the page has no such heading", page.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut found = Vec::new();
    pages(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    let mut problems = Vec::new();
    let mut count = 0;
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            count += 1;
            problems.extend(broken(&page, &text, link));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(count > 10, "{count} links: the pages were not read");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = "# One heading\n[a](#one-heading) [b](#another) [c](no/such.md)\n```\n[d](in-code.md)\n```\n";
    let problems: Vec<String> = links(text).iter().filter_map(|link| broken(&page, text, link)).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
}
