//! What is left out of a walk, by globs relative to the trees. A glob, and a path, may have any bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Refusal;
use crate::fs::Root;
use crate::fs::escape::escaped;
use crate::journal::Name;

/// Globs, and which of them have matched something.
#[derive(Debug)]
pub struct Excludes {
    globs: Vec<Name>,
    has_matched: Vec<AtomicBool>,
    trees: Vec<TreeGlobs>,
}

/// The globs of one tree: those that are UTF-8, and the others, which are compared with paths as [`encoded`].
#[derive(Debug)]
struct TreeGlobs {
    plain: Matcher,
    encoded: Matcher,
}

/// A matcher, and which glob each of its patterns is from.
#[derive(Debug)]
struct Matcher {
    set: GlobSet,
    numbers: Vec<usize>,
}

#[derive(Clone)]
struct Collected {
    set: GlobSetBuilder,
    numbers: Vec<usize>,
}

impl Collected {
    fn new() -> Collected {
        Collected {
            set: GlobSetBuilder::new(),
            numbers: Vec::new(),
        }
    }
}

impl Excludes {
    /// `None` if there are no globs. `./`, `//` and a slash at the end are ignored. An absolute
    /// glob applies to the tree that it lies in, also by the path that was given for the tree.
    ///
    /// # Errors
    /// A glob is invalid, or cannot match anything.
    pub fn new(
        globs: &[Name],
        roots: &[Root],
        given: &[PathBuf],
    ) -> Result<Option<Excludes>, Refusal> {
        let bad = |glob: &[u8], reason: String| Refusal::Glob {
            glob: match glob {
                b"" => "''".to_string(),
                glob => escaped(Path::new(OsStr::from_bytes(glob))).to_string(),
            },
            reason,
        };
        let mut sets = vec![[Collected::new(), Collected::new()]; roots.len()];
        for (number, Name(glob)) in globs.iter().enumerate() {
            let mut is_used = false;
            for (n, root) in roots.iter().enumerate() {
                let ways = [Some(root.path.clone()), absolute(given.get(n))];
                let Some(relative) = relative(glob, ways) else {
                    continue;
                };
                if relative.is_empty() {
                    return Err(bad(glob, "names the whole tree".into()));
                }
                let text = String::from_utf8(relative);
                let is_plain = text.is_ok();
                let text = text.or_else(|error| encoded_glob(error.as_bytes()));
                let text = text.map_err(|reason| bad(glob, reason.into()))?;
                let parsed = GlobBuilder::new(&text).literal_separator(true).build();
                let parsed = parsed.map_err(|error| bad(glob, error.kind().to_string()))?;
                let of_tree = &mut sets[n][usize::from(!is_plain)];
                of_tree.set.add(parsed);
                of_tree.numbers.push(number);
                is_used = true;
            }
            if !is_used {
                return Err(bad(glob, "lies in none of the paths".into()));
            }
        }
        let built = |Collected { set, numbers }: Collected| {
            let set = set.build();
            let set = set.map_err(|error| bad(b"", error.to_string()))?;
            Ok::<_, Refusal>(Matcher { set, numbers })
        };
        let trees = sets.into_iter().map(|[plain, encoded]| {
            Ok(TreeGlobs {
                plain: built(plain)?,
                encoded: built(encoded)?,
            })
        });
        let excludes = Excludes {
            trees: trees.collect::<Result<_, Refusal>>()?,
            has_matched: globs.iter().map(|_| AtomicBool::new(false)).collect(),
            globs: globs.to_vec(),
        };
        Ok((!globs.is_empty()).then_some(excludes))
    }

    /// Whether this path in the tree of this number is left out.
    pub fn matches(&self, tree: usize, path: &Path) -> bool {
        let TreeGlobs { plain, encoded } = &self.trees[tree];
        let is_left_out = self.has_match(plain, path);
        let is_encoded = !encoded.set.is_empty()
            && self.has_match(
                encoded,
                Path::new(&self::encoded(path.as_os_str().as_bytes())),
            );
        is_left_out || is_encoded
    }

    fn has_match(&self, matcher: &Matcher, path: &Path) -> bool {
        let matched = matcher.set.is_match(path);
        if matched {
            for n in matcher.set.matches(path) {
                self.has_matched[matcher.numbers[n]].store(true, Ordering::Relaxed);
            }
        }
        matched
    }

