"""Inodes of every kind, as container root and its users would own them: a part of tree.py."""

import errno
import os
import socket
import stat
import subprocess

IDS = (0, 1000, 65534, 65535)
# With 1, where the second range of a rootless engine's map begins.
OWNERS = (*IDS, 1)
MODES = (0o644, 0o4755, 0o2755, 0o2745, 0o6755, 0o4711, 0o1777, 0o0000, 0o7777)

NAMES = (
    b"new\nline",
    b"\x1b[2J\x1b[31mred",
    b"\xff\xfe not utf-8 \x80",
    b"n" * 255,
    b"-rf",
    b"--",
    b" ",
    b"...",
    b"*",
    b"back\\slash",
    b"'quote\"",
    b"$(id)",
    "grün \u202e gnp.txt".encode(),
)

NULL, WHITEOUT, LOOP = os.makedev(1, 3), os.makedev(0, 0), os.makedev(7, 99)


def own(path, uid=0, gid=0, mode=None):
    os.chown(path, uid, gid, follow_symlinks=False)
    if mode is not None:
        os.chmod(path, mode)


def file(path, uid=0, gid=0, mode=0o644, content=b"content\n"):
    with open(path, "wb") as out:
        out.write(content)
    own(path, uid, gid, mode)


def directory(path, uid=0, gid=0, mode=0o755):
    os.mkdir(path)
    own(path, uid, gid, mode)


