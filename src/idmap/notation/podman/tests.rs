use super::*;

fn maps(text: &str) -> Result<PodmanMaps, NotationError> {
    match super::super::describe(text.as_bytes(), "/run.sh")?.source {
        NotationSource::Podman(maps) => Ok(maps),
        other => panic!("{other:?}"),
    }
}

/// A user with uid 1000 and 100000:65536, and gid 1000, a group 2000 and 100000:65536.
fn user() -> IdMap {
    let ranges =
        |text: &[&str]| RangeMap::new(text.iter().map(|range| range.parse().unwrap())).unwrap();
    IdMap::new(
        ranges(&["0:1000:1", "1:100000:65536"]),
        ranges(&["0:1000:1", "1:2000:1", "2:100000:65536"]),
    )
}

fn rootful(text: &str) -> String {
    maps(text).unwrap().of_root().unwrap().to_string()
}

fn rootless(text: &str) -> String {
    maps(text)
        .unwrap()
        .of_user("me", &user())
        .unwrap()
        .to_string()
}

#[test]
fn options_of_root_are_host_ids() {
    assert_eq!(
        rootful(
            "podman run \\\n  --uidmap 0:100000:5000 --gidmap=0:200000:5000 \\\n  docker.io/library/alpine\n"
        ),
        "u:0:100000:5000 g:0:200000:5000"
    );
    // One kind is for both; `u` keeps it to one.
    assert_eq!(rootful("--uidmap 0:100000:5000"), "b:0:100000:5000");
    assert_eq!(
        rootful("--gidmap \"0:0:1000\" --gidmap \"g2000:2000:1\""),
        "b:0:0:1000 g:2000:2000:1"
    );
    // A unit of Quadlet.
    assert_eq!(
        rootful(
            "[Container]\nImage=x\n# UIDMap=1:1:1\nUIDMap=0:100000:5000\nGIDMap=0:100000:5000\n"
        ),
        "b:0:100000:5000"
    );
    // The manual's example of what extends.
    assert_eq!(
        rootful("--gidmap=\"0:0:65000\" --gidmap=\"+100000:1:1\""),
        "b:0:0:1 b:2:2:64998 b:100000:1:1"
    );
}

