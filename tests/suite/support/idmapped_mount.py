#!/usr/bin/env python3
"""idmapped_mount.py SRC DST ON-DISK SEEN COUNT: shows SRC at DST, with the ids from ON-DISK on seen as those from SEEN on."""
import ctypes, os, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH, CLONE_NEWUSER, IDMAP = -100, 0x1000, 0x10000000, 0x100000


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


source, target, on_disk, seen, count = sys.argv[1:]
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    check(libc.unshare(CLONE_NEWUSER))
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
os.read(ready[0], 1)
for kind in "ug":
    with open(f"/proc/{child}/{kind}id_map", "w") as file:
        file.write(f"{on_disk} {seen} {count}")
namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
tree = check(libc.syscall(OPEN_TREE, AT_FDCWD, source.encode(), 1 | os.O_CLOEXEC))
attributes = struct.pack("QQQQ", IDMAP, 0, 0, namespace)
check(libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, len(attributes)))
check(libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), 4))
os.write(go[1], b"x")
os.waitpid(child, 0)
