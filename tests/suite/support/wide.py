#!/usr/bin/env python3
"""Fills a directory with many small inodes, for runs that are to take a while.

    wide.py DIR INODES
"""

import os
import sys

IDS = (0, 1000, 33, 65534, 65535)
IN_ONE_DIRECTORY = 500
# u::rw u:33:r u:1000:rw g::r g:0:r m::rw o::-
ACL = bytes.fromhex(
    "02000000"
    "01000600ffffffff" "0200040021000000" "02000600e8030000" "04000400ffffffff"
    "0800040000000000" "10000600ffffffff" "20000000ffffffff"
)


def main():
    top, inodes = sys.argv[1], int(sys.argv[2])
    os.makedirs(top, exist_ok=True)
    os.chdir(top)
    for number in range(inodes):
        if number % IN_ONE_DIRECTORY == 0:
            here = f"{number // IN_ONE_DIRECTORY:04}"
            os.mkdir(here)
            os.chown(here, 1000, 1000)
            continue
        path = f"{here}/{number}"
        kind = number % 50
        if kind == 10:
            os.symlink("nowhere", path)
        elif kind == 20:
            os.link(f"{here}/{number - 1}", path, follow_symlinks=False)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        os.chown(path, IDS[number % 5], IDS[number % 3], follow_symlinks=False)
        if kind == 30:
            os.chmod(path, 0o6755)
        elif kind == 40:
            os.setxattr(path, "system.posix_acl_access", ACL)


main()
