"""A layer tar of everything that a layer may have, made without the program's own code: python3 layer_zoo.py > TAR"""

import io
import struct
import sys
import tarfile

tar = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape")


def add(name, content=None, **fields):
    entry = tarfile.TarInfo(name)
    entry.mtime = 1600000000.25
    entry.mode = 0o644
    if content is not None:
        entry.size = len(content)
    for key, value in fields.items():
        setattr(entry, key, value)
    tar.addfile(entry, io.BytesIO(content or b""))


capability = struct.pack("<5I", 0x2000001, 0x0A, 0, 0, 0).decode("utf-8", "surrogateescape")
add("./", type=tarfile.DIRTYPE, mode=0o700, uid=5)
add("bin", type=tarfile.DIRTYPE, mode=0o1777, uid=1, gid=2)
add("bin/setuid", b"setuid", mode=0o6755, uid=0, gid=7)
add("bin/other", type=tarfile.LNKTYPE, linkname="bin/setuid", mode=0o6755, gid=7)
# 0x0a is a newline in its pax record.
add("bin/capable", b"capable", mode=0o755, uid=3, pax_headers={"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.a": "b\n"})
# Directories that have no entry are made all the same.
add("/implied/here/file", b"content")
add("bin/../cleaned", b"cleaned")
add("empty", b"", uid=4000000000, gid=100000)
add("implied-" + "n" * 200 + "/" + "m" * 200, b"long names")
add("not utf-8 \udcff <&>\u2028", b"name")
add("link", type=tarfile.SYMTYPE, linkname="../../../etc/passwd", uid=6)
add("usr", type=tarfile.DIRTYPE)
add("usr/lib", type=tarfile.DIRTYPE)
add("lib", type=tarfile.SYMTYPE, linkname="/usr/lib")
add("lib/through", b"")
add("fifo", type=tarfile.FIFOTYPE, mode=0o622)
add("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
add("disk", type=tarfile.BLKTYPE, devmajor=259, devminor=1000, mode=0o660, gid=6)
add("old", b"before 1970", mtime=-5.5)
add("large", b"0123456789abcdef" * 200000)
add("deleted", type=tarfile.DIRTYPE)
add("deleted/.wh.file", b"", uid=3)
add("opaque", type=tarfile.DIRTYPE, mode=0o750)
add("opaque/.wh..wh..opq", b"")
add("opaque/new", b"new")
tar.close()
sys.stdout.buffer.write(bytes(3 << 20))
