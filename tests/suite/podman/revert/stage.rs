//! The store of a user's Podman, in which what the user may write is planted.

use crate::support::engine_host::Release;
use crate::support::podman_host::{PodmanHost, STORE, USER, USER_STORE, UserIds, state};
use crate::support::switched_off::SwitchedOff;
use crate::support::{Idshift, need_root};

/// The store of a user's Podman, in a host that is off.
pub struct Stage {
    pub host: SwitchedOff,
    pub ids: UserIds,
    pub idshift: Idshift,
}

/// A program of root's in a volume.
pub const TOOL: &str = "volumes/vol/_data/tool";

impl Stage {
    /// `prepare`: a script of root's, in root's store, which is given to the user then.
    pub fn new(prepare: &str) -> Stage {
        need_root();
        let host = PodmanHost::new(Release::Trixie);
        host.populate_tiny();
        host.root(&format!(
            "{prepare}; cd {STORE}; cp /bin/true {TOOL}; chmod 4755 {TOOL}"
        ));
        host.idshift(&["podman", "migrate", "--to-user", USER, "--yes"])
            .exits(0);
        let (ids, host) = (host.ids, SwitchedOff::new(host.host));
        let idshift = host.idshift();
        Stage { host, ids, idshift }
    }

    pub fn state(&self) -> Vec<String> {
        state(|place| self.host.path(place))
    }

    /// A shell script of the user's in the user's store.
    pub fn plant_as_user(&self, text: &str) {
        self.plant((self.ids.uid, self.ids.gid), text);
    }

    /// A shell script in the user's store.
    pub fn plant(&self, (uid, gid): (u32, u32), text: &str) {
        let enter = format!("setpriv --reuid {uid} --regid {gid} --clear-groups bash -ec");
        let quoted = text.replace('\'', "'\\''");
        let run = self
            .host
            .sh(&format!("cd {USER_STORE}; {enter} '{quoted}'"));
        assert_eq!(run.code, Some(0), "{run}");
    }

    /// Statements on the user's database.
    pub fn plant_rows(&self, sql: &str) {
        let file = self.host.path(USER_STORE).join("db.sql");
        let database = rusqlite::Connection::open(file).unwrap();
        // Whoever writes a file of their own keeps to no rule of its tables.
        let sql = format!("PRAGMA foreign_keys = OFF; {sql}");
        database.execute_batch(&sql).unwrap();
    }
}
