//! What is left out of a walk, by globs relative to the trees.

use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Refusal;
use crate::fs::Root;

/// Globs, and which of them have matched something.
#[derive(Debug)]
pub struct Excludes {
    globs: Vec<String>,
    has_matched: Vec<AtomicBool>,
    /// For each tree its matcher, and which glob each of its patterns is from.
    trees: Vec<(GlobSet, Vec<usize>)>,
}

impl Excludes {
    /// `None` if there are no globs. `./`, `//` and a slash at the end are ignored. An absolute
    /// glob applies to the tree that it lies in, also by the path that was given for the tree.
    ///
    /// # Errors
    /// A glob is invalid, or cannot match anything.
    pub fn new(
        globs: &[String],
        roots: &[Root],
        given: &[PathBuf],
    ) -> Result<Option<Excludes>, Refusal> {
        let bad = |glob: &str, reason: String| Refusal::Glob {
            glob: match glob {
                "" => "''".to_string(),
                glob => glob.to_string(),
            },
            reason,
        };
        let mut sets = vec![(GlobSetBuilder::new(), Vec::new()); roots.len()];
        for (number, glob) in globs.iter().enumerate() {
            let mut is_used = false;
            for (n, root) in roots.iter().enumerate() {
                let ways = [Some(root.path.clone()), absolute(given.get(n))];
                let Some(relative) = relative(glob, ways) else {
                    continue;
                };
                if relative.is_empty() {
                    return Err(bad(glob, "names the whole tree".into()));
                }
                let parsed = GlobBuilder::new(&relative).literal_separator(true).build();
                let parsed = parsed.map_err(|error| bad(glob, error.kind().to_string()))?;
                sets[n].0.add(parsed);
                sets[n].1.push(number);
                is_used = true;
            }
            if !is_used {
                return Err(bad(glob, "lies in none of the paths".into()));
            }
        }
        let built = sets.into_iter().map(|(set, numbers)| {
            let set = set.build();
            Ok((set.map_err(|error| bad("", error.to_string()))?, numbers))
        });
        let excludes = Excludes {
            trees: built.collect::<Result<_, Refusal>>()?,
            has_matched: globs.iter().map(|_| AtomicBool::new(false)).collect(),
            globs: globs.to_vec(),
        };
        Ok((!globs.is_empty()).then_some(excludes))
    }

    /// Whether this path in the tree of this number is left out.
    pub fn matches(&self, tree: usize, path: &Path) -> bool {
        let (set, numbers) = &self.trees[tree];
        let matched = set.is_match(path);
        if matched {
            for n in set.matches(path) {
                self.has_matched[numbers[n]].store(true, Ordering::Relaxed);
            }
        }
        matched
    }

    /// The globs that have matched nothing so far.
    pub fn unmatched(&self) -> Vec<String> {
        let globs = self.globs.iter().zip(&self.has_matched);
        globs
            .filter(|(_, matched)| !matched.load(Ordering::Relaxed))
            .map(|(glob, _)| glob.clone())
            .collect()
    }
}

/// The globs for a record, relative to the real paths of the trees.
pub fn recorded(globs: &[String], roots: &[Root], given: &[PathBuf]) -> Vec<String> {
    let real = |glob: &String| {
        let real = roots.iter().zip(given).find_map(|(root, given)| {
            let given = absolute(Some(given))?;
            let below = Path::new(glob).strip_prefix(given).ok()?;
            Some(root.path.join(below).to_string_lossy().into_owned())
        });
        real.unwrap_or_else(|| glob.clone())
    };
    globs.iter().map(real).collect()
}

fn absolute(path: Option<&PathBuf>) -> Option<PathBuf> {
    std::path::absolute(path?).ok()
}

/// The glob as it is below a tree; none where it is absolute and lies elsewhere.
fn relative(glob: &str, ways: [Option<PathBuf>; 2]) -> Option<String> {
    let path = Path::new(glob);
    let below = match path.is_absolute() {
        true => ways
            .iter()
            .flatten()
            .find_map(|spelling| path.strip_prefix(spelling).ok())?,
        false => path,
    };
    let names = below.components().filter(|part| *part != Component::CurDir);
    let names: PathBuf = names.collect();
    Some(names.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_what_it_means_below_the_tree() {
        let ways = || [Some("/srv/data".into()), Some("/data".into())];
        for (glob, below) in [
            ("skip", Some("skip")),
            ("skip/", Some("skip")),
            ("./skip//", Some("skip")),
            (".//a/./b", Some("a/b")),
            ("**/x/", Some("**/x")),
            ("/srv/data/skip/*.tmp", Some("skip/*.tmp")),
            ("/data//skip", Some("skip")),
            ("/srv/database", None),
            ("/srv", None),
            ("/srv/data/", Some("")),
            ("", Some("")),
            ("./", Some("")),
        ] {
            assert_eq!(relative(glob, ways()).as_deref(), below, "{glob}");
        }
    }
}
