use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SubidFile::parse(&text, "/etc/subuid");
    }

    #[test]
    fn any_lines_make_a_map_or_an_error(lines in proptest::collection::vec(any::<(u32, u32)>(), 0..5)) {
        let text: String = lines.iter().map(|(start, count)| format!("u:{start}:{count}\n")).collect();
        let file = SubidFile::parse(text.as_bytes(), "/etc/subuid").unwrap();
        let _ = map_from_subid("u", None, &file, &file, SubidReader::Any);
    }
}

fn file(text: &str) -> SubidFile {
    SubidFile::parse(text.as_bytes(), "/etc/subuid").unwrap()
}

#[test]
fn comments_crlf_and_no_last_newline_are_accepted() {
    let file = file("# ids\r\n\r\nme:100000:65536\r\n  dockremap:165536:65536  \n1000:300000:10");
    let owners: Vec<_> = file.lines().iter().map(|line| &line.owner[..]).collect();
    assert_eq!(owners, ["me", "dockremap", "1000"]);
    assert_eq!(file.lines()[2].line_no, 5);
    assert_eq!(file.lines_for("me", Some(1000)).len(), 2);
    assert_eq!(file.lines_for("me", None).len(), 1);
}

#[test]
fn several_lines_make_one_map() {
    let file = file("d:100000:5\nother:1:2\nd:200000:10\n");
    let map = map_from_subid("d", None, &file, &file, SubidReader::Any).unwrap();
    assert_eq!(map.to_string(), "b:0:100000:5 b:5:200000:10");
}

#[test]
fn lines_out_of_order_are_not_guessed_at() {
    let file = file("d:200000:10\nother:1:2\nd:100000:5\n");
    let said = map_from_subid("d", None, &file, &file, SubidReader::Any)
        .unwrap_err()
        .to_string();
    assert!(said.contains("lines 1 and 3 of user d"), "{said}");
    let map = map_from_subid("d", None, &file, &file, SubidReader::Docker).unwrap();
    assert_eq!(map.to_string(), "b:0:200000:10 b:10:100000:5");
}

#[test]
fn lines_by_name_and_by_number_are_not_guessed_at() {
    let file = file("d:100000:5\n7:200000:10\n");
    for reader in [SubidReader::Any, SubidReader::Docker] {
        let said = map_from_subid("d", Some(7), &file, &file, reader)
            .unwrap_err()
            .to_string();
        assert!(said.contains("lines 1 and 2 are both of user d"), "{said}");
        let map = map_from_subid("d", None, &file, &file, reader).unwrap();
        assert_eq!(map.to_string(), "b:0:100000:5");
    }
}

#[test]
fn a_bad_line_is_shown_with_its_number() {
    for bad in [
        "me:1",
        "me:1:2:3",
        "me:x:2",
        ":1:2",
        "me:-1:2",
        "me:1:99999999999",
    ] {
        let text = format!("ok:1:2\n{bad}\n");
        let error = SubidFile::parse(text.as_bytes(), "/etc/subuid").unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("/etc/subuid: line 2: ") && said.contains(bad),
            "{said}"
        );
    }
}

#[test]
fn a_user_without_a_line_hears_of_both_ways_out() {
    let said = map_from_subid("dockremap", None, &file(""), &file(""), SubidReader::Any)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("--map b:0:") && said.contains("usermod --add-subuids"),
        "{said}"
    );
}

#[test]
fn lines_that_overlap_are_refused() {
    let file = file("d:100000:10\nd:100005:10\n");
    let said = map_from_subid("d", None, &file, &file, SubidReader::Any)
        .unwrap_err()
        .to_string();
    assert!(said.contains("0:100000:10 and 10:100005:10"), "{said}");
}
