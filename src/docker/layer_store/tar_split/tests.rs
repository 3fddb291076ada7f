use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn lines(split: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(split).read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What `tar-split asm` does: the tar of these lines, with its refusals.
fn assemble(split: &[u8], diff: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut seen = HashMap::new();
    for (position, line) in lines(split).into_iter().enumerate() {
        assert_eq!(line["position"], position);
        let payload = line["payload"]
            .as_str()
            .map(|text| STANDARD.decode(text).unwrap());
        if line["type"] == 2 {
            tar.extend(payload.unwrap());
            continue;
        }
        assert_eq!(line["type"], 1);
        let name = match line["name_raw"].as_str() {
            Some(raw) => STANDARD.decode(raw).unwrap(),
            None => line["name"]
                .as_str()
                .unwrap_or_default()
                .as_bytes()
                .to_vec(),
        };
        assert_eq!(
            seen.insert(clean(&name), ()),
            None,
            "duplicates of file paths not supported"
        );
        if line["size"].is_null() {
            continue;
        }
        let path: &std::ffi::OsStr =
            std::os::unix::ffi::OsStrExt::from_bytes(name.trim_ascii_start());
        let content = std::fs::read(
            diff.join(
                path.to_str()
                    .map_or(path, |it| it.trim_start_matches('/').as_ref()),
            ),
        )
        .unwrap();
        assert_eq!(content.len() as u64, line["size"].as_u64().unwrap());
        assert_eq!(
            payload.unwrap(),
            crc_bit_by_bit(&content).to_be_bytes(),
            "file integrity checksum failed"
        );
        tar.extend(content);
    }
    tar
}

/// Go's `hash/crc64` with the ISO polynomial, from its definition.
fn crc_bit_by_bit(bytes: &[u8]) -> u64 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xd800_0000_0000_0000,
            _ => crc >> 1,
        })
    })
}

/// The golden values of Go's `hash/crc64/crc64_test.go`.
#[test]
fn the_checksum_is_gos() {
    for (text, crc) in [
        ("", 0u64),
        ("a", 0x3420_0000_0000_0000),
        ("ab", 0x36c4_2000_0000_0000),
        ("abc", 0x3776_c420_0000_0000),
        ("abcd", 0x3367_76c4_2000_0000),
    ] {
        assert_eq!(CRC.checksum(text.as_bytes()), crc, "{text}");
        assert_eq!(crc_bit_by_bit(text.as_bytes()), crc, "{text}");
    }
}

fn split(tar: &[u8], diff: &Path) -> (Split, Vec<u8>) {
    let mut out = Vec::new();
    let dir = File::open(diff).unwrap();
    let told = split_layer(tar, dir.as_fd(), &mut out).unwrap();
    assert_eq!(told.diff_id, Digest::of(tar));
    (told, out)
}

/// A directory that this script fills, and a tar of it.
fn made_by(script: &str) -> (tempfile::TempDir, Vec<u8>) {
    let place = tempfile::tempdir().unwrap();
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    (place, output.stdout)
}

#[test]
fn a_tar_of_any_kind_comes_together_again() {
    for options in [
        "--format=gnu",
        "--format=pax",
        "--format=pax -S",
        "--format=gnu -S",
        "--format=ustar",
        "-b 300",
    ] {
        let (place, tar) = made_by(&format!(
            "n=$(printf %090d 1); mkdir $n; printf one > $n/f; seq 100000 > $n/big; : > empty; ln -s $n way; ln $n/f zz
             printf 8 > $'\\xff\\n&<>'; mkfifo p; truncate -s 2M hole; printf end >> hole; tar {options} -c *"
        ));
        let (told, out) = split(&tar, place.path());
        assert!(assemble(&out, place.path()) == tar, "{options}");
        assert_eq!(
            told.raw_files,
            u64::from(options.contains("-S")),
            "{options}"
        );
        assert!(
            out.len() < 8000,
            "content is left on the disk: {}",
            out.len()
        );
    }
}

/// What Docker would not find, or find otherwise, it must not look for.
#[test]
fn what_the_disk_has_otherwise_is_kept_as_raw_bytes() {
    let tar = |what: &str| {
        let (place, tar) = made_by(&format!(
            "mkdir d; seq 100000 > d/big; printf one > d/f; printf two > g; tar --hard-dereference -c d g d; {what}"
        ));
        let (told, out) = split(&tar, place.path());
        assert!(assemble(&out, place.path()) == tar, "{what}");
        told.raw_files
    };
    // `d` is in it twice.
    assert_eq!(tar(":"), 2);
    assert_eq!(tar("rm g"), 3);
    assert_eq!(
        tar("printf x | dd of=d/big bs=1 seek=300000 conv=notrunc"),
        3
    );
    assert_eq!(tar("printf longer >> g"), 3);
    assert_eq!(tar("rm g; ln -s d/f g; printf two > d/f"), 4);
    assert_eq!(tar("mv d e; ln -s e d"), 4);
    assert_eq!(tar("rm g; mkfifo g"), 3);
    assert_eq!(tar("rm g; mkdir g"), 3);
}

