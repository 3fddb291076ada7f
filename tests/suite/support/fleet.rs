//! Hosts that Ansible reaches by ssh, each a whole host with systemd, sshd and Docker, and a controller beside them.
//!
//! The controller is this machine's Ansible in a network of its own, with a cable to each host. All of it is gone when dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::engine_host::{EngineHost, Release};
use super::{Run, output, sh};

/// What each host has: an image, two containers that run, and two volumes with files of several owners.
const FILL: &str = "
    mkdir -p /srv/shop
    docker run -d --name web -v data:/data -v /srv/shop:/shop tiny:1 sleep 100000
    docker run -d --name db --restart=always -v db:/data tiny:1 sleep 100000
    data=$(docker volume inspect -f '{{.Mountpoint}}' data)
    mkdir $data/uploads; touch $data/uploads/photo; chown -R 33:33 $data/uploads
    touch $data/script; chown 1000:1000 $data/script; chmod 4755 $data/script
";

/// Some hosts, and their controller.
pub struct Fleet {
    pub hosts: Vec<EngineHost>,
    /// Holds the controller's network.
    network: Child,
    /// The controller's files: inventory, key, the collection, and what is fetched.
    dir: TempDir,
}

impl Fleet {
    /// Hosts `h1`, `h2` and so on, filled.
    pub fn new(count: usize) -> Fleet {
        let dir = TempDir::new().unwrap();
        let key = dir.path().join("key");
        sh(
            "ssh-keygen",
            ["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()],
        );
        let network = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "-n", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv; tests/run installs it");
        let mut fleet = Fleet {
            hosts: Vec::new(),
            network,
            dir,
        };
        for number in 1..=count {
            let host = fleet.host(number);
            fleet.hosts.push(host);
        }
        fleet.write_inventory();
        fleet.install_collection();
        fleet
    }

    /// One more host, with a cable to the controller.
    fn host(&self, number: usize) -> EngineHost {
        let mut host = EngineHost::off(Release::Managed);
        let keys = fs::read_to_string(self.dir.path().join("key.pub")).unwrap();
        host.write("/root/.ssh/authorized_keys", keys);
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(host.path("/root/.ssh"), private).unwrap();
        host.boot();
        let (name, init) = (format!("h{number}"), host.init());
        self.in_network(&format!(
            "ip link add {name} type veth peer name eth0 netns {init}
             ip addr add 10.77.{number}.1/24 dev {name}
             ip link set {name} up"
        ));
        host.sh(&format!(
            "ip addr add 10.77.{number}.2/24 dev eth0; ip link set eth0 up; ip link set lo up"
        ));
        host.import_tiny("tiny:1");
        host.sh(FILL);
        host
    }

    fn write_inventory(&self) {
        let key = self.dir.path().join("key");
        let mut text = "[docker]\n".to_string();
        for number in 1..=self.hosts.len() {
            text += &format!("h{number} ansible_host=10.77.{number}.2\n");
        }
        text += "[docker:vars]\nansible_user=root\n";
        text += &format!("ansible_ssh_private_key_file={}\n", key.display());
        text +=
            "ansible_ssh_common_args=-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null\n";
        fs::write(self.path("hosts.ini"), text).unwrap();
    }

    /// Builds the collection and installs it, as from Galaxy.
    fn install_collection(&self) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible");
        let to = self.dir.path().to_str().unwrap();
        let build = self.galaxy(&["build", "--output-path", to, source.to_str().unwrap()]);
        assert_eq!(build.code, Some(0), "{build}");
        let file = concat!("idshift-idshift-", env!("CARGO_PKG_VERSION"), ".tar.gz");
        let file = self.dir.path().join(file);
        let file = file
            .to_str()
            .filter(|file| Path::new(file).exists())
            .expect("ansible/galaxy.yml has the version of Cargo.toml");
        let install = self.galaxy(&["install", "--no-deps", "-p", to, file]);
        assert_eq!(install.code, Some(0), "{install}");
    }

    fn galaxy(&self, args: &[&str]) -> Run {
        let mut command = Command::new("ansible-galaxy");
        command
            .arg("collection")
            .args(args)
            .env("HOME", self.dir.path());
        Run::of(&mut command)
    }

    /// A shell script in the controller's network that must work; what it prints.
    fn in_network(&self, script: &str) -> String {
        let pid = self.network.id().to_string();
        let args = ["-t", &pid, "-n", "sh", "-euc", script];
        String::from_utf8(output("nsenter", args).stdout).unwrap()
    }

    /// A command on the controller, in its directory.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.network.id().to_string(), "-n"])
            .args(["env", "-i", "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1"])
            .arg(format!("PATH={}", std::env::var("PATH").unwrap()))
            .arg(format!("HOME={}", self.dir.path().display()))
            .arg("ANSIBLE_LOCALHOST_WARNING=false")
            .arg(format!(
                "ANSIBLE_COLLECTIONS_PATH={}",
                self.dir.path().display()
            ))
            .args(["bash", "-c"])
            .arg(format!("cd {}; {line}", self.dir.path().display()));
        command
    }

    /// A playbook of the collection, whatever comes of it.
    pub fn play(&self, name: &str, args: &str) -> Run {
        let line = format!("ansible-playbook -i hosts.ini idshift.idshift.{name} {args} 2>&1");
        Run::of(&mut self.command(&line))
    }

    /// A file of the controller.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

/// `changed=N` and `failed=N` of a host in what ansible-playbook prints last.
pub fn recap(run: &Run, host: &str) -> (u32, u32) {
    let text = run.text();
    let recap = text.split("PLAY RECAP").nth(1);
    let recap = recap.unwrap_or_else(|| panic!("no recap: {run}"));
    let line = recap.lines().find(|line| line.starts_with(host));
    let line = line.unwrap_or_else(|| panic!("{host} is not in the recap: {run}"));
    let number = |name: &str| {
        let word = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name));
        word.expect("a count").parse().expect("a number")
    };
    (number("changed="), number("failed="))
}

/// Owner, mode and type of all that the daemon keeps for containers, read by find.
pub fn owners(host: &EngineHost, root: &str) -> String {
    let dirs = format!("{root}/volumes {root}/overlay2");
    host.sh(&format!(
        "find {dirs} -printf '%P %U:%G %m %y\\n' | grep -v /work/ | grep -v /merged | sort"
    ))
}