    /// The globs that have matched nothing so far.
    pub fn unmatched(&self) -> Vec<Name> {
        let globs = self.globs.iter().zip(&self.has_matched);
        globs
            .filter(|(_, matched)| !matched.load(Ordering::Relaxed))
            .map(|(glob, _)| glob.clone())
            .collect()
    }
}

/// What a byte is introduced by that is no part of a character: a character that names do not have. Where one has it, its own
/// bytes are encoded.
const BYTE: char = '\u{10fffd}';

/// Any bytes as text: no two have the same.
fn encoded(bytes: &[u8]) -> String {
    let bytes_of = |bytes: &[u8]| -> String {
        let all = bytes.iter().map(|byte| format!("{BYTE}{byte:02x}"));
        all.collect()
    };
    let chunks = bytes.utf8_chunks().map(|chunk| {
        let is_itself = BYTE.to_string();
        let valid = chunk.valid();
        let valid = valid.replace(BYTE, &bytes_of(is_itself.as_bytes()));
        valid + &bytes_of(chunk.invalid())
    });
    chunks.collect()
}

/// A glob that is not UTF-8, for paths that are encoded.
fn encoded_glob(glob: &[u8]) -> Result<String, &'static str> {
    let mut is_escaped = false;
    let mut has_meaning = |byte: &u8| {
        let is_literal = is_escaped;
        is_escaped = !is_literal && *byte == b'\\';
        !is_literal && b"?[".contains(byte)
    };
    match glob.iter().any(&mut has_meaning) {
        // One byte of a path is several characters then.
        true => {
            Err("has bytes that are not UTF-8. With those, `?` and `[` have no meaning; `*` has")
        }
        false => Ok(encoded(glob)),
    }
}

/// The globs for a record, relative to the real paths of the trees.
pub fn recorded(globs: &[Name], roots: &[Root], given: &[PathBuf]) -> Vec<Name> {
    let real = |glob: &Name| {
        let real = roots.iter().zip(given).find_map(|(root, given)| {
            let given = absolute(Some(given))?;
            let below = glob.as_path().strip_prefix(given).ok()?;
            Some(Name::from(root.path.join(below).as_path()))
        });
        real.unwrap_or_else(|| glob.clone())
    };
    globs.iter().map(real).collect()
}

fn absolute(path: Option<&PathBuf>) -> Option<PathBuf> {
    std::path::absolute(path?).ok()
}

/// The glob as it is below a tree; none where it is absolute and lies elsewhere.
fn relative(glob: &[u8], ways: [Option<PathBuf>; 2]) -> Option<Vec<u8>> {
    let path = Path::new(OsStr::from_bytes(glob));
    let below = match path.is_absolute() {
        true => ways
            .iter()
            .flatten()
            .find_map(|spelling| path.strip_prefix(spelling).ok())?,
        false => path,
    };
    let names = below.components().filter(|part| *part != Component::CurDir);
    let names: PathBuf = names.collect();
    Some(names.into_os_string().into_vec())
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
            let found = relative(glob.as_bytes(), ways());
            assert_eq!(found.as_deref(), below.map(str::as_bytes), "{glob}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_mean_themselves() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let excludes = |glob: &[u8]| {
            let globs = [Name(glob.to_vec())];
            Excludes::new(&globs, &[root.try_clone().unwrap()], &[])
        };
        for (glob, path, expected) in [
            (&b"a\xff"[..], &b"a\xff"[..], true),
            (b"a\xff", b"a\xfe", false),
            (b"a\xff", b"a\xff/b", false),
            (b"a\xff/**", b"a\xff/b/\xfe", true),
            (b"*\xff", b"\xc3\xa4\xff", true),
            (b"*\xff", b"a/\xff", false),
            (b"{a,b}\xff", b"b\xff", true),
            (b"a*", b"a\xff", true),
            (b"\\?\xff", b"?\xff", true),
            (b"\\?\xff", b"a\xff", false),
            // What stands for a byte is not a name itself.
            (b"\xff", "\u{10fffd}ff".as_bytes(), false),
            (b"\xff\xf4\x8f\xbf\xbd", b"\xff\xf4\x8f\xbf\xbd", true),
        ] {
            let excludes = excludes(glob).unwrap().unwrap();
            let found = excludes.matches(0, Path::new(OsStr::from_bytes(path)));
            assert_eq!(
                found,
                expected,
                "{} {}",
                glob.escape_ascii(),
                path.escape_ascii()
            );
            assert_eq!(excludes.unmatched().is_empty(), expected);
        }
        for bad in [&b"?\xff"[..], b"[ab]\xff", b"\xff{"] {
            assert!(excludes(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
