//! A whole host of its own with a Docker of some Debian release: systemd as process 1, its own mounts, processes and
//! network. It boots in a second, is rebooted for real, and is gone when dropped.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::daemon::clear_mount_points;
use super::{Idshift, Run, long, script};

/// Which Debian, and so which Docker.
#[derive(Clone, Copy, Debug)]
pub enum Release {
    /// Docker 20.10.24
    Bookworm,
    /// Docker 26.1.5
    Trixie,
    /// Docker 28.5; `tests/run --long` only
    Forky,
    /// Bookworm with sshd and a whole Python, which Ansible needs; `tests/run --long` only
    Managed,
}

impl Release {
    /// Those to try: the newest in the long form only.
    pub fn all() -> Vec<Release> {
        let mut all = vec![Release::Bookworm, Release::Trixie];
        all.extend(long().then_some(Release::Forky));
        all
    }

    /// The directory that `tests/run` made.
    pub fn system(self) -> PathBuf {
        let variable = match self {
            Release::Bookworm => "IDSHIFT_TEST_HOST_BOOKWORM",
            Release::Trixie => "IDSHIFT_TEST_HOST_TRIXIE",
            Release::Forky => "IDSHIFT_TEST_HOST_FORKY",
            Release::Managed => "IDSHIFT_TEST_HOST_MANAGED",
        };
        let value = std::env::var_os(variable);
        value
            .unwrap_or_else(|| panic!("{variable} names no host: run tests/run"))
            .into()
    }
}

/// Units that do nothing for a test and take time, or change what is this kernel's and not the host's.
const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "lxc-monitord.service",
    "lxc-net.service",
    "lxc.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-sysctl.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp.service",
];

/// See `engine_host.sh`.
const PROC_SYS: &str = "[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=umount -l /proc/sys
";

/// A host. Its Docker is enabled, and starts when the host boots.
pub struct EngineHost {
    dir: TempDir,
    system: PathBuf,
    /// What booted it, and its process 1 as this host numbers it.
    running: Option<(Child, u32)>,
}

impl EngineHost {
    /// Makes one that is switched off, for files to be put into it.
    pub fn off(release: Release) -> EngineHost {
        let dir = tempfile::Builder::new()
            .prefix("idshift-host-")
            .tempdir_in("/var/tmp")
            .expect("a directory");
        let system = release.system();
        let host = EngineHost {
            dir,
            system,
            running: None,
        };
        let root = host.root();
        // Everything but /usr, which is mounted from there.
        super::sh(
            "sh",
            [
                "-c".as_ref(),
                "mkdir -p \"$1/usr\" && tar -C \"$0\" -c --exclude=./usr --exclude='./dev/*' . | tar -C \"$1\" -x"
                    .as_ref(),
                host.system.as_os_str(),
                root.as_os_str(),
            ],
        );
        for dir in ["shared", "local/bin", "root/shared"] {
            fs::create_dir_all(host.dir.path().join(dir)).unwrap();
        }
        for file in ["console", "local/bin/idshift"] {
            fs::write(host.dir.path().join(file), "").unwrap();
        }
        for unit in MASKED {
            let at = root.join("etc/systemd/system").join(unit);
            let _ = std::os::unix::fs::symlink("/dev/null", at);
        }
        host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        let units = "/etc/systemd/system";
        host.write(&format!("{units}/proc-sys.service"), PROC_SYS);
        let wanted = host.path(&format!("{units}/sysinit.target.wants"));
        let _ = fs::create_dir(&wanted);
        std::os::unix::fs::symlink("../proc-sys.service", wanted.join("proc-sys.service")).unwrap();
        host
    }

    /// One that runs.
    pub fn new(release: Release) -> EngineHost {
        let mut host = EngineHost::off(release);
        host.boot();
        host
    }

