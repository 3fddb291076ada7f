//! The verbs of what is told after a run, and after a dry run.

use crate::docker::conversion::summary::When;

/// Whether what is told was done, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tense {
    /// A run did it.
    Done,
    /// A run would do it.
    WouldBe,
}

impl Tense {
    /// That of a run or a dry run.
    pub fn of(dry_run: bool) -> Tense {
        match dry_run {
            true => Tense::WouldBe,
            false => Tense::Done,
        }
    }

    /// One of two verbs.
    pub fn either(self, done: &'static str, would_be: &'static str) -> &'static str {
        match self {
            Tense::Done => done,
            Tense::WouldBe => would_be,
        }
    }

    /// How something is after the run.
    pub fn is(self) -> &'static str {
        self.either("is", "would be")
    }

    /// How something was until the run.
    pub fn was_before(self) -> &'static str {
        self.either("was", "is")
    }

    /// What was done with one thing.
    pub fn was(self) -> &'static str {
        self.either("was", "would be")
    }

    /// What was done with several things.
    pub fn were(self) -> &'static str {
        self.either("were", "would be")
    }

    /// What is left alone.
    pub fn stays(self) -> &'static str {
        self.either("stays", "would stay")
    }

    /// What moves.
    pub fn goes(self) -> &'static str {
        self.either("went", "would go")
    }

    /// What is made, at the beginning of a sentence.
    pub fn created(self) -> &'static str {
        self.either("Created", "Would create")
    }
}

impl From<Tense> for When {
    fn from(tense: Tense) -> When {
        match tense {
            Tense::Done => When::Done,
            Tense::WouldBe => When::WouldBe,
        }
    }
}
