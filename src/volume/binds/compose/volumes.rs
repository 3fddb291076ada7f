//! `volumes:`, `secrets:` and `configs:` of a service, and of the whole file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::declared_volume::DeclaredVolume;
use super::reader::ComposeReader;
use super::yaml::{Data, Node};
use crate::volume::binds::driver_options::subpath;
use crate::volume::binds::volume_syntax::{clean, is_path, split};
use crate::volume::binds::{Bind, BindsError, NamedVolume, OtherMount};

/// A mount of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where: a later one at the same place replaces it.
    pub target: String,
    /// Nothing is written.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A host path; Docker makes it when it is missing, or does not.
    Path(PathBuf, bool),
    /// A volume by its name in the file, and the part of it that is mounted.
    Volume(String, Option<PathBuf>),
    /// A secret or config by its name in the file.
    Secret(FileKind, String),
    /// Something else, for people.
    Other(String),
}

/// What a file is that a service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `secrets:`
    Secret,
    /// `configs:`
    Config,
}

impl FileKind {
    fn key(self) -> &'static str {
        match self {
            FileKind::Secret => "secrets",
            FileKind::Config => "configs",
        }
    }
}

/// What the whole file says of volumes, secrets and configs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    volumes: BTreeMap<String, DeclaredVolume>,
    secrets: BTreeMap<String, Option<PathBuf>>,
    configs: BTreeMap<String, Option<PathBuf>>,
}

/// The mounts of a service in one file.
///
/// # Errors
/// One cannot be read.
pub fn read_mounts(service: &Node, reader: &ComposeReader<'_>) -> Result<Vec<Mount>, BindsError> {
    let volumes = reader.list(service, "volumes")?.iter();
    let mut mounts: Vec<Mount> = volumes
        .map(|node| match node.data {
            Data::Map(_) => long(node, reader),
            _ => short(node, reader),
        })
        .collect::<Result<_, _>>()?;
    for target in reader.texts(service, "tmpfs")? {
        let target = target.split(':').next().unwrap_or_default();
        mounts.push(Mount {
            source: MountSource::Other("tmpfs".into()),
            target: cleaned(target),
            read_only: false,
        });
    }
    for kind in [FileKind::Secret, FileKind::Config] {
        for node in reader.list(service, kind.key())? {
            mounts.push(file(node, kind, reader)?);
        }
    }
    Ok(mounts)
}

fn short(node: &Node, reader: &ComposeReader<'_>) -> Result<Mount, BindsError> {
    let text = reader.text(node, "volumes")?;
    let volume = split(&text).map_err(|why| reader.bad(node, why.to_string()))?;
    if volume.is_idmapped {
        let reason =
            format!("{text:?}: `idmap` gives this mount a map of its own, which is not known here");
        return Err(reader.bad(node, reason));
    }
    let source = match volume.source {
        None => MountSource::Other("anonymous volume".into()),
        Some(path) if is_path(path) => MountSource::Path(reader.path(node, path)?, true),
        Some(name) => MountSource::Volume(name.into(), None),
    };
    Ok(Mount {
        source,
        target: cleaned(volume.target),
        read_only: volume.read_only,
    })
}

fn long(node: &Node, reader: &ComposeReader<'_>) -> Result<Mount, BindsError> {
    reader.check_tag(node)?;
    let missing = |what: &str| reader.bad(node, format!("a volume has no {what}"));
    let kind = reader.text_of(node, "type")?;
    let kind = kind.ok_or_else(|| missing("type"))?;
    let source = reader.text_of(node, "source")?;
    let target = reader.text_of(node, "target")?;
    let target = target.ok_or_else(|| missing("target"))?;
    let source = match (kind.as_str(), source) {
        ("bind", Some(path)) => {
            let creates = creates_host_path(node, reader)?;
            MountSource::Path(reader.path(node, &path)?, creates)
        }
        ("bind", None) => return Err(missing("source")),
        ("volume", Some(name)) => MountSource::Volume(name, part_of_volume(node, reader)?),
        ("volume", None) => MountSource::Other("anonymous volume".into()),
        ("tmpfs" | "image" | "npipe" | "cluster", _) => MountSource::Other(kind),
        (other, _) => {
            return Err(reader.bad(node, format!("the type {other:?} of a volume is not known")));
        }
    };
    Ok(Mount {
        source,
        target: cleaned(&target),
        read_only: reader.switch(node, "read_only")?,
    })
}

/// Whether Docker makes the source of a bind in the long syntax.
fn creates_host_path(node: &Node, reader: &ComposeReader<'_>) -> Result<bool, BindsError> {
    let Some(bind) = node.get("bind") else {
        return Ok(reader.defaults.without_bind);
    };
    reader.check_tag(bind)?;
    match bind.get("create_host_path") {
        Some(_) => reader.switch(bind, "create_host_path"),
        None => Ok(reader.defaults.with_bind),
    }
}

