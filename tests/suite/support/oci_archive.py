#!/usr/bin/env python3
"""Makes an OCI archive (image layout in a tar) of images in forms that registries have: for `docker load` and `ctr import`.

    oci_archive.py OUT BUSYBOX [HOSTILE]

zoo:1   an index: linux/amd64 (the layers of `layers` below: gzip, zstd, plain), linux/arm64, an attestation
arm:1   linux/arm64 only
odd:1   linux/amd64, one plain manifest, no index

With HOSTILE (dots, link, whiteout, ids, lies, diffid, noid): one image HOSTILE:1 that lies, or that is too large for a range.
"""
import gzip, hashlib, io, json, subprocess, sys, tarfile

out, busybox, *hostile = sys.argv[1:]
hostile = hostile[0] if hostile else None
blobs = {}


def put(data, media):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": media, "digest": digest, "size": len(data)}


def document(value, media):
    return put(json.dumps(value).encode(), media)


class Tar:
    def __init__(self):
        self.file = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.file, mode="w", format=tarfile.PAX_FORMAT,
                                encoding="utf-8", errors="surrogateescape")

    def add(self, name, content=None, **fields):
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        info = tarfile.TarInfo(name)
        info.mtime = 1700000000.25
        info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
        info.mode = 0o755 if content is None else 0o644
        if content is not None:
            info.size = len(content)
        for key, value in fields.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(content or b""))

    def bytes(self):
        self.tar.close()
        return self.file.getvalue()


def pack(tar, how):
    if how == "gzip":
        return gzip.compress(tar, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"
    if how == "zstd":
        packed = subprocess.run(["zstd", "-qc"], input=tar, stdout=subprocess.PIPE, check=True).stdout
        return packed, "application/vnd.oci.image.layer.v1.tar+zstd"
    return tar, "application/vnd.oci.image.layer.v1.tar"


def base():
    tar = Tar()
    tar.add("bin")
    tar.add("bin/busybox", open(busybox, "rb").read(), mode=0o755)
    for name in ["sh", "sleep", "cat", "ls", "stat", "true", "touch", "find", "sort", "rm", "md5sum"]:
        tar.add("bin/" + name, b"", type=tarfile.SYMTYPE, linkname="busybox")
    tar.add("etc")
    tar.add("etc/passwd", b"root:x:0:0::/:/bin/sh\napp:x:1234:1235::/:/bin/sh\n")
    tar.add("odd")
    tar.add("odd/gone", b"deleted above")
    tar.add("odd/dir")
    tar.add("odd/dir/below", b"hidden by an opaque directory")
    tar.add("odd/dir2")
    tar.add("odd/dir2/below", b"stays")
    return tar.bytes()


def odd():
    tar = Tar()
    tar.add("odd")
    tar.add(b"odd/not-\xff\xfe-utf8", b"x" * 5000, uid=33, gid=33)
    long = "odd/" + "/".join(["d" * 100] * 3)
    for n in range(1, 4):
        tar.add("odd/" + "/".join(["d" * 100] * n))
    tar.add(long + "/" + "f" * 200, b"deep")
    tar.add("odd/link", b"", type=tarfile.LNKTYPE, linkname=long + "/" + "f" * 200)
    tar.add("odd/suid", b"#!", mode=0o4755, uid=7, gid=8)
    capability = bytes([1, 0, 0, 2, 0, 4, 0, 0] + [0] * 12).decode("latin1")
    tar.add("odd/capable", b"#!", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": capability})
    tar.add("odd/fifo", b"", type=tarfile.FIFOTYPE)
    tar.add("odd/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    tar.add("odd/dangling", b"", type=tarfile.SYMTYPE, linkname="/no/such")
    return tar.bytes()


def whiteouts():
    tar = Tar()
    tar.add("odd/.wh.gone", b"")
    tar.add("odd/dir")
    tar.add("odd/dir/.wh..wh..opq", b"")
    tar.add("odd/dir/new", b"new")
    # Not as its directory came before, and without one.
    tar.add("odd/dir2/also", b"also", uid=1000, gid=1000)
    return tar.bytes()


def manifest(layers, architecture, **config):
    config = {"architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"], **config},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar, _ in layers]},
              "history": [{"created_by": "test"} for _ in layers]}
    return document({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                     "config": document(config, "application/vnd.oci.image.config.v1+json"),
                     "layers": [put(*pack(tar, how)) for tar, how in layers]},
                    "application/vnd.oci.image.manifest.v1+json")


def platform(descriptor, architecture, **more):
    return {**descriptor, "platform": {"architecture": architecture, "os": "linux" if architecture != "unknown" else "unknown"}, **more}


def index(*manifests):
    return document({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list(manifests)},
                    "application/vnd.oci.image.index.v1+json")


wanted = set()


def bad(how):
    """An image that no registry should give out."""
    global blobs
    blobs = {}
    tar = Tar()
    config = {}
    tar.add("../../escaped" if how == "dots" else "file", b"x" * 3000, mtime=1700000000,
            uid=70000 if how == "ids" else 0)
    if how == "link":
        tar.add("odd", b"", type=tarfile.LNKTYPE, linkname="missing")
    if how == "whiteout":
        tar.add(".wh.file", b"")
    tar = tar.bytes()
    if how == "lies":
        header = bytearray(tar[:512])
        header[124:136] = b"00077777777\0"
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        tar = bytes(header) + tar[512:]
    made = manifest([(tar, "gzip")], "amd64")
    if how in ("diffid", "noid"):
        told = json.loads(blobs[made["digest"]])
        config = json.loads(blobs.pop(told["config"]["digest"]))
        config["rootfs"]["diff_ids"] = ["sha256:" + "ab" * 32 if how == "diffid" else "sha256:../../../../etc/shadow"]
        told["config"] = document(config, told["config"]["mediaType"])
        del blobs[made["digest"]]
        made = document(told, made["mediaType"])
    wanted.update(blobs)
    return made


zoo = manifest([(base(), "gzip"), (odd(), "zstd"), (whiteouts(), "plain")], "amd64", User="33")
arm = manifest([(odd(), "plain")], "arm64")
statement = Tar()
statement.add("statement", b"{}")
attestation = manifest([(statement.bytes(), "plain")], "unknown")
images = {
    "zoo:1": index(platform(zoo, "amd64"), platform(arm, "arm64"),
                   platform(attestation, "unknown", annotations={
                       "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": zoo["digest"]})),
    "arm:1": index(platform(arm, "arm64")),
    "odd:1": manifest([(base(), "zstd"), (whiteouts(), "gzip")], "amd64", User="app"),
}
if hostile:
    images = {hostile + ":1": bad(hostile)}
    blobs = {digest: data for digest, data in blobs.items() if digest in wanted}
top = {"schemaVersion": 2, "manifests": [
    {**descriptor, "annotations": {"io.containerd.image.name": "docker.io/library/" + name,
                                   "org.opencontainers.image.ref.name": name.split(":")[1]}}
    for name, descriptor in images.items()]}
with tarfile.open(out, "w") as tar:
    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    add("index.json", json.dumps(top).encode())
    for digest, data in blobs.items():
        add("blobs/sha256/" + digest[7:], data)
for name, descriptor in images.items():
    print(name, descriptor["digest"])