#[test]
fn what_somebody_changed_is_named() {
    let changed = |what: &str| {
        let (place, tar) = made_by(&format!(
            "mkdir d; seq 1000 > d/big; printf two > g; tar -c d g; {what}"
        ));
        let (told, _) = split(&tar, place.path());
        let names = told.changed.into_iter();
        names
            .map(|it| String::from_utf8(it).unwrap())
            .collect::<Vec<_>>()
    };
    assert!(changed(":").is_empty());
    assert_eq!(changed("rm g"), ["g"]);
    assert_eq!(changed("rm d/big"), ["d/big"]);
    assert_eq!(changed("rm -r d"), ["d"]);
    // A layer may have it elsewhere, behind a symlink of a layer below.
    assert!(changed("mkdir usr; mv d usr; ln -s usr/d d").is_empty());
    assert_eq!(changed("printf one > g"), ["g"]);
    assert_eq!(
        changed("printf longer > g; printf x >> d/big"),
        ["d/big", "g"]
    );
}

#[test]
fn what_a_layer_has_behind_a_symlink_of_another_is_not_gone() {
    let (place, tar) =
        made_by("mkdir -p usr/d d; printf one > d/f; tar -c d/f; mv d/f usr/d; rmdir d");
    let (told, _) = split(&tar, place.path());
    assert_eq!((told.raw_files, told.changed.len()), (1, 0));
    let (place, tar) =
        made_by("mkdir d; printf x > d/.wh.a; ln -s nowhere l; tar -c d l; rm d/.wh.a");
    assert!(split(&tar, place.path()).0.changed.is_empty());
}

#[test]
fn names_that_lead_out_are_not_looked_at() {
    let (place, tar) = made_by(
        "printf secret > outside; mkdir in; cd in; printf secret > f
         tar -P -c --transform \"s,f,../outside,\" f",
    );
    let (told, out) = split(&tar, &place.path().join("in"));
    assert_eq!(told.raw_files, 1);
    assert!(assemble(&out, place.path()) == tar);
}

#[test]
fn lines_are_those_that_docker_writes() {
    let (place, tar) =
        made_by("mkdir d; printf abc > d/f; printf x > $'\\xff'; tar --sort=name -c d $'\\xff'");
    let (_, out) = split(&tar, place.path());
    let mut text = String::new();
    GzDecoder::new(&out[..]).read_to_string(&mut text).unwrap();
    let told: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("\"payload\":\"") {
            Some((before, rest)) if rest.len() > 40 => {
                format!("{before}…{}", rest.split_once('"').unwrap().1)
            }
            _ => line.into(),
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"{"type":2,…,"position":0}"#,
            r#"{"type":1,"name":"d/","payload":null,"position":1}"#,
            r#"{"type":2,…,"position":2}"#,
            &format!(
                r#"{{"type":1,"name":"d/f","size":3,"payload":"{}","position":3}}"#,
                STANDARD.encode(crc_bit_by_bit(b"abc").to_be_bytes())
            ),
            r#"{"type":2,…,"position":4}"#,
            &format!(
                r#"{{"type":1,"name_raw":"/w==","size":1,"payload":"{}","position":5}}"#,
                STANDARD.encode(crc_bit_by_bit(b"x").to_be_bytes())
            ),
            r#"{"type":2,…,"position":6}"#,
            r#"{"type":2,…,"position":7}"#,
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_on_the_disk_never_changes_what_comes_out(
        files in proptest::collection::vec(("[ab]{1,2}(/[ab]{1,2}){0,2}", proptest::collection::vec(any::<u8>(), 0..2000), any::<u8>()), 0..12)
    ) {
        let place = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content, fate) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, &name, &content[..]).unwrap();
            let path = place.path().join(&name);
            let _ = std::fs::create_dir_all(path.parent().unwrap());
            let cut = usize::from(fate) % (content.len() + 1);
            let _ = match fate % 4 {
                0 => Ok(()),
                1 => std::fs::write(path, &content[cut..]),
                _ => std::fs::write(path, &content),
            };
        }
        let tar = builder.into_inner().unwrap();
        let (_, out) = split(&tar, place.path());
        prop_assert!(assemble(&out, place.path()) == tar);
    }
}
