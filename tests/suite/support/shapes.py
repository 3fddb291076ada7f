#!/usr/bin/env python3
"""Makes a tree of an extreme shape.

    shapes.py wide DIR N     one directory with N files
    shapes.py deep DIR N     N directories inside one another, a file in each hundredth
    shapes.py linked DIR N   one inode with N names, in directories of 10,000
    shapes.py forked DIR N   two chains of N directories with long names, and 400 directories at the end of each

    shapes.py check DIR UID prints how many inodes belong to somebody else
"""

import os
import sys

IN_ONE_DIRECTORY = 10_000
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def file(name, fd):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))


def make(shape, top, count):
    os.makedirs(top)
    here = os.open(top, FLAGS)
    if shape == "wide":
        for n in range(count):
            file(f"f{n}", here)
    elif shape == "deep":
        for n in range(count):
            os.mkdir("d", dir_fd=here)
            if n % 100 == 0:
                file("f", here)
            below = os.open("d", FLAGS, dir_fd=here)
            os.close(here)
            here = below
    elif shape == "forked":
        for chain in "ab":
            down = here
            for name in [chain] + ["d" * 200] * (count - 1):
                os.mkdir(name, dir_fd=down)
                below = os.open(name, FLAGS, dir_fd=down)
                if down != here:
                    os.close(down)
                down = below
            for n in range(400):
                os.mkdir(f"{n}", dir_fd=down)
    else:
        file("first", here)
        for n in range(1, count):
            if n % IN_ONE_DIRECTORY == 1:
                os.mkdir(f"d{n}", dir_fd=here)
                into = os.open(f"d{n}", FLAGS, dir_fd=here)
            os.link("first", f"n{n}", src_dir_fd=here, dst_dir_fd=into)


def others(top, uid):
    """Inodes that belong to somebody else; goes down one by one, with no more open than needed."""
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


if sys.argv[1] == "check":
    print(others(sys.argv[2], int(sys.argv[3])))
else:
    make(sys.argv[1], sys.argv[2], int(sys.argv[3]))
