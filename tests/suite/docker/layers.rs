//! Layers, images and tar-split that are written without a daemon: the same as a real one writes, and served by one.

use crate::support::PYTHON;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::{Daemon, Host};
use crate::support::{Kind, TestFs, need_root, output, script, sh};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use idshift::formats::layer_store::blob::Blob;
use idshift::formats::layer_store::digest::Digest;
use idshift::formats::layer_store::layer::Layer;
use idshift::formats::layer_store::pack::pack_layer;
use idshift::formats::layer_store::store::{ImageMetadata, LayerStore, Repositories, content_size};
use idshift::formats::layer_store::tar_split::split_layer;
use idshift::formats::layer_store::unpack::unpack_layer;
use serde_json::Value;

/// An image as `docker save` gives it: its configuration, and the tar of each layer.
struct Saved {
    config: Vec<u8>,
    layers: Vec<PathBuf>,
}

fn save(daemon: &Daemon<'_>, tag: &str, dir: &Path) -> Saved {
    fs::create_dir(dir).unwrap();
    let tar = dir.join("image.tar");
    daemon.docker(&["save", "-o", tar.to_str().unwrap(), tag]);
    sh(
        "tar",
        [
            "-C".as_ref(),
            dir.as_os_str(),
            "-xf".as_ref(),
            tar.as_os_str(),
        ],
    );
    let manifest: Value =
        serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap().iter();
    Saved {
        config: fs::read(dir.join(manifest[0]["Config"].as_str().unwrap())).unwrap(),
        layers: layers.map(|it| dir.join(it.as_str().unwrap())).collect(),
    }
}

fn sha256(path: &Path) -> String {
    let output = output("sha256sum", [path]);
    format!(
        "sha256:{}",
        &String::from_utf8(output.stdout).unwrap()[..64]
    )
}

fn diff_ids(config: &[u8]) -> Vec<Digest> {
    let config: Value = serde_json::from_slice(config).unwrap();
    serde_json::from_value(config["rootfs"]["diff_ids"].clone()).unwrap()
}

fn make_root(root: &Path) -> LayerStore {
    fs::DirBuilder::new().mode(0o710).create(root).unwrap();
    LayerStore::create(fs::File::open(root).unwrap().as_fd()).unwrap()
}

/// Puts an image into a root: each layer from its tar, compressed in one way or another.
fn put(store: &LayerStore, root: &Path, saved: &Saved, there: &mut Vec<Layer>) -> Digest {
    for (at, (layer, tar)) in Layer::stack(&diff_ids(&saved.config))
        .unwrap()
        .into_iter()
        .zip(&saved.layers)
        .enumerate()
    {
        if there.contains(&layer) {
            continue;
        }
        let blob = root.join("../blob");
        let program = [&["gzip", "-c"][..], &["zstd", "-qc"], &["cat"]][at % 3];
        let tar = fs::File::open(tar).unwrap();
        let to = fs::File::create(&blob).unwrap();
        let packed = Command::new(program[0])
            .args(&program[1..])
            .stdin(tar)
            .stdout(to)
            .status();
        assert!(packed.unwrap().success());
        let digest: Digest = sha256(&blob).parse().unwrap();
        let open = || Blob::new(fs::File::open(&blob).unwrap(), &digest).unwrap();

        store.add_dir(&layer.dir, true).unwrap();
        let diff = root.join("overlay2").join(layer.dir.name()).join("diff");
        fs::DirBuilder::new().mode(0o755).create(&diff).unwrap();
        let dir = fs::File::open(&diff).unwrap();
        let mut tar = open();
        assert_eq!(unpack_layer(&mut tar, dir.as_fd()).unwrap(), layer.diff_id);
        tar.finish().unwrap();
        let entry = store
            .add_layer(&layer, content_size(dir.as_fd()).unwrap())
            .unwrap();
        let mut tar = open();
        let split = split_layer(&mut tar, dir.as_fd(), entry.tar_split().unwrap()).unwrap();
        tar.finish().unwrap();
        assert_eq!((split.diff_id, split.raw_files), (layer.diff_id.clone(), 0));
        there.push(layer);
    }
    let image = store
        .add_image(&saved.config, &ImageMetadata::default())
        .unwrap();
    image.into()
}

