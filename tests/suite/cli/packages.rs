//! The packages that `packaging/package` makes, installed where people have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::engine_host::Release;
use crate::support::{Run, long, need_root};
use tempfile::TempDir;

/// Packages of the program that the tests run, as this version.
fn package(out: &Path, version: &str, kinds: &[&str]) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(top.join("packaging/package"));
    command.args([
        "--binary",
        env!("CARGO_BIN_EXE_idshift"),
        "--version",
        version,
    ]);
    // A program that is not optimized is large: no time is spent on making it small.
    command.args(["--level", "0", "--out"]).arg(out).args(kinds);
    Run::of(command.env("SOURCE_DATE_EPOCH", "1790000000")).exits(0);
}

/// All kinds of this version, made once.
fn packages() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let made = TempDir::new().unwrap();
        package(made.path(), "0.1.0", &["deb", "rpm", "tar"]);
        made
    });
    made.path()
}

/// The files in a directory whose names end so.
fn named(dir: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut named: Vec<PathBuf> = paths
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
        .collect();
    named.sort();
    named
}

/// A Debian host of its own, as an overlay: what is done in it is gone with it.
fn in_host(release: Release, packages: &Path, script: &str) -> Run {
    let place = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let outer = r#"
        set -eu
        cd "$1"
        mkdir upper work root
        mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work" overlay root
        mkdir -p root/packages
        mount --bind "$3" root/packages
        mount -t proc proc root/proc
        mount -t tmpfs tmpfs root/srv
        # These hosts are made without manual pages and documentation.
        rm -f root/etc/dpkg/dpkg.cfg.d/*
        exec chroot root bash -euc "$4"
    "#;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "bash",
        "-c",
        outer,
        "host",
    ]);
    command
        .arg(place.path())
        .arg(release.system())
        .arg(packages);
    Run::of(command.arg(script))
}

#[test]
fn the_debian_package_is_installed_upgraded_and_removed() {
    need_root();
    let upgrade = TempDir::new().unwrap();
    package(upgrade.path(), "0.1.1", &["deb"]);
    let old = &named(packages(), ".deb")[0];
    fs::copy(old, upgrade.path().join(old.file_name().unwrap())).unwrap();
    for release in [Release::Bookworm, Release::Trixie] {
        let script = r#"
            dpkg -i /packages/idshift_0.1.0-1_*.deb >/dev/null
            idshift --version
            zcat /usr/share/man/man8/idshift-docker-migrate.8.gz | grep -q SYNOPSIS
            source /usr/share/bash-completion/completions/idshift
            complete -p idshift
            test -f /usr/share/zsh/vendor-completions/_idshift -a -f /usr/share/fish/vendor_completions.d/idshift.fish
            cd /usr/share/doc/idshift
            test -f copyright -a -f SECURITY.md -a -f docs/docker.md -a -f docs/report.png
            zcat changelog.gz | grep -q '^# Changelog'
            zcat changelog.Debian.gz | grep -q '^idshift (0.1.0-1)'
            cd /
            mkdir /srv/data && touch /srv/data/file
            idshift shift --map b:0:100000:65536 /srv/data
            dpkg -i /packages/idshift_0.1.1-1_*.deb >/dev/null
            dpkg-query -W -f '${Version}\n' idshift
            unit=/etc/systemd/system/docker-data.service
            printf '[Service]\nExecStart=/usr/bin/idshift docker mount\n' >$unit
            ! dpkg --purge idshift >/dev/null 2>/srv/said
            grep -q "not removed: these units run it" /srv/said
            grep -q "^  $unit" /srv/said
            idshift --version
            rm $unit
            dpkg --purge idshift >/dev/null
            echo "Left:"
            find / -xdev -name '*idshift*' -not -path '/packages*' -not -path '/proc/*' -not -path '/run/*' | sort
            ls /var/lib/idshift
        "#;
        let run = in_host(release, upgrade.path(), script).exits(0);
        let said = run.text();
        assert!(said.contains("idshift 0.1.0"), "{run}");
        assert!(said.contains("\n0.1.1-1\n"), "{run}");
        let left = said.split("Left:").nth(1).unwrap();
        // Journals undo what was done: they outlive the program.
        assert!(left.trim().starts_with("/var/lib/idshift\n0001-"), "{run}");
    }
}

#[test]
fn the_debian_package_is_as_lintian_wants_it() {
    // It looks at each byte of a program that is not optimized.
    if !long() {
        return;
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    lintian.args(["--suppress-tags", "initial-upload-closes-no-bugs"]);
    Run::of(lintian.args(named(packages(), ".deb"))).exits(0);
}

#[test]
fn the_same_program_gives_the_same_packages() {
    let other = TempDir::new().unwrap();
    package(other.path(), "0.1.0", &["deb", "rpm", "tar"]);
    for end in [".deb", ".rpm", ".tar.xz"] {
        let (one, other) = (named(packages(), end), named(other.path(), end));
        assert_eq!((one.len(), other.len()), (1, 1), "{end}");
        let same = fs::read(&one[0]).unwrap() == fs::read(&other[0]).unwrap();
        assert!(same, "{end} differs");
    }
    let rpm = named(packages(), ".rpm");
    let listed = Run::of(Command::new("rpm").arg("-qlp").args(&rpm))
        .exits(0)
        .text();
    let scripts = Run::of(Command::new("rpm").args(["-qp", "--scripts"]).args(&rpm));
    let scripts = scripts.exits(0).text();
    assert!(
        scripts.contains("not removed: these units run it"),
        "{scripts}"
    );
    for file in [
        "/usr/bin/idshift",
        "/usr/share/man/man8/idshift-shift.8.gz",
        "/usr/share/zsh/site-functions/_idshift",
        "/usr/share/licenses/idshift/LICENSE-MIT",
        "/usr/share/doc/idshift/CHANGELOG.md",
    ] {
        assert!(listed.lines().any(|line| line == file), "{file}: {listed}");
    }
}

/// The program of the tarball runs where it is unpacked.
#[test]
fn the_tarball_holds_all_that_is_needed() {
    let packages = TempDir::new().unwrap();
    package(packages.path(), "0.1.0", &["tar"]);
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(packages.path()).arg("-xf");
    Run::of(tar.args(named(packages.path(), ".tar.xz"))).exits(0);
    let dir = packages
        .path()
        .join(format!("idshift-0.1.0-{}-linux", std::env::consts::ARCH));
    for file in [
        "man/man8/idshift.8.gz",
        "completions/idshift.bash",
        "docs/docker.md",
        "LICENSE-APACHE",
        "CHANGELOG.md",
    ] {
        assert!(dir.join(file).exists(), "{file}");
    }
    Run::of(Command::new(dir.join("idshift")).arg("--version")).exits(0);
}

/// A copy of what packages are made of, with a cargo whose build is the program of the tests, and with what an earlier build
/// elsewhere has left.
fn source_with_an_old_program() -> TempDir {
    let source = TempDir::new().unwrap();
    let script = r#"
        set -eu
        top=$PWD
        cd "$1"
        cp -r "$top"/{packaging,docs,README.md,CHANGELOG.md,CONTRIBUTING.md,SECURITY.md,LICENSE-APACHE,LICENSE-MIT,Cargo.toml} .
        target=$(rustc -vV | sed -n 's/^host: //p')
        install -D /bin/true "target/$target/release/idshift"
        mkdir bin
        cat > bin/cargo <<'END'
#!/bin/bash
set -eu
dir=${CARGO_TARGET_DIR:-target}
while [ $# -gt 0 ]; do
    case $1 in
    --target-dir) dir=$2; shift ;;
    --target) target=${2%.2.17}; shift ;;
    esac
    shift
done
install -D "$BUILT" "$dir/$target/release/idshift"
END
        chmod +x bin/cargo
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "source"]).arg(source.path());
    Run::of(bash.current_dir(env!("CARGO_MANIFEST_DIR"))).exits(0);
    source
}

/// Makes a tarball there, while cargo is told to build elsewhere.
fn package_from(source: &Path, built: &str) -> Run {
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(source.join("packaging/package"));
    command.args(["--level", "0", "tar"]);
    command.env("PATH", format!("{}/bin:{path}", source.display()));
    command.env("CARGO_TARGET_DIR", source.join("elsewhere"));
    Run::of(
        command
            .env("BUILT", built)
            .env("SOURCE_DATE_EPOCH", "1790000000"),
    )
}

#[test]
fn a_package_holds_the_program_of_its_source() {
    let source = source_with_an_old_program();
    package_from(source.path(), env!("CARGO_BIN_EXE_idshift")).exits(0);
    let tar = named(&source.path().join("target/packages"), ".tar.xz");
    let mut unpack = Command::new("tar");
    unpack.args(["--strip-components=1", "-xf"]).args(tar);
    Run::of(unpack.current_dir(source.path().join("bin"))).exits(0);
    let mut program = Command::new(source.path().join("bin/idshift"));
    let said = Run::of(program.arg("--version")).exits(0).text();
    let expected = concat!("idshift ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(said.starts_with(expected), "{said}");

    let other = package_from(source.path(), "/bin/true").exits(1);
    assert!(
        other.stderr.contains("was not built from this source"),
        "{other}"
    );
}
