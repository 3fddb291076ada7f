#!/usr/bin/env python3
"""Runs a command on a terminal of its own, and gives what it drew there.

    on_terminal.py COLUMNS COMMAND...

What the terminal got goes to stdout as it is; the exit code is the command's.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def main():
    columns, command = int(sys.argv[1]), sys.argv[2:]
    pid, terminal = pty.fork()
    if pid == 0:
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(1, termios.TIOCSWINSZ, size)
        os.environ["TERM"] = "xterm"
        os.execv(command[0], command)
    drawn = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        drawn += more
    _, status = os.waitpid(pid, 0)
    sys.stdout.buffer.write(drawn)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
