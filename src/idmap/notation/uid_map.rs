//! `/proc/PID/uid_map` and `gid_map` (`user_namespaces(7)`): container id, host id and size on each line.

use super::{Described, NotationError, NotationSource};
use crate::idmap::range::decimal;
use crate::idmap::{Range, RangeMap};

const HELP: &str = "A line is CONTAINER HOST SIZE, as in `0 100000 65536`; read it in the host's own user namespace, as root";

/// Whether each line is three words, and the first line three numbers.
pub(super) fn is_one(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() == 3 && words.iter().all(|word| decimal(word).is_some())
    })
}

/// One of the two.
pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let half = NotationSource::Half(parse(text, file)?);
    Ok(Described::of("a process", half))
}

/// The ranges of one of the two files.
///
/// # Errors
/// A line that is none, or ranges that share ids.
pub fn parse(text: &str, file: &str) -> Result<RangeMap, NotationError> {
    let mut ranges = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<u32> = words.iter().filter_map(|word| decimal(word)).collect();
        let bad = |reason: String| NotationError::new(file, reason, HELP).at(n + 1);
        match (&words[..], &numbers[..]) {
            ([], _) => {}
            ([_, _, _], &[container, host, size]) => {
                ranges.push(
                    Range::new(container, host, size).map_err(|error| bad(error.to_string()))?,
                );
            }
            _ => return Err(bad(format!("{:?} is not three numbers", line.trim()))),
        }
    }
    let bad = |reason: String| NotationError::new(file, reason, HELP);
    if ranges.is_empty() {
        return Err(bad("no map was written for this process".into()));
    }
    RangeMap::new(ranges).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        let map = parse(text, "uid_map").unwrap();
        assert_eq!(map.ranges().len(), 2);
        assert_eq!(map.ranges()[1].to_string(), "1:100000:65536");
        // The whole host.
        let map = parse("         0          0 4294967295\n", "uid_map").unwrap();
        assert!(map.ranges()[0].is_identity());
    }

    #[test]
    fn a_bad_line_is_named() {
        let said = |text: &str| parse(text, "/proc/7/uid_map").unwrap_err().to_string();
        assert!(
            said("0 1 2\n0 1\n")
                .starts_with("/proc/7/uid_map: line 2: \"0 1\" is not three numbers. ")
        );
        // An id that is outside of the reader's own namespace.
        assert!(said("0 4294967295 1\n").contains("goes past host id"));
        assert!(said("").contains("no map was written"));
    }
}
