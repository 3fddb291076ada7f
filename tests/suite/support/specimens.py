#!/usr/bin/env python3
"""Fills a directory with few inodes, of each kind of change one: for tests that go through a run call
by call.

    specimens.py DIR
"""

import os
import subprocess
import sys


def own(path, uid, gid, mode=None):
    os.chown(path, uid, gid, follow_symlinks=False)
    if mode is not None:
        os.chmod(path, mode)


def file(path, uid, gid, mode):
    with open(path, "w") as out:
        out.write(f"{os.path.basename(path)}\n")
    own(path, uid, gid, mode)


def main(top):
    os.mkdir(top)
    at = lambda name: os.path.join(top, name)
    file(at("plain"), 1000, 1000, 0o644)
    file(at("setuid"), 0, 33, 0o6755)
    file(at("acl"), 0, 0, 0o640)
    subprocess.run(["setfacl", "-m", "u:33:rw,g:44:r", at("acl")], check=True)
    file(at("capability"), 0, 0, 0o755)
    subprocess.run(["setcap", "cap_net_raw+ep", at("capability")], check=True)
    file(at("all"), 33, 0, 0o2755)
    subprocess.run(["setfacl", "-m", "u:33:rwx", at("all")], check=True)
    subprocess.run(["setcap", "cap_net_bind_service+ep", at("all")], check=True)
    os.mkdir(at("dir"))
    subprocess.run(["setfacl", "-m", "u:33:rwx,d:u:33:rwx,d:g:44:r", at("dir")], check=True)
    own(at("dir"), 33, 33)
    file(at("dir/one"), 33, 33, 0o600)
    os.link(at("dir/one"), at("dir/two"))
    own(at("dir"), 33, 33, 0o2770)
    os.mkdir(at("dir/below"))
    own(at("dir/below"), 0, 5, 0o1777)
    os.symlink("../plain", at("dir/below/link"))
    own(at("dir/below/link"), 7, 7)
    os.mkfifo(at("dir/below/fifo"))
    own(at("dir/below/fifo"), 0, 0, 0o600)
    # Nobody's in particular: shifted already.
    file(at("shifted"), 100000, 100033, 0o4755)


if __name__ == "__main__":
    main(sys.argv[1])
