//! A layer blob as it lies in containerd's content store: a tar, plain or compressed with gzip or zstd.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::digest::{Digest, HashingReader};

/// A blob that is read to its end and hashed.
///
/// Reading gives the tar. [`Blob::finish`] tells whether the blob was what its digest says: until then, what was read
/// may be anything.
pub struct Blob<R: Read> {
    tar: Tar<R>,
    digest: Digest,
}

type Stream<R> = BufReader<HashingReader<io::Chain<io::Cursor<Vec<u8>>, R>>>;

enum Tar<R: Read> {
    Plain(Stream<R>),
    /// Of one or more members, one after the other (RFC 1952).
    Gzip(Box<MultiGzDecoder<Stream<R>>>),
    /// Of one or more frames, which may be skippable (RFC 8878).
    Zstd(zstd::Decoder<'static, Stream<R>>),
}

/// What is read at a time.
const BUFFER: usize = 128 << 10;

impl<R: Read> Blob<R> {
    /// Of this file. What it is compressed with is told by its first bytes: media types lie.
    ///
    /// # Errors
    /// It cannot be read, or is compressed in a way that no registry has.
    pub fn new(mut file: R, digest: &Digest) -> io::Result<Blob<R>> {
        let mut start = Vec::new();
        (&mut file).take(6).read_to_end(&mut start)?;
        let chained = io::Cursor::new(start.clone()).chain(file);
        let stream = BufReader::with_capacity(BUFFER, HashingReader::new(chained));
        let tar = match &start[..] {
            [0x1f, 0x8b, ..] => Tar::Gzip(Box::new(MultiGzDecoder::new(stream))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Tar::Zstd(zstd::Decoder::with_buffer(stream)?)
            }
            b"\xfd7zXZ\0" => return Err(unsupported("xz")),
            [b'B', b'Z', b'h', ..] => return Err(unsupported("bzip2")),
            _ => Tar::Plain(stream),
        };
        let digest = digest.clone();
        Ok(Blob { tar, digest })
    }

    /// Reads what is left of the blob.
    ///
    /// # Errors
    /// It cannot be read, or its content is not what its digest says.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink())?;
        let mut stream = match self.tar {
            Tar::Plain(stream) => stream,
            Tar::Gzip(decoder) => decoder.into_inner(),
            Tar::Zstd(decoder) => decoder.finish(),
        };
        let found = stream.get_mut().drain()?;
        match found == self.digest {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                BlobFault::Damaged {
                    found,
                    wanted: self.digest,
                },
            )),
        }
    }
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tar {
            Tar::Plain(stream) => stream.read(into),
            Tar::Gzip(decoder) => decoder.read(into),
            Tar::Zstd(decoder) => decoder.read(into),
        }
    }
}

/// Why a blob is no layer, inside an [`io::Error`].
#[derive(Debug, Error)]
enum BlobFault {
    #[error("is damaged: its digest is {found}, not {wanted}")]
    Damaged { found: Digest, wanted: Digest },
    #[error("is compressed with {0}: layers are plain, gzip or zstd")]
    Compression(&'static str),
}

fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, BlobFault::Compression(what))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn piped(program: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output.stdout
    }

    fn open(bytes: &[u8], digest: &Digest) -> io::Result<Blob<File>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        io::Seek::rewind(&mut file)?;
        Blob::new(file, digest)
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut blob = open(bytes, &Digest::of(bytes))?;
        let mut content = Vec::new();
        blob.read_to_end(&mut content)?;
        blob.finish()?;
        Ok(content)
    }

    #[test]
    fn each_compression_in_one_piece_and_in_more() {
        let one: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let two = b"another piece".to_vec();
        let both = [&one[..], &two].concat();
        for program in [
            &["gzip", "-c1"][..],
            &["zstd", "-qc"],
            &["zstd", "-qc19"],
            &["cat"],
        ] {
            let pieces = [piped(program, &one), piped(program, &two)];
            assert!(read(&pieces[0]).unwrap() == one, "{program:?}");
            assert!(read(&pieces.concat()).unwrap() == both, "{program:?}");
        }
        let skippable = [
            &b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..],
            &piped(&["zstd", "-qc"], &two),
        ]
        .concat();
        assert_eq!(read(&skippable).unwrap(), two);
        assert_eq!(read(b"").unwrap(), b"");
        assert_eq!(read(b"ab").unwrap(), b"ab");
    }

    #[test]
    fn what_is_no_layer_or_damaged_is_an_error() {
        let good = vec![b'a'; 100_000];
        for program in [&["gzip", "-c"][..], &["zstd", "-qc", "--check"]] {
            let packed = piped(program, &good);
            let cut = &packed[..packed.len() - 5];
            assert!(read(cut).is_err(), "{program:?}");
            assert!(
                read(&[&packed[..], b"garbage"].concat()).is_err(),
                "{program:?}"
            );
        }
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(told(b"\xfd7zXZ\0....").contains("xz"));
        assert!(told(b"BZh9....").contains("bzip2"));
        let mut blob = open(b"content", &Digest::of(b"other")).unwrap();
        blob.read_to_end(&mut Vec::new()).unwrap();
        assert!(
            blob.finish()
                .unwrap_err()
                .to_string()
                .contains("is damaged")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(start in 0..4usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let magic: &[u8] = [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b""][start];
            let _ = read(&[magic, &bytes].concat());
        }
    }
}
