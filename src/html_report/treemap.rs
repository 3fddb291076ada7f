//! Directories as areas: squarified treemaps (Bruls, Huizing, van Wijk, 2000).

/// A rectangle, in units of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Area {
    /// Without a margin on each side, and with more at the top.
    pub fn inside(self, margin: f64, top: f64) -> Area {
        Area {
            x: self.x + margin,
            y: self.y + top,
            width: (self.width - 2.0 * margin).max(0.0),
            height: (self.height - margin - top).max(0.0),
        }
    }
}

/// Divides an area in proportion to the weights, which go from large to small: as near to squares as it can be.
pub fn divide(area: Area, weights: &[f64]) -> Vec<Area> {
    let total: f64 = weights.iter().sum();
    let mut placed = Vec::with_capacity(weights.len());
    if total <= 0.0 || area.width <= 0.0 || area.height <= 0.0 {
        return placed;
    }
    let scale = area.width * area.height / total;
    let sizes: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let mut free = area;
    let mut begin = 0;
    while begin < sizes.len() {
        let side = free.width.min(free.height);
        let mut end = begin + 1;
        while end < sizes.len()
            && worst(&sizes[begin..=end], side) <= worst(&sizes[begin..end], side)
        {
            end += 1;
        }
        free = place_row(free, &sizes[begin..end], &mut placed);
        begin = end;
    }
    placed
}

/// The worst ratio of sides in a row along a side of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let (largest, smallest) = (row[0], row[row.len() - 1].max(f64::MIN_POSITIVE));
    let (side, sum) = (side * side, sum * sum);
    (side * largest / sum).max(sum / (side * smallest))
}

/// Puts a row along the shorter side; gives what is left.
fn place_row(free: Area, row: &[f64], placed: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    if free.width >= free.height {
        let width = sum / free.height;
        let mut y = free.y;
        for size in row {
            let height = size / width;
            placed.push(Area {
                x: free.x,
                y,
                width,
                height,
            });
            y += height;
        }
        Area {
            x: free.x + width,
            width: (free.width - width).max(0.0),
            ..free
        }
    } else {
        let height = sum / free.width;
        let mut x = free.x;
        for size in row {
            let width = size / height;
            placed.push(Area {
                x,
                y: free.y,
                width,
                height,
            });
            x += width;
        }
        Area {
            y: free.y + height,
            height: (free.height - height).max(0.0),
            ..free
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Area = Area {
        x: 0.0,
        y: 0.0,
        width: 900.0,
        height: 500.0,
    };

    proptest! {
        #[test]
        fn areas_are_in_proportion_inside_and_apart(mut weights in prop::collection::vec(1u32..10_000, 1..60)) {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let total: f64 = weights.iter().sum();
            let areas = divide(WHOLE, &weights);
            prop_assert_eq!(areas.len(), weights.len());
            for (area, weight) in areas.iter().zip(&weights) {
                let share = area.width * area.height / (WHOLE.width * WHOLE.height);
                prop_assert!((share - weight / total).abs() < 1e-6, "{area:?}");
                prop_assert!(area.x > -1e-6 && area.x + area.width < WHOLE.width + 1e-6);
                prop_assert!(area.y > -1e-6 && area.y + area.height < WHOLE.height + 1e-6);
            }
            for (n, one) in areas.iter().enumerate() {
                for other in &areas[n + 1..] {
                    let width = (one.x + one.width).min(other.x + other.width) - one.x.max(other.x);
                    let height = (one.y + one.height).min(other.y + other.height) - one.y.max(other.y);
                    prop_assert!(width < 1e-6 || height < 1e-6, "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_has_no_area() {
        assert_eq!(divide(WHOLE, &[]), []);
        assert_eq!(
            divide(
                Area {
                    width: 0.0,
                    ..WHOLE
                },
                &[1.0]
            ),
            []
        );
    }
}
