//! Links between pages lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::home;

/// The pages, and README.md and the like.
fn pages() -> Vec<PathBuf> {
    let here = [
        home().to_path_buf(),
        home().join("docs"),
        home().join("benches"),
    ];
    let entries = here.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|it| it == "md"));
    pages.sort();
    pages
}

/// What a heading is linked by, as forges make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || *c == '-' || *c == ' ' || *c == '_';
    let text: String = text.chars().filter(kept).collect();
    text.replace(' ', "-")
}

/// Lines that are no code.
fn prose(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line);
        }
    }
    lines
}

fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = prose(&text).into_iter();
    headings
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn links_lead_to_pages_and_headings_that_are_there() {
    let pages = pages();
    let anchors: BTreeMap<&PathBuf, Vec<String>> =
        pages.iter().map(|page| (page, anchors(page))).collect();
    let mut broken = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let text = prose(&text).join("\n");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let target = fs::canonicalize(&target).unwrap_or(target);
            let has = |anchors: &Vec<String>| anchors.iter().any(|anchor| anchor == heading);
            if !target.exists() || !heading.is_empty() && !anchors.get(&target).is_some_and(has) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_index_names_every_page() {
    let index = fs::read_to_string(home().join("docs/README.md")).unwrap();
    let docs = home().join("docs");
    let pages = pages().into_iter().filter(|page| page.starts_with(&docs));
    let missing: Vec<String> = pages
        .map(|page| page.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "README.md" && !index.contains(&format!("({name}")))
        .collect();
    assert!(missing.is_empty(), "docs/README.md lacks {missing:?}");
}
