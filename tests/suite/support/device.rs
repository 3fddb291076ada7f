//! A block device that can be told to fail: an image served by nbdkit, whose error filter fails every
//! write from then on, as a file (nbdfuse) that a loop device can be put on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

pub struct Device {
    place: TempDir,
    server: Child,
}

impl Device {
    /// Of this many bytes, all zero.
    pub fn new(bytes: u64) -> Device {
        let place = tempfile::Builder::new()
            .prefix("idshift-device-")
            .tempdir()
            .expect("a directory");
        let at = |name: &str| place.path().join(name);
        let image = std::fs::File::create(at("image")).expect("an image");
        image.set_len(bytes).expect("a sparse image");
        std::fs::create_dir(at("served")).expect("a mount point");
        let fails = format!("error-pwrite-file={}", at("fails").display());
        let server = Command::new("nbdfuse")
            .arg(at("served"))
            .args(["--command", "nbdkit", "-s", "--filter=error", "file"])
            .arg(at("image"))
            .args(["error=EIO", "error-pwrite-rate=100%", &fails])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nbdfuse; tests/run installs it");
        let device = Device { place, server };
        let start = Instant::now();
        while !device.file().exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "nbdfuse");
            std::thread::sleep(Duration::from_millis(20));
        }
        device
    }

    /// The device, as a file.
    pub fn file(&self) -> PathBuf {
        self.place.path().join("served/nbd")
    }

    fn switch(&self) -> PathBuf {
        self.place.path().join("fails")
    }

    /// From now on every write fails.
    pub fn fail(&self) {
        std::fs::write(self.switch(), "").expect("a file");
    }

    /// Works again.
    pub fn repair(&self) {
        let _ = std::fs::remove_file(self.switch());
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let at: &Path = &self.place.path().join("served");
        if umount2(at, MntFlags::empty()).is_err() {
            let _ = umount2(at, MntFlags::MNT_DETACH);
        }
        // It ends by itself when it is unmounted; not when something went wrong.
        let start = Instant::now();
        while self.server.try_wait().is_ok_and(|ended| ended.is_none()) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = self.server.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
