#!/usr/bin/env python3
"""Somebody who can write in a tree, and uses that while another program goes through it.

    adversary.py [--no-links] TREE CANARY SEED [PLACE...]

Keeps renaming, swapping directories for symlinks to CANARY, files for hard links to its files, for
fifos, devices and sockets, and making names that steer terminals. CANARY lies outside of TREE, on the
same filesystem. --no-links: without the hard links, which keep some commands from doing anything. Each PLACE
is a path, of any entry, that is now and then put aside for a moment while something else is there.

A second process looks at the canary all the time; when anything of it has changed,
it says so on stdout. Runs until its stdin is closed; then the tree is left without links to the
canary, and the number of things done is printed.
"""

import ctypes
import os
import random
import select
import signal
import stat
import sys

NAMES = (
    b"new\nline",
    b"idshift: done\nShifted 1 of 1 inode",
    b"\x1b]0;title\x07\x1b[2J\x1b[31m",
    b"\xff\xfe\x80 not utf-8",
    "\u202egnp.\u009b31m".encode(),
    b"\r\x08\x7f",
    b"n" * 255,
    b"file (deleted)",
    b"-rf",
)
RENAME_EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)
DIRS, FILES = 6, 24


def exchange(a, b):
    LIBC.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), RENAME_EXCHANGE)


def state(canary):
    """What must stay of each inode of the canary."""
    found = []
    for top, dirs, files in sorted(os.walk(canary)):
        for name in [b"."] + sorted(dirs + files):
            path = os.path.join(top, name)
            is_ = os.lstat(path)
            attributes = {}
            if not stat.S_ISLNK(is_.st_mode):
                attributes = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            found.append((path, is_.st_ino, is_.st_uid, is_.st_gid, is_.st_mode, attributes))
    return found


def watch(canary):
    before = state(canary)
    while True:
        now = state(canary)
        if now != before:
            changed = [pair for pair in zip(before, now) if pair[0] != pair[1]]
            os.write(1, f"the canary changed: {changed}\n".encode())
            return


class Adversary:
    def __init__(self, canary, seed, places):
        self.random = random.Random(seed)
        self.canary = canary
        self.places = places
        self.aside = []
        self.files = [os.path.join(canary, name) for name in sorted(os.listdir(canary))]
        self.files = [path for path in self.files if os.path.isfile(path)]

    def dir(self):
        return b"d%d" % self.random.randrange(DIRS)

    def file(self):
        names = [b"f%d" % self.random.randrange(FILES), self.random.choice(NAMES)]
        return self.dir() + b"/" + names[self.random.randrange(4) == 0]

    def own(self, path):
        os.chown(path, self.random.choice((0, 33, 1000)), 0, follow_symlinks=False)

    def plain(self, path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0o4755))
        self.own(path)

    def gone(self, path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def swap_for_link(self):
        """A hard link, for as long as it takes to open a name, or longer."""
        path = self.file()
        self.gone(path)
        os.link(self.random.choice(self.files), path, follow_symlinks=False)
        for _ in range(self.random.randrange(3)):
            other = self.file()
            os.rename(path, other)
            path = other
        if self.random.randrange(4):
            self.gone(path)
            if self.random.randrange(2):
                self.plain(path)

    def swap_for_kind(self):
        path = self.file()
        self.gone(path)
        kind = self.random.randrange(5)
        if kind == 0:
            os.mkfifo(path, 0o666)
        elif kind == 1:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        elif kind == 2:
            os.mknod(path, 0o666 | stat.S_IFBLK, os.makedev(7, 99))
        elif kind == 3:
            os.symlink(self.random.choice(self.files), path)
        else:
            os.mknod(path, 0o666 | stat.S_IFSOCK)
        self.own(path)

    def swap_directory(self):
        """A symlink to the canary, or another directory, in the place of a directory."""
        here, away = self.dir(), b"away%d" % self.random.randrange(3)
        if os.path.lexists(away):
            return
        os.rename(here, away)
        try:
            if self.random.randrange(2):
                os.symlink(self.canary, here)
            else:
                os.close(os.open(here, os.O_CREAT, 0o644))
            for _ in range(self.random.randrange(20)):
                os.lstat(here)
        finally:
            self.gone(here)
            os.rename(away, here)

    def swap_place(self):
        """Something else in the place of an entry. Meanwhile that may get another place itself."""
        here = self.random.choice(self.places)
        away = os.path.join(os.path.dirname(self.canary), b"aside%d" % len(self.aside))
        os.rename(here, away)
        self.aside.append((here, away))
        kind = self.random.randrange(5)
        if kind == 0:
            os.symlink(self.canary, here)
        elif kind == 1:
            os.symlink(self.random.choice(self.files), here)
        elif kind == 2:
            os.mkfifo(here, 0o666)
        elif kind == 3:
            os.link(self.random.choice(self.files), here, follow_symlinks=False)
        else:
            os.mkdir(here)
        for _ in range(self.random.randrange(200)):
            os.lstat(here)
        self.put_back()

    def put_back(self):
        left = []
        for here, away in self.aside:
            try:
                if os.path.lexists(here):
                    (os.rmdir if stat.S_ISDIR(os.lstat(here).st_mode) else os.unlink)(here)
                os.rename(away, here)
            except OSError:
                left.append((here, away))
        self.aside = left

    def move(self):
        first, second = self.random.choice(((self.dir, self.dir), (self.file, self.file)))
        exchange(first(), second())

    def run(self, until, links):
        done = 0
        for n in range(DIRS):
            os.makedirs(b"d%d/sub/sub" % n, exist_ok=True)
        actions = [self.swap_for_link] * 4 * links
        actions += [self.swap_for_kind, self.swap_directory, self.move]
        actions += [self.swap_place] * bool(self.places)
        while not until():
            for _ in range(20):
                try:
                    self.random.choice(actions)()
                    done += 1
                except (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    pass
                except OSError as error:
                    # What else a program running at the same time may cause: ETXTBSY, EMLINK, ELOOP.
                    if error.errno not in (26, 31, 40, 36):
                        raise
        return done

    def clean(self):
        inodes = {os.stat(path).st_ino for path in self.files}
        for top, _, files in os.walk(b"."):
            for name in files:
                path = os.path.join(top, name)
                if os.lstat(path).st_ino in inodes:
                    os.unlink(path)


def main():
    args = [os.fsencode(arg) for arg in sys.argv[1:]]
    links = args[0] != b"--no-links"
    tree, canary, seed, *places = args if links else args[1:]
    os.umask(0)
    os.chdir(tree)
    watcher = os.fork()
    if watcher == 0:
        watch(canary)
        os._exit(0)
    try:
        adversary = Adversary(canary, int(seed), places)
        done = adversary.run(lambda: select.select([0], [], [], 0)[0], links)
        adversary.put_back()
        adversary.clean()
    finally:
        os.kill(watcher, signal.SIGKILL)
        os.waitpid(watcher, 0)
    print(f"done {done}")


main()