/// The lines, and the raw bytes between two files as one: Docker cuts the zeros at the end of a tar as they come in.
fn tar_split(entry: &Path) -> Vec<Value> {
    let path = entry.join("tar-split.json.gz");
    let text = output("gzip", ["-dc".as_ref(), path.as_os_str()]).stdout;
    let (mut lines, mut raw) = (Vec::new(), Vec::new());
    for (position, line) in String::from_utf8(text).unwrap().lines().enumerate() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let number = line.as_object_mut().unwrap().remove("position");
        assert_eq!(number, Some(position.into()));
        if line["type"] == 2 {
            raw.extend(STANDARD.decode(line["payload"].as_str().unwrap()).unwrap());
            continue;
        }
        lines.extend([std::mem::take(&mut raw).into(), line]);
    }
    lines.push(raw.into());
    lines
}

/// Each layer of the one root is in the other, and the same: names, numbers and files.
fn same_layers(docker: &Path, ours: &Path) -> usize {
    let layers = |root: &Path| root.join("image/overlay2/layerdb/sha256");
    let mut count = 0;
    for entry in fs::read_dir(layers(docker)).unwrap() {
        let theirs = entry.unwrap().path();
        let our = layers(ours).join(theirs.file_name().unwrap());
        let read = |entry: &Path, file: &str| fs::read_to_string(entry.join(file)).ok();
        for file in ["diff", "size", "parent"] {
            assert_eq!(
                read(&our, file),
                read(&theirs, file),
                "{file} of {}",
                theirs.display()
            );
        }
        for (ours, theirs) in tar_split(&our).iter().zip(&tar_split(&theirs)) {
            assert!(
                ours == theirs,
                "{:.300} is not {:.300}",
                ours.to_string(),
                theirs.to_string()
            );
        }
        assert_eq!(tar_split(&our).len(), tar_split(&theirs).len());
        let (a, b) = [(docker, &theirs), (ours, &our)]
            .map(|(root, entry)| root.join("overlay2").join(read(entry, "cache-id").unwrap()))
            .into();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        for name in ["", "diff", "work", "link", "lower", "committed"] {
            let (a, b) = (a.join(name), b.join(name));
            // Docker marks a layer as it puts another on it; before that, ours is the only one that is marked.
            let is_marked_later = name == "committed" && b.exists();
            assert!(a.exists() == b.exists() || is_marked_later, "{name}");
            if a.exists() {
                assert_eq!(mode(&a), mode(&b), "{name}");
            }
        }
        same_tree(&a.join("diff"), &b.join("diff"));
        count += 1;
    }
    count
}

/// What a tree is, but for when each was put there, and on which blocks.
fn tree(dir: &Path) -> Vec<String> {
    let lines = output(PYTHON, [script("snapshot.py").as_path(), dir]).stdout;
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        for key in ["ino", "atime_ns", "blocks", "data"] {
            object.remove(key);
        }
        if object["type"] == "directory" {
            object.remove("size");
            object.remove("nlink");
        }
        let path = object.get("path").and_then(Value::as_str);
        let is_made_now = path.is_some_and(|path| path == "." || path.starts_with("implied"));
        if is_made_now || object["type"] == "char device" && object["mode"] == "0000" {
            object.remove("mtime_ns");
        }
        line.to_string()
    };
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(line)
        .collect()
}

fn same_tree(theirs: &Path, ours: &Path) {
    crate::support::docker::same(&tree(theirs), &tree(ours), "a layer");
}

