//! The user who gets a data-root is hostile: root's rights must not come to anything that the user may have written, when the
//! move is undone.

use crate::support::PYTHON;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::kills::small_host_of_tiny_containers;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::rootless::{RootlessUser, UID, USER};
use crate::support::{Idshift, Run, need_root, output, sh};

/// A data-root of a real daemon, with a program of root's in a volume.
struct Stage {
    host: Host,
    user: RootlessUser,
    kept: PathBuf,
    idshift: Idshift,
}

/// The program, in a data-root.
const TOOL: &str = "volumes/vol/_data/tool";

impl Stage {
    fn new() -> Stage {
        need_root();
        let host = small_host_of_tiny_containers();
        let user = RootlessUser::beside(&host, "ann:300000:65536\n");
        let tool = host.data_root.join(TOOL);
        fs::copy("/bin/true", &tool).unwrap();
        sh("chmod", ["4755".as_ref(), tool.as_os_str()]);
        let kept = host.beside().join("kept");
        copy(&host.data_root, &kept);
        Stage {
            idshift: Idshift::new(),
            host,
            user,
            kept,
        }
    }

    /// All is as in the beginning, and is migrated.
    fn migrated(&mut self) -> PathBuf {
        self.idshift = Idshift::new();
        for path in [&self.host.data_root, &self.host.beside().join("home/ann")] {
            for entry in fs::read_dir(path).unwrap() {
                sh("rm", ["-rf".as_ref(), entry.unwrap().path().as_os_str()]);
            }
        }
        copy(&self.kept, &self.host.data_root);
        self.migrate().exits(0);
        self.user.data_root()
    }

    fn migrate(&self) -> Run {
        migrate(&self.idshift, &self.host, &["--rootless", USER])
    }

    fn rollback(&self) -> Run {
        self.idshift.run(["rollback", "latest"])
    }

    /// A rollback is refused, says this, and changes nothing; nor is it forced.
    fn refuses(&self, what: &str, said: &str) {
        let state = || snapshot(self.host.beside());
        let there = state();
        let run = self.rollback();
        assert_eq!(run.code, Some(4), "{what}: {run}");
        assert!(run.stderr.contains(said), "{what}: {run}");
        let forced = self.idshift.run(["rollback", "latest", "--force"]);
        assert_eq!(forced.code, Some(4), "{what}, forced: {forced}");
        same(&there, &state(), what);
        nothing_set_id_is_roots(&self.host, what);
    }
}