/// `subpath:` of a volume.
fn part_of_volume(node: &Node, reader: &ComposeReader<'_>) -> Result<Option<PathBuf>, BindsError> {
    let Some(volume) = node.get("volume") else {
        return Ok(None);
    };
    reader.check_tag(volume)?;
    let text = reader.text_of(volume, "subpath")?.unwrap_or_default();
    subpath(&text).map_err(|why| reader.bad(volume, why.to_string()))
}

/// A secret or config that a service uses: mounted read-only.
fn file(node: &Node, kind: FileKind, reader: &ComposeReader<'_>) -> Result<Mount, BindsError> {
    let (name, target) = match node.data {
        Data::Map(_) => {
            reader.check_tag(node)?;
            let name = reader.text_of(node, "source")?;
            let name = name
                .ok_or_else(|| reader.bad(node, format!("one of {} has no source", kind.key())))?;
            (name, reader.text_of(node, "target")?)
        }
        _ => (reader.text(node, kind.key())?, None),
    };
    let target = target.unwrap_or_else(|| name.clone());
    let dir = match kind {
        FileKind::Secret => "/run/secrets",
        FileKind::Config => "/",
    };
    Ok(Mount {
        target: cleaned_from(Path::new(dir), &target),
        source: MountSource::Secret(kind, name),
        read_only: true,
    })
}

fn cleaned(target: &str) -> String {
    cleaned_from(Path::new("/"), target)
}

fn cleaned_from(dir: &Path, target: &str) -> String {
    clean(dir, target).to_string_lossy().into_owned()
}

impl Declared {
    /// Those of one file.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(top: &Node, reader: &ComposeReader<'_>) -> Result<Declared, BindsError> {
        let mut declared = Declared::default();
        for (name, node) in reader.map(top, "volumes")? {
            let volume = DeclaredVolume::read(node, reader)?;
            declared.volumes.insert(name.clone(), volume);
        }
        for (kind, all) in [
            (FileKind::Secret, &mut declared.secrets),
            (FileKind::Config, &mut declared.configs),
        ] {
            for (name, node) in reader.map(top, kind.key())? {
                reader.check_tag(node)?;
                let file = reader.text_of(node, "file")?;
                let file = file.map(|path| reader.path(node, &path)).transpose()?;
                all.insert(name.clone(), file);
            }
        }
        Ok(declared)
    }

    /// What a later file says replaces it.
    pub fn merge(&mut self, later: Declared) {
        for (name, volume) in later.volumes {
            let known = self.volumes.entry(name).or_default();
            *known = std::mem::take(known).overridden(volume);
        }
        for (all, more) in [
            (&mut self.secrets, later.secrets),
            (&mut self.configs, later.configs),
        ] {
            for (name, path) in more {
                // A declaration that says nothing leaves the earlier one.
                let known = all.entry(name).or_default();
                *known = path.or(known.take());
            }
        }
    }

    /// A mount as a bind, or as what else it is.
    ///
    /// # Errors
    /// It names something that is not declared, or a device that is no host path.
    pub fn resolve(
        &self,
        mount: Mount,
        (file, project): (&str, &str),
    ) -> Result<Result<Bind, OtherMount>, BindsError> {
        let Mount {
            source,
            target,
            read_only,
        } = mount;
        let undeclared = |what: &str, name: &str| {
            BindsError::new(file, format!("the {what} {name:?} is not declared"))
        };
        let mut volume = None;
        let (bind, other) = match source {
            MountSource::Path(source, creates_source) => {
                let bind = Bind {
                    source,
                    creates_source,
                    ..Bind::default()
                };
                (Some(bind), String::new())
            }
            MountSource::Volume(name, subpath) => {
                let declared = self.volumes.get(&name);
                let declared = declared.ok_or_else(|| undeclared("volume", &name))?;
                let device = declared.bound_device()?;
                let bind = device.map(|device| Bind::of_volume(device, subpath.as_deref()));
                volume = Some(NamedVolume {
                    name: declared.docker_name(&name, project),
                    read_only,
                    subpath,
                });
                (bind, format!("volume {name}"))
            }
            MountSource::Secret(kind, name) => {
                let (what, all) = match kind {
                    FileKind::Secret => ("secret", &self.secrets),
                    FileKind::Config => ("config", &self.configs),
                };
                let path = all.get(&name).ok_or_else(|| undeclared(what, &name))?;
                let bind = path.clone().map(|source| Bind {
                    source,
                    is_file: true,
                    ..Bind::default()
                });
                (bind, format!("{what} {name}"))
            }
            MountSource::Other(what) => (None, what),
        };
        Ok(match bind {
            Some(bind) => Ok(Bind {
                target,
                read_only,
                ..bind
            }),
            None => Err(OtherMount {
                what: other,
                target,
                volume,
            }),
        })
    }
}