/// `docker save` gives the very tars whose digests are the image's diff ids.
fn saves_its_diff_ids(daemon: &Daemon<'_>, tag: &str, dir: &Path) {
    let saved = save(daemon, tag, dir);
    let told: Vec<String> = saved.layers.iter().map(|tar| sha256(tar)).collect();
    let ids: Vec<String> = diff_ids(&saved.config)
        .iter()
        .map(Digest::to_string)
        .collect();
    assert_eq!(told, ids, "{tag}");
}

/// What is special about files of the image, as a container sees it.
fn special(daemon: &Daemon<'_>, tag: &str) -> String {
    const SEE: &str = "getcap /usr/local/bin/raw; stat -c %a%u%h /usr/local/bin/asroot /usr/local/bin/raw2
        test -e /opt/gone || ls /opt/dir; getfacl -cp /opt/dir; stat -c '%n %a %u %g %Y' /home/app /etc/shadow /tmp";
    let run = [
        "run",
        "--rm",
        "--network=none",
        "--user=0",
        tag,
        "sh",
        "-c",
        SEE,
    ];
    daemon.docker(&run)
}

#[test]
fn layers_equal_dockers_and_docker_serves_them() {
    need_root();
    let host = Host::new();
    let daemon = host.start(&["--storage-driver=overlay2"]);
    daemon.build_images();
    let zoo = host.beside().join("zoo.tar");
    fs::write(&zoo, output(PYTHON, [script("layer_zoo.py")]).stdout).unwrap();
    daemon.docker(&["import", zoo.to_str().unwrap(), "zoo:1"]);
    let saved = ["app:1", "zoo:1"].map(|tag| save(&daemon, tag, &host.beside().join(tag)));
    let told = special(&daemon, "app:1");
    let start = "/usr/local/bin/raw cap_net_raw=ep\n475501\n";
    assert!(told.starts_with(start), "{told}");
    daemon.stop();

    let other = Host::new();
    let store = make_root(&other.data_root);
    let (mut names, mut layers) = (Repositories::default(), Vec::new());
    for (tag, saved) in ["app:1", "zoo:1"].iter().zip(&saved) {
        let image = put(&store, &other.data_root, saved, &mut layers);
        assert_eq!(image, Digest::of(&saved.config));
        names.add(&tag[..3], tag, image.hex());
    }
    // The same files as layers whose blobs are gone.
    let packed = repack(&store, &other.data_root, &layers, &saved[0].config);
    names.add("packed", "packed:1", packed.hex());
    store.add_repositories(&names).unwrap();
    // As the run of a conversion renames it.
    fs::create_dir(other.data_root.join("image")).unwrap();
    fs::rename(
        other.data_root.join("image-overlay2"),
        other.data_root.join("image/overlay2"),
    )
    .unwrap();
    assert_eq!(same_layers(&host.data_root, &other.data_root), 4);

    let daemon = other.start(&["--storage-driver=overlay2"]);
    for tag in ["app:1", "zoo:1", "packed:1"] {
        saves_its_diff_ids(&daemon, tag, &other.beside().join(tag));
    }
    for tag in ["app:1", "packed:1"] {
        assert_eq!(special(&daemon, tag), told, "{tag}");
    }
    daemon.build(
        "built:1",
        "FROM packed:1\nUSER root\nRUN echo more > /more\n",
    );
    saves_its_diff_ids(&daemon, "built:1", &other.beside().join("built"));
    daemon.stop();
}

