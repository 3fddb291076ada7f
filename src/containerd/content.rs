//! The content store: blobs by their digests, each checked as it is read.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::StoreError;
use crate::fs::file_ops::open_regular;
use crate::oci::digest::{Digest, HashingReader};

/// Manifests and configurations are no larger (containerd refuses larger ones too).
const MAX_DOCUMENT: u64 = 8 << 20;

/// `io.containerd.content.v1.content`
#[derive(Clone, Debug)]
pub struct ContentStore {
    dir: PathBuf,
}

impl ContentStore {
    /// In this directory, which may not be there.
    pub fn at(dir: PathBuf) -> ContentStore {
        ContentStore { dir }
    }

    /// Where a blob is.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex().as_str())
    }

    /// Whether a blob is there.
    pub fn has(&self, digest: &Digest) -> bool {
        let found = self.path(digest).symlink_metadata();
        found.is_ok_and(|found| found.is_file())
    }

    /// A blob, not checked: the caller hashes it.
    ///
    /// # Errors
    /// It is not there, or no file.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path(digest);
        let opened = open_regular(rustix::fs::CWD, path.as_os_str().as_bytes());
        match opened {
            Ok((file, _)) => Ok(file),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    /// A manifest or a configuration, complete and checked.
    ///
    /// # Errors
    /// It is not there, larger than any, or has another digest.
    pub fn document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut reader = HashingReader::new(self.open(digest)?.take(MAX_DOCUMENT + 1));
        let mut bytes = Vec::new();
        let path = self.path(digest);
        if let Err(source) = reader.read_to_end(&mut bytes) {
            return Err(StoreError::Io { path, source });
        }
        let found = reader.digest();
        let reason = match bytes.len() as u64 > MAX_DOCUMENT {
            true => {
                format!(
                    "is larger than {MAX_DOCUMENT} bytes, so it is not a manifest or a configuration"
                )
            }
            false if found != *digest => format!("is damaged: its digest is {found}"),
            false => return Ok(bytes),
        };
        Err(StoreError::Content { path, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_what_its_name_says_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = ContentStore::at(dir.path().to_path_buf());
        std::fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        let digest = Digest::of(b"blob");
        assert!(!store.has(&digest) && store.document(&digest).is_err());
        std::fs::write(store.path(&digest), "blob").unwrap();
        assert_eq!(store.document(&digest).unwrap(), b"blob");
        std::fs::write(store.path(&digest), "blub").unwrap();
        let error = store.document(&digest).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
        File::create(store.path(&digest))
            .unwrap()
            .set_len(MAX_DOCUMENT + 1)
            .unwrap();
        let error = store.document(&digest).unwrap_err().to_string();
        assert!(error.contains("is larger"), "{error}");
        std::fs::remove_file(store.path(&digest)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", store.path(&digest)).unwrap();
        assert!(!store.has(&digest) && store.document(&digest).is_err());
        std::fs::remove_file(store.path(&digest)).unwrap();
        std::fs::create_dir(store.path(&digest)).unwrap();
        assert!(!store.has(&digest) && store.document(&digest).is_err());
    }
}
