//! `extends`: a service that begins as another one, of the same file or of another.

use std::path::{Path, PathBuf};

use super::reader::ComposeReader;
use super::service::{Extends, RawService};
use super::yaml::{Node, documents};
use super::{Input, shown};
use crate::volume::binds::BindsError;
use crate::volume::binds::volume_syntax::clean;

/// One service on top of another, of these many at most.
const MOST: usize = 32;

/// Where a service stands.
#[derive(Clone, Copy)]
pub struct ServiceFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// What its relative paths start from.
    pub dir: &'a Path,
    /// The document.
    pub top: &'a Node,
}

/// A service with all that it extends.
///
/// # Errors
/// It, or what it extends, cannot be resolved.
pub fn read_extended(
    name: &str,
    place: ServiceFile<'_>,
    input: &Input<'_>,
) -> Result<RawService, BindsError> {
    follow(name, place, input, &mut Vec::new())
}

fn follow(
    name: &str,
    place: ServiceFile<'_>,
    input: &Input<'_>,
    way: &mut Vec<(PathBuf, String)>,
) -> Result<RawService, BindsError> {
    let file = shown(place.path);
    let reader = ComposeReader {
        file: &file,
        dir: place.dir,
        home: input.home,
        lookup: input.lookup,
        defaults: input.defaults,
    };
    let here = (place.path.to_path_buf(), name.to_string());
    let services = reader.map(place.top, "services")?;
    let Some((_, node)) = services.iter().find(|(known, _)| known == name) else {
        return Err(BindsError::new(&file, format!("has no service {name:?}")));
    };
    if way.contains(&here) || way.len() >= MOST {
        return Err(reader.bad(node, format!("the service {name:?} extends itself")));
    }
    way.push(here);
    let own = RawService::read(node, &reader)?;
    let Some(Extends {
        service,
        file: other,
        line,
    }) = &own.extends
    else {
        return Ok(own);
    };
    let Some(other) = other else {
        let known = services.iter().any(|(known, _)| known == service);
        if !known {
            let reason = format!("extends the service {service:?}, which is not in this file");
            return Err(BindsError::at(&file, *line, reason));
        }
        return Ok(follow(service, place, input, way)?.overridden(own));
    };
    if other.contains("://") {
        let reason = format!("extends {other:?}, which is not a file of this host");
        return Err(BindsError::at(&file, *line, reason));
    }
    let path = clean(place.dir, other);
    let read = (input.read)(&path);
    let text = read.map_err(|error| {
        let reason = format!("extends {}: {}", error.file, error.reason);
        BindsError::at(&file, *line, reason)
    })?;
    let all = documents(&text, &shown(&path))?;
    let [top] = &all[..] else {
        let reason = format!("has {} YAML documents, not one", all.len());
        return Err(BindsError::new(&shown(&path), reason));
    };
    let dir = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let there = ServiceFile {
        path: &path,
        dir: &dir,
        top,
    };
    Ok(follow(service, there, input, way)?.overridden(own))
}
