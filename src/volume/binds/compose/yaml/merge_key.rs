//! The key `<<` of YAML, which brings in the entries of other mappings (`https://yaml.org/type/merge.html`).

use std::collections::HashSet;

use thiserror::Error;

use super::{Data, Node};

/// A key `<<` names something else than mappings.
#[derive(Debug, Error)]
#[error("has `<<` with something that is not a mapping")]
pub(super) struct NotMappings;

/// With what a key `<<` brings in: keys of the mapping itself win, then earlier ones.
pub(super) fn merged(entries: Vec<(String, Node)>) -> Result<Vec<(String, Node)>, NotMappings> {
    let (own, merge): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key != "<<");
    let mut all = own;
    let mut known: HashSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
    for (_, node) in merge {
        let parts = match node.data {
            Data::List(parts) => parts,
            _ => vec![node],
        };
        for part in parts {
            let Data::Map(entries) = part.data else {
                return Err(NotMappings);
            };
            for (key, node) in entries {
                if known.insert(key.clone()) {
                    all.push((key, node));
                }
            }
        }
    }
    Ok(all)
}
