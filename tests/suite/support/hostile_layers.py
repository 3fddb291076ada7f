#!/usr/bin/env python3
"""Makes random tars that no registry should give out, and unpacks each as Docker does: by plain paths, in a chroot.

    hostile_layers.py PLACE COUNT SEED

In PLACE, for each N: N.tar; N.entries, what is in it, to be read; N/, what became of it; N.done, or N.refused with why.
"""
import errno, os, posixpath, random, shutil, stat, struct, sys

place, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO = b"0123456"
CAPABILITY, ACCESS, DEFAULT = "security.capability", "system.posix_acl_access", "system.posix_acl_default"


def number(value, width):
    return b"%0*o\0" % (width - 1, value)


def header(name, kind, size=0, mode=0, uid=0, gid=0, mtime=0, device=(0, 0)):
    name = name[:100].ljust(100, b"\0")
    head = name + number(mode, 8) + number(uid, 8) + number(gid, 8) + number(size, 12) + number(mtime, 12)
    rest = bytes([kind]) + bytes(100) + b"ustar\x0000" + bytes(64) + number(device[0], 8) + number(device[1], 8)
    block = (head + b" " * 8 + rest).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def record(key, value):
    rest = b" " + key.encode() + b"=" + value + b"\n"
    size = len(rest) + 1
    while len(b"%d" % size) + len(rest) != size:
        size = len(b"%d" % size) + len(rest)
    return b"%d" % size + rest


def padded(data):
    return data + bytes(-len(data) % 512)


def tar(entries):
    whole = b""
    for it in entries:
        pax = record("path", it["name"]) + record("linkpath", it["link"])
        pax += b"".join(record("SCHILY.xattr." + key, value) for key, value in it["xattrs"])
        whole += header(b"pax", ord("x"), len(pax)) + padded(pax)
        whole += header(it["name"], it["kind"], len(it["content"]), it["mode"], it["uid"], it["gid"], 1700000000, it["device"])
        whole += padded(it["content"])
    return whole + bytes(1024)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 0xffffffff
NAMED = acl((1, 7, NO_ID), (2, 5, 33), (4, 5, NO_ID), (0x10, 7, NO_ID), (0x20, 5, NO_ID))
CAPABLE = struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0)
XATTRS = [
    ("user.a", b"1"), ("user.b", b"x" * 3000), ("user.c", b"y" * 3000), ("user.d", b"z" * 70000),
    ("user.", b"1"), ("user." + "n" * 251, b"1"), ("foo", b"1"), ("trusted.x", b"1"), ("trusted.", b"1"),
    ("trusted.overlay.redirect", b"/etc"), ("system.other", b"1"), ("security.other", b"1"),
    (CAPABILITY, CAPABLE), (CAPABILITY, CAPABLE), (CAPABILITY, CAPABLE[:19]), (CAPABILITY, b""),
    (ACCESS, NAMED), (ACCESS, NAMED), (ACCESS, acl((1, 7, NO_ID))), (ACCESS, NAMED[:7]), (ACCESS, b"\3" + NAMED[1:]),
    (ACCESS, acl()), (DEFAULT, NAMED), (DEFAULT, acl()),
]


def name(pick):
    odd = [b"", b".", b"..", b"/", b".wh.a", b".wh.b", b".wh.s", b".wh..wh..opq", b".wh..wh.aufs", b".wh.", b".wh..",
           b"x" * 255, b"x" * 256, b".wh." + b"y" * 255, b".wh." + b"y" * 256, b"p/" * 2100 + b"q", b"../x", b"a/../../x"]
    if pick.random() < 0.2:
        last = pick.choice(odd)
        return last if pick.random() < 0.5 else pick.choice([b"a", b"s", b"d/b"]) + b"/" + last
    path = b"/".join(pick.choice([b"a", b"b", b"d", b"s", b"t"]) for _ in range(pick.choice([1, 1, 1, 2, 2, 3])))
    return pick.choice([b"", b"", b"", b"./", b"/", b"d/../", b"b//./"]) + path


def target(pick):
    return pick.choice([b"a", b"b", b"d", b"s", b"t", b"/a", b"/d/b", b"../b", b"..", b".", b"/", b"a/b", b"s/../t", b"nowhere",
                        b"", b"d/", b"../../..", b"l" * 3800, b"l" * 5000, b"n" * 300])


