use super::*;

fn rows() -> Vec<Vec<String>> {
    [
        ["container", "source", "what to do"],
        [
            "web",
            "/srv/a-long-way/to/a/directory",
            "idshift prepare /srv/a-long-way/to/a/directory",
        ],
    ]
    .map(|row| row.map(String::from).to_vec())
    .to_vec()
}

#[test]
fn a_table_fits_and_loses_nothing() {
    for fits in [40, 60, 80, 200] {
        let text = aligned(&rows(), "  ", Alignment::Left, Some(fits));
        assert!(
            text.lines().all(|line| measure_text_width(line) <= fits),
            "{fits}\n{text}"
        );
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
        let all: String = rows().concat().concat();
        assert_eq!(letters(&text), letters(&all), "{text}");
    }
}

#[test]
fn what_helps_is_below_its_row_where_it_does_not_fit() {
    let text = with_remedy(&rows(), Some(60));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(
        lines[2],
        "    -> idshift prepare /srv/a-long-way/to/a/directory"
    );
    assert_eq!(with_remedy(&rows(), Some(200)), with_remedy(&rows(), None));
}

#[test]
fn sentences_fit_and_commands_are_whole() {
    let text =
        "  Stop it first: `systemctl stop docker.socket docker`, and then go on with the next";
    assert_eq!(
        sentences(text, Some(40)),
        "  Stop it first:\n  `systemctl stop docker.socket docker`,\n  and then go on with the next"
    );
    assert_eq!(sentences(text, None), text);
}

#[test]
fn a_path_that_something_is_said_of_is_whole() {
    let path = "/srv/a directory of a name that is longer than a line:";
    assert_eq!(
        said_of(path, "uid 70000 is not in the map", Some(20)),
        format!("  {path}\n    uid 70000 is not\n    in the map")
    );
    let text = said_of(path, "uid 70000 is not in the map", None);
    assert_eq!(text, format!("  {path} uid 70000 is not in the map"));
}

#[test]
fn a_table_for_no_terminal_has_a_line_for_each_row() {
    let text = aligned(&rows(), "  ", Alignment::Left, None);
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn the_middle_of_a_path_is_cut() {
    let path = "/var/lib/docker/overlay2/abcdef/diff/usr/share/doc";
    assert_eq!(cut_middle(path, 20), "/var/l…usr/share/doc");
    assert_eq!(cut_middle(path, 100), path);
    assert_eq!(
        measure_text_width(&cut_middle("/数据/数据/数据/数据/数据", 12)),
        11
    );
    assert_eq!(cut_middle(path, 1), "…");
}
