use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

/// The stream as it was put together again from raw bytes and contents.
#[derive(Default)]
struct Joined(Vec<u8>);

impl RawBytes for Joined {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

type Read = Vec<(Entry, Vec<u8>)>;

fn read(tar: &[u8]) -> Result<(Read, Vec<u8>), TarError> {
    let mut reader = TarReader::new(tar);
    let mut joined = Joined::default();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next(&mut joined)? {
        let mut content = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match reader.read_content(&mut buffer)? {
                0 => break,
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
        joined.0.extend_from_slice(&content);
        entries.push((entry, content));
    }
    reader.finish(&mut joined)?;
    Ok((entries, joined.0))
}

/// A tar that another program makes in a directory which this script fills.
fn made_by(script: &str) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-euc", script])
        .current_dir(place.path())
        .stderr(Stdio::inherit())
        .output();
    let output = child.unwrap();
    assert!(output.status.success(), "{script}");
    output.stdout
}

#[test]
fn gnu_tar_is_read_in_each_of_its_formats() {
    for format in ["v7", "oldgnu", "gnu", "ustar", "pax"] {
        let tar = made_by(&format!(
            "umask 022; mkdir d; printf hello > d/file; ln -s file d/link; ln d/file d/zhard; mkfifo d/pipe
             touch -d @12345 d/file d/link
             tar --format={format} --owner=7 --group=8 --sort=name $(test {format} != v7 || echo --exclude=pipe) -c d"
        ));
        let (entries, joined) = read(&tar).unwrap();
        assert!(joined == tar, "{format}");
        let get = |name: &str| {
            let found = entries
                .iter()
                .find(|(entry, _)| entry.name == name.as_bytes());
            found
                .unwrap_or_else(|| panic!("{name} {entries:?}"))
                .clone()
        };
        assert_eq!(get("d/").0.kind, EntryKind::Directory, "{format}");
        let (file, content) = get("d/file");
        assert_eq!((file.kind, &*content), (EntryKind::File, &b"hello"[..]));
        assert_eq!((file.uid, file.gid, file.mode), (7, 8, 0o644));
        assert_eq!(file.mtime, (12345, 0));
        let link = get("d/link").0;
        assert_eq!(
            (link.kind, &*link.link_name),
            (EntryKind::Symlink, &b"file"[..])
        );
        let hard = get("d/zhard").0;
        assert_eq!(
            (hard.kind, &*hard.link_name),
            (EntryKind::HardLink, &b"d/file"[..])
        );
        if format != "v7" {
            assert_eq!(get("d/pipe").0.kind, EntryKind::Fifo);
        }
    }
}

#[test]
fn long_names_and_sparse_files_of_each_kind() {
    for options in [
        "--format=gnu",
        "--format=pax --sparse-version=0.0",
        "--format=pax --sparse-version=0.1",
        "--format=pax --sparse-version=1.0",
    ] {
        let tar = made_by(&format!(
            "n=$(printf %0250d 1); mkdir $n $n/$n; printf x > $n/$n/$n; ln -s $n/$n/$n short
             truncate -s 3M hole; for at in 0 9 200 201 202 260 300 301 310 350 360 400 500 600; do
               printf data | dd of=hole bs=4096 seek=$at conv=notrunc status=none; done
             tar {options} -S --sort=name -c *"
        ));
        let (entries, joined) = read(&tar).unwrap();
        assert!(joined == tar, "{options}");
        let long = format!("{:0>250}", 1);
        let name = format!("{long}/{long}/{long}");
        assert_eq!(entries[2].0.name, name.as_bytes(), "{options}");
        let (link, _) = &entries[4];
        assert_eq!(
            (&*link.name, &*link.link_name),
            (&b"short"[..], name.as_bytes())
        );
        let (hole, content) = &entries[3];
        assert_eq!(hole.name, b"hole", "{options}");
        let (segments, size) = hole.sparse.clone().unwrap();
        let mut whole = vec![0; size as usize];
        let mut left = &content[..];
        for (offset, length) in segments {
            let (piece, rest) = left.split_at(length as usize);
            whole[offset as usize..][..piece.len()].copy_from_slice(piece);
            left = rest;
        }
        assert_eq!(whole.len(), 3 << 20);
        for at in [0, 9, 202, 600] {
            assert_eq!(&whole[at * 4096..][..5], b"data\0", "{options} {at}");
        }
        assert_eq!(
            whole.iter().filter(|&&byte| byte != 0).count(),
            14 * 4,
            "{options}"
        );
    }
}

/// Files in Python's tarfile: ids of 32 bits, times before 1970 with fractions, any xattr.
#[test]
fn pax_records_say_more_than_the_header() {
    let script = "exec python3 - <<'P'
import tarfile,sys,io
t=tarfile.open(fileobj=sys.stdout.buffer,mode='w|',format=tarfile.PAX_FORMAT)
i=tarfile.TarInfo('z'*150); i.size=3; i.uid=3000000000; i.gid=2999999999; i.mtime=-1.5; i.mode=0o4755
i.pax_headers={'SCHILY.xattr.user.a':'v\\n\\n6 x=y\\n','comment':'c'}
t.addfile(i,io.BytesIO(b'abc'))
i=tarfile.TarInfo('dev'); i.type=tarfile.CHRTYPE; i.devmajor=10; i.devminor=200; t.addfile(i)
t.close()
P";
    let tar = made_by(script);
    let (entries, joined) = read(&tar).unwrap();
    assert!(joined == tar);
    let (entry, content) = &entries[0];
    assert_eq!((&*entry.name, &**content), (&[b'z'; 150][..], &b"abc"[..]));
    assert_eq!(
        (entry.uid, entry.gid, entry.mode),
        (3_000_000_000, 2_999_999_999, 0o4755)
    );
    assert_eq!(entry.mtime, (-2, 500_000_000));
    assert_eq!(
        entry.xattrs,
        [(b"user.a".to_vec(), b"v\n\n6 x=y\n".to_vec())]
    );
    assert_eq!(
        (entries[1].0.kind, entries[1].0.device),
        (EntryKind::CharDevice, (10, 200))
    );
}

#[test]
fn a_tar_that_is_cut_off_is_an_error_wherever_it_is() {
    let tar =
        made_by("n=$(printf %0150d 1); printf hello > $n; printf b > z; tar --format=pax -c *");
    let whole = read(&tar).unwrap().0.len();
    let end = tar.len() - tar.iter().rev().position(|&byte| byte != 0).unwrap();
    let end = end.next_multiple_of(512);
    for cut in 1..end {
        match read(&tar[..cut]) {
            Err(_) => {}
            // Between two entries: as Go's reader, which leaves it to the digest.
            Ok((entries, _)) => assert!(cut % 512 == 0 && entries.len() < whole, "cut at {cut}"),
        }
    }
}

fn forged(name: &str, kind: u8, change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_entry_type(tar::EntryType::new(kind));
    for field in [0, 1, 2] {
        match field {
            0 => header.set_uid(0),
            1 => header.set_gid(0),
            _ => header.set_mtime(0),
        }
    }
    header.set_mode(0o644);
    header.set_size(0);
    change(&mut header);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend([0; 1024]);
    tar
}

#[test]
fn headers_that_lie_are_errors() {
    let told = |tar: &[u8]| read(tar).unwrap_err().to_string();
    assert!(told(&forged("f", b'0', |it| it.set_size(1 << 40))).contains("f: the tar ends"));
    assert!(
        told(&forged("f", b'0', |it| it.as_old_mut().size = [0xff; 12]))
            .contains("size is negative")
    );
    assert!(told(&forged("f", b'0', |it| it.set_uid(1 << 33))).contains("uid is not an id"));
    assert!(
        told(&forged("f", b'0', |it| it.set_gid(u32::MAX.into()))).contains("gid is not an id")
    );
    assert!(told(&forged("x", b'x', |it| it.set_size(2 << 20))).contains("longer than 1 MiB"));
    assert!(told(&forged("x", b'x', |_| {})).contains("no entry after it"));
    assert!(told(&forged("f", b'Z', |_| {})).contains("type 'Z'"));
    assert!(told(&forged("f", b'S', |_| {})).contains("not of GNU tar"));
    assert!(told(&[7; 600]).contains("not a tar header"));
    // A directory, link or device has no content, whatever its size says.
    for kind in *b"123456" {
        let (entries, _) = read(&forged("f", kind, |it| it.set_size(99_999))).unwrap();
        assert_eq!(entries[0].0.size, 0);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_come_together_again(tar in bytes()) {
        if let Ok((_, joined)) = read(&tar) {
            prop_assert!(joined == tar);
        }
    }
}

/// Tars that are damaged somewhere, and plain noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tar = made_by(
        "n=$(printf %0150d 1); printf hello > $n; truncate -s 1M hole; printf x >> hole; mkdir d
         tar --format=pax -S -c *; tar --format=gnu -S -c *",
    );
    let damage = proptest::collection::vec(
        (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
        0..4,
    );
    damage.prop_map(move |damage| {
        let mut tar = tar.clone();
        for (at, byte, fix) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            let block = at / 512 * 512;
            if fix && block + 512 <= tar.len() {
                let mut header = tar::Header::new_ustar();
                header
                    .as_mut_bytes()
                    .copy_from_slice(&tar[block..block + 512]);
                header.set_cksum();
                tar[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        tar
    })
}
