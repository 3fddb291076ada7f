//! Services of a swarm: which of their bind mounts this host knows.
//!
//! The services themselves are in the managers' store (`swarm/raft`), which is encrypted. Each node keeps the tasks that
//! it was given in `swarm/worker/tasks.db`, also those whose containers are removed (swarmkit `agent/storage.go`).
//!
//! - `task`: pure: a task as swarm writes it

mod task;

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::container::Bind;
use super::data_root::DockerRoot;
use super::guidance::{self, PrepareOption};
use super::remap::Remap;
use crate::containerd::bolt::{BoltError, Bucket, Database};
use crate::fs::escape::escaped;
use crate::host::Finding;
use crate::idmap::Direction;
use task::Task;

/// The tasks of a node, below the docker root: buckets `v1/tasks/ID`, each with the keys `data` and `status`.
const TASKS: &str = "swarm/worker/tasks.db";

/// What is known of a swarm's services on this host.
#[derive(Clone, Debug, Default)]
pub struct SwarmServices {
    /// What tasks bind.
    pub binds: Vec<ServiceBind>,
    /// Why tasks are not read, for people.
    unread: Option<String>,
    /// The range, where it is known.
    remap: Option<Remap>,
}

/// What a task of a service binds.
#[derive(Clone, Debug)]
pub struct ServiceBind {
    /// The name of the service.
    pub service: String,
    /// It.
    pub bind: Bind,
    /// The service is on the host's network.
    pub on_host_network: bool,
}

/// Whether the daemon of a docker root is in a swarm.
pub fn is_member(root: &DockerRoot) -> bool {
    let swarm = root.path.join("swarm");
    swarm.join("docker-state.json").exists() || swarm.join("state.json").exists()
}

impl SwarmServices {
    /// Of the daemon of this docker root; `None` where it is in no swarm. `remap`: the range, where it is known.
    pub fn of(root: &DockerRoot, remap: Option<&Remap>) -> Option<SwarmServices> {
        if !is_member(root) {
            return None;
        }
        let (binds, unread) = match binds_of_tasks(&root.path.join(TASKS)) {
            Ok(binds) => (binds, None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        Some(SwarmServices {
            binds,
            unread,
            remap: remap.cloned(),
        })
    }

    /// What nobody sees here, for people.
    fn unseen(&self) -> String {
        let unread = self.unread.as_deref();
        let unread = unread.map_or(String::new(), |why| format!(" ({why})"));
        let seen = match self.unread {
            None => "a container or a task",
            Some(_) => "a container",
        };
        format!(
            "binds of services are seen only where {seen} of the service is on this host{unread}. Those of others are \
            in the managers' encrypted store"
        )
    }

    /// What lists those, and what shifts one.
    fn remedy(&self, direction: Direction) -> String {
        let (option, does) = match direction {
            Direction::Into => (PrepareOption::None, "shifts one"),
            Direction::OutOf => (PrepareOption::Reverse(""), "shifts one back"),
        };
        let prepare = guidance::prepare(self.remap.as_ref(), &option, Path::new("PATH"));
        format!("{}. `{prepare}` {does}", guidance::LIST_SERVICE_BINDS)
    }

    /// As a finding of an audit before a migration.
    pub fn finding(&self) -> Finding {
        let remedy = self.remedy(Direction::Into);
        Finding::warning("swarm services", self.unseen()).remedy(remedy)
    }

    /// As a sentence about a migration in this direction.
    pub fn note(&self, direction: Direction) -> String {
        format!(
            "This host is in a swarm: {}. {}.",
            self.unseen(),
            self.remedy(direction)
        )
    }

    /// As a sentence about a root that goes from one range to another.
    pub fn note_of_rebase(&self) -> String {
        let list = guidance::LIST_SERVICE_BINDS;
        format!("This host is in a swarm: {}. {list}.", self.unseen())
    }
}

/// Why the tasks of a node are not known.
#[derive(Debug, Error)]
enum TasksError {
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] BoltError),
    /// A task in it cannot.
    #[error("{}: the task {id} is not what swarm writes", escaped(.path))]
    Task { path: PathBuf, id: String },
}

/// What the tasks of a node bind; none where it never had one.
fn binds_of_tasks(path: &Path) -> Result<Vec<ServiceBind>, TasksError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let (_, tasks) = Database::read_at_rest(path, |database| all_tasks(&database.root()))?;
    let mut found = Vec::new();
    for (id, data) in tasks {
        let task = Task::parse(&data).ok_or_else(|| TasksError::Task {
            path: path.to_path_buf(),
            id: String::from_utf8_lossy(&id).into_owned(),
        })?;
        let of_service = |bind| ServiceBind {
            service: task.service.clone(),
            bind,
            on_host_network: task.on_host_network,
        };
        found.extend(task.binds.into_iter().map(of_service));
    }
    Ok(found)
}

/// Ids of tasks, and what is kept of each.
type Tasks = Vec<(Vec<u8>, Vec<u8>)>;

fn all_tasks(root: &Bucket<'_>) -> Result<Tasks, BoltError> {
    let Some(tasks) = root.bucket_at(&[b"v1", b"tasks"])? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (id, task) in tasks.buckets()? {
        found.extend(task.value(b"data")?.map(|data| (id, data)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::task::tests::encoded_task;
    use super::*;
    use crate::containerd::bolt::write::{Node, file};

    fn host_with(tasks: Option<&[u8]>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("swarm/worker")).unwrap();
        fs::write(dir.path().join("swarm/docker-state.json"), "{}").unwrap();
        if let Some(tasks) = tasks {
            fs::write(dir.path().join(TASKS), tasks).unwrap();
        }
        dir
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let dir = host_with(None);
        let root = DockerRoot::at(dir.path());
        let told = SwarmServices::of(&root, None)
            .unwrap()
            .note(Direction::Into);
        assert!(told.contains("a container or a task"), "{told}");
        let mut database = Node::bucket();
        database.put(&["v1", "tasks", "id1", "data"], "\u{7f}");
        for tasks in [b"none".to_vec(), file(&database, 4096)] {
            let dir = host_with(Some(&tasks));
            let services = SwarmServices::of(&DockerRoot::at(dir.path()), None).unwrap();
            let told = services.finding();
            assert!(services.binds.is_empty());
            assert!(told.found.contains("tasks.db"), "{}", told.found);
            assert!(!told.found.contains("or a task"), "{}", told.found);
        }
        let no_swarm = tempfile::tempdir().unwrap();
        let root = DockerRoot::at(no_swarm.path());
        assert!(SwarmServices::of(&root, None).is_none());
    }

    #[test]
    fn binds_are_those_of_all_tasks() {
        let mut database = Node::bucket();
        for (id, service, source) in [("a", "web", "/srv/web"), ("b", "db", "/srv/db")] {
            let task = encoded_task(service, source);
            database.put(&["v1", "tasks", id, "data"], task);
        }
        let dir = host_with(Some(&file(&database, 4096)));
        let services = SwarmServices::of(&DockerRoot::at(dir.path()), None).unwrap();
        let found = services.binds.iter();
        let found: Vec<_> = found
            .map(|it| (it.service.as_str(), it.bind.source.to_str().unwrap()))
            .collect();
        assert_eq!(found, [("web", "/srv/web"), ("db", "/srv/db")]);
    }
}
