//! How one id goes through a map.

use crate::idmap::{Direction, Mapped, RangeMap};

/// How ids go through a map.
#[derive(Clone, Copy)]
pub(super) enum Through {
    Map(Direction),
    GiveBack,
    Exchange,
    ExchangeInRange,
}

impl Through {
    pub fn id(self, id: u32, map: &RangeMap) -> Mapped {
        match self {
            Through::Map(direction) => map.map(id, direction),
            Through::GiveBack => match map.map(id, Direction::OutOf) {
                Mapped::Unmapped => Mapped::Already,
                mapped => mapped,
            },
            Through::Exchange => match map.map(id, Direction::Into) {
                Mapped::To(id) => Mapped::To(id),
                _ => map.map(id, Direction::OutOf),
            },
            Through::ExchangeInRange => match map.map(id, Direction::Into) {
                Mapped::To(id) => Mapped::To(id),
                _ => match map.map(id, Direction::OutOf) {
                    Mapped::To(_) => Mapped::Unmapped,
                    _ => Mapped::Already,
                },
            },
        }
    }
}
