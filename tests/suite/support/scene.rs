//! Small runs of every kind, each with what it works on, to be cut short at every place.

use std::any::Any;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Idshift, Kind, MAP, Run, TestFs, data_root, docker, output, sh, trace, tree};

/// A run that can be repeated: what it works on is as at the start again once it is rolled back.
pub struct Scene {
    pub name: &'static str,
    /// What holds everything the run may change.
    pub top: PathBuf,
    /// The filesystem it is on.
    pub fs: TestFs,
    args: Vec<String>,
    /// So few descriptors that the run takes many frames.
    few_descriptors: bool,
    /// Steps make files and directories anew, which then have new times.
    has_steps: bool,
    /// Flags of inodes are looked at too.
    has_flags: bool,
    start: Vec<String>,
    end: Vec<String>,
    _kept: Box<dyn Any>,
}

/// Where a run was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    AtStart,
    Between,
    AtEnd,
}

/// Whether the newest journal is of a run that can still be finished.
pub fn is_unfinished(idshift: &Idshift) -> bool {
    let listed = idshift.run(["journal", "list", "--json"]).exits(0).text();
    listed.lines().any(|line| line.contains("\"unfinished\""))
}

/// Builds a scene on a filesystem of this kind.
pub type Build = fn(Kind) -> Scene;

/// A tree shifted by a walk.
pub fn shift(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = tree::specimens(&fs.path().join("tree"));
    let args = shift_args(&top);
    Scene::new("shift", fs, top, args, ())
}

/// The same, in frames of a few inodes each.
pub fn shift_in_many_frames(kind: Kind) -> Scene {
    let mut scene = shift(kind);
    (scene.name, scene.few_descriptors) = ("shift in many frames", true);
    scene
}

/// With inodes that are immutable or append-only, which are cleared and made so again.
pub fn shift_immutable(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = tree::specimens(&fs.path().join("tree"));
    for (flag, name) in IMMUTABLE {
        sh("chattr", [flag, top.join(name).to_str().unwrap()]);
    }
    fs.sync();
    let mut args = shift_args(&top);
    args.push("--immutable=clear".into());
    Scene::new("shift --immutable=clear", fs, top, args, ()).with_flags()
}

/// What is done to the specimens: a file's owner and capability, a directory's ACLs, and both at once.
pub const IMMUTABLE: [(&str, &str); 5] = [
    ("+i", "all"),
    ("+a", "plain"),
    ("+i", "dir"),
    ("+a", "dir/below"),
    ("+i", "shifted"),
];

/// A reviewed manifest.
pub fn from_manifest(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = tree::specimens(&fs.path().join("tree"));
    from_manifest_of(fs, top)
}

/// The same with so many inodes that the journal has many frames.
pub fn from_manifest_large(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = fs.path().join("tree");
    tree::many(&top, 55_000);
    from_manifest_of(fs, top)
}

fn from_manifest_of(fs: TestFs, top: PathBuf) -> Scene {
    let kept = tempfile::tempdir().unwrap();
    let manifest = kept.path().join("manifest.jsonl");
    let manifest = manifest.to_str().unwrap();
    let mut dry = shift_args(&top);
    dry.extend(["--dry-run", "--manifest", manifest].map(String::from));
    Idshift::new().run(&dry).exits(0);
    let args = ["shift", "--from-manifest", manifest].map(String::from);
    Scene::new("shift --from-manifest", fs, top, args.into(), kept)
}

/// A volume: a tree given to one user, a directory made, directories above let through.
pub fn prepare(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = fs.path().join("top");
    fs::create_dir_all(top.join("closed/below")).unwrap();
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(top.join("closed/below"), fs::Permissions::from_mode(0o710)).unwrap();
    let data = tree::specimens(&top.join("closed/below/data"));
    let made = top.join("closed/made");
    let args = ["prepare", "--map", MAP, "--owner", "999:999"];
    let args = args.into_iter().chain(["--create", "--fix-parents"]);
    let paths = [data.to_str().unwrap(), made.to_str().unwrap()];
    let args = args.chain(paths).map(String::from).collect();
    Scene::new("prepare --create --fix-parents", fs, top, args, ()).with_steps()
}

/// A data-root of Docker's, made by hand.
pub fn migrate(kind: Kind) -> Scene {
    let fs = TestFs::new(kind);
    let top = data_root::filled(&fs.path().join("docker"));
    let args = docker_args("migrate", &top, &["--set-userns-host"]);
    Scene::new("docker migrate", fs, top, args, ()).with_steps()
}

/// `docker migrate` or `docker revert`; nothing of this machine's own daemon is looked at.
pub fn docker_args(what: &str, top: &Path, more: &[&str]) -> Vec<String> {
    let top = top.to_str().unwrap();
    let daemon = ["--daemon-json", "/nonexistent", "--data-root", top];
    let args = ["docker", what].into_iter().chain(daemon);
    args.chain(more.iter().copied()).map(String::from).collect()
}

