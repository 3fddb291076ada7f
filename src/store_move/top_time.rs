//! When a directory was last modified, put back once what was made in it is gone again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::fs::dir::open_dir;
use crate::fs::file_ops::{mtime_ns, set_mtime};

/// The mtime of a directory of an engine's, before something was made in it. When it is not that which modified it last, an
/// engine was started meanwhile: that must be seen, so then the mtime stays.
#[derive(Clone, Debug)]
pub struct TopTime {
    /// The directory.
    pub top: Arc<OwnedFd>,
    before_ns: i64,
    /// The mtime that it has as long as nobody else modifies it.
    own_ns: i64,
}

impl TopTime {
    /// Of a directory, as it is now.
    ///
    /// # Errors
    /// It is not there.
    pub fn of(top: &Path) -> io::Result<TopTime> {
        let top = Arc::new(open_dir(rustix::fs::CWD, top)?);
        let before_ns = mtime_ns(&top)?;
        Ok(TopTime {
            top,
            before_ns,
            own_ns: before_ns,
        })
    }

    /// Something was made in it just now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn note(&mut self) -> io::Result<()> {
        self.own_ns = mtime_ns(&self.top)?;
        Ok(())
    }

    /// Puts the mtime back.
    ///
    /// # Errors
    /// It cannot be set.
    pub fn put_back(&mut self) -> io::Result<()> {
        if mtime_ns(&self.top)? == self.own_ns {
            set_mtime(&self.top, self.before_ns)?;
            self.own_ns = self.before_ns;
        }
        Ok(())
    }

    /// Puts the mtime back after `remove`, which removes what was made.
    pub fn removing<T>(&self, remove: impl FnOnce() -> T) -> T {
        let is_own =
            mtime_ns(&self.top).is_ok_and(|now| [self.own_ns, self.before_ns].contains(&now));
        let removed = remove();
        if is_own {
            let _ = set_mtime(&self.top, self.before_ns);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_what_another_made_stays() {
        let place = tempfile::tempdir().unwrap();
        set_mtime(std::fs::File::open(place.path()).unwrap(), 5_000_000_000).unwrap();
        let own = place.path().join("own");
        let make = |name: &str| {
            sleep(Duration::from_millis(20));
            create_dir(place.path().join(name)).unwrap();
        };
        let mut time = TopTime::of(place.path()).unwrap();
        let now = || mtime_ns(&time.top).unwrap();
        make("own");
        assert!(now() > 5_000_000_000);
        let mut kept = time.clone();
        kept.note().unwrap();
        kept.removing(|| std::fs::remove_dir(&own)).unwrap();
        assert_eq!(now(), 5_000_000_000);

        make("own");
        kept.note().unwrap();
        kept.put_back().unwrap();
        assert_eq!(now(), 5_000_000_000);
        make("other");
        let others = now();
        kept.put_back().unwrap();
        kept.removing(|| ());
        assert_eq!(now(), others);
        time.note().unwrap();
        time.put_back().unwrap();
        assert_eq!(mtime_ns(&time.top).unwrap(), 5_000_000_000);
    }
}
