//! Modules use those in the layers below them only, and modules beside each other use each other in one direction only, as
//! `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;
use walkdir::WalkDir;

use super::home;

/// For each module, which of its children use which others of them.
type Uses = BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>>;

/// Of all modules.
fn uses() -> Uses {
    let sources = home().join("src");
    let files = WalkDir::new(&sources).into_iter().map(|it| it.unwrap());
    let files: Vec<_> = files
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .filter(|path| path.file_name().is_some_and(|it| it != "tests.rs"))
        .collect();
    let modules = files.iter().map(|path| module_of(&sources, path));
    let modules: BTreeSet<Vec<String>> = modules.collect();
    let mut uses = Uses::new();
    for path in &files {
        let here = module_of(&sources, path);
        let mut found = Found {
            here: here.clone(),
            paths: Vec::new(),
        };
        let text = fs::read_to_string(path).unwrap();
        found.visit_file(&syn::parse_file(&text).unwrap());
        for path in found.paths {
            let shared = here.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (here.get(shared), path.get(shared)) else {
                continue;
            };
            if modules.contains(&path[..=shared]) {
                let beside = uses.entry(here[..shared].to_vec()).or_default();
                beside.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    assert!(uses.len() > 20, "{uses:?}");
    uses
}

#[test]
fn modules_beside_each_other_do_not_use_each_other() {
    let uses = uses();
    let cycles: Vec<String> = uses
        .iter()
        .filter_map(|(parent, beside)| {
            Some(format!(
                "{}: {}",
                parent.join("::"),
                cycle(beside)?.join(" -> ")
            ))
        })
        .collect();
    assert_eq!(cycles, [""; 0]);
}

/// The first cells of the table of layers name them, the highest first.
#[test]
fn a_layer_uses_only_those_below_it() {
    let page = fs::read_to_string(home().join("docs/architecture.md")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| layer"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let mut layer = BTreeMap::new();
    for (n, row) in rows.enumerate() {
        let names = row.split('|').nth(1).unwrap().split('`');
        let names = names.filter_map(|name| name.strip_suffix('/'));
        layer.extend(names.map(|name| (name.to_string(), n)));
    }
    assert!(layer.len() > 10, "{layer:?}");
    let uses = uses();
    let of_top = &uses[&Vec::<String>::new()];
    let up = of_top
        .iter()
        .flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
    let up: Vec<_> = up
        .filter(|(from, to)| match (layer.get(*from), layer.get(*to)) {
            (Some(from), Some(to)) => to < from,
            _ => false,
        })
        .collect();
    assert!(up.is_empty(), "{up:?}");
}

/// The path of a file's module: `src/engine/steps/mod.rs` is `engine::steps`.
fn module_of(sources: &Path, file: &Path) -> Vec<String> {
    let below = file.strip_prefix(sources).unwrap().with_extension("");
    let names = below.iter().map(|it| it.to_str().unwrap().to_string());
    names
        .filter(|it| !["mod", "lib", "main"].contains(&it.as_str()))
        .collect()
}

/// One way around, if there is any.
fn cycle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        uses: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|it| it == at) {
            return Some([&way[start..], &[at.to_string()]].concat());
        }
        if !done.insert(at.to_string()) {
            return None;
        }
        way.push(at.to_string());
        let found = (uses.get(at).into_iter().flatten()).find_map(|to| walk(to, uses, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    uses.keys()
        .find_map(|from| walk(from, uses, &mut Vec::new(), &mut done))
}

/// What a file names of this crate, as paths from its top. Tests may use what they like.
struct Found {
    here: Vec<String>,
    paths: Vec<Vec<String>>,
}

impl Found {
    fn add(&mut self, names: &[String]) {
        let mut path = self.here.clone();
        let mut names = names.iter();
        match names.next().map(String::as_str) {
            Some("crate") => path.clear(),
            Some("self") => {}
            Some("super") => drop(path.pop()),
            _ => return,
        }
        for name in names {
            match name.as_str() {
                "super" => drop(path.pop()),
                _ => path.push(name.clone()),
            }
        }
        self.paths.push(path);
    }

    fn add_tree(&mut self, above: &[String], tree: &syn::UseTree) {
        let below = |name: &syn::Ident| [above, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(it) => self.add_tree(&below(&it.ident), &it.tree),
            syn::UseTree::Name(it) => self.add(&below(&it.ident)),
            syn::UseTree::Rename(it) => self.add(&below(&it.ident)),
            syn::UseTree::Glob(_) => self.add(above),
            syn::UseTree::Group(it) => {
                for tree in &it.items {
                    self.add_tree(above, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        self.add(&names);
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // The only modules in a file are its tests.
        let _ = item;
    }
}
