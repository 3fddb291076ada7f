#!/usr/bin/env python3
"""Runs a command as root of a user namespace with one map, and with a tree as its root directory.

It has mounts, processes and a network of its own, as a container has; /proc is mounted, the
loopback is up.

    enter.py ROOT MAP... -- COMMAND [ARGUMENT]...        MAP is u|g|b:CONTAINER:HOST:SIZE
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
MS_REC, MS_PRIVATE = 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit(f"enter.py: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags):
    check(libc.mount(source, target, kind, ctypes.c_ulong(flags), None), f"mount {target}")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def id_map(specs, kind):
    lines = [spec.split(":")[1:] for spec in specs if spec[0] in (kind, "b")]
    return "".join(" ".join(line) + "\n" for line in lines).encode()


def inside(root, command):
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)
    loopback_up()
    # The first process of the new process namespace is a child.
    if (child := os.fork()) == 0:
        os.chroot(root)
        os.chdir("/")
        mount(b"proc", b"/proc", b"proc", 0)
        os.execvpe(command[0], command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    split = sys.argv.index("--")
    root, *specs = sys.argv[1:split]
    command = sys.argv[split + 1 :]
    unshared, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mapped[1])
        spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC
        check(libc.unshare(spaces), "unshare")
        os.write(unshared[1], b".")
        # An end of file is a parent that could not write the maps.
        os._exit(inside(root, command) if os.read(mapped[0], 1) else 1)
    os.close(mapped[0])
    os.read(unshared[0], 1)
    for kind in "ug":
        with open(f"/proc/{child}/{kind}id_map", "wb", buffering=0) as out:
            out.write(id_map(specs, kind))
    os.write(mapped[1], b".")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
