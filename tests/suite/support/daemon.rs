//! A real Docker daemon of the test's own: its data, its socket, its containerd; gone when dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::isolation::isolate;
use super::{Run, output, sh};

/// Directories for a daemon, whether it runs or not.
pub struct Host {
    /// Short, because sockets lie in it.
    run: TempDir,
    data: TempDir,
    pub data_root: PathBuf,
}

impl Host {
    pub fn new() -> Host {
        Host::on(Path::new("/var/tmp"))
    }

    /// With its data below this directory.
    pub fn on(place: &Path) -> Host {
        isolate();
        let run = tempfile::Builder::new().prefix("idd-").tempdir_in("/run");
        let data = tempfile::Builder::new()
            .prefix("idshift-docker-")
            .tempdir_in(place);
        let (run, data) = (run.expect("a directory"), data.expect("a directory"));
        // The container's root has to come through.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // On a shared mount dockerd does not mount its data-root over itself; a process that another
        // test puts into a mount namespace of its own would hold on to that.
        sh("mount", ["--bind".as_ref(), data.path(), data.path()]);
        sh("mount", ["--make-shared".as_ref(), data.path()]);
        let data_root = data.path().join("root");
        Host {
            run,
            data,
            data_root,
        }
    }

    /// Room beside the data-root.
    pub fn beside(&self) -> &Path {
        self.data.path()
    }

    fn socket(&self) -> String {
        format!("unix://{}/sock", self.run.path().display())
    }

    /// Starts a daemon and waits until it answers.
    pub fn start(&self, args: &[&str]) -> Daemon<'_> {
        self.try_start(args)
            .unwrap_or_else(|log| panic!("dockerd does not answer:\n{log}"))
    }

    /// The same; what a daemon said that does not start.
    pub fn try_start(&self, args: &[&str]) -> Result<Daemon<'_>, String> {
        let run = self.run.path();
        let log = run.join("log");
        let file = fs::File::create(&log).unwrap();
        let mut dockerd = Command::new("dockerd");
        dockerd
            .arg("--data-root")
            .arg(&self.data_root)
            .arg("--exec-root")
            .arg(run.join("exec"))
            .arg("--pidfile")
            .arg(run.join("pid"))
            .args(["-H", &self.socket(), "--bridge=none", "--iptables=false"])
            .args(args);
        let child = dockerd
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("dockerd; tests/run installs it");
        Daemon::answering(self, (child, self.socket()), &log)
    }
}

impl<'h> Daemon<'h> {
    /// A process that was started to be a daemon on this socket, once it answers; what it said if it does not.
    pub fn answering(
        host: &'h Host,
        (child, socket): (Child, String),
        log: &Path,
    ) -> Result<Daemon<'h>, String> {
        let mut daemon = Daemon {
            host,
            child,
            socket,
        };
        let start = Instant::now();
        while !daemon.try_docker(&["version"]).code.eq(&Some(0)) {
            let over = daemon.child.try_wait().unwrap().is_some();
            if over || start.elapsed() > Duration::from_secs(60) {
                return Err(fs::read_to_string(log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }
}

/// Bridges of its networks outlive a daemon, and with thirty of them no daemon of this machine has an address left.
fn remove_bridges(data_root: &Path) {
    let remapped = fs::read_dir(data_root).into_iter().flatten().flatten();
    let roots = remapped.map(|entry| entry.path()).chain([data_root.into()]);
    let stored: Vec<u8> = roots
        .filter_map(|root| fs::read(root.join("network/files/local-kv.db")).ok())
        .flatten()
        .collect();
    for entry in fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix("br-").filter(|id| id.len() == 12) else {
            continue;
        };
        if stored.windows(id.len()).any(|part| part == id.as_bytes()) {
            let _ = Command::new("ip").args(["link", "del", &name]).output();
        }
    }
}

impl Drop for Host {
    /// A daemon that was killed leaves mounts behind.
    fn drop(&mut self) {
        remove_bridges(&self.data_root);
        // A test with a filesystem of its own is a thread with a mount namespace of its own.
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let ours: Vec<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|at| {
                let at = Path::new(at);
                at.starts_with(self.run.path()) || at.starts_with(self.data.path())
            })
            .collect();
        for at in ours.into_iter().rev() {
            let _ = nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH);
        }
        clear_mount_points(&self.data_root);
    }
}

