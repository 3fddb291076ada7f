//! The systemd unit that makes a mount at each boot (`systemd.unit(5)`, `systemd.service(5)`, `systemd-escape(1)`).

mod command;
mod name;

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use self::name::{check_can_be_named, name_of, target_of};
use super::MountError;
use super::planned_mount::PlannedMount;
use crate::fs::PinnedFile;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::open_regular;
use crate::host::systemd_unit::{program_of_root, quoted, quoted_path, specifiers};
use crate::journal::Store;
use crate::journal::id::DEFAULT_PLACE;

/// Where an operator's units are.
const DIRECTORY: &str = "/etc/systemd/system";

/// What starts containers at boot: Docker; Podman's API and `--restart=always`; LXC (`lxc@.service` comes after it);
/// Incus; LXD, also as a snap; Proxmox VE. One that a host does not have is not waited for (`systemd.unit(5)`).
const BEFORE: &str = "docker.service podman.service podman-restart.service lxc.service incus.service lxd.service \
                      snap.lxd.daemon.service pve-guests.service";

/// How each begins that idshift has written.
const MARK: &str = "# Made by `idshift mount --persist`";

/// A unit for one mount.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// The command that it runs, for a shell.
    pub command: String,
}

/// Whether this host was started by systemd (`sd_booted(3)`).
pub fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

impl Unit {
    pub(super) fn of(mount: &PlannedMount, store: &Store) -> Result<Unit, MountError> {
        let program = program_of_root()?;
        let (source, target) = (mount.source(), mount.target());
        let journal_dir = journal_dir(store)?;
        let paths = [
            Some(source),
            Some(target),
            Some(&program),
            journal_dir.as_deref(),
        ];
        for path in paths.into_iter().flatten() {
            check_can_be_named(path)?;
        }
        let name = name_of(target)?;
        let words = command::words(mount, &program, journal_dir.as_deref());
        let stop = format!(
            "{} umount --quiet --keep-unit",
            quoted(&program.to_string_lossy())
        );
        let mut paths = vec![quoted_path(source), quoted_path(target)];
        paths.dedup();
        paths.extend(journal_dir.as_deref().map(quoted_path));
        let where_it_is = match mount.is_in_place() {
            true => "over itself".into(),
            false => format!("on {}", target.display()),
        };
        let text = format!(
            "{MARK}; `idshift umount` removes it.\n\
             [Unit]\n\
             Description=Idmapped mount of {source} {where_it_is}\n\
             RequiresMountsFor={for_paths}\n\
             Before={BEFORE}\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart={start}\n\
             ExecStop={stop} {stop_target}\n\
             \n\
             [Install]\n\
             WantedBy=multi-user.target docker.service\n",
            source = specifiers(&source.to_string_lossy()),
            where_it_is = specifiers(&where_it_is),
            for_paths = paths.join(" "),
            start = command::line(&words),
            stop_target = quoted(&target.to_string_lossy()),
        );
        let shell: Vec<String> = words
            .iter()
            .map(|word| shell_word(Path::new(word)))
            .collect();
        Ok(Unit {
            path: Path::new(DIRECTORY).join(&name),
            name,
            text,
            command: shell.join(" "),
        })
    }

