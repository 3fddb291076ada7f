//! `idshift report`: what the page says, and what names that are HTML become in it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Idshift, Kind, Run, data_root, long, scene, sh};
use tempfile::TempDir;

/// Names that would be something else in HTML, and one that is not UTF-8.
const HOSTILE: [&[u8]; 4] = [
    b"<script>document.title='owned'<",
    b"\"><img src=x onerror=alert(1)>",
    b"&lt;b&gt;",
    b"not \xff UTF-8",
];

struct Place {
    dir: TempDir,
    idshift: Idshift,
    tree: PathBuf,
}

impl Place {
    /// A tree of hostile names, with one inode that cannot be shifted where `stands`.
    fn new(stands: bool) -> Place {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        let tree = dir.path().join("tree");
        for name in HOSTILE {
            let below = tree.join(std::ffi::OsStr::from_bytes(name));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join("file"), "").unwrap();
            chown(below.join("file"), Some(33), Some(33)).unwrap();
        }
        if stands {
            let name = std::ffi::OsStr::from_bytes(HOSTILE[0]);
            chown(tree.join(name), Some(70_000), Some(0)).unwrap();
        }
        let idshift = Idshift::new();
        Place { dir, idshift, tree }
    }

    fn manifest(&self) -> PathBuf {
        let file = self.dir.path().join("plan.jsonl");
        let args = ["--dry-run", "--manifest", file.to_str().unwrap()];
        self.idshift.shift_with(&self.tree, &args);
        file
    }

    fn report(&self, what: &str) -> String {
        let page = self.dir.path().join("page.html");
        let args = ["report", what, "--output", page.to_str().unwrap()];
        self.idshift.run(args).exits(0);
        let mode = fs::metadata(&page).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::read_to_string(page).unwrap()
    }
}

/// The tags of a page, without their attributes.
fn tags(page: &str) -> Vec<&str> {
    let after = page.split('<').skip(1);
    let mut tags: Vec<&str> = after
        .map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '/' && c != '!')
                .next()
                .unwrap()
        })
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

#[test]
fn a_manifest_becomes_a_page_that_hostile_names_cannot_change() {
    let place = Place::new(true);
    let page = place.report(place.manifest().to_str().unwrap());
    assert!(page.contains("1 of 9 inodes cannot be shifted"), "{page}");
    assert!(page.contains("70000"), "{page}");
    assert!(page.contains("&lt;script&gt;document.title="), "{page}");
    assert!(page.contains("&amp;lt;b&amp;gt;"), "{page}");
    assert!(!tags(&page).contains(&"img"), "{:?}", tags(&page));
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, 1, "its own alone");
    for outside in ["http://", "https://", "src=\"", "href="] {
        assert!(!page.contains(outside), "{outside}");
    }
    // 4 files of uid 33, and 4 directories of root: one is left.
    for row in [
        "33:33</td><td>100033:100033</td><td class=\"number\">4<",
        "0:0</td><td>100000:100000</td><td class=\"number\">4<",
    ] {
        assert!(page.contains(row), "{row}: {page}");
    }
}

#[test]
fn a_journal_becomes_a_page_that_says_how_it_stands() {
    let place = Place::new(false);
    place.idshift.shift(&place.tree).exits(0);
    assert!(
        place
            .report("latest")
            .contains("Finished: 9 inodes changed")
    );
    place.idshift.rollback().exits(0);
    assert!(
        place
            .report("1")
            .contains("Rolled back: everything is as it was before")
    );

    let scene = scene::shift(Kind::Ext4);
    let idshift = Idshift::new();
    let events = scene.events();
    crate::support::trace::kill_at(&scene.command(&idshift), events / 2);
    let page = place.dir.path().join("killed.html");
    let args = ["report", "latest", "-o", page.to_str().unwrap()];
    idshift.run(args).exits(0);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("Not finished. `idshift resume "), "{page}");
    scene.roll_back(&idshift, "killed");
}

#[test]
fn an_audit_becomes_a_page_with_its_tables() {
    let place = Place::new(false);
    let top = data_root::filled(&place.dir.path().join("docker"));
    let root = top.to_str().unwrap();
    let audit = [
        "docker",
        "audit",
        "--json",
        "--daemon-json",
        "/nonexistent",
        "--data-root",
        root,
    ];
    let audit = place.idshift.run(audit);
    let file = place.dir.path().join("audit.json");
    fs::write(&file, &audit.stdout).unwrap();
    let page = place.report(file.to_str().unwrap());
    assert!(page.contains("<h2>Findings</h2>"), "{page}");
    for container in audit.json()["containers"].as_array().unwrap() {
        let name = container["container"].as_str().unwrap();
        assert!(page.contains(&format!("<td>{name}</td>")), "{name}: {page}");
    }
}

