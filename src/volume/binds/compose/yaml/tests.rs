use super::*;
use proptest::prelude::*;

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    match &node.get(key).unwrap().data {
        Data::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let yaml = "x: &base\n  user: '1'\n  image: a\ns:\n  <<: *base\n  image: b\nt:\n  <<: [{user: '2'}, *base]\n";
    let all = documents(yaml, "f").unwrap();
    let [top] = &all[..] else { panic!("{all:?}") };
    let s = top.get("s").unwrap();
    assert_eq!((text(s, "user"), text(s, "image")), ("1", "b"));
    let t = top.get("t").unwrap();
    assert_eq!((text(t, "user"), text(t, "image")), ("2", "a"));
    assert_eq!(t.get("image").unwrap().line, 3);
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..40 {
        let row = format!("*a{}, ", n - 1).repeat(10);
        bomb += &format!("a{n}: &a{n} [{row}]\n");
    }
    let said = documents(&bomb, "f").unwrap_err().to_string();
    assert!(said.contains("more than 200,000 values"), "{said}");
    let deep = "[".repeat(100_000);
    let said = documents(&deep, "f").unwrap_err().to_string();
    assert!(said.contains("deep") || said.contains("not YAML"), "{said}");
    let said = documents("a: &a [*a]", "f").unwrap_err().to_string();
    assert!(said.starts_with("f: line 1: "), "{said}");
    let said = documents("a: 1\na: 2", "f").unwrap_err();
    assert_eq!(said.line, Some(2), "{said}");
    let large = "#".repeat(MOST_BYTES + 1);
    assert!(documents(&large, "f").is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([&*]a|<<|[a-c]|[:\\[\\]{},\n '\"!|>~-]| {1,3})*") {
        let _ = documents(&text, "f");
    }
}