    /// Makes sure that it can be written, as far as the disk tells, and replaces nobody else's. Changes nothing.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_writable(&self) -> Result<(), MountError> {
        self.check_not_foreign()?;
        let dir = Path::new(DIRECTORY);
        writable(dir).map_err(|errno| MountError::io(dir)(errno.into()))
    }

    fn check_not_foreign(&self) -> Result<(), MountError> {
        match is_foreign(&self.path) {
            true => Err(MountError::ForeignUnit {
                path: self.path.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Writes it and has systemd start it at each boot, before containers.
    ///
    /// # Errors
    /// What there was before, a unit or none, is there still.
    pub fn install(&self) -> Result<(), MountError> {
        self.check_not_foreign()?;
        let before = fs::read(&self.path).ok();
        if before.as_deref() != Some(self.text.as_bytes()) {
            self.write(self.text.as_bytes())
                .map_err(MountError::io(&self.path))?;
        }
        let enabled = systemctl(&["daemon-reload"])
            .and_then(|()| systemctl(&["enable", "--quiet", &self.name]));
        enabled.inspect_err(|_| {
            let _ = match &before {
                Some(text) => self.write(text),
                None => fs::remove_file(&self.path),
            };
            let _ = systemctl(&["daemon-reload"]);
        })
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        // systemd reads no other ending.
        let new = self.path.with_extension("new");
        let mut options = fs::File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o644);
        let mut file = options.open(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

/// Whether idshift has written a file of this name. A symlink it never makes.
fn is_ours(path: &Path) -> bool {
    let opened = open_regular(rustix::fs::CWD, path.as_os_str().as_bytes());
    opened.ok().is_some_and(|(file, _)| {
        let mut begin = vec![0; MARK.len()];
        file.read_exact_at(&mut begin, 0).is_ok() && begin == MARK.as_bytes()
    })
}

/// Whether something else has this name: a file that somebody else has written, or a symlink, as by `systemctl mask`.
fn is_foreign(path: &Path) -> bool {
    path.symlink_metadata().is_ok() && !is_ours(path)
}

fn path_of(target: &Path) -> Option<PathBuf> {
    Some(Path::new(DIRECTORY).join(name_of(target).ok()?))
}

/// What a unit mounts on a path at each boot.
#[derive(Clone, Debug)]
pub struct BootMount {
    /// The unit's file.
    pub unit: PathBuf,
    /// It is the mount that was asked for.
    pub is_same: bool,
}

impl BootMount {
    pub(super) fn of(mount: &PlannedMount) -> Option<BootMount> {
        let unit = unit_for(mount.target()).filter(|_| is_systemd())?;
        let text = fs::read_to_string(&unit).unwrap_or_default();
        let is_same = command::makes(&text, mount);
        Some(BootMount { unit, is_same })
    }
}

/// Where runs have left journals, where that is not the default; a unit has no working directory.
fn journal_dir(store: &Store) -> Result<Option<PathBuf>, MountError> {
    let dir = store.place();
    if dir == Path::new(DEFAULT_PLACE) {
        return Ok(None);
    }
    let absolute = fs::canonicalize(dir).or_else(|_| std::path::absolute(dir));
    absolute.map(Some).map_err(MountError::io(dir))
}

/// The unit's file for a mount on this path, where idshift has written one.
pub fn unit_for(target: &Path) -> Option<PathBuf> {
    path_of(target).filter(|path| is_ours(path))
}

/// A file in the place of that unit that idshift has not written.
pub(super) fn foreign_unit_for(target: &Path) -> Option<PathBuf> {
    path_of(target).filter(|path| path.is_file() && !is_ours(path))
}

/// The targets of all units that idshift has written.
pub fn targets() -> Vec<PathBuf> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| {
        let target = target_of(&entry.file_name().into_string().ok()?)?;
        is_ours(&entry.path()).then_some(target)
    });
    let mut targets: Vec<PathBuf> = targets.collect();
    targets.sort();
    targets
}

/// Removes a unit. Where systemd runs, it is stopped first; a mount that is not there any more is none to stop.
///
/// # Errors
/// It is still there.
pub fn remove(path: &Path) -> Result<(), MountError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_systemd() {
        systemctl(&["disable", "--now", "--quiet", &name])?;
    }
    fs::remove_file(path).map_err(MountError::io(path))?;
    match is_systemd() {
        true => systemctl(&["daemon-reload"]),
        false => Ok(()),
    }
}

/// Makes sure that a unit can be removed, as far as the disk tells. Changes nothing.
///
/// # Errors
/// Why it cannot.
pub(super) fn check_removable(path: &Path, target: &Path) -> Result<(), MountError> {
    let is_mount_point = || Ok(PinnedFile::path(path)?.stat()?.mount_root);
    let checked = writable(Path::new(DIRECTORY))
        .and_then(|()| writable(path))
        .and_then(|()| match is_mount_point()? {
            true => Err(Errno::BUSY),
            false => Ok(()),
        });
    checked.map_err(|errno| MountError::UnitStays {
        path: path.to_path_buf(),
        target: target.to_path_buf(),
        source: errno.into(),
    })
}

/// Not on a read-only filesystem, and not immutable: root may write everything else.
fn writable(path: &Path) -> rustix::io::Result<()> {
    let how = (Access::WRITE_OK, AtFlags::EACCESS);
    rustix::fs::accessat(rustix::fs::CWD, path, how.0, how.1)
}

fn systemctl(args: &[&str]) -> Result<(), MountError> {
    let failed = |said: String| MountError::Systemctl {
        command: format!("systemctl {}", args.join(" ")),
        said,
    };
    let output = Command::new("systemctl").args(args).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_string(),
        )),
    }
}
