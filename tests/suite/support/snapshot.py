#!/usr/bin/env python3
"""Prints what a tree is: one JSON line for each name, sorted by the bytes of its path.

It shares no code with the program under test, and reads without leaving a trace: directories and
files are opened with O_NOATIME. It goes from directory to directory with chdir, one name at a time,
so that a tree may be deeper than PATH_MAX.

    snapshot.py DIR
"""

import base64
import errno
import hashlib
import json
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char device",
    stat.S_IFBLK: "block device",
}


def as_text(key, data):
    """`key` with the text, or with `{"b64": …}` where the bytes are not plain text."""
    try:
        text = data.decode()
        if text.isprintable():
            return {key: text}
    except UnicodeDecodeError:
        pass
    return {key: {"b64": base64.b64encode(data).decode()}}


# How xfs keeps the ACLs, which are in system.posix_acl_* as well.
SAME_ACLS_AGAIN = ("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")


def xattrs(name):
    try:
        found = os.listxattr(name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    found = sorted(key for key in found if key not in SAME_ACLS_AGAIN)
    return {key: os.getxattr(name, key, follow_symlinks=False).hex() for key in found}


def data_ranges(fd, size):
    """Where the file is not a hole."""
    ranges, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        ranges.append([start, at])
    return ranges


def content(name, size):
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
    try:
        ranges = data_ranges(fd, size)
        os.lseek(fd, 0, os.SEEK_SET)
        digest = hashlib.sha256()
        while chunk := os.read(fd, 1 << 20):
            digest.update(chunk)
    finally:
        os.close(fd)
    return {"data": ranges, "sha256": digest.hexdigest()}


def describe(path, name):
    st = os.lstat(name)
    kind = stat.S_IFMT(st.st_mode)
    line = as_text("path", path)
    line |= {
        "type": KINDS[kind],
        "mode": f"{stat.S_IMODE(st.st_mode):04o}",
        "uid": st.st_uid,
        "gid": st.st_gid,
        "nlink": st.st_nlink,
        "ino": st.st_ino,
        "size": st.st_size,
        "mtime_ns": st.st_mtime_ns,
        "xattrs": xattrs(name),
    }
    # Blocks hold xattrs too where the inode is too small for them, and how they are packed is the
    # filesystem's affair.
    if not line["xattrs"]:
        line["blocks"] = st.st_blocks
    if kind == stat.S_IFLNK:
        # Reading a link sets its atime, and there is no way to read it that does not.
        line |= as_text("target", os.readlink(name))
    else:
        line["atime_ns"] = st.st_atime_ns
    if kind == stat.S_IFREG:
        line |= content(name, st.st_size)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        line["rdev"] = [os.major(st.st_rdev), os.minor(st.st_rdev)]
    return line, kind == stat.S_IFDIR


def names_here():
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def walk(top):
    os.chdir(top)
    yield b".", describe(b".", b".")[0]
    todo = [(b"", names_here())]
    while todo:
        prefix, names = todo[-1]
        if not names:
            todo.pop()
            if todo:
                os.chdir("..")
            continue
        name = names.pop()
        path = prefix + name
        line, is_dir = describe(path, name)
        yield path, line
        if is_dir:
            os.chdir(name)
            todo.append((path + b"/", names_here()))


def main():
    (top,) = sys.argv[1:]
    for _, line in sorted(walk(top), key=lambda pair: pair[0]):
        print(json.dumps(line))


main()
