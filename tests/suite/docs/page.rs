//! A page of `docs/`: what is to be run, and what it prints.
//!
//! - A block of ` ```console ` has command lines, which begin with `$ `, and their output. A line `…` stands for any lines.
//! - A comment that begins with `<!-- run` has a script that is run before what follows, and does not show on the page.

/// Something to run.
#[derive(Debug)]
pub enum Part {
    /// Must work; prints nothing that anybody reads.
    Setup(String),
    Command {
        /// Line of the page, from 1.
        line: usize,
        command: String,
        output: Vec<String>,
    },
}

/// All of a page, in order.
pub fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        if line.starts_with("<!-- run") {
            let script = lines.by_ref().map(|(_, line)| line);
            let script: Vec<&str> = script.take_while(|line| *line != "-->").collect();
            parts.push(Part::Setup(script.join("\n")));
        } else if line.trim_start() == "```console" {
            let indent = line.len() - line.trim_start().len();
            let block = lines.by_ref().map(|(n, line)| (n + 1, line));
            let block = block.map(|(n, line)| (n, line.get(indent..).unwrap_or_default()));
            let block: Vec<_> = block.take_while(|(_, line)| *line != "```").collect();
            parts.extend(commands(&block));
        }
    }
    parts
}

fn commands(block: &[(usize, &str)]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = block.iter().peekable();
    while let Some((n, line)) = lines.next() {
        let first = line.strip_prefix("$ ");
        let first = first.unwrap_or_else(|| panic!("line {n}: a command begins with `$ `"));
        let mut command = first.to_string();
        while command.ends_with('\\') {
            let (_, more) = lines.next().expect("the rest of a command");
            command += "\n";
            command += more;
        }
        let mut output = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.starts_with("$ ")) {
            output.push(line.to_string());
        }
        parts.push(Part::Command {
            line: *n,
            command,
            output,
        });
    }
    parts
}

#[test]
fn a_page_is_taken_apart() {
    let page = "# A page\n<!-- run\nmkdir /srv/a\n-->\n```console\n$ ls \\\n  /srv\na\n$ true\n```\n```\n$ not run\n```\n";
    let parts = parts(page);
    assert_eq!(
        format!("{parts:?}"),
        "[Setup(\"mkdir /srv/a\"), \
         Command { line: 6, command: \"ls \\\\\\n  /srv\", output: [\"a\"] }, \
         Command { line: 9, command: \"true\", output: [] }]"
    );
}
