use super::*;
use crate::volume::binds::HostNamespaces;
use proptest::prelude::*;

fn read(text: &str) -> Result<Service, String> {
    read_run_command(text, Path::new("/here")).map_err(|error| error.to_string())
}

fn binds(service: &Service) -> Vec<String> {
    let bind = |bind: &Bind| {
        let ro = if bind.read_only { " ro" } else { "" };
        let create = if bind.creates_source { " create" } else { "" };
        format!("{} {}{ro}{create}", bind.source.display(), bind.target)
    };
    service.binds.iter().map(bind).collect()
}

#[test]
fn a_pasted_command_line() {
    let service = read(
        "sudo docker container run -itd --rm --name 'a b' -p 80:80 -e X=$Y --health-cmd \"x -v /no:/no\" \\\n \
         -v /srv/app:/app:ro -v./data:/data -itv=/z:/z --volume=/q/../r:/r -v named:/n -v /anon --tmpfs /t:size=1m \
         --mount type=bind,src=/m,dst=/m,readonly --mount source=vol,target=/vol --mount type=bind,source=rel,target=/rel \
         -u 33 --group-add 7 --group-add=docker image:1 run -v /not:/this -u 9",
    )
    .unwrap();
    assert_eq!(
        binds(&service),
        [
            "/srv/app /app ro create",
            "/here/data /data create",
            "/z /z create",
            "/r /r create",
            "/m /m ro",
            "/here/rel /rel",
        ]
    );
    assert_eq!(service.user.as_deref(), Some("33"));
    assert_eq!(service.group_add, ["7", "docker"]);
    assert_eq!(service.image.as_deref(), Some("image:1"));
    let others: Vec<&str> = service
        .other_mounts
        .iter()
        .map(|other| other.what.as_str())
        .collect();
    assert_eq!(
        others,
        ["volume named", "anonymous volume", "tmpfs", "volume vol"]
    );
    let podman = read("podman create --userns=host -- img").unwrap();
    assert!(podman.uses_host_ids);
    assert_eq!(podman.image.as_deref(), Some("img"));
}

#[test]
fn what_cannot_be_resolved_is_named() {
    for (text, wanted) in [
        ("ls -v /a:/b", "docker run"),
        ("docker ps", "docker run"),
        ("docker --context x run i", "docker run"),
        ("docker run -v $PWD/a:/a i", "double quotes"),
        ("docker run -v `pwd`:/a i", "double quotes"),
        ("docker run -v ~/a:/a i", "Write the value itself"),
        ("docker run --new-flag x i", "--new-flag=VALUE"),
        ("docker run -X i", "-X is not known"),
        ("docker run -v", "no value"),
        ("docker run -v /a:/b", "no image"),
        ("docker run -v 'a:b i", "quotes"),
        ("docker run -v a:b:c:d i", "SOURCE:TARGET"),
        ("docker run --mount type=bind,target=/x i", "no source"),
        ("docker run --mount type=bind,source=/x i", "no target"),
        ("docker run --userns=keep-id i", "those of the daemon's map"),
        ("podman run --userns=keep-id i", "Leave the flag out"),
        ("docker run --volumes-from other i", "volumes-from"),
        ("docker run -v /a:/b i; docker run -v /c:/d i", "';'"),
        ("docker run -v /a:/b i && docker run -v /c:/d i", "'&'"),
        (
            "docker run -v /a:/b i\ndocker run -v /c:/d i",
            "outside of quotes",
        ),
        ("docker run i | tee log", "'|'"),
        ("podman run --uidmap=0:5000:1000 -v /a:/b i", "--uidmap"),
        ("podman run --rootfs=true -v /a:/b /i", "--rootfs"),
        ("podman run -v /a:/b:idmap i", "idmap"),
        (
            "podman run --mount type=bind,src=/a,dst=/b,idmap=uids=0-1-10 i",
            "idmap",
        ),
        (
            "docker run --mount type=blind,src=/a,dst=/b i",
            "\"blind\" is not known",
        ),
        (
            "docker run --mount type=volume,src=v,dst=/a,volume-opt=o=bind,volume-opt=device=a i",
            "is not an absolute path",
        ),
    ] {
        let said = read(text).unwrap_err();
        assert!(
            said.starts_with("--run: ") && said.contains(wanted),
            "{text}: {said}"
        );
    }
    assert!(read("docker run --new-flag=x i").is_ok());
}