def entry(pick):
    kind = pick.choice([FILE] * 5 + [DIR] * 5 + [SYMLINK] * 5 + [LINK] * 4 + [CHAR, BLOCK, FIFO])
    return {
        "name": name(pick), "kind": kind, "mode": pick.choice([0o644, 0o755, 0o4755, 0o1777]),
        "uid": pick.choice([0, 0, 33, 70000]), "gid": pick.choice([0, 0, 33]),
        "link": name(pick) if kind == LINK else target(pick),
        "content": b"content" if kind == FILE and pick.random() < 0.7 else b"",
        "device": pick.choice([(1, 3), (4095, 0xfffff), (4096, 0), (1, 0x100000)]) if kind in (CHAR, BLOCK) else (0, 0),
        "xattrs": dict(pick.sample(XATTRS, pick.choice([0, 0, 0, 0, 1, 1, 2]))).items(),
    }


class Refused(Exception):
    pass


def set_attributes(path, it):
    found = os.lstat(path)
    # The other names of an inode are often told without its capability.
    if it["kind"] != LINK or (found.st_uid, found.st_gid) != (it["uid"], it["gid"]):
        os.lchown(path, it["uid"], it["gid"])
    for key, value in it["xattrs"]:
        if key.startswith("trusted.overlay."):
            continue
        if key == CAPABILITY and not value:
            raise Refused("the kernel takes it, and idshift could not shift it")
        try:
            os.setxattr(path, key, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM) or key == CAPABILITY:
                raise
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(path, it["mode"])


def inside(path):
    """Go's path.Clean of it, below the top."""
    path = posixpath.normpath(path) if path else b"."
    if path == b".." or path.startswith(b"../"):
        raise Refused("leads out")
    return b"/" + path.lstrip(b"/") if path != b"." else b"/"


def unpack(entries):
    for it in entries:
        path = inside(it["name"])
        if path == b"/":
            if it["kind"] != DIR:
                raise Refused("replaces the top")
            continue
        above, base = posixpath.split(path)
        if len(above) > 4096:
            raise Refused("longer than any path")
        if not os.path.lexists(above):
            os.makedirs(above, 0o755)
        if base == b".wh..wh..opq":
            os.stat(above + b"/.")
            os.setxattr(above, "trusted.overlay.opaque", b"y")
            continue
        if base.startswith(b".wh..wh."):
            os.stat(above + b"/.")
            continue
        if base.startswith(b".wh."):
            base = base[4:]
            if base in (b"", b".", b".."):
                raise Refused("deletes a directory from inside")
            os.mknod(above + b"/" + base, stat.S_IFCHR, 0)
            os.lchown(above + b"/" + base, it["uid"], it["gid"])
            continue
        there = os.path.lexists(path)
        is_dir = there and stat.S_ISDIR(os.lstat(path).st_mode)
        if there and not (is_dir and it["kind"] == DIR):
            shutil.rmtree(path) if is_dir else os.unlink(path)
            there = False
        if it["kind"] == FILE:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(it["content"])
        elif it["kind"] == LINK:
            os.link(inside(it["link"]), path, follow_symlinks=False)
        elif it["kind"] == SYMLINK:
            os.symlink(it["link"], path)
        elif it["kind"] == DIR:
            there or os.mkdir(path)
        else:
            kind = {CHAR: stat.S_IFCHR, BLOCK: stat.S_IFBLK, FIFO: stat.S_IFIFO}[it["kind"]]
            if it["device"][0] > 0xfff or it["device"][1] > 0xfffff:
                raise Refused("the kernel has no such device")
            os.mknod(path, kind | 0o600, os.makedev(*it["device"]))
        set_attributes(path, it)


def unpacked(top, entries, done):
    child = os.fork()
    if child == 0:
        os.umask(0o022)
        done = os.open(done, os.O_CREAT | os.O_WRONLY, 0o600)
        os.chroot(top)
        os.chdir("/")
        try:
            unpack(entries)
        except (OSError, Refused) as error:
            os.write(done, str(error)[:200].encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


for n in range(count):
    pick = random.Random(seed * 1000003 + n)
    entries = [entry(pick) for _ in range(pick.randint(1, 7))]
    top = os.path.join(place, str(n))
    os.mkdir(top, 0o755)
    with open(top + ".tar", "wb") as file:
        file.write(tar(entries))
    with open(top + ".entries", "w") as file:
        for it in entries:
            print({key: list(value) if key == "xattrs" else value for key, value in it.items()}, file=file)
    if unpacked(top, entries, top + ".done"):
        os.truncate(top + ".done", 0)
    else:
        os.rename(top + ".done", top + ".refused")
