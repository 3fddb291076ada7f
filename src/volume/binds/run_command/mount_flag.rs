//! `--mount type=bind,source=/a,target=/b,readonly` of `docker run`.

use std::path::Path;

use super::{bad, idmapped};
use crate::volume::binds::driver_options::{DriverOptions, subpath};
use crate::volume::binds::volume_syntax::clean;
use crate::volume::binds::{Bind, BindsError, NamedVolume, OtherMount, Service};

/// Types of `--mount` that bind no host path (Docker 29, Podman 5).
const OTHER_MOUNTS: &[&str] = &[
    "cluster", "devpts", "image", "npipe", "ramfs", "tmpfs", "volume",
];

/// Adds what one `--mount` says to a service; relative paths start from `dir`.
///
/// # Errors
/// It binds no path that can be known.
pub(super) fn take_mount(service: &mut Service, value: &str, dir: &Path) -> Result<(), BindsError> {
    if value.contains('"') {
        return Err(bad(format!("--mount {value:?}: quotes are not read")));
    }
    let (mut kind, mut source, mut target) = ("volume".to_string(), None, None);
    let (mut read_only, mut creates_source) = (false, false);
    let (mut driver, mut part) = (DriverOptions::default(), None);
    for field in value.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        match key.to_lowercase().as_str() {
            // Docker takes it in any case (docker/cli opts/mount.go).
            "type" => kind = value.to_lowercase(),
            "source" | "src" => source = Some(value),
            "target" | "dst" | "destination" => target = Some(value),
            "readonly" | "ro" => read_only = matches!(value, "true" | "1"),
            "bind-create-src" => creates_source = matches!(value, "true" | "1"),
            "volume-driver" => driver.driver = Some(value.to_string()),
            "volume-opt" => driver.take(value),
            // `subpath`: of Podman (podman-run(1)).
            "volume-subpath" | "subpath" => {
                part =
                    subpath(value).map_err(|reason| bad(format!("--mount {field:?}: {reason}")))?;
            }
            "idmap" => return Err(idmapped(field)),
            _ => {}
        }
    }
    let target = target.ok_or_else(|| bad(format!("--mount {value:?} has no target")))?;
    let target = target.to_string();
    let device = driver
        .bound_device()
        .map_err(|reason| bad(format!("--mount {value:?}: {reason}")))?;
    let bind = match kind.as_str() {
        "bind" => source.filter(|path| !path.is_empty()).map(|path| Bind {
            source: clean(dir, path),
            creates_source,
            ..Bind::default()
        }),
        "volume" => device.map(|device| Bind::of_volume(device, part.as_deref())),
        _ => None,
    };
    if let Some(bind) = bind {
        service.binds.push(Bind {
            target,
            read_only,
            ..bind
        });
        return Ok(());
    }
    match (kind.as_str(), source) {
        ("bind", _) => return Err(bad(format!("--mount {value:?} has no source"))),
        (kind, source) if OTHER_MOUNTS.contains(&kind) => {
            service.other_mounts.push(OtherMount {
                what: match source {
                    Some(name) => format!("{kind} {name}"),
                    None => kind.to_string(),
                },
                target,
                volume: source.filter(|_| kind == "volume").map(|name| NamedVolume {
                    name: name.to_string(),
                    read_only,
                    subpath: part,
                }),
            });
        }
        (kind, _) => {
            return Err(bad(format!(
                "--mount {value:?}: the type {kind:?} is not known"
            )));
        }
    }
    Ok(())
}