class Zoo:
    def xattr(self, path, key, value):
        try:
            os.setxattr(path, key, value, follow_symlinks=False)
        except OSError as error:
            # tmpfs has user.* from Linux 6.6 on; a loaded SELinux takes its own labels only.
            optional = key.startswith("user.") or key == "security.selinux"
            if not optional or error.errno not in (errno.ENOTSUP, errno.EINVAL):
                raise

    def owners(self):
        os.mkdir("owners")
        for uid in OWNERS:
            for gid in OWNERS:
                file(f"owners/{uid}-{gid}", uid, gid)
        for number, uid in enumerate(IDS):
            directory(f"owners/dir-{uid}", uid, IDS[-1 - number])
            file(f"owners/dir-{uid}/inside", uid, uid)

    def modes(self):
        os.mkdir("modes")
        for mode in MODES:
            file(f"modes/file-{mode:04o}", 0, 1000, mode)
            directory(f"modes/dir-{mode:04o}", 1000, 0, mode)
            file(f"modes/dir-{mode:04o}/inside", 1000, 0, mode)

    def kinds(self):
        os.mkdir("kinds")
        os.symlink("../owners/0-0", "kinds/symlink")
        os.symlink("does not exist", "kinds/dangling")
        os.symlink("/etc/passwd", "kinds/symlink-outside")
        os.symlink("..", "kinds/symlink-up")
        os.mkfifo("kinds/fifo")
        os.mknod("kinds/null", stat.S_IFCHR | 0o666, NULL)
        os.mknod("kinds/block", stat.S_IFBLK | 0o660, LOOP)
        os.mknod("kinds/whiteout", stat.S_IFCHR | 0o000, WHITEOUT)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("kinds/socket")
        for number, name in enumerate(sorted(os.listdir("kinds"))):
            own(f"kinds/{name}", IDS[number % 4], IDS[number % 3])
        file("kinds/empty", 65535, 65535, content=b"")
        with open("kinds/sparse", "wb") as out:
            out.seek(1 << 20)
            out.write(b"an island")
            out.truncate(4 << 20)
        own("kinds/sparse", 1000, 1000, 0o600)
        directory("kinds/empty-directory", 65534, 65534, 0o700)

    def links(self):
        for name in ("links", "links/a", "links/b", "links/b/c"):
            os.mkdir(name)
        file("links/a/one", 1000, 1000, 0o4755)
        os.symlink("one", "links/a/soft")
        os.mkfifo("links/a/fifo")
        for name in ("one", "soft", "fifo"):
            own(f"links/a/{name}", 1000, 65534)
            os.link(f"links/a/{name}", f"links/b/c/{name}-again", follow_symlinks=False)
        os.chmod("links/a/one", 0o4755)
        os.link("links/a/one", "links/b/one-more")

    def crowd(self):
        """Many files in one directory, of every pair of owners."""
        directory("crowd", 1000, 1)
        for number in range(200):
            file(f"crowd/{number:03}", OWNERS[number % 5], OWNERS[number // 5 % 5])

    def names(self):
        os.mkdir("names")
        for number, name in enumerate(NAMES):
            file(b"names/" + name, IDS[number % 4], IDS[(number + 1) % 4])
        directory(b"names/\xc3dir", 1000, 1000)
        directory(b"names/\xc3dir/" + b"d" * 255, 0, 65535)
        file(b"names/\xc3dir/" + b"d" * 255 + b"/\x01", 65535, 0)

    def acls(self):
        os.mkdir("acls")
        access = "u:1000:rw,u:0:r,u:65535:rwx,g:1000:r,g:4:rx,g:65534:-,m::rwx"
        default = "d:u::rwx,d:g::rx,d:o::-,d:u:65534:rwx,d:u:33:r,d:g:0:r,d:g:65535:rwx,d:m::rwx"
        file("acls/file", 1000, 1000, 0o640)
        file("acls/setuid", 1000, 0, 0o6755)
        directory("acls/dir", 0, 1000, 0o2770)
        os.mkfifo("acls/fifo")
        directory("acls/default-only", 65534, 0)
        subprocess.run(
            ["setfacl", "-n", "-m", access, "acls/file", "acls/setuid", "acls/dir", "acls/fifo"],
            check=True,
        )
        subprocess.run(["setfacl", "-n", "-m", default, "acls/dir", "acls/default-only"], check=True)
        # Made inside, they inherit: one with an access ACL, one with a default ACL as well.
        file("acls/dir/inherits", 1000, 1000, 0o664)
        directory("acls/dir/inherits-too", 0, 0, 0o2775)

    def capabilities(self):
        os.mkdir("capabilities")
        caps = {
            "effective": ["cap_net_raw+ep"],
            "permitted": ["cap_net_bind_service+p"],
            "many": ["cap_chown,cap_setfcap,cap_sys_admin,cap_bpf+eip"],
            "inheritable": ["cap_net_raw+i"],
            "nested": ["-n", "1000", "cap_net_raw+ep"],
            "nested-next": ["-n", "1", "cap_net_raw+ep"],
            "nested-edge": ["-n", "65535", "cap_net_admin+p"],
            "with-all": ["cap_net_raw+ep"],
        }
        for number, (name, args) in enumerate(caps.items()):
            path = f"capabilities/{name}"
            file(path, IDS[number % 4], 0, 0o6755 if name == "with-all" else 0o755)
            if name == "with-all":
                acl = "u:1000:rw,u:2:r,g:7:r,g:3:w,m::rwx"
                subprocess.run(["setfacl", "-n", "-m", acl, path], check=True)
                self.xattr(path, "user.note", b"kept")
            subprocess.run(["setcap", *args, path], check=True)

    def xattrs(self):
        os.mkdir("xattrs")
        file("xattrs/file", 1000, 1000)
        self.xattr("xattrs/file", "user.empty", b"")
        self.xattr("xattrs/file", "user.mime_type", b"text/plain")
        self.xattr("xattrs/file", "user.bytes", bytes(range(256)))
        self.xattr("xattrs/file", "security.selinux", b"system_u:object_r:container_file_t:s0\0")
        self.xattr("xattrs/file", "trusted.overlay.origin", b"\x00\xfb\x1d\x00\x01" + bytes(24))
        self.xattr("xattrs/file", "trusted.overlay.metacopy", b"")
        directory("xattrs/opaque", 0, 1000)
        self.xattr("xattrs/opaque", "trusted.overlay.opaque", b"y")
        self.xattr("xattrs/opaque", "trusted.overlay.impure", b"y")
        directory("xattrs/moved", 1000, 0)
        self.xattr("xattrs/moved", "trusted.overlay.redirect", b"/from/here")
        os.symlink("file", "xattrs/symlink")
        own("xattrs/symlink", 1000, 65535)
        self.xattr("xattrs/symlink", "trusted.note", b"on the link itself")
        os.mkfifo("xattrs/fifo")
        self.xattr("xattrs/fifo", "trusted.note", b"on the fifo")

    def deep(self):
        """1,000 short names, then 32 long ones: a path of more than twice PATH_MAX."""
        top = os.open(".", os.O_RDONLY)
        directory("deep", 1000, 1000)
        os.chdir("deep")
        for number, name in enumerate(["d"] * 1000 + ["long" * 50] * 32):
            directory(name, IDS[number % 4], IDS[number % 3])
            if number % 100 == 99:
                file("file", IDS[number % 3], IDS[number % 4])
            if number % 10 == 9:
                directory("side", IDS[number % 3], IDS[number % 4])
                file("side/file", IDS[number % 4], IDS[number % 3])
            os.chdir(name)
        file("bottom", 1000, 65534, 0o4755)
        os.fchdir(top)
        os.close(top)

    def set_times(self):
        """Times long past, another one for each inode, so that any that is touched shows."""
        when = 1_000_000_000_123_456_789
        todo = [names_here()]
        while todo:
            if not todo[-1]:
                when += 1_000_000_001
                os.utime(".", ns=(when, when + 7))
                todo.pop()
                if todo:
                    os.chdir("..")
                continue
            name = todo[-1].pop()
            if stat.S_ISDIR(os.lstat(name).st_mode):
                os.chdir(name)
                todo.append(names_here())
            else:
                when += 1_000_000_001
                os.utime(name, ns=(when, when + 7), follow_symlinks=False)


def names_here():
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def make(plain, deep):
    """In the current directory."""
    zoo = Zoo()
    zoo.owners()
    zoo.modes()
    zoo.kinds()
    zoo.links()
    zoo.crowd()
    zoo.names()
    if not plain:
        zoo.acls()
        zoo.capabilities()
        zoo.xattrs()
    if deep:
        zoo.deep()
    zoo.set_times()