    /// The system whose `/usr` it has.
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// Its root directory, seen from here; what is mounted in it is not.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The directory that it sees as `/shared`.
    pub fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// A path of it, seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        let below = inside.trim_start_matches('/');
        match below.strip_prefix("shared/") {
            Some(shared) => self.shared().join(shared),
            None => self.root().join(below),
        }
    }

    /// A path of it while it runs, seen from here with all that is mounted in it.
    pub fn mounted_path(&self, inside: &str) -> PathBuf {
        let (_, init) = self.running.as_ref().expect("it runs");
        PathBuf::from(format!("/proc/{init}/root{inside}"))
    }

    /// Its process 1, as this host numbers it, while it runs.
    pub fn init(&self) -> u32 {
        let (_, init) = self.running.as_ref().expect("it runs");
        *init
    }

    /// Writes a file of it, with the directories above.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Switches it on and waits until systemd has started all there is to start.
    pub fn boot(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        // When this test is killed, so is the host.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bash"])
            .arg(script("engine_host.sh"))
            .arg("boot")
            .args([self.dir.path(), &self.system, Idshift::program()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.dir.path().join("stderr")).unwrap())
            .process_group(0)
            .spawn()
            .expect("setpriv; tests/run installs it");
        self.running = Some((child, 0));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(100));
            if !self.find_init() {
                continue;
            }
            let state = Run::of(&mut self.command(&["systemctl", "is-system-running"]));
            let state = String::from_utf8_lossy(&state.stdout).trim().to_string();
            if ["running", "degraded"].contains(&state.as_str()) {
                return;
            }
        }
        let said = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        panic!("does not boot:\n{}\n{}", said("stderr"), said("console"));
    }

    /// Whether its process 1 is systemd by now.
    fn find_init(&mut self) -> bool {
        let Some((child, init)) = &mut self.running else {
            return false;
        };
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        let Some(pid) = children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
        else {
            return false;
        };
        *init = pid;
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "systemd\n")
    }

    /// Switches it off in order, as `poweroff` does.
    pub fn power_off(&mut self) {
        let _ = Run::of(&mut self.command(&["systemctl", "poweroff"]));
        let (mut child, init) = self.running.take().expect("it runs");
        ended(&mut child, init);
    }

    /// Switches it off and on again, in order.
    pub fn reboot(&mut self) {
        self.power_off();
        self.boot();
    }

    /// As if its power failed: everything in it is killed. Its disk is this machine's and loses nothing.
    pub fn cut_power(&mut self) {
        if let Some((mut child, init)) = self.running.take() {
            let _ = child.kill();
            ended(&mut child, init);
        }
    }

    /// A command in it.
    pub fn command(&self, args: &[&str]) -> Command {
        let (_, init) = self.running.as_ref().expect("it runs");
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &init.to_string()])
            .args(["-m", "-n", "-p", "-u", "-i", "-C", "-r", "-w", "--"])
            .args(["env", "-i", "HOME=/root", "LC_ALL=C.UTF-8"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .arg("DOCKER_BUILDKIT=0")
            .args(args);
        command
    }

    /// A command in it, whatever comes of it.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// A shell script in it that must work; what it prints.
    pub fn sh(&self, text: &str) -> String {
        let run = self.run(&["bash", "-euo", "pipefail", "-c", text]);
        assert_eq!(run.code, Some(0), "{run}\n{}", self.engine_log());
        String::from_utf8_lossy(&run.stdout).trim().to_string()
    }

    /// The program, in it.
    pub fn idshift(&self, args: &[&str]) -> Run {
        self.run(&[&["idshift"], args].concat())
    }

    /// A docker command in it that must work; what it prints.
    pub fn docker(&self, args: &[&str]) -> String {
        let run = self.run(&[&["docker"], args].concat());
        assert_eq!(run.code, Some(0), "{run}\n{}", self.engine_log());
        String::from_utf8_lossy(&run.stdout).trim().to_string()
    }

    /// Stops Docker as an operator does.
    pub fn stop_docker(&self) {
        self.sh("systemctl stop docker.socket docker");
    }

    /// Starts Docker; whether it did.
    pub fn try_start_docker(&self) -> bool {
        let reset = "systemctl daemon-reload; systemctl reset-failed docker docker.socket || true; systemctl start docker";
        self.run(&["sh", "-c", reset]).code == Some(0)
    }

    /// Starts Docker, which must work.
    pub fn start_docker(&self) {
        assert!(self.try_start_docker(), "{}", self.engine_log());
    }

    /// What Docker said last.
    pub fn engine_log(&self) -> String {
        let run = self.run(&["journalctl", "-u", "docker", "-n", "20", "-o", "cat"]);
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// Imports an image of one program, busybox.
    pub fn import_tiny(&self, tag: &str) {
        self.sh(&format!(
            "mkdir -p /root/tiny/bin; cd /root/tiny; cp /usr/bin/busybox bin; \
             for name in sh sleep cat ls stat true touch; do ln -sf busybox bin/$name; done; \
             tar -c bin | docker import - {tag}"
        ));
    }
}

/// Waits until nothing of the host runs.
fn ended(child: &mut Child, init: u32) {
    let start = Instant::now();
    let is_there = || init != 0 && Path::new(&format!("/proc/{init}")).exists();
    while child.try_wait().ok().flatten().is_none() || is_there() {
        if start.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
        }
        if start.elapsed() > Duration::from_secs(70) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for EngineHost {
    fn drop(&mut self) {
        self.cut_power();
        for data_root in ["/var/lib/docker", "/srv/docker"] {
            clear_mount_points(&self.path(data_root));
        }
        let clean = Command::new("unshare")
            .args(["-m", "bash"])
            .arg(script("engine_host.sh"))
            .arg("clean")
            .arg(self.dir.path())
            .output();
        let left = clean.map(|output| !output.status.success());
        if left.unwrap_or(true) && !std::thread::panicking() {
            panic!("cgroups of {} are left", self.dir.path().display());
        }
    }
}
