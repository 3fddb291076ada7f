use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn told(top: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(top).min_depth(1).sort_by_file_name();
    let line = |entry: walkdir::DirEntry| {
        let below = entry.path().strip_prefix(top).unwrap().display();
        let found = entry.metadata().unwrap();
        let mode = found.permissions().mode() & 0o7777;
        match entry.path_is_symlink() {
            true => format!(
                "{below} -> {}",
                std::fs::read_link(entry.path()).unwrap().display()
            ),
            false if found.is_dir() => format!("{below}/ {mode:o}"),
            false => {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                format!("{below} {mode:o} {text}")
            }
        }
    };
    entries
        .into_iter()
        .map(|entry| line(entry.unwrap()))
        .collect()
}

/// What is put into a store: two layers, a container on them, and two images that had one name after another.
struct Content {
    layers: Vec<Layer>,
    container: ContainerLayers,
    image: HexId,
    other: HexId,
}

fn fill(store: &LayerStore) -> Content {
    let layers = Layer::stack(&[Digest::of(b"1"), Digest::of(b"2")]).unwrap();
    for layer in &layers {
        store.add_dir(&layer.dir, true).unwrap();
        store.add_layer(layer, 7).unwrap().tar_split().unwrap();
        assert!(store.add_layer(layer, 7).is_err(), "it is there");
    }
    let container = ContainerLayers::new(&HexId::hash(b"c"), layers.last(), true);
    store
        .add_dir(container.init.as_ref().unwrap(), true)
        .unwrap();
    store.add_dir(&container.dir, false).unwrap();
    store.add_container(&container).unwrap();
    let metadata = ImageMetadata {
        last_updated: Some("2025-01-02T03:04:05.000000006Z".into()),
        parent: Some(Digest::of(b"p")),
    };
    let image = store.add_image(b"{}", &metadata).unwrap();
    let other = store.add_image(b"{ }", &ImageMetadata::default()).unwrap();
    let mut names = Repositories::default();
    names.add("app", "app:1", &image);
    names.add("app", "app:1", &other);
    store.add_repositories(&names).unwrap();
    Content {
        layers,
        container,
        image,
        other,
    }
}

#[test]
fn the_files_are_dockers_own() {
    let place = tempfile::tempdir().unwrap();
    let top = std::fs::File::open(place.path()).unwrap();
    let store = LayerStore::create(top.as_fd()).unwrap();
    let content = fill(&store);
    let mut expected = [
        directories(),
        of_images(&content),
        of_layers(&content.layers),
        of_container(&content),
        of_overlay2(&content),
    ]
    .concat();
    let mut found = told(place.path());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(LayerStore::create(top.as_fd()).is_err(), "it is there");
}

fn directories() -> Vec<String> {
    [
        "image-overlay2/ 700",
        "image-overlay2/imagedb/ 700",
        "image-overlay2/imagedb/content/ 700",
        "image-overlay2/imagedb/content/sha256/ 700",
        "image-overlay2/imagedb/metadata/ 700",
        "image-overlay2/imagedb/metadata/sha256/ 700",
        "image-overlay2/layerdb/ 700",
        "image-overlay2/layerdb/mounts/ 755",
        "image-overlay2/layerdb/sha256/ 755",
        "overlay2/ 710",
        "overlay2/l/ 700",
    ]
    .map(String::from)
    .to_vec()
}

fn of_images(Content { image, other, .. }: &Content) -> Vec<String> {
    let content = "image-overlay2/imagedb/content/sha256";
    let meta = format!("image-overlay2/imagedb/metadata/sha256/{image}");
    vec![
        format!("{content}/{image} 600 {{}}"),
        format!("{content}/{other} 600 {{ }}"),
        format!("{meta}/ 700"),
        format!("{meta}/lastUpdated 600 2025-01-02T03:04:05.000000006Z"),
        format!("{meta}/parent 600 {}", Digest::of(b"p")),
        format!(
            "image-overlay2/repositories.json 600 {{\"Repositories\":{{\"app\":{{\"app:1\":\"sha256:{image}\"}}}}}}"
        ),
    ]
}

fn of_layers(layers: &[Layer]) -> Vec<String> {
    let lines = layers.iter().flat_map(|layer| {
        let entry = format!("image-overlay2/layerdb/sha256/{}", layer.chain_id.hex());
        let parent = layer.parent.as_ref();
        let parent = parent.map(|parent| format!("{entry}/parent 644 {parent}"));
        let always = [
            format!("{entry}/ 700"),
            format!("{entry}/cache-id 644 {}", layer.dir.name()),
            format!("{entry}/diff 644 {}", layer.diff_id),
            format!("{entry}/size 644 7"),
            format!("{entry}/tar-split.json.gz 644 "),
        ];
        always.into_iter().chain(parent)
    });
    lines.collect()
}

fn of_container(
    Content {
        layers, container, ..
    }: &Content,
) -> Vec<String> {
    let mount = format!("image-overlay2/layerdb/mounts/{}", container.container);
    let init = container.init.as_ref().unwrap();
    vec![
        format!("{mount}/ 755"),
        format!("{mount}/mount-id 644 {}", container.dir.name()),
        format!("{mount}/init-id 644 {}", init.name()),
        format!("{mount}/parent 644 {}", layers[1].chain_id),
    ]
}

fn of_overlay2(
    Content {
        layers, container, ..
    }: &Content,
) -> Vec<String> {
    let (low, high) = (&layers[0].dir, &layers[1].dir);
    let init = container.init.as_ref().unwrap();
    let (l0, l1, li) = (low.link(), high.link(), init.link());
    let mut lines = Vec::new();
    let mut add = |line: String| lines.push(line);
    for (dir, lower, committed) in [
        (low, String::new(), true),
        (high, format!("l/{l0}"), true),
        (init, format!("l/{l1}:l/{l0}"), true),
        (&container.dir, format!("l/{li}:l/{l1}:l/{l0}"), false),
    ] {
        let at = format!("overlay2/{}", dir.name());
        add(format!(
            "overlay2/l/{} -> ../{}/diff",
            dir.link(),
            dir.name()
        ));
        add(format!("{at}/ 710"));
        add(format!("{at}/link 644 {}", dir.link()));
        if !lower.is_empty() {
            add(format!("{at}/lower 644 {lower}"));
            add(format!("{at}/work/ 700"));
        }
        if committed {
            add(format!("{at}/committed 600 "));
        }
    }
    assert_eq!(container.dir.link().as_str().len(), 26);
    lines
}

#[test]
fn an_inode_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::create_dir_all(path("a/b/c")).unwrap();
    std::fs::write(path("a/b/c/f"), "12345").unwrap();
    std::fs::hard_link(path("a/b/c/f"), path("f")).unwrap();
    std::fs::write(path("a/g"), "1").unwrap();
    std::os::unix::fs::symlink("to/there", path("s")).unwrap();
    let top = std::fs::File::open(place.path()).unwrap();
    assert_eq!(content_size(top.as_fd()).unwrap(), 5 + 1 + 8);
}