/// What is immutable at the top of a data-root, and would stay, is so no more.
pub fn clear_mount_points(data_root: &Path) {
    for entry in fs::read_dir(data_root).into_iter().flatten().flatten() {
        let _ = Command::new("chattr").arg("-i").arg(entry.path()).output();
        let _ = Command::new("chattr")
            .arg("-i")
            .arg(entry.path().join("point"))
            .output();
    }
}

/// A daemon that runs.
pub struct Daemon<'a> {
    host: &'a Host,
    child: Child,
    socket: String,
}

impl Daemon<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_BUILDKIT", "0")
            .env("DOCKER_CONFIG", self.host.run.path())
            .args(["-H", &self.socket])
            .args(args);
        command
    }

    /// A docker command, whatever comes of it.
    pub fn try_docker(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// A docker command that must work; what it prints.
    pub fn docker(&self, args: &[&str]) -> String {
        let run = self.try_docker(args);
        assert_eq!(run.code, Some(0), "{run}");
        String::from_utf8_lossy(&run.stdout).trim().to_string()
    }

    /// A line of the shell whose `docker` is this daemon's; what it prints.
    pub fn shell(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command
            .env("DOCKER_HOST", &self.socket)
            .env("DOCKER_CONFIG", self.host.run.path())
            .args(["-ec", line]);
        let run = Run::of(&mut command);
        assert_eq!(run.code, Some(0), "{run}");
        String::from_utf8_lossy(&run.stdout).trim().to_string()
    }

    /// Imports the Debian root filesystem and builds an image with all that is special about files.
    pub fn build_images(&self) {
        self.import("IDSHIFT_TEST_DEBIAN_TAR", "base:1");
        self.build("app:1", IMAGE);
    }

    /// Imports the root filesystem that this variable names.
    pub fn import(&self, variable: &str, tag: &str) {
        let tar = std::env::var_os(variable)
            .unwrap_or_else(|| panic!("{variable} names no root filesystem: run tests/run"));
        let plain = self.host.beside().join("import.tar");
        output(
            "zstd",
            ["-dqf".as_ref(), &*tar, "-o".as_ref(), plain.as_os_str()],
        );
        self.docker(&["import", plain.to_str().unwrap(), tag]);
        fs::remove_file(plain).unwrap();
    }

    /// Imports an image of one program, busybox.
    pub fn import_tiny(&self, tag: &str) {
        let top = self.host.beside().join("tiny");
        fs::create_dir_all(top.join("bin")).unwrap();
        fs::copy("/bin/busybox", top.join("bin/busybox")).unwrap();
        for applet in ["sh", "sleep", "cat", "ls", "stat", "true"] {
            let _ = std::os::unix::fs::symlink("busybox", top.join("bin").join(applet));
        }
        let tar = self.host.beside().join("tiny.tar");
        let (top, tar) = (top.to_str().unwrap(), tar.to_str().unwrap());
        output("tar", ["-C", top, "-cf", tar, "bin"]);
        self.docker(&["import", tar, tag]);
    }

    /// Builds an image from the text of a Dockerfile.
    pub fn build(&self, tag: &str, dockerfile: &str) {
        let dir = self.host.beside().join("build");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
        self.docker(&["build", "-q", "-t", tag, dir.to_str().unwrap()]);
    }

    /// Ends it as `systemctl stop` does, and waits.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.child.try_wait().ok().flatten().is_some() {
            return;
        }
        let pid = Pid::from_raw(self.child.id() as i32);
        let _ = kill(pid, Signal::SIGTERM);
        let start = Instant::now();
        while self.child.try_wait().ok().flatten().is_none() {
            if start.elapsed() > Duration::from_secs(30) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

const IMAGE: &str = r"FROM base:1
RUN useradd -u 1000 -m app \
 && cp /bin/true /usr/local/bin/asroot && chmod 4755 /usr/local/bin/asroot \
 && cp /bin/true /usr/local/bin/raw && setcap cap_net_raw+ep /usr/local/bin/raw \
 && ln /usr/local/bin/raw /usr/local/bin/raw2 \
 && echo a > /opt/gone && mkdir /opt/dir && echo b > /opt/dir/x
RUN rm /opt/gone && rm -r /opt/dir && mkdir /opt/dir && echo c > /opt/dir/y \
 && echo d > /opt/dir/z && setfacl -m u:1000:rwx /opt/dir
VOLUME /data
USER app
";
