//! A host that is switched off, worked on by the program as if in it: with its root directory, and this machine's kernel and
//! processes. What changes its disk can be traced and killed.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use super::engine_host::EngineHost;
use super::isolation::isolate;
use super::{Idshift, Run, sh};

/// Its root directory in this test's own mounts.
pub struct SwitchedOff {
    root: PathBuf,
    _host: EngineHost,
}

impl SwitchedOff {
    /// Switches it off, and looks into it.
    pub fn new(mut host: EngineHost) -> SwitchedOff {
        host.power_off();
        SwitchedOff::of(host)
    }

    /// One that is off.
    pub fn of(host: EngineHost) -> SwitchedOff {
        isolate();
        let (root, usr) = (host.root(), host.system().join("usr"));
        let it = SwitchedOff { root, _host: host };
        it.mount(&["--bind"], &it.root, "");
        it.mount(&["--make-private"], Path::new(""), "");
        it.mount(&["--bind"], &usr, "usr");
        let local = it.root.join("var/local-bin");
        fs::create_dir_all(&local).unwrap();
        fs::write(local.join("idshift"), "").unwrap();
        it.mount(&["--bind"], &local, "usr/local/bin");
        it.mount(&["--bind"], Idshift::program(), "usr/local/bin/idshift");
        it.mount(&["-t", "proc"], Path::new("proc"), "proc");
        it.mount(&["--rbind"], Path::new("/sys"), "sys");
        it.mount(&["--bind"], Path::new("/dev"), "dev");
        for place in ["run", "tmp", "dev/shm"] {
            it.mount(&["-t", "tmpfs"], Path::new("tmpfs"), place);
        }
        it
    }

    fn mount(&self, options: &[&str], source: &Path, at: &str) {
        let at = self.root.join(at);
        let paths = [source.as_os_str(), at.as_os_str()];
        let paths = paths.iter().filter(|path| !path.is_empty());
        sh(
            "mount",
            options.iter().map(AsRef::as_ref).chain(paths.copied()),
        );
    }

    /// A path of it, seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// The program in it, with a journal directory of its own there.
    pub fn idshift(&self) -> Idshift {
        Idshift::in_root(&self.root)
    }

    /// A shell script of root's in it.
    pub fn sh(&self, text: &str) -> Run {
        let mut command = std::process::Command::new("chroot");
        let command = command.arg(&self.root).args(["bash", "-euc", text]);
        Run::of(command.env_clear().env("PATH", "/usr/sbin:/usr/bin"))
    }
}

impl Drop for SwitchedOff {
    /// Before the directory goes: nothing of this machine is in it any more.
    fn drop(&mut self) {
        umount2(&self.root, MntFlags::MNT_DETACH).expect("umount");
    }
}