/// No program that root's rights would come with is where the user, or the plain daemon, has it.
pub(super) fn nothing_set_id_is_roots(host: &Host, what: &str) {
    let args = ["-type", "f", "-perm", "/6000", "-uid", "0"];
    let places = [host.beside().join("root"), host.beside().join("home")];
    let places: Vec<&str> = places.iter().map(|it| it.to_str().unwrap()).collect();
    let found = output("find", [&places[..], &args].concat());
    let found = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found, "", "{what}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let from = from.join(".");
    sh("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
    fs::set_permissions(to, fs::Permissions::from_mode(0o710)).unwrap();
}

/// Does something as the user, in the data-root.
fn as_user(root: &Path, script: &str) {
    as_uid(UID, root, script);
}

/// The same as anybody.
pub(super) fn as_uid(uid: u32, root: &Path, script: &str) {
    let id = uid.to_string();
    let args = ["--reuid", &id, "--clear-groups", "--", "sh", "-ec", script];
    let mut command = Command::new("setpriv");
    let run = command.args(args).current_dir(root).output().unwrap();
    assert!(run.status.success(), "{script}: {run:?}");
}

/// What a user may do to a data-root: what it is, a script, and what the refusal says.
const CHANGES: [(&str, &str, &str); 13] = [
    (
        "another program in the place of the content",
        "cp /bin/sh /run/user/2200/sh; cat /run/user/2200/sh > volumes/vol/_data/tool; chmod 4755 volumes/vol/_data/tool",
        "tool: was changed since",
    ),
    (
        "the same, with its times put back",
        "cp -p volumes/vol/_data/tool /run/user/2200/t; cp /bin/sh /run/user/2200/sh
         cat /run/user/2200/sh > volumes/vol/_data/tool; chmod 4755 volumes/vol/_data/tool
         touch -r /run/user/2200/t volumes/vol/_data/tool",
        "tool: was changed since",
    ),
    (
        "a hard link outside",
        "ln volumes/vol/_data/tool ~ann/tool",
        "tool: was changed since",
    ),
    (
        "a new file in a volume",
        "echo x > volumes/vol/_data/new; touch -d @1 volumes/vol/_data",
        "volumes/vol/_data",
    ),
    (
        "another directory in the place of one",
        "mv volumes/vol old; mkdir -p volumes/vol/_data; mv old volumes/old",
        "or something was made or removed in it",
    ),
    (
        "another directory at the top",
        "mv volumes ~ann/v; mkdir -p volumes/vol/_data",
        "volumes",
    ),
    (
        "a container that would be privileged",
        "sed -i 's/\"Privileged\":false/\"Privileged\":true/' containers/*/hostconfig.json",
        "containers",
    ),
    (
        "the mode alone",
        "chmod 6777 volumes/vol/_data/tool",
        "tool",
    ),
    (
        "an attribute of overlayfs",
        "d=$(ls -d overlay2/*/diff | head -1); setfattr -n user.overlay.opaque -v y $d",
        "overlay2",
    ),
    (
        "a file gone",
        "rm volumes/vol/_data/tool",
        "volumes/vol/_data",
    ),
    (
        "metadata of a gigabyte",
        "for f in containers/*/config.v2.json; do truncate -s 1G $f; done",
        "config.v2.json",
    ),
    (
        "metadata that is a FIFO",
        "for f in containers/*/config.v2.json; do rm $f; mkfifo $f; done",
        "config.v2.json",
    ),
    (
        "metadata that is a symlink",
        "for f in containers/*/config.v2.json; do ln -sf /etc/shadow $f; done",
        "config.v2.json",
    ),
];

#[test]
fn what_the_user_changed_is_not_made_roots_by_a_rollback() {
    let mut stage = Stage::new();
    for (what, script, said) in CHANGES {
        let root = stage.migrated();
        as_user(&root, script);
        stage.refuses(what, said);
    }
    // Where nothing was changed, all comes back.
    stage.migrated();
    stage.rollback().exits(0);
    let tool = fs::metadata(stage.host.data_root.join(TOOL)).unwrap();
    assert_eq!((tool.uid(), tool.mode() & 0o7777), (0, 0o4755));
}

/// A process that ends when this is dropped.
pub(super) struct Holder(Child);

impl Holder {
    /// Runs a script of Python in the data-root, until it says that it is ready.
    pub(super) fn start(root: &Path, script: &str) -> Holder {
        let mut command = Command::new(PYTHON);
        let script = format!(
            "import array, mmap, os, socket, time\n{script}\nprint('ready', flush=True)\ntime.sleep(600)\n"
        );
        // It does not look for its modules in the data-root, which would be read.
        let child = command
            .args(["-I", "-c", &script])
            .current_dir(root)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        assert_eq!(line, "ready\n");
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_holds_a_file_of_the_user_keeps_it_from_being_roots() {
    let mut stage = Stage::new();
    // Another account helps the user, or the user's own processes.
    let become_other = "os.chdir('/'); os.setgroups([]); os.setgid(3000); os.setuid(3000)";
    let path = "'volumes/vol/_data/tool'";
    for (what, script, said) in [
        (
            "a file open for writing",
            format!("f = os.open({path}, os.O_WRONLY)\n{become_other}"),
            "in use by process",
        ),
        (
            "a directory that is only a handle",
            format!("f = os.open('volumes/vol', os.O_PATH)\n{become_other}"),
            "in use by process",
        ),
        (
            "a mapping that can be written",
            format!("f = open({path}, 'r+b'); m = mmap.mmap(f.fileno(), 0); f.close()\n{become_other}"),
            "in use by process",
        ),
        (
            "a handle on its way",
            format!(
                "a, b = socket.socketpair(socket.AF_UNIX); f = os.open('volumes/vol', os.O_PATH)
a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [f]))]); os.close(f)\n{become_other}"
            ),
            "has not received open files",
        ),
        (
            "a handle that nobody has received, as nobody accepted the connection",
            format!(
                "s = socket.socket(socket.AF_UNIX); s.bind(''); s.listen(); a = socket.socket(socket.AF_UNIX)
a.connect(s.getsockname()); f = os.open({path}, os.O_WRONLY)
a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [f]))]); os.close(f)\n{become_other}"
            ),
            "has not received open files",
        ),
        (
            "the user itself",
            format!("os.chdir('/'); os.setgroups([]); os.setgid({UID}); os.setuid({UID})"),
            "still runs process",
        ),
        (
            "a container's user",
            "os.chdir('/'); os.setgroups([]); os.setresuid(0, 0, 300010)".into(),
            "still runs process",
        ),
    ] {
        let root = stage.migrated();
        let holder = Holder::start(&root, &script);
        stage.refuses(what, said);
        drop(holder);
        stage.rollback().exits(0);
    }
}

#[test]
fn what_is_changed_while_it_is_taken_away_goes_back_to_the_user() {
    let mut stage = Stage::new();
    let root = stage.migrated();
    let tool = root.join(TOOL);
    let is_over = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            // Taken away: root's. What is done then, a user did who had come to it just before.
            while fs::metadata(&root).is_ok_and(|it| it.uid() != 0)
                && !is_over.load(Ordering::Relaxed)
            {
                std::thread::sleep(Duration::from_micros(200));
            }
            let moved = stage.host.data_root.join("idshift-moving-rootless");
            [tool.clone(), moved.join(TOOL)].iter().any(|path| {
                let file = fs::OpenOptions::new().append(true).open(path);
                file.is_ok_and(|file| std::io::Write::write_all(&mut &file, b"x").is_ok())
            })
        });
        let run = stage.rollback();
        is_over.store(true, Ordering::Relaxed);
        assert!(attack.join().unwrap());
        run
    });
    run.exits(5).says("tool: was changed since");
    nothing_set_id_is_roots(&stage.host, "changed in between");
    assert_eq!(fs::metadata(&root).unwrap().uid(), UID);
    stage.refuses("once more", "tool: was changed since");
}

#[test]
fn a_device_file_is_nobodys_in_the_rootless_data_root() {
    let mut stage = Stage::new();
    let device = "volumes/vol/_data/disk";
    let at = stage.kept.join(device);
    sh(
        "mknod",
        [
            "-m".as_ref(),
            "0666".as_ref(),
            at.as_os_str(),
            "b".as_ref(),
            "7".as_ref(),
            "0".as_ref(),
        ],
    );
    sh("chown", ["7:7".as_ref(), at.as_os_str()]);
    let root = stage.migrated();
    let there = fs::symlink_metadata(root.join(device)).unwrap();
    assert_eq!((there.uid(), there.gid(), there.mode() & 0o7777), (0, 0, 0));
    // The directory is the user's, who can remove it.
    stage.rollback().exits(0);
    let back = fs::symlink_metadata(stage.host.data_root.join(device)).unwrap();
    assert_eq!(
        (back.uid(), back.gid(), back.mode() & 0o7777),
        (7, 7, 0o666)
    );
}
