#!/usr/bin/env python3
"""Makes the trees that tests shift.

    tree.py zoo DIR [--plain] [--deep]    every kind of inode, name, mode and xattr: zoo.py.
                                          --plain: no xattrs, ACLs and capabilities, for filesystems that keep
                                          none and programs that do not handle them.
                                          --deep: a chain of directories much deeper than PATH_MAX too
    tree.py specimens DIR                 few inodes, of each kind of change one: to go through call by call
    tree.py many DIR N                    N small inodes, in directories of 500: a run that takes a while
    tree.py wide DIR N                    one directory with N files
    tree.py deep DIR N                    N directories inside one another, a file in each hundredth
    tree.py linked DIR N                  one inode with N names, in directories of 10,000
    tree.py forked DIR N                  two chains of N directories with long names, 400 directories at each end

    tree.py strangers DIR UID             makes nothing: prints how many inodes belong to somebody else
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
import zoo
from zoo import directory, file, own

IDS = (0, 1000, 33, 65534, 65535)
# u::rw u:33:r u:1000:rw g::r g:0:r m::rw o::-
ACL = bytes.fromhex(
    "02000000"
    "01000600ffffffff" "0200040021000000" "02000600e8030000" "04000400ffffffff"
    "0800040000000000" "10000600ffffffff" "20000000ffffffff"
)
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def specimens():
    def named(path, uid, gid, mode):
        file(path, uid, gid, mode, f"{os.path.basename(path)}\n".encode())

    named("plain", 1000, 1000, 0o644)
    named("setuid", 0, 33, 0o6755)
    named("acl", 0, 0, 0o640)
    subprocess.run(["setfacl", "-m", "u:33:rw,g:44:r", "acl"], check=True)
    named("capability", 0, 0, 0o755)
    subprocess.run(["setcap", "cap_net_raw+ep", "capability"], check=True)
    named("all", 33, 0, 0o2755)
    subprocess.run(["setfacl", "-m", "u:33:rwx", "all"], check=True)
    subprocess.run(["setcap", "cap_net_bind_service+ep", "all"], check=True)
    os.mkdir("dir")
    subprocess.run(["setfacl", "-m", "u:33:rwx,d:u:33:rwx,d:g:44:r", "dir"], check=True)
    own("dir", 33, 33)
    named("dir/one", 33, 33, 0o600)
    os.link("dir/one", "dir/two")
    own("dir", 33, 33, 0o2770)
    directory("dir/below", 0, 5, 0o1777)
    os.symlink("../plain", "dir/below/link")
    own("dir/below/link", 7, 7)
    os.mkfifo("dir/below/fifo")
    own("dir/below/fifo", 0, 0, 0o600)
    # Nobody's in particular: shifted already.
    named("shifted", 100000, 100033, 0o4755)


def many(inodes):
    for number in range(inodes):
        if number % 500 == 0:
            here = f"{number // 500:04}"
            directory(here, 1000, 1000)
            continue
        path = f"{here}/{number}"
        kind = number % 50
        if kind == 10:
            os.symlink("nowhere", path)
        elif kind == 20:
            os.link(f"{here}/{number - 1}", path, follow_symlinks=False)
        else:
            empty(path)
        own(path, IDS[number % 5], IDS[number % 3], 0o6755 if kind == 30 else None)
        if kind == 40:
            os.setxattr(path, "system.posix_acl_access", ACL)


def empty(name, fd=None):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))


def wide(names):
    for n in range(names):
        empty(f"f{n}")


def deep(depth):
    here = os.open(".", FLAGS)
    for n in range(depth):
        os.mkdir("d", dir_fd=here)
        if n % 100 == 0:
            empty("f", here)
        below = os.open("d", FLAGS, dir_fd=here)
        os.close(here)
        here = below


def linked(names):
    empty("first")
    for n in range(1, names):
        if n % 10_000 == 1:
            into = f"d{n}"
            os.mkdir(into)
        os.link("first", f"{into}/n{n}")


def forked(depth):
    for chain in "ab":
        down = os.open(".", FLAGS)
        for name in [chain] + ["d" * 200] * (depth - 1):
            os.mkdir(name, dir_fd=down)
            below = os.open(name, FLAGS, dir_fd=down)
            os.close(down)
            down = below
        for n in range(400):
            os.mkdir(f"{n}", dir_fd=down)


def strangers(top, uid):
    """Goes down one by one, with no more open than needed."""
    wrong, stack = 0, [os.open(top, FLAGS)]
    wrong += os.fstat(stack[0]).st_uid != uid
    while stack:
        here = stack.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                wrong += entry.stat(follow_symlinks=False).st_uid != uid
                if entry.is_dir(follow_symlinks=False):
                    stack.append(os.open(entry.name, FLAGS, dir_fd=here))
        os.close(here)
    return wrong


def main():
    what, top, *more = sys.argv[1:]
    if what == "strangers":
        print(strangers(top, int(more[0])))
        return
    os.umask(0o022)
    os.makedirs(top, exist_ok=True)
    os.chdir(top)
    if what == "zoo":
        zoo.make(plain="--plain" in more, deep="--deep" in more)
    elif what == "specimens":
        specimens()
    else:
        {"many": many, "wide": wide, "deep": deep, "linked": linked, "forked": forked}[what](int(more[0]))


main()
