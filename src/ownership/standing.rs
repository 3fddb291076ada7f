//! How far a change of an inode got.

use super::{Change, FileType, Mode, Ownership};

/// Where an inode stands between the two sides of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not changed yet.
    Before,
    /// Changed.
    After,
    /// Some of the system calls were made: on the way there, or on the way back.
    Between,
    /// Somebody else changed it.
    Foreign,
}

impl Change {
    /// Where an inode that has the ownership `now` stands.
    ///
    /// A change is made by several system calls (`fs::apply`): chown, which strips set-id bits and
    /// the capability of everything but a directory; then ACLs, mode, capability. It may be killed
    /// after any of them, and so may its undoing. So each field of an inode in between has its
    /// value of before or of after, or what chown leaves of it.
    pub fn standing(&self, now: &Ownership, file_type: FileType) -> Standing {
        let (before, after) = (&self.before, &self.after);
        if now == after {
            return Standing::After;
        }
        if now == before {
            return Standing::Before;
        }
        let stripped = file_type != FileType::Directory;
        let mode = |whole: Mode| now.mode == whole || (stripped && now.mode.is_stripped_of(whole));
        let is_between = [before.uid, after.uid].contains(&now.uid)
            && [before.gid, after.gid].contains(&now.gid)
            && [before.acl(), after.acl()].contains(&now.acl())
            && [before.default_acl(), after.default_acl()].contains(&now.default_acl())
            && (mode(before.mode) || mode(after.mode))
            && ([before.capability(), after.capability()].contains(&now.capability())
                || (stripped && now.capability().is_none()));
        match is_between {
            true => Standing::Between,
            false => Standing::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::Extra;

    fn sides() -> Change {
        let ownership = |json: &str| serde_json::from_str::<Ownership>(json).unwrap();
        Change {
            before: ownership(
                r#"{"uid":0,"gid":7,"mode":"6755","acl":"u::rwx,u:5:r--,g::r-x,m::r-x,o::r-x","capability":{"version":2,"effective":true,"permitted":"0x2000","inheritable":"0x0"}}"#,
            ),
            after: ownership(
                r#"{"uid":100000,"gid":100007,"mode":"6755","acl":"u::rwx,u:100005:r--,g::r-x,m::r-x,o::r-x","capability":{"version":3,"effective":true,"permitted":"0x2000","inheritable":"0x0","rootid":100000}}"#,
            ),
        }
    }

    type SystemCall = Box<dyn Fn(&Ownership) -> Ownership>;

    /// The system calls of a change, done by a small model of what the kernel does.
    fn steps(to: &Ownership) -> [SystemCall; 4] {
        let extra = |o: &Ownership| o.extra.as_deref().cloned().unwrap_or_default();
        let [a, b, c, d] = [(); 4].map(|()| to.clone());
        [
            Box::new(move |now| {
                let kept = Extra {
                    capability: None,
                    ..extra(now)
                };
                Ownership::new(
                    a.uid,
                    a.gid,
                    Mode::from_st_mode(u32::from(now.mode.bits()) & 0o1777),
                    kept,
                )
            }),
            Box::new(move |now| {
                let with = Extra {
                    acl: b.acl().cloned(),
                    ..extra(now)
                };
                Ownership::new(now.uid, now.gid, now.mode, with)
            }),
            Box::new(move |now| Ownership::new(now.uid, now.gid, c.mode, extra(now))),
            Box::new(move |now| {
                let with = Extra {
                    capability: d.capability().copied(),
                    ..extra(now)
                };
                Ownership::new(now.uid, now.gid, now.mode, with)
            }),
        ]
    }

    #[test]
    fn every_place_where_a_change_or_its_undoing_can_be_killed_is_known() {
        let change = sides();
        for killed in 0..=4 {
            let mut now = change.before.clone();
            for step in &steps(&change.after)[..killed] {
                now = step(&now);
            }
            let expected = [
                Standing::Before,
                Standing::Between,
                Standing::Between,
                Standing::Between,
                Standing::After,
            ];
            assert_eq!(
                change.standing(&now, FileType::File),
                expected[killed],
                "{killed}"
            );
            for killed_again in 1..=4 {
                let mut back = now.clone();
                for step in &steps(&change.before)[..killed_again] {
                    back = step(&back);
                }
                assert_ne!(
                    change.standing(&back, FileType::File),
                    Standing::Foreign,
                    "{killed} {killed_again}"
                );
            }
        }
    }

    #[test]
    fn what_no_change_leaves_is_foreign() {
        let change = sides();
        let foreign = |change_it: fn(&mut Ownership)| {
            let mut now = change.after.clone();
            change_it(&mut now);
            assert_eq!(
                change.standing(&now, FileType::File),
                Standing::Foreign,
                "{now:?}"
            );
        };
        foreign(|now| now.uid = 1);
        foreign(|now| now.gid = 1);
        foreign(|now| now.mode = Mode::from_st_mode(0o700));
        foreign(|now| now.mode = Mode::from_st_mode(0o7755));
        foreign(|now| now.extra = None);
    }

    #[test]
    fn a_directory_loses_nothing_to_chown() {
        let change = sides();
        let mut now = change.after.clone();
        now.mode = Mode::from_st_mode(0o755);
        assert_eq!(change.standing(&now, FileType::File), Standing::Between);
        assert_eq!(
            change.standing(&now, FileType::Directory),
            Standing::Foreign
        );
    }
}
