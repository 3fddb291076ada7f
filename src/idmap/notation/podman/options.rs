//! The options about maps of one container, in a command line, a script or a Quadlet unit.

/// One `--uidmap`, `--gidmap`, `UIDMap=` or `GIDMap=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapOption {
    pub line: usize,
    pub is_uids: bool,
    /// Ranges, with commas between them.
    pub value: String,
}

/// Why the options are not those of one container: the line, and what is wrong.
pub(super) type Fault = (usize, String);

/// What refuses a text about several containers; followed by a line.
pub(super) const SEVERAL: &str = "another container begins here, and the file is to be about one. Write the options of one into \
     a file of its own";

/// Options that leave the map to Podman.
const LEFT_TO_PODMAN: [&str; 6] = [
    "--userns",
    "--subuidname",
    "--subgidname",
    "UserNS",
    "SubUIDMap",
    "SubGIDMap",
];

/// Whether an option about maps may be in it, in a comment too.
pub(super) fn may_have_some(text: &str) -> bool {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', ';']));
    lines
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'`()".contains(c)))
        .any(|word| {
            let word = word.strip_prefix("PodmanArgs=").unwrap_or(word);
            let word = word.strip_prefix("GlobalArgs=").unwrap_or(word);
            is_uids(word.split('=').next().unwrap_or_default()).is_some()
        })
}

/// Whether an option or a key is about uids or gids; `None` if it is another one.
pub(super) fn is_uids(name: &str) -> Option<bool> {
    match name {
        "--uidmap" | "UIDMap" => Some(true),
        "--gidmap" | "GIDMap" => Some(false),
        _ => None,
    }
}

/// Refuses an option or a key that is not read, and may say something of the map: what is passed over would give
/// another one.
pub(super) fn check_other(name: &str, line: usize) -> Result<(), Fault> {
    if LEFT_TO_PODMAN.contains(&name) {
        return Err((line, format!("{name} leaves the map to Podman")));
    }
    match names_maps(name) && !name.contains('/') {
        true => Err((line, format!("{name} is not understood"))),
        false => Ok(()),
    }
}

/// Whether a word has the name of an option about maps in it.
pub(super) fn names_maps(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["uidmap", "gidmap", "userns"]
        .iter()
        .any(|name| word.contains(name))
}
