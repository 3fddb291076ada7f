//! Inodes by directory, drawn.

use maud::{Markup, html};

use super::contents::{count_text, shown};
use super::tree::{Dir, Tree};
use super::treemap::{Area, divide};

/// Width and height of the picture.
const WHOLE: Area = Area {
    x: 0.0,
    y: 0.0,
    width: 1000.0,
    height: 560.0,
};

/// No area below this many units is drawn.
const DUST: f64 = 30.0;

/// Areas at most.
const MOST_BOXES: usize = 8000;

/// No area below this many units is divided further or labelled.
const LEAST: f64 = 900.0;

/// Inodes by directory, as areas in the colour of the owner that most of them have before.
pub(super) fn picture(tree: &Tree) -> Markup {
    let roots = tree.roots.iter().map(|(path, dir)| (&path[..], dir));
    let colours: Vec<(u32, u32)> = {
        let mut owners: Vec<(u32, u32)> = Vec::new();
        for ((before, _), _) in tree.owners() {
            if !owners.contains(&before) {
                owners.push(before);
            }
        }
        owners.truncate(8);
        owners
    };
    let mut boxes = Vec::new();
    place(roots.collect(), WHOLE, &[], &mut boxes);
    html! {
        section {
            h2 { "Inodes by directory" }
            svg viewBox="0 0 1000 560" role="img" aria-label="Inodes that change, by directory" {
                @for one in &boxes {
                    g class={ "owner" (colour(&colours, one.dir)) } {
                        title { (shown(&one.path)) ": " (count_text(one.dir.inodes)) " inodes" }
                        rect x=(round(one.area.x)) y=(round(one.area.y)) width=(round(one.area.width)) height=(round(one.area.height)) {}
                        @if let Some(label) = one.label() {
                            text x=(round(one.area.x + 4.0)) y=(round(one.area.y + 12.0)) { (label) }
                        }
                    }
                }
            }
            p.key {
                "Colour: the owner that most inodes of a directory have before. "
                @for (n, (uid, gid)) in colours.iter().enumerate() {
                    span class={ "owner" (n) } { (uid) ":" (gid) } " "
                }
            }
        }
    }
}

fn colour(colours: &[(u32, u32)], dir: &Dir) -> usize {
    let main = dir.main_owner();
    let found = colours.iter().position(|owner| Some(*owner) == main);
    found.unwrap_or(colours.len())
}

fn round(units: f64) -> String {
    format!("{units:.1}")
}

/// A directory's area.
struct DirArea<'t> {
    path: Vec<u8>,
    name: Vec<u8>,
    dir: &'t Dir,
    area: Area,
}

impl DirArea<'_> {
    /// Its name, as far as there is room for it.
    fn label(&self) -> Option<String> {
        let letters = (self.area.width - 8.0) / 6.0;
        if letters < 3.0 || self.area.height < 16.0 {
            return None;
        }
        let name = shown(&self.name);
        match name.chars().count() as f64 > letters {
            true => Some(
                name.chars()
                    .take(letters as usize - 1)
                    .chain(['…'])
                    .collect(),
            ),
            false => Some(name),
        }
    }
}

/// Divides an area among directories, and theirs among those below.
fn place<'t>(
    mut dirs: Vec<(&'t [u8], &'t Dir)>,
    area: Area,
    above: &[u8],
    boxes: &mut Vec<DirArea<'t>>,
) {
    dirs.sort_by_key(|(name, dir)| (std::cmp::Reverse(dir.inodes), *name));
    let weights: Vec<f64> = dirs.iter().map(|(_, dir)| dir.inodes as f64).collect();
    for ((name, dir), area) in dirs.into_iter().zip(divide(area, &weights)) {
        // Smaller ones would be dust, and make the page large.
        if area.width * area.height < DUST || boxes.len() >= MOST_BOXES {
            continue;
        }
        let mut path = above.to_vec();
        if !above.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        boxes.push(DirArea {
            path: path.clone(),
            name: name.to_vec(),
            dir,
            area,
        });
        let inside = area.inside(3.0, 16.0);
        if inside.width * inside.height > LEAST {
            let below: Vec<_> = dir
                .dirs
                .iter()
                .map(|(name, dir)| (&name[..], dir))
                .collect();
            // What lies in the directory itself has the rest of its area.
            let share = below.iter().map(|(_, dir)| dir.inodes).sum::<u64>() as f64;
            let height = inside.height * share / dir.inodes.max(1) as f64;
            place(below, Area { height, ..inside }, &path, boxes);
        }
    }
}
