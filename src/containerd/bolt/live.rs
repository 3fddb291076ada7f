//! Reading a database that containerd works with meanwhile, as an audit of a live host does.

use std::path::Path;

use super::{BoltError, Database};

/// How often it is read again before giving up.
const TRIES: usize = 20;

impl Database {
    /// Opens a file and reads it. Pages of one transaction are overwritten by a later one: what was read is only taken
    /// when no transaction ended meanwhile, or nobody else has the file open.
    ///
    /// # Errors
    /// As of [`Database::open`] and `read`; it changes all the time.
    pub fn read_at_rest<T, E: From<BoltError>>(
        path: &Path,
        read: impl Fn(&Database) -> Result<T, E>,
    ) -> Result<(Database, T), E> {
        for _ in 0..TRIES {
            let database = Database::open(path)?;
            let found = read(&database);
            if !database.in_use() || database.is_unchanged() {
                return Ok((database, found?));
            }
        }
        let path = path.to_path_buf();
        Err(BoltError::Changing { path }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use rustix::fs::{FlockOperation, flock};

    use super::super::write::{Node, file};
    use super::*;

    #[test]
    fn what_was_written_to_meanwhile_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        let write = |names: usize| {
            let mut root = Node::bucket();
            for n in 0..names {
                root.put(&["v1", &format!("{n:0100}")], "value");
            }
            // In place, as bbolt does.
            fs::write(&path, file(&root, 4096)).unwrap();
        };
        let count = |database: &Database| -> Result<usize, BoltError> {
            // Of two transactions mixed, anything may be missing.
            let Some(bucket) = database.root().bucket(b"v1")? else {
                return Ok(0);
            };
            let mut all = 0;
            bucket.for_each(|_, _| {
                all += 1;
                Ok(())
            })?;
            Ok(all)
        };
        write(10);
        let holder = fs::File::open(&path).unwrap();
        flock(&holder, FlockOperation::LockExclusive).unwrap();
        let calls = Cell::new(0);
        let (_, found) = Database::read_at_rest(&path, |database| {
            let found = count(database);
            calls.set(calls.get() + 1);
            if calls.get() == 1 {
                write(500);
            }
            found
        })
        .unwrap();
        assert_eq!((found, calls.get()), (500, 2));
        let sizes = Cell::new(100);
        let never = Database::read_at_rest(&path, |database| {
            sizes.set(sizes.get() + 200);
            write(sizes.get());
            count(database)
        });
        let told = never.unwrap_err().to_string();
        assert!(told.contains("keeps changing"), "{told}");
    }
}