#[test]
fn what_is_no_source_of_a_report_is_refused() {
    let place = Place::new(false);
    let file = place.dir.path().join("file");
    for text in [
        "",
        "text\n",
        "{\"command\":\"shift\"}\n",
        "{\"kind\":\"header\"}\n",
    ] {
        fs::write(&file, text).unwrap();
        let run = place
            .idshift
            .run(["report", file.to_str().unwrap(), "-o", "-"]);
        assert_eq!(run.code, Some(4), "{text:?}: {run}");
        assert!(
            run.stderr.contains(file.to_str().unwrap()),
            "{text:?}: {run}"
        );
        assert_eq!(run.text(), "", "{text:?}: {run}");
    }
    let manifest = place.manifest();
    let whole = fs::read_to_string(&manifest).unwrap();
    let cut = whole.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&manifest, format!("{cut}\n")).unwrap();
    let run = place
        .idshift
        .run(["report", manifest.to_str().unwrap(), "-o", "-"]);
    assert_eq!(run.code, Some(4), "{run}");
    assert!(run.stderr.contains("is incomplete"), "{run}");
}

/// A real browser: no script of a name runs, and a click sorts.
#[test]
fn a_browser_shows_it() {
    if !long() {
        return;
    }
    let place = Place::new(true);
    place.report(place.manifest().to_str().unwrap());
    let page = place.dir.path().join("page.html");
    let dom = chromium(&["--dump-dom"], &page);
    assert!(dom.contains("<title>Dry run on "), "{dom}");
    assert!(dom.contains("aria-sort=\"none\""), "its own script has run");
    assert!(!tags(&dom).contains(&"img"), "{:?}", tags(&dom));
    let picture = place.dir.path().join("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    chromium(&[&screenshot, "--window-size=1000,1000"], &page);
    let bytes = fs::read(&picture).unwrap();
    assert!(
        bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000,
        "{}",
        bytes.len()
    );
}

/// Counts are compared as numbers, whatever separates their digits.
#[test]
fn a_click_sorts_counts_as_numbers() {
    if !long() {
        return;
    }
    let place = Place::new(false);
    for (uid, files) in [(2, 1_100), (3, 20)] {
        let dir = place.tree.join(uid.to_string());
        fs::create_dir(&dir).unwrap();
        for file in 0..files {
            let file = dir.join(file.to_string());
            fs::write(&file, "").unwrap();
            chown(&file, Some(uid), Some(uid)).unwrap();
        }
    }
    let page = place.report(place.manifest().to_str().unwrap());
    let click = "<script>[...document.querySelectorAll('th')].find((head) => head.textContent === 'inodes').click();</script>";
    let clicked = place.dir.path().join("clicked.html");
    fs::write(
        &clicked,
        page.replace("</body>", &format!("{click}</body>")),
    )
    .unwrap();
    let dom = chromium(&["--dump-dom"], &clicked);
    let table = dom
        .split("<tbody>")
        .nth(1)
        .unwrap()
        .split("</tbody>")
        .next();
    let cells = table.unwrap().split("<td class=\"number\">").skip(1);
    let counts: Vec<&str> = cells.map(|cell| cell.split('<').next().unwrap()).collect();
    // Root's directories, and files of three users.
    assert_eq!(counts, ["4", "7", "20", "1,100"], "{dom}");
}

/// Who prefers dark colours gets them; on paper there is all but what only a screen has, on white.
#[test]
fn a_browser_shows_it_dark_and_prints_it() {
    if !long() {
        return;
    }
    let place = Place::new(true);
    // So many owners that their table has a filter.
    for uid in 1..=12 {
        let file = place.tree.join(uid.to_string());
        fs::write(&file, "").unwrap();
        chown(&file, Some(uid), Some(uid)).unwrap();
    }
    place.report(place.manifest().to_str().unwrap());
    let page = place.dir.path().join("page.html");
    let picture = place.dir.path().join("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    let corner = |scheme: &str| {
        chromium(
            &[&screenshot, &blink(scheme), "--window-size=800,600"],
            &page,
        );
        first_pixel(&picture)
    };
    assert_eq!(corner(LIGHT), [0xff, 0xff, 0xff]);
    assert_eq!(corner(DARK), [0x15, 0x18, 0x1c]);
    let filter = "Show rows with";
    assert!(chromium(&["--dump-dom"], &page).contains(filter));

    // Chromium itself prints what is light, whatever is preferred.
    let paper = place.dir.path().join("page.pdf");
    let print = format!("--print-to-pdf={}", paper.display());
    chromium(&[&print, "--no-pdf-header-footer"], &page);
    let mut text = Command::new("pdftotext");
    let text = Run::of(text.arg("-layout").arg(&paper).arg("-")).exits(0);
    let text = text.text();
    for said in [
        "1 of 21 inodes cannot be shifted",
        "70000",
        "12:12",
        "<script>document.title=",
        "Inodes by directory",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains(filter), "{text}");
    assert!(
        drawn(&paper).ends_with(b"\xff\xff\xff"),
        "the paper is white"
    );
}

/// The pixels of all pages.
fn drawn(paper: &Path) -> Vec<u8> {
    let mut draw = Command::new("pdftoppm");
    let run = Run::of(draw.args(["-r", "40"]).arg(paper)).exits(0);
    run.stdout
}

/// The colour of the upper left corner of a PNG.
fn first_pixel(picture: &Path) -> [u8; 3] {
    let bytes = fs::read(picture).unwrap();
    let mut at = 8;
    let mut packed = Vec::new();
    while at + 8 < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if &bytes[at + 4..at + 8] == b"IDAT" {
            packed.extend(&bytes[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    // Which filter the first line has; the first pixel is as it is with all of them.
    let mut first = [0; 4];
    flate2::read::ZlibDecoder::new(&packed[..])
        .read_exact(&mut first)
        .unwrap();
    [first[1], first[2], first[3]]
}

/// Of `preferredColorScheme`, as Chromium numbers them.
const DARK: &str = "0";
const LIGHT: &str = "1";

fn blink(scheme: &str) -> String {
    format!("--blink-settings=preferredColorScheme={scheme}")
}

fn chromium(args: &[&str], page: &Path) -> String {
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(args);
    Run::of(chromium.arg(format!("file://{}", page.display())))
        .exits(0)
        .text()
}

/// Many inodes in many directories: the page does not grow with them.
#[test]
fn a_large_manifest_becomes_a_small_page() {
    let place = Place::new(false);
    let top = place.tree.to_str().unwrap();
    let make =
        "cd \"$0\" && for a in $(seq 60); do mkdir -p d$a/{1..60}; touch d$a/{1..60}/f{1..2}; done";
    sh("bash", ["-c", make, top]);
    let page = place.report(place.manifest().to_str().unwrap());
    assert!(
        page.contains("10,869 of 10,869 inodes would change"),
        "{}",
        &page[..3000]
    );
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}

/// A journal undoes a run: no page and no manifest is written over one, and no page over what it is made from.
#[test]
fn what_is_written_takes_no_journals_place() {
    let place = Place::new(false);
    let manifest = place.manifest();
    place.idshift.shift(&place.tree).exits(0);
    let journal = place.idshift.the_journal();
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let page = |what: &Path, to: &Path| {
        let args = ["report", &text(what), "-o", &text(to)].map(str::to_string);
        place.idshift.run(args)
    };
    let other = place.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let before = fs::read(&journal).unwrap();
    for run in [
        page(&manifest, &journal),
        page(&journal, &journal),
        place
            .idshift
            .shift_with(&other, &["--dry-run", "--manifest", &text(&journal)]),
    ] {
        let said = run.exits(4).stderr;
        assert!(said.contains("is a journal of idshift"), "{said}");
        assert_eq!(fs::read(&journal).unwrap(), before);
    }
    let before = fs::read(&manifest).unwrap();
    let said = page(&manifest, &manifest).exits(4).stderr;
    assert!(
        said.contains("is the file that this command reads"),
        "{said}"
    );
    assert_eq!(fs::read(&manifest).unwrap(), before);
    place.idshift.rollback().exits(0);

    // What somebody else could read is not written into.
    let theirs = place.dir.path().join("theirs.html");
    fs::write(&theirs, "theirs").unwrap();
    chown(&theirs, Some(1234), Some(1234)).unwrap();
    let said = page(&manifest, &theirs).exits(4).stderr;
    assert!(said.contains("belongs to user 1234"), "{said}");
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
}

/// A dry run says that a real one would be refused now, and so does the page of its manifest.
#[test]
fn a_page_says_why_a_run_would_have_been_refused() {
    let place = Place::new(false);
    let mut user = Command::new("sleep")
        .arg("60")
        .current_dir(&place.tree)
        .spawn()
        .unwrap();
    let manifest = place.manifest();
    user.kill().unwrap();
    user.wait().unwrap();
    let page = place.report(manifest.to_str().unwrap());
    assert!(
        page.contains("A real run would have been refused"),
        "{page}"
    );
    assert!(page.contains("sleep"), "{page}");
}

#[test]
fn what_a_shell_would_ask_does_nothing_to_a_command() {
    let place = Place::new(false);
    let mut command = place
        .idshift
        .command(["shift", "--map", "b:0:100000:65536"]);
    command.arg(&place.tree).env("IDSHIFT_COMPLETE", "bash");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&place.tree).unwrap());
    assert_eq!(uid, 100_000);
}
