//! A user with a real rootless Docker daemon: dockerd-rootless.sh with RootlessKit and slirp4netns, as Debian has them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::daemon::{Daemon, Host};
use super::sh;

/// The user, its group and its ids.
pub const USER: &str = "ann";
pub const UID: u32 = 2200;
pub const GID: u32 = 2201;

/// Where Debian's docker.io has it.
const DOCKERD_ROOTLESS: &str = "/usr/share/docker.io/contrib/dockerd-rootless.sh";

/// The user's place beside a data-root, on the same filesystem.
pub struct RootlessUser {
    home: PathBuf,
    run: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// A rollback looks at all processes of the user's ids: of other tests, too.
static ALONE: Mutex<()> = Mutex::new(());

impl RootlessUser {
    /// Makes the user in this test's own `/etc`, with these lines in both files of ranges.
    pub fn beside(host: &Host, ranges: &str) -> RootlessUser {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = host.beside().join("home/ann");
        fs::create_dir_all(&home).unwrap();
        chown(&home, Some(UID), Some(GID)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        append(
            "/etc/passwd",
            &format!("{USER}:x:{UID}:{GID}::{}:/bin/bash\n", home.display()),
        );
        append("/etc/group", &format!("{USER}:x:{GID}:\n"));
        for file in ["/etc/subuid", "/etc/subgid"] {
            append(file, ranges);
        }
        // As systemd-logind makes it; short, as sockets are in it.
        let run = PathBuf::from(format!("/run/user/{UID}"));
        fs::create_dir_all(&run).unwrap();
        chown(&run, Some(UID), Some(GID)).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
        open_tun();
        RootlessUser {
            home,
            run,
            _alone: alone,
        }
    }

    /// Where the rootless daemon has its data.
    pub fn data_root(&self) -> PathBuf {
        self.home.join(".local/share/docker")
    }

    /// Starts the rootless daemon and waits until it answers.
    pub fn start<'h>(&self, host: &'h Host) -> Daemon<'h> {
        let log = self.run.join("log");
        let file = fs::File::create(&log).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &UID.to_string(), "--regid", &GID.to_string()])
            .args(["--clear-groups", "--", DOCKERD_ROOTLESS])
            .args(["--bridge=none", "--iptables=false"])
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", USER)
            .env("XDG_RUNTIME_DIR", &self.run)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(&self.home);
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("setpriv; tests/run installs it");
        let socket = format!("unix://{}/docker.sock", self.run.display());
        Daemon::answering(host, (child, socket), &log)
            .unwrap_or_else(|log| panic!("dockerd-rootless.sh does not answer:\n{log}"))
    }
}

/// Everybody may open it, as udev has it on a host; only in this test's own mounts.
fn open_tun() {
    let node = Path::new("/run/tun");
    sh(
        "mknod",
        ["-m", "666", "/run/tun", "c", "10", "200"].map(AsRef::<std::ffi::OsStr>::as_ref),
    );
    sh(
        "mount",
        ["--bind".as_ref(), node.as_os_str(), "/dev/net/tun".as_ref()],
    );
}

fn append(file: &str, text: &str) {
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, before + text).unwrap();
}