/// An image of the layers of the other, with tars made from their files.
fn repack(store: &LayerStore, root: &Path, layers: &[Layer], config: &[u8]) -> Digest {
    let diffs: Vec<PathBuf> = layers
        .iter()
        .take(diff_ids(config).len())
        .map(|it| root.join("overlay2").join(it.dir.name()).join("diff"))
        .collect();
    let pack = |diff: &PathBuf| {
        let mut split = Vec::new();
        let id = pack_layer(fs::File::open(diff).unwrap().as_fd(), &mut split).unwrap();
        (id, split)
    };
    let packed: Vec<(Digest, Vec<u8>)> = diffs.iter().map(pack).collect();
    assert!(
        packed == diffs.iter().map(pack).collect::<Vec<_>>(),
        "it is the same each time"
    );
    let ids: Vec<Digest> = packed.iter().map(|(id, _)| id.clone()).collect();
    for ((layer, (_, split)), from) in Layer::stack(&ids).unwrap().iter().zip(&packed).zip(&diffs) {
        store.add_dir(&layer.dir, true).unwrap();
        let diff = root.join("overlay2").join(layer.dir.name()).join("diff");
        sh("cp", ["-a".as_ref(), from.as_os_str(), diff.as_os_str()]);
        let entry = store.add_layer(layer, 1).unwrap();
        std::io::copy(&mut &split[..], &mut entry.tar_split().unwrap()).unwrap();
    }
    let mut config: Value = serde_json::from_slice(config).unwrap();
    config["rootfs"]["diff_ids"] = serde_json::to_value(ids).unwrap();
    let config = serde_json::to_vec(&config).unwrap();
    store
        .add_image(&config, &ImageMetadata::default())
        .unwrap()
        .into()
}

/// A tar that Python's tarfile makes: `a(NAME, CONTENT, FIELD=VALUE, ...)` adds an entry.
fn tar(entries: &str) -> Vec<u8> {
    let program = format!(
        "import tarfile,sys,io\nfrom tarfile import DIRTYPE,LNKTYPE,SYMTYPE,TarInfo\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|')\n\
         def a(n,c=b'',**f):\n i=TarInfo(n); i.size=len(c)\n for k,v in f.items(): setattr(i,k,v)\n t.addfile(i,io.BytesIO(c))\n{entries}\nt.close()"
    );
    output(PYTHON, ["-c", &program]).stdout
}

fn unpack(fs: &TestFs, tar: &[u8]) -> Result<PathBuf, String> {
    let diff = fs.path().join("layer/diff");
    let _ = fs::remove_dir_all(fs.path().join("layer"));
    fs::create_dir_all(&diff).unwrap();
    let unpacked = unpack_layer(tar, fs::File::open(&diff).unwrap().as_fd());
    unpacked.map(|_| diff).map_err(|error| error.to_string())
}

