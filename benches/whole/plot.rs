//! Time against inodes, as SVG, both on logarithmic scales.

use std::fmt::Write as _;

use crate::table::{Row, Table};

const NAMES: [(&str, &str); 4] = [
    ("shift", "#1060c0"),
    ("chown -R, sync -f", "#c03010"),
    ("fuidshift", "#308030"),
    ("migrate --idmapped", "#803090"),
];

const LEFT: f64 = 70.0;
const TOP: f64 = 20.0;
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;

/// Where a value lies between two powers of ten.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Scale {
        Scale {
            from: values.clone().fold(f64::MAX, f64::min).log10().floor(),
            to: values.fold(f64::MIN, f64::max).log10().ceil(),
        }
    }

    /// 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = f64> + use<> {
        (self.from as i32..=self.to as i32).map(|power| 10f64.powi(power))
    }
}

/// Draws the rows of growth.
pub fn plot(table: &Table) -> String {
    let points: Vec<(f64, [f64; 4])> = table
        .rows
        .iter()
        .filter_map(|row| match row {
            Row::Growth(it) => Some((
                it.inodes as f64,
                [it.shift, it.chown, it.fuidshift, it.idmapped],
            )),
            _ => None,
        })
        .collect();
    let across = Scale::over(points.iter().map(|point| point.0));
    let up = Scale::over(points.iter().flat_map(|point| point.1));
    let x = |inodes: f64| LEFT + WIDTH * across.place(inodes);
    let y = |seconds: f64| TOP + HEIGHT * (1.0 - up.place(seconds));

    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"400\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"720\" height=\"400\" fill=\"white\"/>\n",
    );
    let bottom = TOP + HEIGHT;
    for inodes in across.powers() {
        let at = x(inodes);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP} V{bottom}\" stroke=\"#dddddd\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{inodes:.0}</text>",
            bottom + 18.0
        );
    }
    for seconds in up.powers() {
        let at = y(seconds);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1} H{}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{seconds} s</text>",
            LEFT + WIDTH,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let mut below = f64::MIN;
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (n, (_, colour)) in NAMES.into_iter().enumerate() {
        let line: Vec<String> = points
            .iter()
            .map(|(inodes, seconds)| format!("{:.1},{:.1}", x(*inodes), y(seconds[n])))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        labels.extend(points.last().map(|(_, seconds)| (y(seconds[n]), n)));
    }
    // A label each, one below the other where lines end close together.
    labels.sort_by(|one, next| one.0.total_cmp(&next.0));
    for (at, n) in labels {
        below = at.max(below + 14.0);
        let (name, colour) = NAMES[n];
        let end = points.last().map_or(0.0, |(inodes, _)| x(*inodes));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            end + 6.0,
            below + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">inodes</text>\n</svg>",
        LEFT + WIDTH / 2.0,
        bottom + 40.0
    );
    svg
}