#[test]
fn options_of_a_user_go_through_the_users_ids() {
    // Its keep-id, by hand: uid 1000 is itself.
    assert_eq!(
        rootless("--uidmap=0:1:1000 --uidmap=1000:0:1 --uidmap=1001:1001:64536 --gidmap=0:2:65536"),
        "u:0:100000:1000 u:1000:1000:1 u:1001:101000:64536 g:0:100000:65536"
    );
    assert_eq!(
        rootless("--uidmap 5:@100010:2 --gidmap 0:0:1"),
        "u:5:100010:2 g:0:1000:1"
    );
    // One group of the host, and all else from 0 on.
    assert_eq!(
        rootless("--uidmap 0:0:1 --gidmap=+g100000:@2000"),
        "b:0:1000:1 g:1:100000:65536 g:100000:2000:1"
    );
    // What is filled goes around what is there.
    assert_eq!(
        rootless("--uidmap +3:5:2 --gidmap 0:0:1"),
        "b:0:1000:1 u:1:100000:2 u:3:100004:2 u:5:100002:2 u:7:100006:65530"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let said = |text: &str| maps(text).unwrap_err().to_string();
    assert!(
        said("podman run \\\n --uidmap 0:1:2:3 x")
            .starts_with("/run.sh: line 2: \"0:1:2:3\" is not a range. A range is")
    );
    assert!(said("--uidmap").contains("\"\" is not a range"));
    assert!(said("--uidmap x0:1:2").contains("flags other than"));
    assert!(said("--uidmap 0:1:0").contains("size 0"));
    assert!(said("--userns=keep-id --uidmap 0:0:1").contains("--userns leaves the map to Podman"));
    let said = maps("--uidmap 0:0:70000")
        .unwrap()
        .of_user("me", &user())
        .unwrap_err();
    assert!(
        said.to_string()
            .contains("uid 65537 is not one of those that me has"),
        "{said}"
    );
    let said = maps("--uidmap 0:@5:1")
        .unwrap()
        .of_user("me", &user())
        .unwrap_err();
    assert!(said.to_string().contains("uid 5 is not one"), "{said}");
    let said = maps("--uidmap +0:5:1").unwrap().of_root().unwrap_err();
    assert!(said.to_string().contains("--subid USER"), "{said}");
    let said = maps("--uidmap 0:1:5 --uidmap 3:9:5")
        .unwrap()
        .of_root()
        .unwrap_err();
    assert!(said.to_string().contains("share container ids"), "{said}");
}

/// What Quadlet passes on to podman counts as if it stood in the command line.
#[test]
fn options_that_a_unit_passes_on_count() {
    let map = |text: &str| match describe(text, "/file").unwrap().source {
        NotationSource::Podman(maps) => maps.of_root().unwrap().to_string(),
        other => panic!("{other:?}"),
    };
    let text = "[Container]\nUIDMap=0:100000:65536\nPodmanArgs=--gidmap 0:300000:65536\n";
    assert_eq!(map(text), "u:0:100000:65536 g:0:300000:65536");
    let text = "PodmanArgs=--uidmap=0:100000:65536\nGIDMap=0:300000:65536\n";
    assert_eq!(map(text), "u:0:100000:65536 g:0:300000:65536");
    for (text, said) in [
        (
            "UIDMap=0:1:1\nPodmanArgs=--userns=auto",
            "--userns leaves the map",
        ),
        ("UIDMap=0:1:1\nXGIDMap=0:2:1", "XGIDMap is not understood"),
    ] {
        let error = describe(text, "/file").unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// Quadlet reads each word of a line as a range (`LookupAllStrv`), also on lines that are continued.
#[test]
fn a_line_of_a_unit_has_several_ranges() {
    let several = rootful(
        "[Container]\nUIDMap=0:100000:65536\nUIDMap=+1000:1000:1\nGIDMap=0:100000:65536\nGIDMap=+1000:1000:1\n",
    );
    for text in [
        "[Container]\nUIDMap=0:100000:65536 +1000:1000:1\nGIDMap=0:100000:65536 +1000:1000:1\n",
        "[Container]\nUIDMap = 0:100000:65536 \\\n# why\n  +1000:1000:1\nGIDMap=\"0:100000:65536\" \\\n+1000:1000:1\n",
    ] {
        assert_eq!(rootful(text), several, "{text}");
    }
    // The container's command is no option.
    let text = "[Container]\nExec=tool --uidmap 0:5:5\nUIDMap=0:100000:5\n";
    assert_eq!(rootful(text), "b:0:100000:5");
    for text in [
        "podman run --uidmap 0:100000:65536 +1000:1000:1 image",
        "--uidmap 0:100000:65536 +1000:1000:1",
        "[Container]\nPodmanArgs=--uidmap 0:100000:65536 +1000:1000:1",
    ] {
        let said = maps(text).unwrap_err().to_string();
        assert!(said.contains("no option takes it"), "{said}");
    }
}

#[test]
fn a_script_is_about_one_container() {
    for (text, line, said) in [
        (
            "podman run --uidmap 0:100000:65536 a\npodman run --gidmap 0:200000:65536 b\n",
            2,
            "another container begins here",
        ),
        (
            "podman run --uidmap 0:100000:65536 a; podman create b\n",
            1,
            "another container begins here",
        ),
        (
            "[Container]\nUIDMap=0:1:1\n[Container]\nUIDMap=5:5:1\n",
            3,
            "another container begins here",
        ),
        (
            "podman run -it --rm tool run --uidmap 0:100000:65536\n",
            1,
            "stands behind the image",
        ),
        (
            "OPTS=--uidmap=0:1:1\npodman run --uidmap 0:1:1 $OPTS x",
            1,
            "is not in a command",
        ),
    ] {
        let error = maps(text).unwrap_err();
        assert_eq!(error.line, Some(line), "{error}");
        assert!(error.reason.contains(said), "{error}");
    }
    for text in [
        "podman run img # not any more: --uidmap 0:100000:65536\n",
        "bash -c 'podman run --uidmap 0:1:1 x'",
    ] {
        let said = maps(text).unwrap_err().to_string();
        assert!(said.contains("has no --uidmap"), "{said}");
    }
    // Two ways to start the same one; comments, quotes and other commands between them.
    let text = "#!/bin/sh\nset -e # don't\npodman pull img && podman network create n\nif a; then\n  sudo /usr/bin/podman run -dp 80:80 --rm --label 'a # b' \\\n    \
        --user 1000:1000 --uidmap 0:100000:65536 img --flag\nelse podman create --uidmap=0:100000:65536 img; fi\n";
    assert_eq!(rootful(text), "b:0:100000:65536");
    let text = "[Service]\n; it's\nExecStart=/usr/bin/podman run \\\n\t--cgroups=no-conmon --uidmap 0:100000:65536 img\n";
    assert_eq!(rootful(text), "b:0:100000:65536");
}
