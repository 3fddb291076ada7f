//! What the tests hold the program to, counted: the rows of `docs/reliability.md`.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use serde_json::json;

/// One promise while a test tries to break it. When the test is over, held or not, it leaves a row
/// in the directory that `IDSHIFT_RELIABILITY` names; `tests/reliability` makes the table of them.
pub struct Promise {
    part: &'static str,
    text: &'static str,
    how: &'static str,
    cases: Cell<u64>,
}

impl Promise {
    /// `part`: the heading it stands under. `text`: what is promised. `how`: how it is tried. Both in
    /// a few words, for people.
    pub fn new(part: &'static str, text: &'static str, how: &'static str) -> Promise {
        Promise {
            part,
            text,
            how,
            cases: Cell::new(0),
        }
    }

    /// One more case held.
    pub fn held(&self) {
        self.held_in(1);
    }

    /// So many more cases held.
    pub fn held_in(&self, cases: u64) {
        self.cases.set(self.cases.get() + cases);
    }

    pub fn cases(&self) -> u64 {
        self.cases.get()
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let Some(dir) = std::env::var_os("IDSHIFT_RELIABILITY").map(PathBuf::from) else {
            return;
        };
        let thread = std::thread::current();
        let test = thread.name().expect("a test's thread has its name");
        let row = json!({
            "part": self.part,
            "promise": self.text,
            "how": self.how,
            "cases": self.cases.get(),
            "held": !std::thread::panicking(),
            "test": test,
            "long": super::long(),
        });
        let name = format!("{}.json", test.replace("::", "-"));
        fs::create_dir_all(&dir).expect("the directory of rows");
        fs::write(dir.join(name), row.to_string()).expect("a row");
    }
}
