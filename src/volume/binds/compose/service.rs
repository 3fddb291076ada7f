//! What one file says of a service, and one over another.

use super::reader::ComposeReader;
use super::volumes::{Mount, MountSource, read_mounts};
use super::yaml::{Data, Node};
use crate::volume::binds::host_namespaces::renamed_device;
use crate::volume::binds::{BindsError, DOCKER_SOCKET};

/// What one file says of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawService {
    /// `image:`
    pub image: Option<String>,
    /// `user:`
    pub user: Option<String>,
    /// `group_add:`
    pub group_add: Vec<String>,
    /// `userns_mode:`
    pub userns: Option<String>,
    /// `privileged:`
    pub privileged: Option<bool>,
    /// `network_mode:`
    pub network: Option<String>,
    /// `pid:`
    pub pid: Option<String>,
    /// `ipc:`
    pub ipc: Option<String>,
    /// The first of `devices:` that has another path in the container, as that.
    pub renamed_device: Option<String>,
    /// `profiles:`
    pub profiles: Vec<String>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// `extends:`
    pub extends: Option<Extends>,
}

/// `extends:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extends {
    /// The other service.
    pub service: String,
    /// Its file; `None`: the same.
    pub file: Option<String>,
    /// Where it is said.
    pub line: usize,
}

impl RawService {
    /// Reads it.
    ///
    /// # Errors
    /// Something of it cannot be resolved.
    pub fn read(node: &Node, reader: &ComposeReader<'_>) -> Result<RawService, BindsError> {
        reader.check_tag(node)?;
        if let Some(from) = node.get("volumes_from") {
            let reason = "volumes_from: the volumes of another container are not followed. \
                 Check that service too, or name the others with --service";
            return Err(reader.bad(from, reason));
        }
        let user = node.get("user").map(|user| reader.id(user, "user"));
        let privileged = node.get("privileged");
        let privileged = privileged.map(|_| reader.switch(node, "privileged"));
        Ok(RawService {
            image: reader.text_of(node, "image")?,
            user: user.transpose()?,
            group_add: reader.texts(node, "group_add")?,
            userns: reader.text_of(node, "userns_mode")?,
            privileged: privileged.transpose()?,
            network: reader.text_of_or_empty(node, "network_mode")?,
            pid: reader.text_of_or_empty(node, "pid")?,
            ipc: reader.text_of_or_empty(node, "ipc")?,
            renamed_device: renamed_in(node, reader)?,
            profiles: reader.texts(node, "profiles")?,
            mounts: mounts_with_socket(node, reader)?,
            extends: node
                .get("extends")
                .map(|extends| read_extends(extends, reader))
                .transpose()?,
        })
    }

    /// This one, with what another says over it.
    pub fn overridden(mut self, over: RawService) -> RawService {
        for mount in over.mounts {
            let at = |it: &Mount| it.target == mount.target && is_same_list(it, &mount);
            match self.mounts.iter_mut().find(|it| at(it)) {
                Some(known) => *known = mount,
                None => self.mounts.push(mount),
            }
        }
        self.group_add.extend(over.group_add);
        self.profiles.extend(over.profiles);
        RawService {
            image: over.image.or(self.image),
            user: over.user.or(self.user),
            userns: over.userns.or(self.userns),
            privileged: over.privileged.or(self.privileged),
            network: over.network.or(self.network),
            pid: over.pid.or(self.pid),
            ipc: over.ipc.or(self.ipc),
            renamed_device: over.renamed_device.or(self.renamed_device),
            extends: None,
            ..self
        }
    }
}

/// Its mounts, and the daemon's socket where `use_api_socket:` asks for it (compose-go 2.5).
fn mounts_with_socket(node: &Node, reader: &ComposeReader<'_>) -> Result<Vec<Mount>, BindsError> {
    let mut mounts = read_mounts(node, reader)?;
    if reader.switch(node, "use_api_socket")? {
        mounts.push(Mount {
            source: MountSource::Path(DOCKER_SOCKET.into(), false),
            target: DOCKER_SOCKET.into(),
            read_only: false,
        });
    }
    Ok(mounts)
}

/// The first device that has another path in the container: `HOST:CONTAINER`, or a mapping.
fn renamed_in(node: &Node, reader: &ComposeReader<'_>) -> Result<Option<String>, BindsError> {
    for device in reader.list(node, "devices")? {
        let renamed = match device.data {
            Data::Map(_) => {
                let source = reader.text_of_or_empty(device, "source")?;
                let target = reader.text_of_or_empty(device, "target")?;
                target.filter(|target| source.as_ref().is_some_and(|source| source != target))
            }
            _ => renamed_device(&reader.text_or_empty(device, "devices")?),
        };
        if renamed.is_some() {
            return Ok(renamed);
        }
    }
    Ok(None)
}

/// Secrets replace secrets, volumes replace volumes.
fn is_same_list(one: &Mount, other: &Mount) -> bool {
    let list = |mount: &Mount| match mount.source {
        MountSource::Secret(kind, _) => Some(kind),
        _ => None,
    };
    list(one) == list(other)
}

fn read_extends(node: &Node, reader: &ComposeReader<'_>) -> Result<Extends, BindsError> {
    let line = node.line;
    if let Data::Text(_) = node.data {
        return Ok(Extends {
            service: reader.text(node, "extends")?,
            file: None,
            line,
        });
    }
    reader.check_tag(node)?;
    let service = reader.text_of(node, "service")?;
    Ok(Extends {
        service: service.ok_or_else(|| reader.bad(node, "extends names no service"))?,
        file: reader.text_of(node, "file")?,
        line,
    })
}
