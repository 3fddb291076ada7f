//! Paths in the JSON are of any bytes, as `docs/json.md` says: serde alone refuses those that are not UTF-8, and with them
//! the whole object.

use std::fs;

use syn::visit::Visit;
use syn::{Attribute, ItemStruct, Meta, PathSegment};
use walkdir::WalkDir;

use super::home;

#[test]
fn paths_in_the_json_are_of_any_bytes() {
    let mut structs = 0;
    let mut refused = Vec::new();
    for entry in WalkDir::new(home().join("src")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        let mut found = Found::default();
        let text = fs::read_to_string(&path).unwrap();
        found.visit_file(&syn::parse_file(&text).unwrap());
        structs += found.structs;
        let fields = found.refused.into_iter();
        refused.extend(fields.map(|field| format!("{}: {field}", path.display())));
    }
    assert!(structs > 30, "{structs}");
    assert_eq!(refused, [""; 0]);
}

#[derive(Default)]
struct Found {
    structs: usize,
    /// `Struct.field`
    refused: Vec<String>,
}

/// Whether an attribute of this name has this word in it.
fn says(attributes: &[Attribute], name: &str, word: &str) -> bool {
    let mut words = attributes.iter().filter_map(|it| words(it, name));
    words.any(|words| words.contains(word))
}

/// Whether a field is in no JSON.
fn is_skipped(attribute: &Attribute) -> bool {
    words(attribute, "serde").is_some_and(|words| words == "skip")
}

/// What stands between the parentheses of an attribute of this name.
fn words(attribute: &Attribute, name: &str) -> Option<String> {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident(name) => Some(list.tokens.to_string()),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        if !says(&item.attrs, "derive", "Serialize") {
            return;
        }
        self.structs += 1;
        for field in &item.fields {
            let mut paths = Paths(false);
            paths.visit_type(&field.ty);
            let is_left_out = field.attrs.iter().any(is_skipped);
            if paths.0 && !is_left_out && !says(&field.attrs, "serde", "serialize_with") {
                let name = field.ident.as_ref().map(ToString::to_string);
                self.refused
                    .push(format!("{}.{}", item.ident, name.unwrap_or_default()));
            }
        }
    }
}

/// Whether a type has a path in it.
struct Paths(bool);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        self.0 |= ["PathBuf", "OsString"].iter().any(|it| segment.ident == it);
        syn::visit::visit_path_segment(self, segment);
    }
}
