//! What the unit and the drop-in hold.

use std::path::Path;

use super::{DROP_IN, DROP_INS, UNIT};
use crate::docker::DockerError;
use crate::host::systemd_unit::{escape_path, not_nameable, quoted, quoted_path, specifiers};

/// How each begins.
pub(super) const MADE: &str = "# Made by idshift docker migrate";

/// The files of the unit and its drop-in, and what they hold.
pub(super) fn files(
    top: &Path,
    range: &str,
) -> Result<[(Vec<&'static str>, String); 2], DockerError> {
    let program = std::env::current_exe().map_err(DockerError::io("/proc/self/exe"))?;
    for path in [top, &program] {
        if let Some(why) = not_nameable(path) {
            let why = format!("cannot be named in a systemd unit ({why}). Move or rename it");
            return Err(DockerError::in_the_way(path, why));
        }
    }
    let point = top.join(range);
    let unit = format!(
        "{MADE} --idmapped; idshift docker revert removes it.\n\
         [Unit]\n\
         Description=Idmapped Docker data-root {description}\n\
         RequiresMountsFor={root}\n\
         Before=docker.service\n\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart={program}{command}\n",
        description = specifiers(&point.to_string_lossy()),
        root = quoted_path(top),
        program = quoted(&program.to_string_lossy()),
        command = arguments(top),
    );
    let drop_in = format!(
        "{MADE} --idmapped; idshift docker revert removes it.\n\
         # The daemon's data-root is remapped by a mount, and without it the daemon must not start.\n\
         [Unit]\n\
         Requires={UNIT}\n{}\n",
        after(&point)
    );
    Ok([(vec![DROP_INS, DROP_IN], drop_in), (vec![UNIT], unit)])
}

/// What the unit runs this program with.
pub(super) fn arguments(top: &Path) -> String {
    let root = quoted(&top.to_string_lossy());
    format!("{ARGUMENTS}{root}")
}

/// Between the program and the data-root.
pub(super) const ARGUMENTS: &str = " docker mount --data-root ";

/// The line of the drop-in that is of one root only.
pub(super) fn after(point: &Path) -> String {
    format!("After={UNIT} {}", mount_unit(point))
}

/// The name that systemd gives to a mount (`systemd.mount(5)`).
fn mount_unit(point: &Path) -> String {
    escape_path(point) + ".mount"
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_and_words_are_as_systemd_reads_them() {
        // As `systemd-escape -p --suffix=mount` prints them.
        for (path, name) in [
            (
                "/var/lib/docker/100000.100000",
                "var-lib-docker-100000.100000.mount",
            ),
            (
                "/srv/my docker-data/1.1",
                "srv-my\\x20docker\\x2ddata-1.1.mount",
            ),
        ] {
            assert_eq!(mount_unit(Path::new(path)), name);
        }
        for (top, named) in [
            (
                "/srv/a b$c%d",
                [
                    "RequiresMountsFor=\"/srv/a b$c%%d\"",
                    "--data-root \"/srv/a b$$c%%d\"",
                ],
            ),
            (
                "/srv/$HOME%h",
                [
                    "RequiresMountsFor=/srv/$HOME%%h",
                    "--data-root /srv/$$HOME%%h",
                ],
            ),
        ] {
            let [_, (_, unit)] = files(Path::new(top), "1.1").unwrap();
            for end in named {
                assert!(unit.lines().any(|line| line.ends_with(end)), "{unit}");
            }
        }
        for top in [&b"/srv/a\"b"[..], b"/srv/a\\b", b"/srv/a\nb", b"/srv/\xff"] {
            let top = Path::new(OsStr::from_bytes(top));
            let told = files(top, "1.1").unwrap_err().to_string();
            assert!(told.contains("cannot be named"), "{told}");
        }
    }
}