#[test]
fn nothing_is_unpacked_outside_of_the_layer() {
    let fs = TestFs::new(Kind::Ext4);
    fs::create_dir(fs.path().join("outside")).unwrap();
    fs::write(fs.path().join("outside/secret"), "secret").unwrap();
    fs::write(fs.path().join("secret"), "secret").unwrap();
    let before = tree(&fs.path().join("outside"));
    for (entries, told) in [
        ("a('../x',b'1')", "leads out"),
        ("a('a/../../x',b'1')", "leads out"),
        ("a('..',type=DIRTYPE)", "leads out"),
        ("a('h',type=LNKTYPE,linkname='../../secret')", "leads out"),
        ("a('h',type=LNKTYPE,linkname='/secret')", "not in the layer"),
        (
            "a('s',type=SYMTYPE,linkname='../..');a('h',type=LNKTYPE,linkname='s/secret')",
            "not in the layer",
        ),
        ("a('.wh...',b'')", "from inside"),
        ("a('d',type=DIRTYPE);a('d/.wh..',b'')", "from inside"),
        ("a('f',b'1');a('.wh.f',b'')", "the layer itself has"),
        ("a('.',b'x')", "top directory"),
        ("a('f',b'1');a('f/g',b'1')", "not a directory"),
        (
            "a('s',type=SYMTYPE,linkname='s');a('s/g',b'1')",
            "more than 40 symlinks",
        ),
        ("a('x'*300,b'1')", "longer than 255"),
        ("a('x/'*3000,b'1')", "longer than 4095"),
    ] {
        let error = unpack(&fs, &tar(entries)).expect_err(entries);
        assert!(error.contains(told), "{entries}: {error}");
    }
    // Kept inside, as with Docker.
    for (entries, inside) in [
        ("a('s',type=SYMTYPE,linkname='../../..');a('s/x',b'1')", "x"),
        (
            "a('s',type=SYMTYPE,linkname='/outside');a('outside/n',b'');a('s/x',b'1')",
            "outside/x",
        ),
        (
            "a('s',type=SYMTYPE,linkname='/outside/secret');a('s',b'1')",
            "s",
        ),
        ("a('/x',b'1')", "x"),
        ("a('/../x',b'1')", "x"),
        ("a('d/e/f',b'0');a('d',b'1')", "d"),
        (
            "a('d/e/f',b'0');a('d',type=SYMTYPE,linkname='.');a('d/e/g',b'1')",
            "e/g",
        ),
    ] {
        let diff = unpack(&fs, &tar(entries)).unwrap_or_else(|error| panic!("{entries}: {error}"));
        assert_eq!(fs::read(diff.join(inside)).unwrap(), b"1", "{entries}");
    }
    // An image does not tell overlayfs what to do.
    let entries = "a('d',type=DIRTYPE,pax_headers={'SCHILY.xattr.trusted.overlay.redirect':'/etc','SCHILY.xattr.user.x':'y'})";
    let diff = unpack(&fs, &tar(entries)).unwrap();
    let found =
        String::from_utf8(output("getfattr", ["-m-".as_ref(), diff.join("d").as_os_str()]).stdout)
            .unwrap();
    assert!(
        found.contains("user.x") && !found.contains("overlay"),
        "{found}"
    );
    assert_eq!(before, tree(&fs.path().join("outside")));
    assert_eq!(
        fs::read_to_string(fs.path().join("secret")).unwrap(),
        "secret"
    );
    let names: Vec<_> = fs::read_dir(fs.path())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(
        names.len(),
        4,
        "lost+found, layer, outside, secret: {names:?}"
    );
}

#[test]
fn sparse_files_stay_sparse_and_a_full_disk_fails() {
    let fs = TestFs::new(Kind::Ext4);
    let from = tempfile::tempdir().unwrap();
    sh("sh", ["-euc".as_ref(), "cd \"$0\"; truncate -s 50M hole; printf end >> hole; printf x | dd of=hole bs=1M seek=20 conv=notrunc status=none; touch -d @1600000000 hole".as_ref(), from.path().as_os_str()]);
    for options in [
        "--format=gnu",
        "--format=pax --sparse-version=0.0",
        "--format=pax --sparse-version=0.1",
        "--format=pax --sparse-version=1.0",
    ] {
        let args = format!("{options} -Sc hole");
        let tar = output(
            "tar",
            ["-C", from.path().to_str().unwrap()]
                .into_iter()
                .chain(args.split(' ')),
        )
        .stdout;
        let diff = unpack(&fs, &tar).unwrap();
        same_tree(from.path(), &diff);
        let blocks =
            std::os::unix::fs::MetadataExt::blocks(&fs::metadata(diff.join("hole")).unwrap());
        assert!(blocks < 100, "{options}: {blocks}");
    }
    let tiny = TestFs::new(Kind::TinyTmpfs);
    let error = unpack(&tiny, &tar("a('big',b'1'*100000)")).unwrap_err();
    assert!(
        error.contains("big") && error.contains("No space"),
        "{error}"
    );
}

#[test]
fn what_is_only_part_of_a_file_is_not_packed() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("d");
    fs::create_dir(&dir).unwrap();
    let pack = || pack_layer(fs::File::open(fs.path()).unwrap().as_fd(), std::io::sink());
    pack().unwrap();
    sh(
        "setfattr",
        [
            "-ntrusted.overlay.redirect".as_ref(),
            "-v/e".as_ref(),
            dir.as_os_str(),
        ],
    );
    let error = pack().unwrap_err().to_string();
    assert!(
        error.contains("tar entry d: has trusted.overlay.redirect"),
        "{error}"
    );
}