fn shift_args(tree: &Path) -> Vec<String> {
    let tree = tree.to_str().unwrap();
    ["shift", "--map", MAP, tree].map(String::from).to_vec()
}

impl Scene {
    fn new(
        name: &'static str,
        fs: TestFs,
        top: PathBuf,
        args: Vec<String>,
        kept: impl Any,
    ) -> Scene {
        let mut scene = Scene {
            name,
            top,
            fs,
            args,
            few_descriptors: false,
            has_steps: false,
            has_flags: false,
            start: Vec::new(),
            end: Vec::new(),
            _kept: Box::new(kept),
        };
        scene.learn();
        scene
    }

    fn with_steps(mut self) -> Scene {
        self.has_steps = true;
        self.learn();
        self
    }

    fn with_flags(mut self) -> Scene {
        self.has_flags = true;
        self.learn();
        self
    }

    /// What an uninterrupted run makes of it.
    fn learn(&mut self) {
        self.start = self.look();
        let idshift = Idshift::new();
        idshift.run(&self.args).exits(0);
        self.end = self.look();
        assert_ne!(self.start, self.end);
        idshift.rollback();
        self.is_at_start("after an uninterrupted run and its rollback");
    }

    /// What it is like before the run.
    pub fn start(&self) -> &[String] {
        &self.start
    }

    /// What it is like after the run.
    pub fn end(&self) -> &[String] {
        &self.end
    }

    fn look(&self) -> Vec<String> {
        let mut lines = docker::snapshot(&self.top);
        if self.has_flags {
            // Each by itself: to list a directory sets its atime.
            let paths =
                IMMUTABLE.map(|(_, name)| self.top.join(name).to_str().unwrap().to_string());
            let flags = output("lsattr", ["-d".to_string()].into_iter().chain(paths)).stdout;
            let flags = String::from_utf8(flags).unwrap();
            lines.extend(flags.lines().map(|line| format!("{{\"flags\": {line:?}}}")));
        }
        match self.has_steps {
            true => docker::timeless(&lines),
            false => lines,
        }
    }

    /// The run.
    pub fn command(&self, idshift: &Idshift) -> Command {
        self.command_with(idshift, &[])
    }

    /// The run, with more options.
    pub fn command_with(&self, idshift: &Idshift, more: &[&str]) -> Command {
        // One thread walks, so that the run makes the same calls each time; the journal's thread
        // and the main one are there as well.
        let args = self.args.iter().map(String::as_str);
        self.limited(
            idshift.command(
                args.chain(["--jobs", "1", "--json"])
                    .chain(more.iter().copied())
                    .map(String::from),
            ),
        )
    }

    pub fn rollback(&self, idshift: &Idshift) -> Command {
        self.limited(idshift.command(["rollback", "latest", "--json"]))
    }

    pub fn resume(&self, idshift: &Idshift) -> Command {
        self.limited(idshift.command(["resume", "latest", "--json"]))
    }

    fn limited(&self, command: Command) -> Command {
        if !self.few_descriptors {
            return command;
        }
        let mut limited = Command::new("prlimit");
        limited.arg("--nofile=64:64").arg(command.get_program());
        limited.args(command.get_args());
        limited
    }

    /// How many events an uninterrupted run comes to.
    pub fn events(&self) -> u64 {
        let idshift = Idshift::new();
        let events = trace::count(&self.command(&idshift));
        idshift.rollback();
        events
    }

    /// Finishes a run that was cut short. One that was cut short before it knew all that is to be
    /// done, or before its guard was in place, cannot be finished, and has done nothing. A guard that
    /// was half written then is removed by the rollback.
    #[track_caller]
    pub fn resume_to_end(&self, idshift: &Idshift, when: &str) {
        let resumed = Run::of(&mut self.resume(idshift));
        match resumed.code {
            Some(0) => self.is_at_end(when),
            Some(4) => {
                let mut now = self.look();
                now.retain(|line| !line.contains("0000.idshift-new\""));
                docker::same(&self.start, &now, &format!("{}: {when}", self.name));
            }
            _ => panic!("{when}: {resumed}"),
        }
    }

    /// Undoes a run.
    #[track_caller]
    pub fn roll_back(&self, idshift: &Idshift, when: &str) {
        if !idshift.journal_files().is_empty() {
            let undone = idshift.run(["rollback", "latest"]);
            if undone.code != Some(0) {
                // One before had come to its end.
                assert_eq!(undone.code, Some(4), "{when}: {undone}");
                undone.says("rolled back already");
            }
        }
        self.is_at_start(when);
    }

    /// What it is like now.
    pub fn stands(&self) -> Ended {
        match self.look() {
            now if now == self.start => Ended::AtStart,
            now if now == self.end => Ended::AtEnd,
            _ => Ended::Between,
        }
    }

    #[track_caller]
    pub fn is_at_start(&self, when: &str) {
        docker::same(&self.start, &self.look(), &format!("{}: {when}", self.name));
    }

    #[track_caller]
    pub fn is_at_end(&self, when: &str) {
        docker::same(&self.end, &self.look(), &format!("{}: {when}", self.name));
    }
}