#[test]
fn binds_in_other_clothes() {
    for (text, wanted) in [
        ("docker run --mount type=BIND,src=/a,dst=/b i", "/a /b"),
        (
            "docker run --mount src=v,dst=/b,volume-opt=type=none,volume-opt=o=rbind,volume-opt=device=/a/ i",
            "/a /b",
        ),
        (
            "docker run --use-api-socket i",
            "/var/run/docker.sock /var/run/docker.sock",
        ),
    ] {
        assert_eq!(binds(&read(text).unwrap()), [wanted], "{text}");
    }
    for text in [
        "docker run --use-api-socket=false i",
        "docker run --mount src=v,dst=/b,volume-driver=other,volume-opt=o=bind,volume-opt=device=/a i",
        "docker run --mount src=v,dst=/b,volume-opt=type=nfs,volume-opt=device=:/a i",
        "docker run -e 'A=;&|<>\n' -e \"B=(\" -e C=\\; i \\\n sh -c 'a; b' \n",
    ] {
        assert!(read(text).unwrap().binds.is_empty(), "{text}");
    }
}

#[test]
fn podman_is_told_from_docker() {
    let text = "sudo podman run --network=host -v /a:/a -v named:/n i";
    let service = read(text).unwrap();
    assert!(service.is_podman && is_podman(text));
    assert_eq!(program(text), Some(Program::SudoPodman));
    assert_eq!(program(&text[5..]), Some(Program::Podman));
    // It makes no missing source.
    assert_eq!(binds(&service), ["/a /a"]);
    for text in ["docker run podman", "podman ps", "docker run -v 'x", ""] {
        assert!(!is_podman(text), "{text}");
    }
    assert!(!read("docker run podman").unwrap().is_podman);
}

#[test]
fn a_part_of_a_volume_is_a_part_of_its_device() {
    let text = "docker run --mount src=v,dst=/b,volume-subpath=a/./b,volume-opt=o=bind,volume-opt=device=/d \
                --mount src=w,dst=/c,volume-subpath=a i";
    let service = read(text).unwrap();
    assert_eq!(binds(&service), ["/d/a/b /b"]);
    assert_eq!(service.binds[0].within.as_deref(), Some(Path::new("/d")));
    let named = service.other_mounts[0].volume.clone().unwrap();
    assert_eq!(named.subpath.as_deref(), Some(Path::new("a")));
    let text = "docker run --mount src=v,dst=/b,volume-subpath=../a i";
    assert!(
        read(text)
            .unwrap_err()
            .contains("does not stay in the volume")
    );
}

#[test]
fn what_is_shared_with_the_host_is_read() {
    let text = "docker run --privileged --network name=host,alias=x --pid=host --ipc container:x \
                --device /dev/a --device /dev/b:/dev/c:r --device /dev/d i";
    let read_one = |text: &str| read(text).unwrap().namespaces;
    assert_eq!(
        read_one(text),
        HostNamespaces {
            privileged: true,
            network: "host".into(),
            pid: "host".into(),
            ipc: "container:x".into(),
            renamed_device: Some("/dev/c".into()),
        }
    );
    let none = "docker run --privileged=false --device /dev/a:rwm i";
    assert_eq!(read_one(none), HostNamespaces::default());
}

proptest! {
    #[test]
    fn any_command_line_is_read_or_refused(
        text in "docker run (-v|--mount|-u|--volume=|-it|--rm|[ '\"\\\\=:,/a.~$-]|type=bind|é)*"
    ) {
        let _ = read(&text);
    }
}
