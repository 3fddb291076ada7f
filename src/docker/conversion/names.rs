//! Pure: names of images as Docker shows them and keeps them in `repositories.json`.

use crate::containerd::metadata::Labels;
use crate::oci::digest::Digest;

/// Of a name that stands for no tag: what is only kept by its digest.
const DANGLING: &str = "moby-dangling@";

/// Of the label of a blob that says where it came from; the host follows, without its port.
const SOURCE: &str = "containerd.io/distribution.source.";

/// An entry of `repositories.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `a/b`
    pub repository: String,
    /// `a/b:tag` or `a/b@sha256:…`
    pub reference: String,
}

/// The repository of a name, as Docker shows it: without the host and the user that it fills in itself
/// (distribution/reference, `familiarizeName`).
fn familiar(name: &str) -> &str {
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    let rest = short.strip_prefix("library/");
    rest.filter(|rest| !rest.contains('/')).unwrap_or(short)
}

/// What stands for an image of this name in containerd. `labels`: those of its manifest's or index's blob.
pub fn references(name: &str, target: &Digest, labels: &Labels) -> Vec<Reference> {
    if name.starts_with(DANGLING) {
        return Vec::new();
    }
    let full = name;
    let name = match name.strip_prefix("docker.io/") {
        Some(_) => familiar(name),
        None => name,
    };
    let (tagged, digest) = match name.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (name, None),
    };
    let repository = without_tag(tagged).to_string();
    let by_digest = Reference {
        reference: format!("{repository}@{target}"),
        repository: repository.clone(),
    };
    if digest.is_some() {
        return vec![by_digest];
    }
    let by_tag = Reference {
        reference: tagged.to_string(),
        repository,
    };
    match came_from(without_tag(full), labels) {
        true => vec![by_tag, by_digest],
        false => vec![by_tag],
    }
}

/// A name without its tag: what follows a colon behind the last slash.
fn without_tag(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].rfind(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    }
}

/// Whether a blob was pulled from, or pushed to, this repository: then Docker knows the image by its digest too.
fn came_from(repository: &str, labels: &Labels) -> bool {
    let Some((host, path)) = repository.split_once('/') else {
        return false;
    };
    let host = host.split(':').next().unwrap_or(host);
    let from = labels.get(&format!("{SOURCE}{host}"));
    from.is_some_and(|paths| paths.split(',').any(|it| it == path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_docker() {
        let target = Digest::of(b"manifest");
        let labels = Labels::from([
            (format!("{SOURCE}docker.io"), "library/debian,a/b".into()),
            (format!("{SOURCE}reg.example.com"), "c/d".into()),
        ]);
        let of = |name: &str| -> Vec<(String, String)> {
            let all = references(name, &target, &labels).into_iter();
            all.map(|it| (it.repository, it.reference)).collect()
        };
        let pair =
            |repository: &str, rest: &str| (repository.to_string(), format!("{repository}{rest}"));
        let digest = format!("@{target}");
        for (name, repository, rest) in [
            (
                "docker.io/library/debian:12",
                "debian",
                &[":12", &digest][..],
            ),
            ("docker.io/library/local:1", "local", &[":1"]),
            ("docker.io/a/b:x", "a/b", &[":x", &digest]),
            ("docker.io/library/a/b:x", "library/a/b", &[":x"]),
            (
                "docker.io/library/library/b:x",
                "library/library/b",
                &[":x"],
            ),
            ("docker.io/a/c:x", "a/c", &[":x"]),
            (
                "reg.example.com:5000/c/d:1",
                "reg.example.com:5000/c/d",
                &[":1", &digest],
            ),
            ("localhost/library/x:1", "localhost/library/x", &[":1"]),
        ] {
            let expected: Vec<_> = rest.iter().map(|rest| pair(repository, rest)).collect();
            assert_eq!(of(name), expected, "{name}");
        }
        // Pulled by its digest, with a tag or without.
        for name in [
            format!("docker.io/library/debian@{target}"),
            format!("docker.io/library/debian:12@{target}"),
        ] {
            assert_eq!(of(&name), [pair("debian", &digest)], "{name}");
        }
        assert_eq!(of(&format!("moby-dangling@{target}")), []);
    }
}
